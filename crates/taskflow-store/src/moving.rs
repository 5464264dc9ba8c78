//! The room of moving: a whole database read out and written into an empty one of another sort.
//! It is for `taskflow move` alone; nothing else may write a task without `core::step`. What makes itself
//! anew stays behind: statistics, sketches, who called, and sessions, whose holders sign in again.

use async_trait::async_trait;
use taskflow_core::{
    Attempt, Fingerprint, KeyHash, Queue, RateWindow, Task, TaskId, TenantId, Timestamp,
};

use crate::StoreError;

/// Everything about one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// Whose it is.
    pub tenant: TenantId,
    /// The task with its state, lease included.
    pub task: Task,
    /// Its written history, oldest first: without the completed attempt that is the task's own row.
    pub attempts: Vec<Attempt>,
    /// The tasks that it still waits for, in the order of their ids.
    pub waits: Vec<TaskId>,
}

impl Whole {
    /// What it weighs, in bytes: a batch is bounded by it.
    pub fn bytes(&self) -> usize {
        let json =
            |json: &Option<taskflow_core::Json>| json.as_ref().map_or(0, taskflow_core::Json::len);
        let state = &self.task.state;
        let errors: usize =
            self.attempts.iter().filter_map(|a| a.error.as_ref()).map(String::len).sum();
        json(&self.task.payload) + json(&state.result) + json(&state.checkpoint) + errors
    }
}

/// A queue with settings of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnQueue {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its settings.
    pub queue: Queue,
    /// Its latest starts.
    pub window: RateWindow,
}

/// What is kept for one idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// The key.
    pub key: KeyHash,
    /// What was asked.
    pub request: Fingerprint,
    /// When.
    pub at: Timestamp,
    /// What was answered.
    pub answer: Vec<u8>,
}

impl KeptKey {
    /// Its place in the order of [`MoveFrom::keys`].
    pub fn place(&self) -> (TenantId, KeyHash) {
        (self.tenant, self.key)
    }
}

/// Before the first key.
pub const NO_KEY: (TenantId, KeyHash) = (TenantId(i64::MIN), KeyHash([0; 32]));

/// The heaviest batch, in bytes: it is in memory twice.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A database that is read out and changed by nobody meanwhile.
#[async_trait]
pub trait MoveFrom: Send + Sync {
    /// The next tasks of all tenants in the order of their ids, above `after`: `limit` at most, fewer
    /// when they weigh more than [`BATCH_BYTES_MAX`], none at the end.
    async fn dump(&self, after: i64, limit: u32) -> Result<Vec<Whole>, StoreError>;

    /// Every queue with settings of its own, of all tenants, by tenant and name.
    async fn queues(&self) -> Result<Vec<OwnQueue>, StoreError>;
    /// The next idempotency keys of all tenants in the order of their places, after `after`: `limit` at
    /// most, fewer when they weigh more than [`BATCH_BYTES_MAX`], none at the end.
    async fn keys(
        &self,
        after: (TenantId, KeyHash),
        limit: u32,
    ) -> Result<Vec<KeptKey>, StoreError>;

    /// What the id of the next new task would be at least.
    async fn next_id(&self) -> Result<i64, StoreError>;
}

/// A database that is filled in one transaction. Dropping it without `commit` leaves it as it was.
#[async_trait]
pub trait MoveTo: MoveFrom {
    /// Writes tasks as they are. Their ids must be free.
    async fn load(&self, batch: Vec<Whole>) -> Result<(), StoreError>;

    /// Writes queues as they are. None of them may be there.
    async fn load_queues(&self, queues: Vec<OwnQueue>) -> Result<(), StoreError>;
    /// Writes idempotency keys as they are. They must be free.
    async fn load_keys(&self, batch: Vec<KeptKey>) -> Result<(), StoreError>;

    /// Makes the next new task's id `next` at least, and keeps everything.
    async fn commit(&self, next: i64) -> Result<(), StoreError>;
}
