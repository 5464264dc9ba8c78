//! Runs one job: handler, time limit, panic, cancellation, and the answer's way back.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::limits::DELAY_SECONDS_MAX;
use taskflow_core::{Finish, LeaseToken};
use taskflow_store::{Extend, FinishTask};
use tokio_util::sync::CancellationToken;

use super::STOP_GRACE;
use super::finisher::Finisher;
use super::handler::{Answer, Context};
use super::heart::Heart;
use super::registry::Registry;
use super::source::{Assignment, Key, WorkSource};

/// What every job of a worker shares.
pub(crate) struct Runner {
    pub(crate) source: Arc<dyn WorkSource>,
    pub(crate) registry: Registry,
    pub(crate) heart: Arc<Heart>,
    pub(crate) finisher: Finisher,
    /// Fires when the worker leaves and jobs are given back.
    pub(crate) leave: CancellationToken,
}

/// Why a job was stopped from outside.
enum Stopped {
    TimedOut(Duration),
    Leaving,
    LeaseGone,
}

impl Runner {
    /// Gives back a job that came after the stop.
    pub(crate) fn give_back(&self, Assignment { job, token, .. }: Assignment) {
        let finish = FinishTask { id: job.id, token, finish: Finish::Released };
        self.finisher.report((job.id, job.attempt), finish);
    }

    /// Runs one job and reports it.
    pub(crate) async fn run(&self, assignment: Assignment) {
        let Assignment { job, token, lease_seconds, ends_in } = assignment;
        let key = (job.id, job.attempt);
        let Some(handler) = self.registry.get(&job.kind) else {
            // A source hands out only kinds that it was asked for.
            tracing::error!(task.id = job.id.get(), task.kind = job.kind, "no handler for a job");
            let finish = FinishTask { id: job.id, token, finish: Finish::Released };
            return self.finisher.report(key, finish);
        };
        let cancel = CancellationToken::new();
        let lost = CancellationToken::new();
        let cx = Context::new(Arc::clone(&job), cancel.clone());
        let left = cx.clone();
        self.heart.add(key, token, lease_seconds, cx.clone(), lost.clone());
        let mut handling = tokio::spawn(async move { handler.run(cx).await });
        let stopped = tokio::select! {
            ended = &mut handling => {
                return self.report(key, token, &left, finish_of(ended)).await;
            }
            limit = time_out(ends_in) => Stopped::TimedOut(limit),
            () = self.leave.cancelled() => Stopped::Leaving,
            () = lost.cancelled() => Stopped::LeaseGone,
        };
        cancel.cancel();
        let ended = tokio::time::timeout(STOP_GRACE, &mut handling).await;
        if ended.is_err() {
            // A handler that does not listen is dropped at its next await; its slot is free now.
            handling.abort();
        }
        let finish = match stopped {
            Stopped::LeaseGone => {
                self.heart.remove(key);
                return tracing::info!(
                    task.id = job.id.get(),
                    "a job was stopped: its lease is gone"
                );
            }
            Stopped::TimedOut(limit) => Finish::Failed {
                error: format!("the attempt timed out after {} s", limit.as_secs_f64().round()),
                retryable: true,
                retry_after: None,
            },
            // One that came through in the last second counts as what it is.
            Stopped::Leaving => match ended {
                Ok(ended @ Ok(Answer::Completed(_))) => finish_of(ended),
                _ => Finish::Interrupted,
            },
        };
        self.report(key, token, &left, finish).await;
    }

    /// Reports an end. A checkpoint that no heartbeat has carried yet goes first: it is what the next
    /// attempt starts from.
    async fn report(&self, key: Key, token: LeaseToken, left: &Context, finish: Finish) {
        let id = key.0;
        let report = left.take_report();
        if report.checkpoint.is_some() && !matches!(finish, Finish::Completed { .. }) {
            let (progress, checkpoint) = (report.progress, report.checkpoint);
            let last = Extend { id, token, progress, checkpoint };
            if let Err(error) = self.source.heartbeat(vec![last]).await {
                tracing::warn!(task.id = id.get(), error = %error, "a last checkpoint is lost");
            }
        }
        self.finisher.report(key, FinishTask { id, token, finish });
    }
}

fn finish_of(ended: Result<Answer, tokio::task::JoinError>) -> Finish {
    match ended {
        Ok(Answer::Completed(result)) => Finish::Completed { result },
        Ok(Answer::Failed { error, retryable, retry_after }) => {
            Finish::Failed { error, retryable, retry_after: retry_after.map(bounded) }
        }
        Ok(Answer::Snoozed(delay)) => Finish::Snoozed { delay: bounded(delay) },
        Ok(Answer::Released) => Finish::Released,
        Err(failure) => {
            Finish::Failed { error: panic_text(failure), retryable: true, retry_after: None }
        }
    }
}

/// A handler's seconds within what the API takes; what is no number is none.
fn bounded(seconds: f64) -> f64 {
    if seconds.is_nan() { 0.0 } else { seconds.clamp(0.0, DELAY_SECONDS_MAX) }
}

fn panic_text(failure: tokio::task::JoinError) -> String {
    let Ok(panic) = failure.try_into_panic() else { return "the handler was stopped".into() };
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    match text {
        Some(text) => format!("the handler panicked: {text}"),
        None => "the handler panicked".into(),
    }
}

async fn time_out(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
    limit.unwrap_or_default()
}
