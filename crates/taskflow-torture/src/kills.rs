//! The faults under load, at seeded moments: a server killed or stopped, the database crashed or cut
//! off. It knows nothing of the load.

use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use serde::Serialize;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::history::Recorder;
use crate::options::{Database, Fault, Options};
use crate::postgres::{Postgres, free_port};
use crate::server::Server;

/// Milliseconds of service between two kills.
const SERVICE_MS: (u64, u64) = (300, 1500);
/// Milliseconds between a kill and the restart.
const DOWN_MS: (u64, u64) = (0, 500);

/// A time without a server. Microseconds since the run began.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outage {
    /// What was done.
    pub(crate) fault: &'static str,
    /// The process that it was done to.
    pub(crate) pid: Option<u32>,
    /// Just before it was killed.
    pub(crate) killed_at: u64,
    /// When the next process was started.
    pub(crate) started_at: u64,
    /// When that was healthy; none when it never was.
    pub(crate) ready_at: Option<u64>,
    /// How the process ended, when it was not we who killed it.
    pub(crate) by_itself: Option<String>,
    /// Why the next one did not come up.
    pub(crate) error: Option<String>,
}

impl Outage {
    /// From the start of the new process until it served, in milliseconds.
    pub(crate) fn recovery_ms(&self) -> Option<u64> {
        self.ready_at.map(|ready| ready.saturating_sub(self.started_at) / 1000)
    }
}

/// What is under test.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
    pub(crate) postgres: Option<Postgres>,
}

impl Cluster {
    /// Starts everything.
    pub(crate) async fn start(options: &Options) -> anyhow::Result<Self> {
        let postgres = match options.database {
            Database::Sqlite => None,
            Database::Postgres => Some(Postgres::start(free_port()?).await?),
        };
        let url = postgres.as_ref().map(Postgres::url);
        let mut servers = Vec::new();
        for number in 0..options.nodes {
            let mut server = Server::new(&options.server_bin, &options.dir, number, url.clone())?;
            server.spawn()?;
            server.healthy().await?;
            servers.push(server);
        }
        Ok(Self { servers, postgres })
    }

    /// Does one fault and waits until everything is well again.
    async fn suffer(
        &mut self,
        fault: Fault,
        dice: &mut Dice,
        recorder: &Recorder,
        lease_seconds: u32,
    ) -> anyhow::Result<Outage> {
        let count = u64::try_from(self.servers.len())?;
        let victim = usize::try_from(dice.between(0, count - 1))?;
        let server = &mut self.servers[victim];
        let (by_itself, pid, killed_at) = (server.ended()?, server.pid(), recorder.now());
        match fault {
            Fault::Kill => {
                server.kill().await?;
                let down = if dice.percent(50) { 0 } else { dice.between(DOWN_MS.0, DOWN_MS.1) };
                sleep(Duration::from_millis(down)).await;
            }
            Fault::Stop => {
                server.signal(Signal::STOP)?;
                let beyond = u64::from(lease_seconds) * 1000 + dice.between(300, 1500);
                sleep(Duration::from_millis(beyond)).await;
            }
            Fault::Crash => self.database()?.crash().await?,
            Fault::Sever => {
                for _ in 0..10 {
                    self.database()?.sever().await?;
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
        let started_at = recorder.now();
        let server = &mut self.servers[victim];
        let healthy = match fault {
            Fault::Kill => {
                server.spawn()?;
                server.healthy().await
            }
            Fault::Stop => {
                server.signal(Signal::CONT)?;
                server.healthy().await
            }
            Fault::Crash | Fault::Sever => self.all_ready().await,
        };
        Ok(Outage {
            fault: fault.as_str(),
            pid,
            killed_at,
            started_at,
            ready_at: healthy.is_ok().then(|| recorder.now()),
            by_itself,
            error: healthy.err().map(|error| error.to_string()),
        })
    }

    fn database(&self) -> anyhow::Result<&Postgres> {
        self.postgres.as_ref().context("this fault needs a PostgreSQL server")
    }

    async fn all_ready(&mut self) -> anyhow::Result<()> {
        for server in &mut self.servers {
            server.ready().await?;
        }
        Ok(())
    }
}

/// Does as many faults as the options say; stops early when the servers do not come back.
pub(crate) async fn fault_after_fault(
    cluster: &mut Cluster,
    recorder: &Recorder,
    options: &Options,
) -> anyhow::Result<Vec<Outage>> {
    let mut dice = Dice::new(options.seed, 1);
    let mut outages = Vec::new();
    for n in 0..options.kills as usize {
        sleep(Duration::from_millis(dice.between(SERVICE_MS.0, SERVICE_MS.1))).await;
        // In turn, so that each of them happens.
        let fault = options.faults[n % options.faults.len()];
        let outage = cluster.suffer(fault, &mut dice, recorder, options.lease_seconds).await?;
        let back = outage.ready_at.is_some();
        outages.push(outage);
        if !back {
            break;
        }
    }
    Ok(outages)
}
