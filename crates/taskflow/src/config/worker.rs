//! The built-in worker: how much it runs, what it takes and what it may reach. It runs nothing;
//! the commands of kind `command` are read in `commands.rs`.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use taskflow_core::limits::CLAIM_NAMES_MAX;
use taskflow_core::{QueueName, WorkerName};

use super::commands::{self, CommandConfig};
use super::fault::Wrong;
use super::reader::Reader;
use super::value::{list_of, number, quote, seconds, truth};

/// Settings of section "Worker".
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerConfig {
    /// `WORKER_ENABLED`: whether the server runs tasks too.
    pub enabled: bool,
    /// `WORKER_CONCURRENCY`: tasks at the same time, 1 to 1000.
    pub concurrency: usize,
    /// `WORKER_POLL_INTERVAL`: the longest time between two looks for work.
    pub poll_interval: Duration,
    /// `WORKER_QUEUES`; empty means every queue.
    pub queues: Vec<QueueName>,
    /// `WORKER_NAME`; `None` leaves the choice to the worker.
    pub name: Option<WorkerName>,
    /// `WORKER_COMMANDS`, by name.
    pub commands: Vec<CommandConfig>,
    /// `HTTP_ALLOW_PRIVATE`: networks that kind `http` may reach although they are private.
    pub http_allow_private: Vec<IpNet>,
    /// `SHUTDOWN_GRACE_SECONDS`: what running tasks get when the program is told to stop.
    pub shutdown_grace: Duration,
}

impl WorkerConfig {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let enabled = reader.read("WORKER_ENABLED", truth);
        let concurrency = reader.read("WORKER_CONCURRENCY", |text| number(text, &(1..=1000)));
        let poll_interval =
            reader.read("WORKER_POLL_INTERVAL", |text| seconds(text, &(0.01..=3600.0)));
        let queues = reader.read("WORKER_QUEUES", queues);
        let name = reader.read("WORKER_NAME", name);
        let commands = reader.read("WORKER_COMMANDS", commands::parse);
        let http_allow_private = reader.read("HTTP_ALLOW_PRIVATE", |text| list_of(text, network));
        let shutdown_grace =
            reader.read("SHUTDOWN_GRACE_SECONDS", |text| seconds(text, &(0.0..=3600.0)));
        Some(Self {
            enabled: enabled?,
            concurrency: concurrency?,
            poll_interval: poll_interval?,
            queues: queues?,
            name: name?,
            commands: commands?,
            http_allow_private: http_allow_private?,
            shutdown_grace: shutdown_grace?,
        })
    }
}

fn queues(text: &str) -> Result<Vec<QueueName>, Wrong> {
    let queues = list_of(text, |item| {
        QueueName::parse(item).map_err(|rule| format!("{} is no queue: it {rule}", quote(item)))
    })?;
    if queues.len() > CLAIM_NAMES_MAX {
        return Err(format!("{} queues are too many", queues.len()).into());
    }
    Ok(queues)
}

fn name(text: &str) -> Result<Option<WorkerName>, Wrong> {
    if text.is_empty() {
        return Ok(None);
    }
    match WorkerName::parse(text) {
        Ok(name) => Ok(Some(name)),
        Err(_) => Err(format!("{} is no name of a worker", quote(text)).into()),
    }
}

/// A network, or one address as a network of its own. Bits beyond the prefix are cleared.
fn network(text: &str) -> Result<IpNet, String> {
    let one = text.parse::<IpAddr>().map(IpNet::from);
    let network = one.or_else(|_| text.parse::<IpNet>());
    network.map(|network| network.trunc()).map_err(|_| format!("{} is no network", quote(text)))
}
