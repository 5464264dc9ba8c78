//! What a use case can answer instead of a result, in domain words with a stable code each.
//! How it looks on the wire is in `api/problem.rs`.

use taskflow_core::limits::QUEUES_MAX;
use taskflow_core::{Fault, QueueName, Status, TaskId, WorkerName};
use taskflow_store::StoreError;

/// A use case that was not done.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// No such task.
    #[error("task {0} does not exist")]
    NotFound(TaskId),
    /// No such worker.
    #[error("no worker {0} called within the last day")]
    NoWorker(WorkerName),
    /// The input breaks rules that only the store could check.
    #[error("the input is not valid")]
    Invalid(Vec<Fault>),
    /// The version in `If-Match` is not the task's.
    #[error("task {id} has version {version} by now")]
    Stale {
        /// The task.
        id: TaskId,
        /// Its version.
        version: u64,
    },
    /// No such queue.
    #[error("queue {0} has no tasks and no settings")]
    NoQueue(QueueName),
    /// The version in `If-Match` is not the queue's.
    #[error("queue {name} has version {version} by now")]
    StaleQueue {
        /// The queue.
        name: QueueName,
        /// Its version.
        version: u64,
    },
    /// As many queues have settings as may.
    #[error("{QUEUES_MAX} queues have settings of their own already")]
    TooManyQueues,
    /// The status cannot be set.
    #[error("a task that is {} cannot become {}", .from.as_str(), .to.as_str())]
    IllegalTransition {
        /// The present status.
        from: Status,
        /// The wanted one.
        to: Status,
    },
    /// It runs, so it cannot run once more.
    #[error("task {0} has not ended")]
    NotEnded(TaskId),
    /// The lease is not held any more.
    #[error("the lease on task {0} is not held by this token any more")]
    LeaseLost(TaskId),
    /// The attempt was cancelled.
    #[error("task {0} was cancelled while the attempt ran")]
    Cancelled(TaskId),
    /// A live task holds the unique key.
    #[error("task {0} holds the unique key")]
    KeyHeld(TaskId),
    /// Another task waits for this one.
    #[error("task {child} waits for task {id}")]
    HasDependant {
        /// The task.
        id: TaskId,
        /// One that waits for it.
        child: TaskId,
    },
    /// The page is heavier than `limits::PAGE_BYTES_MAX`.
    #[error("the page is too large: ask for fewer tasks at a time")]
    PageTooLarge,
    /// The idempotency key was used for another request.
    #[error("the Idempotency-Key was used for another request before")]
    KeyReused,
    /// A request with this idempotency key is at work.
    #[error("a request with this Idempotency-Key is at work; repeat yours in a moment")]
    KeyInProgress,
    /// The answer is larger than what is kept for an idempotency key; nothing was done.
    #[error(
        "the answer is larger than what is kept for an Idempotency-Key: ask for less at a time"
    )]
    AnswerTooLarge,
    /// Too many claims wait already.
    #[error("too many claims wait already")]
    TooManyWaiters,
    /// The store is busy; nothing was done.
    #[error("the store is busy")]
    Busy,
    /// The database cannot be reached, or the process stops; nothing was done.
    #[error("the server is stopping, or its database cannot be reached at present")]
    Unavailable,
    /// The disk is full; nothing was done.
    #[error("the store's disk is full")]
    StorageFull,
    /// Nobody knows whether it was done.
    #[error("the outcome is unknown")]
    Unknown(#[source] StoreError),
    /// It failed; nothing was done.
    #[error("the store failed")]
    Internal(#[source] StoreError),
}

impl ServiceError {
    /// The stable code; never renamed.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::NoQueue(_) | Self::NoWorker(_) => "not-found",
            Self::Invalid(_) => "invalid-input",
            Self::Stale { .. } | Self::StaleQueue { .. } => "stale-version",
            Self::TooManyQueues => "too-many-queues",
            Self::IllegalTransition { .. } => "illegal-transition",
            Self::NotEnded(_) => "not-ended",
            Self::LeaseLost(_) | Self::Cancelled(_) => "lease-lost",
            Self::KeyHeld(_) => "unique-key-held",
            Self::HasDependant { .. } => "has-dependants",
            Self::PageTooLarge => "page-too-large",
            Self::KeyReused => "idempotency-mismatch",
            Self::KeyInProgress => "idempotency-in-progress",
            Self::AnswerTooLarge => "idempotency-too-large",
            Self::TooManyWaiters => "too-many-waiters",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::StorageFull => "storage-full",
            Self::Unknown(_) => "outcome-unknown",
            Self::Internal(_) => "internal-error",
        }
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::Busy,
            StoreError::Unavailable => Self::Unavailable,
            StoreError::PageTooLarge => Self::PageTooLarge,
            StoreError::Full => Self::StorageFull,
            StoreError::Unknown(_) => Self::Unknown(error),
            StoreError::Corrupt(_) | StoreError::Failed(_) => Self::Internal(error),
        }
    }
}
