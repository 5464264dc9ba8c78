//! The room of repeated requests: one act, done once for its key, and the first answer to it kept.
//! How an answer looks is the caller's business: here it is bytes.

use std::sync::Arc;

use async_trait::async_trait;
use taskflow_core::{Fingerprint, KeyHash, NewTask, TenantId, Timestamp};

use crate::{
    AllInserted, Answers, Delete, Deleted, Edit, Edited, Inserted, StoreError, Sync, Synced,
};

/// An act that may be done once for a key: those of the other rooms, as they are there.
#[derive(Debug, Clone)]
pub enum Deed {
    /// New tasks.
    Insert(Vec<NewTask>),
    /// New tasks, all of them or none.
    InsertAll(Vec<NewTask>),
    /// Changes.
    Edit(Vec<Edit>),
    /// Deletions.
    Delete(Vec<Delete>),
    /// What a worker says and asks.
    Sync(Box<Sync>),
    /// Nothing: only the answer is kept, of what may be done again without harm and took commits of its
    /// own.
    Note,
}

/// The answers to a [`Deed`].
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// To `Insert`.
    Inserted(Answers<Inserted>),
    /// To `InsertAll`.
    AllInserted(AllInserted),
    /// To `Edit`.
    Edited(Answers<Edited>),
    /// To `Delete`.
    Deleted(Answers<Deleted>),
    /// To `Sync`.
    Synced(Box<Synced>),
    /// To `Note`.
    Noted,
}

/// Turns answers into what is kept for the key. It is called inside the transaction, so that act and
/// answer are one commit: it only looks at what it is given, waits for nothing, and says the same each
/// time. It cannot reach the store.
pub trait Render: Send + std::marker::Sync {
    /// The bytes to keep; none when the act is to be undone. `ready` and its like are not filled in yet.
    fn render(&self, done: &Done) -> Option<Vec<u8>>;
}

/// An act with its key.
#[derive(Clone)]
pub struct Once {
    /// Unique per tenant.
    pub key: KeyHash,
    /// What tells a repeated request from another one that has the same key.
    pub request: Fingerprint,
    /// What to do.
    pub deed: Deed,
    /// What to keep of it.
    pub render: Arc<dyn Render>,
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once").field("key", &self.key).field("deed", &self.deed).finish()
    }
}

/// Answer to a [`Once`].
#[derive(Debug, Clone, PartialEq)]
pub enum Onced {
    /// It was done now, and this is kept for the key.
    Done {
        /// What was kept.
        answer: Vec<u8>,
        /// The answers.
        done: Done,
    },
    /// Nothing is kept, so nothing was done: these would have been the answers.
    Undone(Done),
    /// It was done before; this was kept.
    Before(Vec<u8>),
    /// The key was used for another request; nothing was done.
    Other,
    /// The same key is at work elsewhere; nothing was done.
    InProgress,
}

/// Acts that are done once for a key. A key lasts `limits::IDEMPOTENCY_SECONDS`; afterwards it is as new.
#[async_trait]
pub trait IdempotencyStore: Send + std::marker::Sync {
    /// Does an act and keeps its answer in one commit, or gives the answer that was kept before. An act
    /// that another caller does at this moment with the same key is either waited for or told as
    /// [`Onced::InProgress`]; it is never done twice.
    async fn once(&self, scope: TenantId, once: Once, now: Timestamp) -> Result<Onced, StoreError>;

    /// What [`once`](Self::once) would answer when it did this before; none when it did not. For a request
    /// that would not be taken any more, because of the time for example.
    async fn recall(
        &self,
        scope: TenantId,
        key: KeyHash,
        request: Fingerprint,
        now: Timestamp,
    ) -> Result<Option<Onced>, StoreError>;

    /// Removes up to `limit` keys of all tenants that do not last any more, oldest first; how many.
    async fn forget(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError>;
}

/// The latest instant of a key that does not last any more at `now`.
pub fn forgotten(now: Timestamp) -> Timestamp {
    now.plus_seconds(-taskflow_core::limits::IDEMPOTENCY_SECONDS)
}

/// What a kept answer is to a request: the same one again, or another.
pub fn again(asked: Fingerprint, kept: [u8; 32], answer: Vec<u8>) -> Onced {
    if asked == Fingerprint(kept) { Onced::Before(answer) } else { Onced::Other }
}
