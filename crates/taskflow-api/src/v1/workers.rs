//! Workers for operators: who there is and what they hold, drain, resume, release. Handing work to them
//! is in `claim.rs` and `sync.rs`.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use taskflow_core::limits::{PAGE_DEFAULT, PAGE_MAX};
use taskflow_core::{Fault, Instance as Process, Timestamp, WorkerName};
use taskflow_service::Actor;
use taskflow_service::words::{Held, Kinds};
use taskflow_service::workers::{Present, Workers};

use super::reply::{Answer, Reply};
use super::words::Instant;
use crate::extract::query::{FromPairs, number};
use crate::extract::{Key, NoBody, Query, WorkerPath};
use crate::openapi::{document, problems};
use crate::state::ApiState;

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    const REFUSALS: &[u16] = &[400, 404, 409, 413, 415, 422];
    ApiRouter::new()
        .api_route(
            "/workers",
            get_with(list, |op| {
                let op =
                    document(op, "list_workers", "Workers", "List workers, the latest calls first");
                problems(op, &[400, 422])
            }),
        )
        .api_route(
            "/workers/{worker}",
            get_with(get, |op| {
                let op = document(op, "get_worker", "Workers", "Read a worker and what it holds");
                problems(op, &[404, 422])
            }),
        )
        .api_route(
            "/workers/{worker}/drain",
            post_with(drain, |op| {
                let op = document(op, "drain_worker", "Workers", "Let a worker claim no more");
                problems(op, REFUSALS)
            }),
        )
        .api_route(
            "/workers/{worker}/resume",
            post_with(resume, |op| {
                let op =
                    document(op, "resume_worker", "Workers", "Let a drained worker work again");
                problems(op, REFUSALS)
            }),
        )
        .api_route(
            "/workers/{worker}/release",
            post_with(release, |op| {
                let op = document(op, "release_worker", "Workers", "Take all tasks from a worker");
                problems(op, REFUSALS)
            }),
        )
}

/// A worker that called within the last day, or holds something.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Worker")]
struct WorkerView {
    /// Its name.
    worker: String,
    /// The first call of its present process.
    first_seen_at: Instant,
    /// Its last claim, sync or heartbeat; calls of other nodes are told within some three seconds.
    last_seen_at: Instant,
    /// What its program calls itself (`User-Agent`).
    version: Option<String>,
    /// Which process it is (`Worker-Instance`).
    instance: Option<String>,
    /// The node that it called.
    node: Option<String>,
    /// The queues of its last claim; null is every queue, or that it never claimed.
    queues: Option<Vec<String>>,
    /// The kinds of its last claim; null is every kind but the built-in ones, or that it never claimed.
    kinds: Option<Vec<String>>,
    /// Whether it is to finish what it holds and claim no more.
    draining: bool,
    /// How many tasks it holds.
    holds: u64,
    /// The first hundred of them by id.
    tasks: Vec<HeldView>,
}

/// A task that a worker holds.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HeldTask")]
struct HeldView {
    /// The task.
    id: i64,
    /// The attempt that runs.
    attempt: u32,
    /// When its lease ends without a heartbeat.
    lease_expires_at: Instant,
}

impl From<Held> for HeldView {
    fn from(held: Held) -> Self {
        let Held { id, attempt, until } = held;
        Self { id: id.get(), attempt, lease_expires_at: Instant(until) }
    }
}

impl From<Present> for WorkerView {
    fn from(Present { worker, holding }: Present) -> Self {
        let draining = worker.drains();
        let (queues, kinds) = match worker.takes {
            Some(takes) => (takes.queues, Some(takes.kinds)),
            None => (None, None),
        };
        let kinds = match kinds {
            Some(Kinds::Named(kinds)) => Some(kinds),
            Some(Kinds::AllButBuiltIn) | None => None,
        };
        Self {
            worker: worker.name.to_string(),
            first_seen_at: Instant(worker.first_seen),
            last_seen_at: Instant(worker.last_seen),
            version: worker.call.version,
            instance: worker.call.instance.map(|instance| instance.to_string()),
            node: worker.node,
            queues: queues.map(|all| all.iter().map(ToString::to_string).collect()),
            kinds: kinds.map(|all| all.iter().map(ToString::to_string).collect()),
            draining,
            holds: holding.count,
            tasks: holding.tasks.into_iter().map(Into::into).collect(),
        }
    }
}

async fn list(
    State(workers): State<Workers>,
    Query(query): Query<ListQuery>,
) -> Answer<Vec<WorkerView>> {
    let found = workers.list(Actor::DEFAULT, query.place(), query.limit).await?;
    let last = found.last().filter(|_| found.len() == query.limit as usize);
    let next = last.map(|Present { worker, .. }| {
        let (at, limit) = (worker.last_seen.micros(), query.limit);
        format!("/api/v1/workers?after={at}.{}&limit={limit}", worker.name)
    });
    let views: Vec<WorkerView> = found.into_iter().map(Into::into).collect();
    let reply = Reply::ok(&views)?;
    Ok(match next {
        Some(path) => reply.next(path),
        None => reply,
    })
}

async fn get(State(workers): State<Workers>, WorkerPath(worker): WorkerPath) -> Answer<WorkerView> {
    Reply::ok(&WorkerView::from(workers.get(Actor::DEFAULT, &worker).await?))
}

async fn drain(
    State(workers): State<Workers>,
    WorkerPath(worker): WorkerPath,
    Query(query): Query<DrainQuery>,
    key: Key,
    _: NoBody,
) -> Answer<WorkerView> {
    let act = async {
        let drained = workers.drain(Actor::DEFAULT, &worker, query.process()).await?;
        Reply::ok(&WorkerView::from(drained))
    };
    key.after(Actor::DEFAULT, act).await
}

async fn resume(
    State(workers): State<Workers>,
    WorkerPath(worker): WorkerPath,
    key: Key,
    _: NoBody,
) -> Answer<WorkerView> {
    let act =
        async { Reply::ok(&WorkerView::from(workers.resume(Actor::DEFAULT, &worker).await?)) };
    key.after(Actor::DEFAULT, act).await
}

/// What a release did.
#[derive(Debug, Serialize, JsonSchema)]
struct Released {
    /// How many tasks are pending again.
    released: u64,
}

async fn release(
    State(workers): State<Workers>,
    WorkerPath(worker): WorkerPath,
    key: Key,
    _: NoBody,
) -> Answer<Released> {
    let act = async {
        let released = workers.release(Actor::DEFAULT, &worker).await?;
        Reply::ok(&Released { released })
    };
    key.after(Actor::DEFAULT, act).await
}

/// Which workers to list.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[schemars(inline)]
struct ListQuery {
    /// Where the last page ended, as its `Link` gave it.
    #[schemars(
        with = "String",
        length(max = 250),
        regex(pattern = r"^[0-9]{1,18}\.[A-Za-z0-9][A-Za-z0-9._:@/-]*$")
    )]
    #[serde(default)]
    after: Option<String>,
    /// How many to give.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    limit: u32,
}

fn default_limit() -> u32 {
    PAGE_DEFAULT
}

/// An instant in microseconds and a name.
fn place(text: &str) -> Option<(Timestamp, WorkerName)> {
    let (at, name) = text.split_once('.')?;
    let digits = !at.is_empty() && at.bytes().all(|b| b.is_ascii_digit());
    let at = digits.then(|| at.parse().ok()).flatten()?;
    Some((Timestamp::from_micros(at), WorkerName::parse(name).ok()?))
}

impl ListQuery {
    fn place(&self) -> Option<(Timestamp, WorkerName)> {
        self.after.as_deref().and_then(place)
    }
}

impl FromPairs for ListQuery {
    const NAMES: &'static [&'static str] = &["after", "limit"];

    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        let mut query = Self { after: None, limit: PAGE_DEFAULT };
        let mut faults = Vec::new();
        for (name, value) in pairs {
            match name.as_str() {
                "after" if place(value).is_some() => query.after = Some(value.clone()),
                "after" => {
                    let message = "must be what a page's Link gave";
                    faults.push(Fault::new("?after", "not-a-cursor", message));
                }
                "limit" => match number(value).filter(|n| (1..=PAGE_MAX).contains(n)) {
                    Some(n) => query.limit = n,
                    None => {
                        let message = "must be an integer from 1 to 1000";
                        faults.push(Fault::new("?limit", "out-of-range", message));
                    }
                },
                _ => {}
            }
        }
        if faults.is_empty() { Ok(query) } else { Err(faults) }
    }
}

/// Which process of the name.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[schemars(inline)]
struct DrainQuery {
    /// The process that is to drain, by its `Worker-Instance`; the one that called last when missing.
    #[schemars(
        with = "String",
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    )]
    #[serde(default)]
    instance: Option<String>,
}

impl DrainQuery {
    fn process(&self) -> Option<Process> {
        self.instance.as_deref().and_then(|name| Process::parse(name).ok())
    }
}

impl FromPairs for DrainQuery {
    const NAMES: &'static [&'static str] = &["instance"];

    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        let Some((_, value)) = pairs.iter().find(|(name, _)| name == "instance") else {
            return Ok(Self::default());
        };
        match Process::parse(value) {
            Ok(_) => Ok(Self { instance: Some(value.clone()) }),
            Err(error) => Err(vec![Fault::new("?instance", "name", error.to_string())]),
        }
    }
}
