//! How a task looks on the wire. It only shows; what may be written is in `create.rs`, `update.rs`.

use schemars::JsonSchema;
use serde::Serialize;
use taskflow_core::task::{Progress, Task};
use taskflow_core::{Attempt, Json, Timestamp};

use super::words::{Instant, PendingReason, Priority, Retry, Status, Stored};

/// A task.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Task")]
pub(crate) struct TaskView<'a> {
    /// Identity; never used twice.
    id: i64,
    /// What it is about.
    title: &'a str,
    /// Free text.
    description: Option<&'a str>,
    /// Order within the queue.
    priority: Priority,
    /// Where it stands.
    status: Status,
    /// Why a pending task is not running; null for the other statuses.
    pending_reason: Option<PendingReason>,
    /// Where it waits.
    queue: &'a str,
    /// What sort of work; picks the handler.
    kind: &'a str,
    /// Its input, any JSON.
    payload: Option<Stored<'a>>,
    /// Not before.
    run_at: Instant,
    /// Executions so far; rises with every claim.
    attempt: u32,
    /// Executions that count against `max_attempts`.
    attempts_used: u32,
    /// Counted executions allowed.
    max_attempts: u32,
    /// Back-off between attempts.
    retry: Retry,
    /// Longest attempt, in seconds.
    timeout_seconds: Option<u32>,
    /// No attempt goes on beyond it.
    deadline_at: Option<Instant>,
    /// Not started by then: cancelled.
    expires_at: Option<Instant>,
    /// Length of a lease, in seconds.
    lease_seconds: u32,
    /// Labels.
    tags: &'a [String],
    /// Labels with values.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    metadata: Metadata<'a>,
    /// At most one live task per queue holds it.
    unique_key: Option<&'a str>,
    /// Groups tasks under one limit.
    concurrency_key: Option<&'a str>,
    /// Tasks that must complete first.
    depends_on: Vec<i64>,
    /// Who holds or held the latest attempt.
    worker: Option<&'a str>,
    /// When the lease ends without a heartbeat.
    lease_expires_at: Option<Instant>,
    /// How far the attempt is.
    progress: Option<ProgressView<'a>>,
    /// What an attempt left for the next one.
    checkpoint: Option<Stored<'a>>,
    /// Its output, any JSON.
    result: Option<Stored<'a>>,
    /// Latest error.
    error_message: Option<&'a str>,
    /// Why it was cancelled.
    cancel_reason: Option<&'a str>,
    /// Birth.
    created_at: Instant,
    /// Latest change.
    updated_at: Instant,
    /// Start of the present or latest attempt.
    started_at: Option<Instant>,
    /// When it completed.
    completed_at: Option<Instant>,
    /// When it completed, failed or was cancelled.
    ended_at: Option<Instant>,
    /// Counts changes; also the ETag.
    version: u64,
}

/// How far an attempt is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Progress")]
struct ProgressView<'a> {
    /// 0 to 100.
    percent: f64,
    /// One line.
    message: Option<&'a str>,
}

/// Metadata is an object always; none is stored as nothing.
#[derive(Debug)]
struct Metadata<'a>(Option<&'a Json>);

impl Serialize for Metadata<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(json) => Stored(json).serialize(serializer),
            None => serde::ser::SerializeMap::end(serializer.serialize_map(Some(0))?),
        }
    }
}

/// Shows `task` as it is at `now`.
pub(crate) fn view(task: &Task, now: Timestamp) -> TaskView<'_> {
    let (state, terms) = (&task.state, &task.terms);
    TaskView {
        id: task.id.get(),
        title: &task.title,
        description: task.description.as_deref(),
        priority: task.priority.into(),
        status: state.status.into(),
        pending_reason: state.pending_reason(now).map(Into::into),
        queue: task.queue.as_str(),
        kind: task.kind.as_str(),
        payload: task.payload.as_ref().map(Stored),
        run_at: Instant(state.run_at),
        attempt: state.attempt,
        attempts_used: state.attempts_used(),
        max_attempts: terms.max_attempts,
        retry: terms.retry.into(),
        timeout_seconds: terms.timeout_seconds,
        deadline_at: terms.deadline_at.map(Instant),
        expires_at: terms.expires_at.map(Instant),
        lease_seconds: terms.lease_seconds,
        tags: &task.tags,
        metadata: Metadata(task.metadata.as_ref()),
        unique_key: task.unique_key.as_deref(),
        concurrency_key: task.concurrency_key.as_deref(),
        depends_on: task.depends_on.iter().map(|id| id.get()).collect(),
        worker: state.worker.as_deref(),
        lease_expires_at: state.lease.as_ref().map(|lease| Instant(lease.until)),
        progress: state.progress.as_ref().map(progress),
        checkpoint: state.checkpoint.as_ref().map(Stored),
        result: state.result.as_ref().map(Stored),
        error_message: state.error_message.as_deref(),
        cancel_reason: state.cancel_reason.as_deref(),
        created_at: Instant(task.created_at),
        updated_at: Instant(state.updated_at),
        started_at: state.started_at.map(Instant),
        completed_at: state.completed_at.map(Instant),
        ended_at: state.ended_at.map(Instant),
        version: state.version,
    }
}

fn progress(progress: &Progress) -> ProgressView<'_> {
    ProgressView { percent: progress.percent, message: progress.message.as_deref() }
}

/// A finished attempt.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Attempt")]
pub(crate) struct AttemptView {
    /// Counted from 1 by the claim.
    attempt: u32,
    /// Who held it.
    worker: Option<String>,
    /// When it was claimed.
    started_at: Instant,
    /// When it ended.
    ended_at: Instant,
    /// How it ended: completed, failed, timed_out, lease_expired, released, snoozed, cancelled or
    /// interrupted.
    outcome: &'static str,
    /// The error, when there was one.
    error: Option<String>,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            attempt: attempt.attempt,
            worker: attempt.worker,
            started_at: Instant(attempt.started_at),
            ended_at: Instant(attempt.ended_at),
            outcome: attempt.outcome.as_str(),
            error: attempt.error,
        }
    }
}
