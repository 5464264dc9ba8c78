//! The room of queues: their settings, their counts, and who holds their limits. What a claim makes of
//! the settings is in `work.rs`; the rules are `core::gate`'s.

use async_trait::async_trait;
use taskflow_core::{Gate, Queue, QueueName, QueuePatch, TaskId, TenantId, Timestamp};

use crate::{Counts, Ready, StoreError};

/// A queue with its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueView {
    /// Its settings.
    pub queue: Queue,
    /// Its tasks per status.
    pub counts: Counts,
}

/// Answer to a change of settings.
#[derive(Debug, Clone, PartialEq)]
pub enum QueueSet {
    /// The queue as it is now, changed or not, and what may be claimed by that.
    Done(Box<Queue>, Vec<Ready>),
    /// It has another version; nothing changed.
    Stale(u64),
    /// `limits::QUEUES_MAX` queues have settings already; nothing changed.
    TooMany,
}

/// What a queue lets through at present, and who holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct GateView {
    /// The queue and its leases.
    pub gate: Gate,
    /// Some tasks that have a lease, lowest ids first, at most `limits::HOLDERS_MAX`.
    pub holders: Vec<TaskId>,
    /// The same of the key that was asked about.
    pub key_holders: Vec<TaskId>,
}

/// Queues: settings and what they hold.
#[async_trait]
pub trait QueueStore: Send + Sync {
    /// One page by name: every queue with tasks or settings, after `after`.
    async fn queues(
        &self,
        scope: TenantId,
        after: Option<QueueName>,
        limit: u32,
    ) -> Result<Vec<QueueView>, StoreError>;
    /// These queues, in the order of `names`; a plain one without tasks where there is none. At most
    /// `limits::STATS_NAMES_MAX`.
    async fn named(
        &self,
        scope: TenantId,
        names: Vec<QueueName>,
    ) -> Result<Vec<QueueView>, StoreError>;
    /// One queue; a plain one without tasks where there is none.
    async fn queue(&self, scope: TenantId, name: QueueName) -> Result<QueueView, StoreError> {
        let one = self.named(scope, vec![name]).await?.pop();
        one.ok_or_else(|| StoreError::Corrupt("an answer is missing".into()))
    }
    /// The queues that have settings of their own, at most `limits::QUEUES_MAX`.
    async fn settings(&self, scope: TenantId) -> Result<Vec<Queue>, StoreError>;
    /// Changes settings, only when the version is `if_version` if that is given. A claim that begins
    /// after the answer keeps to them, on every node.
    async fn set_queue(
        &self,
        scope: TenantId,
        name: QueueName,
        if_version: Option<u64>,
        patch: QueuePatch,
        now: Timestamp,
    ) -> Result<QueueSet, StoreError>;
    /// What a queue lets through for a task with this `concurrency_key`.
    async fn gate(
        &self,
        scope: TenantId,
        name: QueueName,
        key: Option<String>,
    ) -> Result<GateView, StoreError>;
}
