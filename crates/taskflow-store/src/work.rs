//! The room of work: handing tasks out and taking results back. The hot path.

use async_trait::async_trait;
use taskflow_core::task::Progress;
use taskflow_core::{
    Finish, Json, Kind, LeaseToken, Outcome, QueueName, Status, Task, TaskId, TenantId, Timestamp,
    WorkerName,
};

use crate::{Answers, Ready, StoreError};

/// Which kinds a claim takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kinds {
    /// Every kind but `Kind::BUILT_IN`.
    AllButBuiltIn,
    /// These; `manual` is never handed out.
    Named(Vec<Kind>),
}

impl Kinds {
    /// Whether a task of `kind` may be handed out.
    pub fn take(&self, kind: &Kind) -> bool {
        match self {
            Self::AllButBuiltIn => !kind.is_built_in(),
            Self::Named(kinds) => kind.as_str() != Kind::MANUAL && kinds.contains(kind),
        }
    }

    /// The same for a task that waits in `queue`, when only `queues` are asked for; none means every
    /// queue.
    pub fn take_from(&self, queues: Option<&[QueueName]>, queue: &QueueName, kind: &Kind) -> bool {
        queues.is_none_or(|queues| queues.contains(queue)) && self.take(kind)
    }
}

/// A wish for work.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who asks.
    pub worker: WorkerName,
    /// Only these queues; none means every queue.
    pub queues: Option<Vec<QueueName>>,
    /// Which kinds.
    pub kinds: Kinds,
    /// Length of the leases instead of the tasks' own, in seconds.
    pub lease_seconds: Option<u32>,
    /// A fresh token per task that is wanted: their number is the limit.
    pub tokens: Vec<LeaseToken>,
}

impl Claim {
    /// Whether a task of `queue` and `kind` fits.
    pub fn takes(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.kinds.take_from(self.queues.as_deref(), queue, kind)
    }
}

/// A task that is handed out. Within a queue the order is priority, then `run_at`, then id.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The task, in progress.
    pub task: Task,
    /// The holder's token.
    pub token: LeaseToken,
}

/// A holder's end of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishTask {
    /// The task.
    pub id: TaskId,
    /// The holder's token.
    pub token: LeaseToken,
    /// How it ends.
    pub finish: Finish,
}

/// What a finished attempt left of its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The task.
    pub id: TaskId,
    /// Its status now.
    pub status: Status,
    /// The attempt that ended.
    pub attempt: u32,
    /// How the attempt ended.
    pub outcome: Outcome,
    /// When it may run again, if it is pending.
    pub run_at: Timestamp,
}

/// Answer to one [`FinishTask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// Taken, or taken before by the same call.
    Done(Receipt),
    /// The token is not that of the running attempt; nothing changed.
    LeaseLost,
    /// The attempt was cancelled; nothing changed.
    Cancelled,
    /// No such task.
    NotFound,
}

/// A heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Extend {
    /// The task.
    pub id: TaskId,
    /// The holder's token.
    pub token: LeaseToken,
    /// How far it is.
    pub progress: Option<Progress>,
    /// What the next attempt should know.
    pub checkpoint: Option<Json>,
}

/// Answer to one [`Extend`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extended {
    /// The lease holds until then.
    Held(Timestamp),
    /// The task was cancelled: stop.
    Cancelled,
    /// The token is not that of the running attempt.
    LeaseLost,
    /// No such task.
    NotFound,
}

/// All that a worker has to say and to ask, applied in this order in one commit.
#[derive(Debug, Clone, Default)]
pub struct Sync {
    /// Attempts that ended.
    pub finish: Vec<FinishTask>,
    /// Heartbeats.
    pub extend: Vec<Extend>,
    /// A wish for work.
    pub claim: Option<Claim>,
}

/// Answers to a [`Sync`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Synced {
    /// One per `finish`.
    pub finished: Vec<Finished>,
    /// One per `extend`.
    pub extended: Vec<Extended>,
    /// Who holds the task, one per `extend`; none where the lease is not held.
    pub holders: Vec<Option<String>>,
    /// What was handed out.
    pub claimed: Vec<Claimed>,
    /// What became ready.
    pub ready: Vec<Ready>,
    /// Queues whose rate let nothing more through to the claim, and when it lets the next one.
    pub later: Vec<(QueueName, Timestamp)>,
}

/// A task whose time ran out, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The task.
    pub id: TaskId,
    /// Its status now.
    pub status: Status,
    /// How its attempt ended, when it had one.
    pub outcome: Option<Outcome>,
    /// Who held it.
    pub worker: Option<String>,
}

/// What comes due.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// Queues and kinds with a pending task whose `run_at` lies in the interval asked for.
    pub ready: Vec<Ready>,
    /// The next `run_at` after the interval.
    pub next: Option<Timestamp>,
}

/// Work: handing tasks out and taking results back.
#[async_trait]
pub trait WorkStore: Send + std::marker::Sync {
    /// Finishes, extends and claims in one commit.
    async fn sync(&self, scope: TenantId, sync: Sync, now: Timestamp)
    -> Result<Synced, StoreError>;

    /// Ends up to `limit` leases, pending tasks and deadlines whose time ran out by `now`, earliest
    /// first, of all tenants: the same rule as every other change, `core::step`.
    async fn expire(&self, now: Timestamp, limit: u32) -> Result<Answers<Expired>, StoreError>;

    /// Which queues and kinds have a pending task with `after < run_at <= until`, and what comes next.
    async fn due(&self, after: Timestamp, until: Timestamp) -> Result<Due, StoreError>;
}
