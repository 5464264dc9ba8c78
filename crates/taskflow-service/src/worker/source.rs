//! Where a worker gets its work: a port with an answer in this process (`Local`) and, in the program,
//! one over HTTP.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::workers::Call;
use taskflow_core::{LeaseToken, TaskId, Timestamp, WorkerName};
use taskflow_store::{Claimed, Extend, Extended, FinishTask, Finished, Kinds};

use super::handler::Job;
use crate::actor::Actor;
use crate::bus::Wish;
use crate::error::ServiceError;
use crate::roll::Caller;
use crate::work::{Report, Want, Work};

/// A job with the right to work on it.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The job.
    pub job: Arc<Job>,
    /// The token that every report carries.
    pub token: LeaseToken,
    /// Length of the lease, in seconds.
    pub lease_seconds: u32,
    /// When the attempt must be over, from its start: `timeout_seconds` or `deadline_at`, whichever
    /// comes first.
    pub ends_in: Option<Duration>,
}

/// How long an attempt may take that started at `started_at`.
pub fn ends_in(
    timeout_seconds: Option<u32>,
    deadline_at: Option<Timestamp>,
    started_at: Timestamp,
) -> Option<Duration> {
    let timeout = timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let deadline = deadline_at.map(|at| {
        Duration::try_from_secs_f64(at.seconds_since(started_at)).unwrap_or(Duration::ZERO)
    });
    [timeout, deadline].into_iter().flatten().min()
}

/// The source could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

impl From<ServiceError> for SourceError {
    fn from(error: ServiceError) -> Self {
        Self(error.to_string())
    }
}

/// Where work comes from and results go. Each call is bounded in time.
#[async_trait]
pub trait WorkSource: Send + Sync {
    /// Up to `limit` jobs, waiting for the first one as long as `wait`. Dropping the future gives
    /// back what it would have got.
    async fn claim(&self, limit: u32, wait: Duration) -> Result<Vec<Assignment>, SourceError>;
    /// How long an answer that was given may be on its way. When a claim is dropped, what its answer
    /// hands out is given back unless it travels already: a worker that stops listens this long.
    fn travel(&self) -> Duration {
        Duration::ZERO
    }
    /// Whether the last claim was answered with the word to drain: finish what is held, claim no more.
    fn drained(&self) -> bool {
        false
    }
    /// Asks that the claims under way be answered now and later ones with nothing, for good; whether
    /// that is agreed. Then no answer is lost for whoever reads the last one to its end.
    async fn close(&self) -> bool {
        false
    }
    /// Reports ends of attempts, one answer each.
    async fn finish(&self, batch: Vec<FinishTask>) -> Result<Vec<Finished>, SourceError>;
    /// Sends heartbeats, one answer each.
    async fn heartbeat(&self, batch: Vec<Extend>) -> Result<Vec<Extended>, SourceError>;
}

/// Work from the services of this process.
pub struct Local {
    work: Work,
    actor: Actor,
    caller: Caller,
    wish: Arc<Wish>,
}

impl Local {
    /// A source for `worker` that takes `kinds` from `queues` (every queue when none).
    pub fn new(
        work: Work,
        actor: Actor,
        worker: WorkerName,
        queues: Option<Vec<taskflow_core::QueueName>>,
        kinds: Vec<taskflow_core::Kind>,
    ) -> Self {
        let wish = Arc::new(Wish { queues, kinds: Kinds::Named(kinds) });
        let caller = Caller { worker, call: Call::default() };
        Self { work, actor, caller, wish }
    }

    /// Says of itself which process and program it is.
    #[must_use]
    pub fn called(mut self, call: Call) -> Self {
        self.caller.call = call;
        self
    }
}

#[async_trait]
impl WorkSource for Local {
    async fn claim(&self, limit: u32, wait: Duration) -> Result<Vec<Assignment>, SourceError> {
        let want = Want { wish: Arc::clone(&self.wish), limit, lease_seconds: None, wait };
        let claimed = self.work.claim(self.actor, &self.caller, want).await?;
        Ok(claimed.into_iter().map(assignment).collect())
    }

    fn drained(&self) -> bool {
        self.work.drains(self.actor, &self.caller)
    }

    async fn finish(&self, finish: Vec<FinishTask>) -> Result<Vec<Finished>, SourceError> {
        let report = Report { finish, ..Report::default() };
        Ok(self.work.sync(self.actor, &self.caller, report).await?.finished)
    }

    async fn heartbeat(&self, extend: Vec<Extend>) -> Result<Vec<Extended>, SourceError> {
        let report = Report { extend, ..Report::default() };
        Ok(self.work.sync(self.actor, &self.caller, report).await?.extended)
    }
}

fn assignment(claimed: Claimed) -> Assignment {
    let Claimed { task, token } = claimed;
    let lease_seconds = task.state.lease.as_ref().map_or(task.terms.lease_seconds, |l| l.seconds);
    let (terms, started_at) = (&task.terms, task.state.started_at.unwrap_or(task.created_at));
    let ends_in = ends_in(terms.timeout_seconds, terms.deadline_at, started_at);
    let job = Job {
        id: task.id,
        title: task.title,
        queue: task.queue.as_str().to_owned(),
        kind: task.kind.as_str().to_owned(),
        payload: task.payload,
        attempt: task.state.attempt,
        max_attempts: task.terms.max_attempts,
        checkpoint: task.state.checkpoint,
        timeout_seconds: task.terms.timeout_seconds,
        created_at: task.created_at,
    };
    Assignment { job: Arc::new(job), token, lease_seconds, ends_in }
}

/// Which attempt a report is about.
pub(crate) type Key = (TaskId, u32);
