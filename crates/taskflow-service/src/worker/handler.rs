//! What runs one kind of task: the trait that handlers implement, what they are given and what they
//! answer. It knows nothing of stores, leases or HTTP; the worker around it does.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use taskflow_core::limits::PROGRESS_MESSAGE_CHARS_MAX;
use taskflow_core::task::Progress;
use taskflow_core::{Json, TaskId, Timestamp};
use tokio_util::sync::CancellationToken;

/// One attempt at one task, as a handler sees it.
#[derive(Debug, Clone)]
pub struct Job {
    /// The task.
    pub id: TaskId,
    /// Its title.
    pub title: String,
    /// Its queue.
    pub queue: String,
    /// Its kind.
    pub kind: String,
    /// Its input.
    pub payload: Option<Json>,
    /// Counted from 1; rises with every claim, so it is a fencing value for effects elsewhere.
    pub attempt: u32,
    /// Counted attempts allowed.
    pub max_attempts: u32,
    /// What an earlier attempt left.
    pub checkpoint: Option<Json>,
    /// Longest time of this attempt, in seconds.
    pub timeout_seconds: Option<u32>,
    /// When the task was created.
    pub created_at: Timestamp,
}

/// How a handler ends an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Done, with a result.
    Completed(Option<Json>),
    /// Not done.
    Failed {
        /// Why, in words.
        error: String,
        /// Whether another attempt makes sense.
        retryable: bool,
        /// Seconds until then, instead of the policy's back-off.
        retry_after: Option<f64>,
    },
    /// Again after so many seconds; not counted.
    Snoozed(f64),
    /// Given back; not counted.
    Released,
}

impl Answer {
    /// A failure that is tried again by the task's policy.
    pub fn retry(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), retryable: true, retry_after: None }
    }

    /// A failure for good.
    pub fn give_up(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), retryable: false, retry_after: None }
    }
}

/// What a handler has while it runs: the job, a cancellation token and a way to report.
#[derive(Debug, Clone)]
pub struct Context {
    job: Arc<Job>,
    cancel: CancellationToken,
    report: Arc<Mutex<Report>>,
}

/// What a handler reported since the last heartbeat.
#[derive(Debug, Default)]
pub struct Report {
    /// Latest progress.
    pub progress: Option<Progress>,
    /// Latest checkpoint.
    pub checkpoint: Option<Json>,
}

impl Context {
    /// A context for `job` that ends when `cancel` fires.
    pub fn new(job: Arc<Job>, cancel: CancellationToken) -> Self {
        Self { job, cancel, report: Arc::default() }
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Resolves when the attempt should stop: cancelled, timed out, lease lost or shutting down.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether the attempt should stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Says how far the attempt is, 0 to 100; the next heartbeat carries it.
    pub fn progress(&self, percent: f64, message: Option<&str>) {
        let percent = if percent.is_finite() { percent.clamp(0.0, 100.0) } else { 0.0 };
        // As the API bounds it: one line, no U+0000.
        let line = |text: &str| {
            text.replace('\0', "\u{FFFD}").chars().take(PROGRESS_MESSAGE_CHARS_MAX).collect()
        };
        self.report.lock().progress = Some(Progress { percent, message: message.map(line) });
    }

    /// Leaves a value for the next attempt; the next heartbeat carries it.
    pub fn checkpoint(&self, value: Json) {
        self.report.lock().checkpoint = Some(value);
    }

    /// Takes what was reported since the last call.
    pub(crate) fn take_report(&self) -> Report {
        std::mem::take(&mut self.report.lock())
    }

    /// Puts back what could not be delivered, unless something newer was reported.
    pub(crate) fn report_again(&self, progress: Option<Progress>, checkpoint: Option<Json>) {
        let mut report = self.report.lock();
        report.progress = report.progress.take().or(progress);
        report.checkpoint = report.checkpoint.take().or(checkpoint);
    }
}

/// Runs tasks of one kind. Delivery is at least once: make effects idempotent, for instance by
/// `job().id` and `job().attempt`.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Runs one attempt. A panic counts as a failure that is retried. When [`Context::cancelled`]
    /// resolves it should return soon; it is dropped a second later at its next `await`.
    async fn run(&self, cx: Context) -> Answer;
}
