//! Work over HTTP: claim, heartbeat and the four ways to end an attempt, one task at a time.
//! All of it at once is in `sync.rs`.

use std::sync::Arc;
use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskflow_core::limits as max;
use taskflow_core::task::Progress;
use taskflow_core::text::kept_error;
use taskflow_core::{Clock, Fault, Finish, Json, Kind, LeaseToken, QueueName, TaskId, WorkerName};
use taskflow_service::Actor;
use taskflow_service::bus::Wish;
use taskflow_service::words::{Claimed, Extend, Kinds, Receipt};
use taskflow_service::work::{Want, Work};

use super::create::Faults;
use super::reply::{Answer, Reply};
use super::view::{TaskView, view};
use super::words::{Instant, Object, Raw, Status, present};
use crate::extract::{Body, TaskPath};
use crate::openapi::{document, problems};
use crate::problem::Problem;
use crate::state::ApiState;

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    let ends = [400, 404, 409, 413, 415, 422];
    ApiRouter::new()
        .api_route(
            "/tasks/claim",
            post_with(claim, |op| {
                let op = document(op, "claim_tasks", "Work", "Take tasks to work on");
                problems(op, &[400, 413, 415, 422, 429])
            }),
        )
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

/// A wish for work.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClaimTasks {
    /// Who asks.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:@/-]*$"))]
    worker: String,
    /// Only these queues; every queue when missing.
    #[schemars(
        length(min = 1, max = 100),
        inner(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"))
    )]
    queues: Option<Vec<String>>,
    /// Only these kinds; every kind but the built-in ones when missing.
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
    #[schemars(
        length(min = 1, max = 100),
        inner(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"))
    )]
    pub(super) queues: Option<Vec<String>>,
    /// Only these kinds; every kind but the built-in ones when missing.
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

/// Tasks that were handed out.
#[derive(Debug, Serialize, JsonSchema)]
struct ClaimedTasks<'a> {
    /// At most as many as were wished for.
    tasks: Vec<ClaimedView<'a>>,
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

pub(super) fn claimed_views<'a>(claimed: &'a [Claimed], clock: &dyn Clock) -> Vec<ClaimedView<'a>> {
    let now = clock.now();
    claimed
        .iter()
        .map(|c| ClaimedView { task: view(&c.task, now), lease_token: c.token.to_wire() })
        .collect()
}

async fn claim(
    State(work): State<Work>,
    State(clock): State<Arc<dyn Clock>>,
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
    let claimed = work.claim(Actor::DEFAULT, &worker, want).await?;
    Reply::ok(&ClaimedTasks { tasks: claimed_views(&claimed, &*clock) })
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
    Body(body): Body<Heartbeat>,
) -> Answer<Beaten> {
    let extend =
        extend(id, &body.lease_token, body.progress, body.checkpoint).map_err(Problem::invalid)?;
    let until = work.heartbeat(Actor::DEFAULT, extend).await?;
    Reply::ok(&Beaten {
        lease_expires_at: until.map(Instant),
        cancel_requested: until.is_none(),
        command: None,
    })
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
    work: &Work,
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
    let receipt = work.finish(Actor::DEFAULT, id, token, finish).await?;
    Reply::ok(&ReceiptView::from(receipt))
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
    State(work): State<Work>,
    TaskPath(id): TaskPath,
    Body(body): Body<Complete>,
) -> Answer<ReceiptView> {
    end(&work, id, &body.lease_token, completed(body.result)).await
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

async fn fail(
    State(work): State<Work>,
    TaskPath(id): TaskPath,
    Body(body): Body<Fail>,
) -> Answer<ReceiptView> {
    let finish = failed(&body.error, body.retryable, body.retry_after_seconds);
    end(&work, id, &body.lease_token, finish).await
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

async fn snooze(
    State(work): State<Work>,
    TaskPath(id): TaskPath,
    Body(body): Body<Snooze>,
) -> Answer<ReceiptView> {
    end(&work, id, &body.lease_token, snoozed(body.delay_seconds)).await
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
    State(work): State<Work>,
    TaskPath(id): TaskPath,
    Body(body): Body<Release>,
) -> Answer<ReceiptView> {
    end(&work, id, &body.lease_token, Ok(Finish::Released)).await
}
