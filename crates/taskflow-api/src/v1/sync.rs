//! All that a worker says and asks, for many tasks, in one round trip and one commit.

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskflow_core::limits::SYNC_ITEMS_MAX;
use taskflow_core::{Fault, Finish, TaskId};
use taskflow_service::words::{Extend, Extended, FinishTask, Finished};
use taskflow_service::work::{Report, Work};
use taskflow_service::{Actor, Caller};

use super::claim::{ClaimedView, WishBody, claimed_views, commanded};
use super::faults::Faults;
use super::few::few;
use super::reply::{Answer, Reply};
use super::words::{Instant, Object, Raw, present, word};
use super::work::{ProgressBody, completed, extend, failed, snoozed, token};
use crate::extract::{Called, Key, LargeBody, WorkerPath};
use crate::openapi::{document, problems};
use crate::problem::Problem;
use crate::state::ApiState;

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/workers/{worker}/sync",
        post_with(sync, |op| {
            let op = document(op, "sync_worker", "Work", "Finish, heartbeat and claim at once");
            problems(op, &[400, 409, 413, 415, 422, 429])
        }),
    )
}

/// All that a worker says and asks; each part is optional.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SyncBody {
    /// Attempts that ended, 1000 at most.
    #[serde(default, deserialize_with = "few::<_, _, SYNC_ITEMS_MAX>")]
    #[schemars(length(max = 1000))]
    finished: Vec<Object<FinishBody>>,
    /// Heartbeats, 1000 at most.
    #[serde(default, deserialize_with = "few::<_, _, SYNC_ITEMS_MAX>")]
    #[schemars(length(max = 1000))]
    heartbeats: Vec<Object<HeartbeatBody>>,
    /// A wish for work.
    claim: Option<Object<WishBody>>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "FinishOutcome")]
enum OutcomeWord {
    /// The work is done.
    Completed,
    /// The attempt failed.
    Failed,
    /// Again later, not counted.
    Snoozed,
    /// Given back, not counted.
    Released,
}

/// One attempt that ended.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Finish")]
struct FinishBody {
    /// The task.
    #[schemars(range(min = 1))]
    id: i64,
    /// The holder's token.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{32}$"))]
    lease_token: String,
    /// How it ended.
    #[serde(deserialize_with = "word")]
    #[schemars(with = "OutcomeWord")]
    outcome: OutcomeWord,
    /// With `completed`: what came out of it.
    result: Option<Raw>,
    /// With `failed`: why.
    error: Option<String>,
    /// With `failed`: whether another attempt makes sense; default true.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "bool")]
    retryable: Option<bool>,
    /// With `failed`: seconds until then, instead of the policy's back-off.
    #[schemars(range(min = 0, max = 31622400))]
    retry_after_seconds: Option<f64>,
    /// With `snoozed`: seconds until it may be claimed again.
    #[schemars(range(min = 0, max = 31622400))]
    delay_seconds: Option<f64>,
}

/// One heartbeat.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HeartbeatItem")]
struct HeartbeatBody {
    /// The task.
    #[schemars(range(min = 1))]
    id: i64,
    /// The holder's token.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{32}$"))]
    lease_token: String,
    /// How far it is.
    progress: Option<Object<ProgressBody>>,
    /// What the next attempt should know.
    checkpoint: Option<Raw>,
}

/// The answers, one per item in order, and the tasks that were handed out.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Synced")]
struct SyncAnswer<'a> {
    /// One per `finished`.
    finished: Vec<FinishAnswer>,
    /// One per `heartbeats`.
    heartbeats: Vec<HeartbeatAnswer>,
    /// At most as many as were wished for.
    tasks: Vec<ClaimedView<'a>>,
    /// `drain`: finish what you hold and claim no more.
    command: Option<&'static str>,
}

/// What became of one finished attempt.
#[derive(Debug, Serialize, JsonSchema)]
struct FinishAnswer {
    /// The task.
    id: i64,
    /// 200, 404, 409 or 422.
    status: u16,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// Why not, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// What became of one heartbeat.
#[derive(Debug, Serialize, JsonSchema)]
struct HeartbeatAnswer {
    /// The task.
    id: i64,
    /// 200, 404, 409 or 422.
    status: u16,
    /// When the lease ends without another heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_expires_at: Option<Instant>,
    /// Whether the task was cancelled: stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_requested: Option<bool>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// Why not, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

async fn sync(
    State(work): State<Work>,
    WorkerPath(worker): WorkerPath,
    key: Key,
    Called(call): Called,
    LargeBody(body): LargeBody<SyncBody>,
) -> Answer<SyncAnswer<'static>> {
    let mut faults = Faults::default();
    let message = "must be at most 1000 items";
    let few = |n: usize| n <= SYNC_ITEMS_MAX;
    faults.check(few(body.finished.len()), "/finished", "too-many", message);
    faults.check(few(body.heartbeats.len()), "/heartbeats", "too-many", message);
    let want = body.claim.map(|Object(wish)| wish.check("/claim", &mut faults));
    if !faults.0.is_empty() {
        return Err(Problem::invalid(faults.0));
    }
    // Items are judged one by one, so that a bad one does not sink its neighbours.
    let finished: Vec<_> =
        body.finished.into_iter().map(|Object(f)| (f.id, finish_of(f))).collect();
    let beats: Vec<_> = body.heartbeats.into_iter().map(|Object(h)| (h.id, extend_of(h))).collect();
    let report = Report {
        finish: finished.iter().filter_map(|(_, item)| item.as_ref().ok().cloned()).collect(),
        extend: beats.iter().filter_map(|(_, item)| item.as_ref().ok().cloned()).collect(),
        want,
    };
    let caller = Caller { worker, call };
    let command = commanded(&work, &caller);
    key.report(&work, Actor::DEFAULT, &caller, report, move |synced, now| {
        let mut ends = synced.finished.iter();
        let mut held = synced.extended.iter();
        let finish = |(id, item): &(i64, Result<_, Vec<Fault>>)| match item {
            Ok(_) => finish_answer(*id, ends.next()),
            Err(faults) => FinishAnswer {
                id: *id,
                status: 422,
                code: Some("invalid-input"),
                detail: said(faults),
            },
        };
        let beat = |(id, item): &(i64, Result<_, Vec<Fault>>)| match item {
            Ok(_) => heartbeat_answer(*id, held.next()),
            Err(faults) => {
                HeartbeatAnswer { detail: said(faults), ..refused_beat(*id, 422, "invalid-input") }
            }
        };
        Reply::ok(&SyncAnswer {
            finished: finished.iter().map(finish).collect(),
            heartbeats: beats.iter().map(beat).collect(),
            tasks: claimed_views(&synced.claimed, now),
            command: command(),
        })
    })
    .await
}

fn said(faults: &[Fault]) -> Option<String> {
    faults.first().map(|fault| format!("{} {}", fault.pointer, fault.message))
}

fn task_id(id: i64) -> Result<TaskId, Vec<Fault>> {
    TaskId::new(id)
        .ok_or_else(|| vec![Fault::new("/id", "not-an-id", "must be a positive integer")])
}

fn finish_of(body: FinishBody) -> Result<FinishTask, Vec<Fault>> {
    let one = |fault: Fault| vec![fault];
    let id = task_id(body.id)?;
    let token = token(&body.lease_token).map_err(one)?;
    let stray = [
        ("/result", body.result.is_some(), OutcomeWord::Completed),
        ("/error", body.error.is_some(), OutcomeWord::Failed),
        ("/retryable", body.retryable.is_some(), OutcomeWord::Failed),
        ("/retry_after_seconds", body.retry_after_seconds.is_some(), OutcomeWord::Failed),
        ("/delay_seconds", body.delay_seconds.is_some(), OutcomeWord::Snoozed),
    ];
    if let Some((field, ..)) = stray.iter().find(|(_, given, of)| *given && *of != body.outcome) {
        let message = "does not belong to this outcome";
        return Err(vec![Fault::new(*field, "conflict", message)]);
    }
    let finish = match body.outcome {
        OutcomeWord::Completed => completed(body.result).map_err(one)?,
        OutcomeWord::Failed => {
            let missing = || vec![Fault::new("/error", "missing", "must say why it failed")];
            let error = body.error.ok_or_else(missing)?;
            failed(&error, body.retryable, body.retry_after_seconds).map_err(one)?
        }
        OutcomeWord::Snoozed => {
            let missing = || vec![Fault::new("/delay_seconds", "missing", "must say for how long")];
            snoozed(body.delay_seconds.ok_or_else(missing)?).map_err(one)?
        }
        OutcomeWord::Released => Finish::Released,
    };
    Ok(FinishTask { id, token, finish })
}

fn extend_of(body: HeartbeatBody) -> Result<Extend, Vec<Fault>> {
    extend(task_id(body.id)?, &body.lease_token, body.progress, body.checkpoint)
}

fn finish_answer(id: i64, answer: Option<&Finished>) -> FinishAnswer {
    let (status, code) = match answer {
        Some(Finished::Done(_)) => (200, None),
        Some(Finished::LeaseLost | Finished::Cancelled) => (409, Some("lease-lost")),
        Some(Finished::NotFound) | None => (404, Some("not-found")),
    };
    FinishAnswer { id, status, code, detail: None }
}

fn refused_beat(id: i64, status: u16, code: &'static str) -> HeartbeatAnswer {
    HeartbeatAnswer {
        id,
        status,
        lease_expires_at: None,
        cancel_requested: None,
        code: Some(code),
        detail: None,
    }
}

fn heartbeat_answer(id: i64, answer: Option<&Extended>) -> HeartbeatAnswer {
    let held = |lease_expires_at, cancel_requested| HeartbeatAnswer {
        id,
        status: 200,
        lease_expires_at,
        cancel_requested: Some(cancel_requested),
        code: None,
        detail: None,
    };
    match answer {
        Some(Extended::Held(until)) => held(Some(Instant(*until)), false),
        Some(Extended::Cancelled) => held(None, true),
        Some(Extended::LeaseLost) => refused_beat(id, 409, "lease-lost"),
        Some(Extended::NotFound) | None => refused_beat(id, 404, "not-found"),
    }
}
