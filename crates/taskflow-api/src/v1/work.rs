//! Work over HTTP, one task at a time: heartbeat and the four ways to end an attempt.
//! Taking work is in `claim.rs`, all of it at once in `sync.rs`.

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskflow_core::limits as max;
use taskflow_core::task::Progress;
use taskflow_core::text::kept_error;
use taskflow_core::{Fault, Finish, Json, LeaseToken, TaskId};
use taskflow_service::Actor;
use taskflow_service::idempotency::Wanted;
use taskflow_service::words::{Extend, Receipt};
use taskflow_service::work::Work;

use super::faults::Faults;
use super::reply::{Answer, Reply};
use super::words::{Instant, Object, Raw, Status, present};
use crate::extract::{Body, Key, TaskPath};
use crate::openapi::{document, problems};
use crate::problem::Problem;
use crate::state::ApiState;

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    let ends = [400, 404, 409, 413, 415, 422];
    super::claim::router()
        .api_route(
            "/tasks/{task_id}/heartbeat",
            post_with(heartbeat, move |op| {
                problems(document(op, "heartbeat_task", "Work", "Extend a lease"), &ends)
            }),
        )
        .api_route(
            "/tasks/{task_id}/complete",
            post_with(complete, move |op| {
                problems(document(op, "complete_task", "Work", "The work is done"), &ends)
            }),
        )
        .api_route(
            "/tasks/{task_id}/fail",
            post_with(fail, move |op| {
                problems(document(op, "fail_task", "Work", "The attempt failed"), &ends)
            }),
        )
        .api_route(
            "/tasks/{task_id}/snooze",
            post_with(snooze, move |op| {
                let op = document(op, "snooze_task", "Work", "Not now: again later, not counted");
                problems(op, &ends)
            }),
        )
        .api_route(
            "/tasks/{task_id}/release",
            post_with(release, move |op| {
                problems(document(op, "release_task", "Work", "Give it back, not counted"), &ends)
            }),
        )
        .merge(super::sync::router())
}

/// Reads a token; text that cannot be one is a fault.
pub(super) fn token(text: &str) -> Result<LeaseToken, Fault> {
    LeaseToken::from_wire(text).ok_or_else(|| {
        Fault::new("/lease_token", "not-a-token", "must be the lease_token that the claim answered")
    })
}

/// How far an attempt is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgressBody {
    /// 0 to 100; may go back.
    #[schemars(range(min = 0, max = 100))]
    percent: f64,
    /// One line of at most 500 characters.
    #[schemars(length(max = 500))]
    message: Option<String>,
}

/// A heartbeat.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Heartbeat {
    /// The holder's token.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{32}$"))]
    lease_token: String,
    /// How far it is.
    progress: Option<Object<ProgressBody>>,
    /// What the next attempt should know: any JSON up to 1 MiB.
    checkpoint: Option<Raw>,
}

/// The heartbeat for the services, or every rule that is broken.
pub(super) fn extend(
    id: TaskId,
    lease_token: &str,
    progress: Option<Object<ProgressBody>>,
    checkpoint: Option<Raw>,
) -> Result<Extend, Vec<Fault>> {
    let progress = progress.map(|Object(progress)| progress);
    let mut faults = Faults::default();
    let token = faults.take(token(lease_token));
    if let Some(progress) = &progress {
        let ok = (0.0..=100.0).contains(&progress.percent);
        faults.check(ok, "/progress/percent", "out-of-range", "must be 0 to 100");
        let text = progress.message.as_deref().unwrap_or("");
        let short = text.chars().count() <= max::PROGRESS_MESSAGE_CHARS_MAX;
        let message = "must be at most 500 characters";
        faults.check(short, "/progress/message", "too-long", message);
        let message = "must not contain the character U+0000";
        faults.check(!text.contains('\0'), "/progress/message", "nul", message);
    }
    let checkpoint = checkpoint.map(|raw| raw.check("/checkpoint", max::PAYLOAD_BYTES_MAX));
    let checkpoint = checkpoint.and_then(|checked| faults.take(checked)).flatten();
    match token {
        Some(token) if faults.0.is_empty() => Ok(Extend {
            id,
            token,
            progress: progress.map(|p| Progress { percent: p.percent, message: p.message }),
            checkpoint,
        }),
        _ => Err(faults.0),
    }
}

/// Answer to a heartbeat.
#[derive(Debug, Serialize, JsonSchema)]
struct Beaten {
    /// When the lease ends without another heartbeat; null when it is gone.
    lease_expires_at: Option<Instant>,
    /// Whether the task was cancelled: stop.
    cancel_requested: bool,
    /// `drain`: finish what you hold and claim no more.
    command: Option<&'static str>,
}

async fn heartbeat(
    State(work): State<Work>,
    TaskPath(id): TaskPath,
    key: Key,
    Body(body): Body<Heartbeat>,
) -> Answer<Beaten> {
    let extend =
        extend(id, &body.lease_token, body.progress, body.checkpoint).map_err(Problem::invalid)?;
    key.answer(Actor::DEFAULT, work.heartbeat(Actor::DEFAULT, extend), |beat, _| {
        Reply::ok(&Beaten {
            lease_expires_at: beat.map(|beat| Instant(beat.until)),
            cancel_requested: beat.is_none(),
            command: super::claim::command(beat.is_some_and(|beat| beat.drain)),
        })
    })
    .await
}

/// What a finished attempt left of its task.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Receipt")]
struct ReceiptView {
    /// The task.
    id: i64,
    /// Its status now.
    status: Status,
    /// The attempt that ended.
    attempt: u32,
    /// How the attempt ended.
    outcome: &'static str,
    /// When it may run again; null when it has ended.
    run_at: Option<Instant>,
}

impl From<Receipt> for ReceiptView {
    fn from(receipt: Receipt) -> Self {
        Self {
            id: receipt.id.get(),
            status: receipt.status.into(),
            attempt: receipt.attempt,
            outcome: receipt.outcome.as_str(),
            run_at: (!receipt.status.is_ended()).then_some(Instant(receipt.run_at)),
        }
    }
}

async fn end(
    key: Key,
    id: TaskId,
    lease_token: &str,
    finish: Result<Finish, Fault>,
) -> Answer<ReceiptView> {
    let mut faults = Faults::default();
    let token = faults.take(token(lease_token));
    let finish = faults.take(finish);
    let (Some(token), Some(finish)) = (token, finish) else {
        return Err(Problem::invalid(faults.0));
    };
    key.answer(Actor::DEFAULT, Wanted::finish(id, token, finish), |receipt, _| {
        Reply::ok(&ReceiptView::from(receipt))
    })
    .await
}

/// The work is done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Complete {
    /// The holder's token.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{32}$"))]
    lease_token: String,
    /// What came out of it: any JSON up to 1 MiB.
    result: Option<Raw>,
}

/// The end `completed`.
pub(super) fn completed(result: Option<Raw>) -> Result<Finish, Fault> {
    let result: Option<Option<Json>> =
        result.map(|raw| raw.check("/result", max::PAYLOAD_BYTES_MAX)).transpose()?;
    Ok(Finish::Completed { result: result.flatten() })
}

async fn complete(
    TaskPath(id): TaskPath,
    key: Key,
    Body(body): Body<Complete>,
) -> Answer<ReceiptView> {
    end(key, id, &body.lease_token, completed(body.result)).await
}

/// The attempt failed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fail {
    /// The holder's token.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{32}$"))]
    lease_token: String,
    /// Why, in words; more than 16 KiB is cut.
    error: String,
    /// Whether another attempt makes sense; default true.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "bool")]
    retryable: Option<bool>,
    /// Seconds until the next attempt, instead of the policy's back-off.
    #[schemars(range(min = 0, max = 31622400))]
    retry_after_seconds: Option<f64>,
}

/// The end `failed`.
pub(super) fn failed(
    error: &str,
    retryable: Option<bool>,
    retry_after: Option<f64>,
) -> Result<Finish, Fault> {
    if retry_after.is_some_and(|seconds| !(0.0..=max::DELAY_SECONDS_MAX).contains(&seconds)) {
        let message = "must be 0 to 31622400 (a year)";
        return Err(Fault::new("/retry_after_seconds", "out-of-range", message));
    }
    Ok(Finish::Failed {
        error: kept_error(error),
        retryable: retryable.unwrap_or(true),
        retry_after,
    })
}

async fn fail(TaskPath(id): TaskPath, key: Key, Body(body): Body<Fail>) -> Answer<ReceiptView> {
    let finish = failed(&body.error, body.retryable, body.retry_after_seconds);
    end(key, id, &body.lease_token, finish).await
}

/// Not now.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Snooze {
    /// The holder's token.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{32}$"))]
    lease_token: String,
    /// Seconds until it may be claimed again.
    #[schemars(range(min = 0, max = 31622400))]
    delay_seconds: f64,
}

/// The end `snoozed`.
pub(super) fn snoozed(delay: f64) -> Result<Finish, Fault> {
    if (0.0..=max::DELAY_SECONDS_MAX).contains(&delay) {
        Ok(Finish::Snoozed { delay })
    } else {
        let message = "must be 0 to 31622400 (a year)";
        Err(Fault::new("/delay_seconds", "out-of-range", message))
    }
}

async fn snooze(TaskPath(id): TaskPath, key: Key, Body(body): Body<Snooze>) -> Answer<ReceiptView> {
    end(key, id, &body.lease_token, snoozed(body.delay_seconds)).await
}

/// Given back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Release {
    /// The holder's token.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{32}$"))]
    lease_token: String,
}

async fn release(
    TaskPath(id): TaskPath,
    key: Key,
    Body(body): Body<Release>,
) -> Answer<ReceiptView> {
    end(key, id, &body.lease_token, Ok(Finish::Released)).await
}
