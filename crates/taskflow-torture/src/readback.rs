//! After the storm: waits until everything has ended and reads all that is left. It judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::api::{Caller, Reply};
use crate::history::{Kind, Recorder};
use crate::view::{AttemptView, TaskView};

const PAGE: usize = 1000;
const READERS: usize = 6;
const TRIES: u32 = 5;
const POLL: Duration = Duration::from_millis(100);

/// What the server says of a task at the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remains {
    /// Whether the list of all tasks names it.
    pub(crate) listed: bool,
    /// What reading it by id says; none: 404.
    pub(crate) task: Option<TaskView>,
    /// Its finished attempts, in order.
    pub(crate) attempts: Vec<AttemptView>,
}

/// Waits until no task is pending or in progress; gives how long that took.
/// None: not within `bound`.
pub(crate) async fn drained(caller: &mut Caller, bound: Duration) -> Option<Duration> {
    let begin = Instant::now();
    while begin.elapsed() < bound {
        let reply = caller.peek("/api/v1/tasks/stats/summary").await;
        let count = |name: &str| reply.body[name].as_u64();
        if count("pending") == Some(0) && count("in_progress") == Some(0) {
            return Some(begin.elapsed());
        }
        sleep(POLL).await;
    }
    None
}

/// Reads every task that the list names and every one of `acked`, with its attempts.
///
/// # Errors
/// When the server, now left in peace, does not answer.
pub(crate) async fn read_all(
    address: SocketAddr,
    recorder: &Arc<Recorder>,
    acked: BTreeSet<i64>,
) -> anyhow::Result<BTreeMap<i64, Remains>> {
    let mut reader = Caller::new(address, Arc::clone(recorder), "reader-0".into());
    let listed = listed(&mut reader).await?;
    let ids: Vec<i64> = listed.union(&acked).copied().collect();
    let mut readers = JoinSet::new();
    for (n, ids) in ids.chunks(ids.len().div_ceil(READERS).max(1)).enumerate() {
        let caller = Caller::new(address, Arc::clone(recorder), format!("reader-{}", n + 1));
        readers.spawn(read_some(caller, ids.to_vec()));
    }
    let mut all = BTreeMap::new();
    while let Some(read) = readers.join_next().await {
        all.extend(read??);
    }
    for (id, remains) in &mut all {
        remains.listed = listed.contains(id);
    }
    Ok(all)
}

async fn listed(reader: &mut Caller) -> anyhow::Result<BTreeSet<i64>> {
    let mut listed = BTreeSet::new();
    for page in 0.. {
        let mut reply = reader.list(page * PAGE, PAGE).await;
        for _ in 1..TRIES {
            if reply.is_definite() {
                break;
            }
            reply = reader.list(page * PAGE, PAGE).await;
        }
        if reply.kind != Kind::Ok {
            bail!("cannot list tasks: {:?}", reply.status);
        }
        let tasks = reply.body.as_array().map(Vec::as_slice).unwrap_or_default();
        listed.extend(tasks.iter().filter_map(|task| task["id"].as_i64()));
        if tasks.len() < PAGE {
            break;
        }
    }
    Ok(listed)
}

async fn read_some(mut caller: Caller, ids: Vec<i64>) -> anyhow::Result<Vec<(i64, Remains)>> {
    let mut read = Vec::with_capacity(ids.len());
    for id in ids {
        let mut reply = caller.get(id).await;
        for _ in 1..TRIES {
            if reply.is_definite() {
                break;
            }
            reply = caller.get(id).await;
        }
        let mut remains = Remains::default();
        if found(&reply).with_context(|| format!("cannot read task {id}"))? {
            let task = serde_json::from_value(reply.body);
            remains.task = Some(task.with_context(|| format!("cannot understand task {id}"))?);
            let reply = caller.attempts(id).await;
            if found(&reply).with_context(|| format!("cannot read the attempts of task {id}"))? {
                let attempts = serde_json::from_value(reply.body);
                remains.attempts =
                    attempts.with_context(|| format!("cannot understand the attempts of {id}"))?;
            }
        }
        read.push((id, remains));
    }
    Ok(read)
}

fn found(reply: &Reply) -> anyhow::Result<bool> {
    match (reply.kind, reply.status) {
        (Kind::Ok, _) => Ok(true),
        (Kind::Fail, Some(404)) => Ok(false),
        (_, status) => bail!("status {status:?}"),
    }
}
