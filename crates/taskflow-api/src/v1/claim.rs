//! Taking work over HTTP: the wish, its rules, and tasks with their tokens. The wait for work is the
//! service's.

use std::sync::Arc;
use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskflow_core::limits as max;
use taskflow_core::{Fault, Kind, QueueName, Timestamp, WorkerName};
use taskflow_service::bus::Wish;
use taskflow_service::words::{Claimed, Kinds};
use taskflow_service::work::{Report, Want, Work};
use taskflow_service::{Actor, Caller};

use super::faults::Faults;
use super::few::maybe_few;
use super::reply::{Answer, Reply};
use super::view::{TaskView, view};
use super::words::present;
use crate::extract::{Body, Called, Key};
use crate::openapi::{document, problems};
use crate::problem::Problem;
use crate::state::ApiState;

/// The route.
pub(crate) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/tasks/claim",
        post_with(claim, |op| {
            let op = document(op, "claim_tasks", "Work", "Take tasks to work on");
            problems(op, &[400, 409, 413, 415, 422, 429])
        }),
    )
}

/// A wish for work.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClaimTasks {
    /// Who asks.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:@/-]*$"))]
    worker: String,
    /// Only these queues; every queue when missing.
    #[serde(default, deserialize_with = "maybe_few::<_, _, { max::CLAIM_NAMES_MAX }>")]
    #[schemars(
        length(min = 1, max = 100),
        inner(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"))
    )]
    queues: Option<Vec<String>>,
    /// Only these kinds; every kind but the built-in ones when missing.
    #[serde(default, deserialize_with = "maybe_few::<_, _, { max::CLAIM_NAMES_MAX }>")]
    #[schemars(
        length(min = 1, max = 100),
        inner(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"))
    )]
    kinds: Option<Vec<String>>,
    /// Most tasks; default 1.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u32", range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// How long to wait when there is nothing, in seconds; default 0.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "f64", range(min = 0, max = 60))]
    wait_seconds: Option<f64>,
    /// Length of the leases instead of the tasks' own, in seconds.
    #[schemars(range(min = 1, max = 86400))]
    lease_seconds: Option<u32>,
}

/// What is wished for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Wish")]
pub(super) struct WishBody {
    /// Only these queues; every queue when missing.
    #[serde(default, deserialize_with = "maybe_few::<_, _, { max::CLAIM_NAMES_MAX }>")]
    #[schemars(
        length(min = 1, max = 100),
        inner(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"))
    )]
    pub(super) queues: Option<Vec<String>>,
    /// Only these kinds; every kind but the built-in ones when missing.
    #[serde(default, deserialize_with = "maybe_few::<_, _, { max::CLAIM_NAMES_MAX }>")]
    #[schemars(
        length(min = 1, max = 100),
        inner(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"))
    )]
    pub(super) kinds: Option<Vec<String>>,
    /// Most tasks; default 1.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u32", range(min = 1, max = 1000))]
    pub(super) limit: Option<u32>,
    /// How long to wait when there is nothing, in seconds; default 0.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "f64", range(min = 0, max = 60))]
    pub(super) wait_seconds: Option<f64>,
    /// Length of the leases instead of the tasks' own, in seconds.
    #[schemars(range(min = 1, max = 86400))]
    pub(super) lease_seconds: Option<u32>,
}

impl WishBody {
    /// The wish, or every rule that is broken, with pointers below `at`.
    pub(super) fn check(self, at: &str, faults: &mut Faults) -> Want {
        let below = |field: &str| format!("{at}/{field}");
        let limit = self.limit.unwrap_or(1);
        let ok = (1..=max::CLAIM_MAX).contains(&limit);
        faults.check(ok, &below("limit"), "out-of-range", "must be 1 to 1000");
        let wait = self.wait_seconds.unwrap_or(0.0);
        let waits = (0.0..=max::WAIT_SECONDS_MAX).contains(&wait);
        faults.check(waits, &below("wait_seconds"), "out-of-range", "must be 0 to 60");
        let lease = self.lease_seconds.is_none_or(|s| (1..=max::LEASE_SECONDS_MAX).contains(&s));
        faults.check(lease, &below("lease_seconds"), "out-of-range", "must be 1 to 86400 (a day)");
        let queues = self.queues.map(|n| names(faults, &below("queues"), &n, QueueName::parse));
        let kinds = self.kinds.map(|n| names(faults, &below("kinds"), &n, Kind::parse));
        let manual = kinds.iter().flatten().any(|kind| kind.as_str() == Kind::MANUAL);
        let message = "must not name manual: only people work on it";
        faults.check(!manual, &below("kinds"), "not-claimable", message);
        let kinds = kinds.map_or(Kinds::AllButBuiltIn, Kinds::Named);
        Want {
            wish: Arc::new(Wish { queues, kinds }),
            limit,
            lease_seconds: self.lease_seconds,
            wait: if waits { Duration::from_secs_f64(wait) } else { Duration::ZERO },
        }
    }
}

fn names<T>(
    faults: &mut Faults,
    at: &str,
    texts: &[String],
    parse: fn(&str) -> Result<T, taskflow_core::name::BadName>,
) -> Vec<T> {
    let ok = (1..=max::CLAIM_NAMES_MAX).contains(&texts.len());
    faults.check(ok, at, "length", "must name 1 to 100");
    let named = texts.iter().enumerate().take(max::CLAIM_NAMES_MAX).filter_map(|(i, text)| {
        let fault = |error: taskflow_core::name::BadName| {
            Fault::new(format!("{at}/{i}"), "name", error.to_string())
        };
        faults.take(parse(text).map_err(fault))
    });
    named.collect()
}

/// The word to a worker that is to drain.
pub(super) fn command(drain: bool) -> Option<&'static str> {
    drain.then_some("drain")
}

/// The same about a caller at the moment of the answer.
pub(super) fn commanded(
    work: &Work,
    caller: &Caller,
) -> impl Fn() -> Option<&'static str> + Send + Sync + 'static {
    let (work, caller) = (work.clone(), caller.clone());
    move || command(work.drains(Actor::DEFAULT, &caller))
}

/// Tasks that were handed out.
#[derive(Debug, Serialize, JsonSchema)]
struct ClaimedTasks<'a> {
    /// At most as many as were wished for.
    tasks: Vec<ClaimedView<'a>>,
    /// `drain`: finish what you hold and claim no more.
    command: Option<&'static str>,
}

/// A task with the token that every report about it carries.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClaimedTask")]
pub(super) struct ClaimedView<'a> {
    #[serde(flatten)]
    task: TaskView<'a>,
    /// The right to work on this attempt. Keep it secret.
    lease_token: String,
}

pub(super) fn claimed_views(claimed: &[Claimed], now: Timestamp) -> Vec<ClaimedView<'_>> {
    claimed
        .iter()
        .map(|c| ClaimedView { task: view(&c.task, now), lease_token: c.token.to_wire() })
        .collect()
}

async fn claim(
    State(work): State<Work>,
    key: Key,
    Called(call): Called,
    Body(body): Body<ClaimTasks>,
) -> Answer<ClaimedTasks<'static>> {
    let mut faults = Faults::default();
    let worker = WorkerName::parse(&body.worker)
        .map_err(|error| Fault::new("/worker", "name", error.to_string()));
    let worker = faults.take(worker);
    let wish = WishBody {
        queues: body.queues,
        kinds: body.kinds,
        limit: body.limit,
        wait_seconds: body.wait_seconds,
        lease_seconds: body.lease_seconds,
    };
    let want = wish.check("", &mut faults);
    let Some(worker) = worker.filter(|_| faults.0.is_empty()) else {
        return Err(Problem::invalid(faults.0));
    };
    let caller = Caller { worker, call };
    let report = Report { want: Some(want), ..Report::default() };
    let command = commanded(&work, &caller);
    key.report(&work, Actor::DEFAULT, &caller, report, move |synced, now| {
        Reply::ok(&ClaimedTasks { tasks: claimed_views(&synced.claimed, now), command: command() })
    })
    .await
}
