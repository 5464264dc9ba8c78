//! The room of changes: what was written, told to whoever watches, after the commit. A store tells nothing
//! while nobody watches, and may always lose something; then it says so where it can. It never waits for a
//! listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::limits::EVENTS_KEPT;
use taskflow_core::{Change, TenantId};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::StoreError;

/// A change, and whose.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub change: Change,
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Changes of one commit, in their order. Commits come in theirs, but for those of a node of PostgreSQL that
    /// cannot hear itself.
    Changes(Arc<[Told]>),
    /// Something changed, and nobody can say what.
    Missed,
}

/// Where changes are heard. One that lags behind by [`BEHIND_MAX`] commits misses some and hears so.
pub type Changes = broadcast::Receiver<Heard>;

/// So many commits are kept for a listener that is busy: some hundred milliseconds of the fastest writers.
pub const BEHIND_MAX: usize = 256;

/// Changes for whoever watches.
#[async_trait]
pub trait ChangeStore: Send + Sync {
    /// Where this store's changes are heard: those of every process on the database, as far as it can tell.
    fn changes(&self) -> Changes;

    /// Tells of changes from now on, for so long after the latest call. What is committed by a call that
    /// begins after this answer is told; what other processes commit just then may be missed.
    async fn watch(&self, time: Duration) -> Result<(), StoreError>;
}

/// A store's end of it: whether anybody watches, and the way to them.
#[derive(Debug)]
pub struct Watch {
    begun: Instant,
    /// Until when, in milliseconds after `begun`.
    until: AtomicU64,
    told: broadcast::Sender<Heard>,
}

impl Default for Watch {
    fn default() -> Self {
        let told = broadcast::Sender::new(BEHIND_MAX);
        Self { begun: Instant::now(), until: AtomicU64::new(0), told }
    }
}

impl Watch {
    /// Where changes are heard.
    pub fn changes(&self) -> Changes {
        self.told.subscribe()
    }

    /// Somebody watches for at least so long.
    pub fn extend(&self, time: Duration) {
        let until = (self.begun.elapsed() + time).as_millis();
        self.until.fetch_max(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether anybody watches: a transaction asks once.
    pub fn is_on(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until > 0 && self.begun.elapsed() < Duration::from_millis(until)
    }

    /// Tells what a commit changed; of more than `limits::EVENTS_KEPT` only that there was much.
    pub fn tell(&self, changes: Vec<Told>) {
        if changes.len() > EVENTS_KEPT {
            self.send(Heard::Missed);
        } else if !changes.is_empty() {
            self.send(Heard::Changes(changes.into()));
        }
    }

    /// Tells that something was missed, when anybody watches.
    pub fn missed(&self) {
        if self.is_on() {
            self.send(Heard::Missed);
        }
    }

    fn send(&self, heard: Heard) {
        // Without a listener there is nobody to tell.
        drop(self.told.send(heard));
    }
}
