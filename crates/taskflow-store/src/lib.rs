//! The contract between TaskFlow and its databases.
//!
//! Six rules that every store obeys:
//!
//! 1. **A method is one named atomic act of the domain, on a batch.** No `begin`, no transaction
//!    handle, no SQL, no closure. Acts that must be atomic together are one act ([`WorkStore::sync`]).
//!    The one thing handed in is [`Render`], which turns answers into the bytes that are kept of them.
//! 2. **`Ok` means durable.** No answer and no hint is visible before the commit is on disk.
//! 3. **One answer per item, in order.** `Err` is only "the store could not do the batch". A lost
//!    lease, a held key, an unknown id are answers, never errors that sink the neighbours.
//! 4. **Time is an argument**, and so are lease tokens. A store never asks the clock and never rolls
//!    dice; integer ids come from the database's own sequence, which never gives one twice.
//! 5. **Scope is an argument**: no statement without its tenant.
//! 6. **Everything is bounded** by `core::limits`. Full means [`StoreError::Busy`].
//!
//! Stores call `core::step` inside their transaction and do not write its rules again in SQL; only
//! claim order and the release of dependants are set-based. They answer; they never call anybody.

pub mod batcher;
pub mod changes;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod health;
mod hints;
pub mod idempotency;
pub mod kept;
pub mod lists;
#[cfg(feature = "conformance")]
pub mod model;
pub mod moving;
mod page;
mod queues;
mod retention;
pub mod search;
mod sessions;
pub mod shape;
mod stats;
mod tasks;
pub mod weight;
mod work;
mod workers;

use async_trait::async_trait;

pub use changes::{ChangeStore, Changes, Heard, Told, Watch};
pub use error::StoreError;
pub use health::Health;
pub use hints::{Answers, Hints, Ready};
pub use idempotency::{Deed, Done, IdempotencyStore, Once, Onced, Render};
pub use lists::{Failure, Found, ListStore};
pub use page::{Filter, Page, Paged};
pub use queues::{GateView, QueueSet, QueueStore, QueueView};
pub use retention::{Pruned, RetentionStore};
pub use search::{SearchStore, Sketched};
pub use sessions::SessionStore;
pub use stats::{Narrow, Overview, StatsStore};
pub use tasks::{AllInserted, Counts, Delete, Deleted, Edit, Edited, Inserted, Served, TaskStore};
pub use work::{
    Claim, Claimed, Due, Expired, Extend, Extended, FinishTask, Finished, Kinds, Receipt, Sync,
    Synced, WorkStore,
};
pub use workers::{Drain, Held, Holding, Sighting, Takes, Which, Worker, WorkerStore};

/// Everything that TaskFlow asks of a database.
#[async_trait]
pub trait Store:
    TaskStore
    + ListStore
    + WorkStore
    + WorkerStore
    + QueueStore
    + IdempotencyStore
    + RetentionStore
    + SessionStore
    + SearchStore
    + StatsStore
    + ChangeStore
{
    /// Asks the database whether it answers, and its schema.
    async fn health(&self) -> Result<Health, StoreError>;

    /// What other processes on the same database did: a stream that may be empty and may lose.
    fn hints(&self) -> Hints;
}
