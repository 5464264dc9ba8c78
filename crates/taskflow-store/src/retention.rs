//! The room of retention: ended tasks go when their time is over. How long they are kept is an
//! argument; nothing here knows where it was configured.

use async_trait::async_trait;
use taskflow_core::{Retention, Timestamp};

use crate::StoreError;

/// What one step of the retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Tasks that are gone, with their history.
    pub deleted: u32,
    /// Whether there may be more that could go now.
    pub more: bool,
}

/// Retention: removing what ended long ago.
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Removes ended tasks of all tenants whose time was over by `now`: `limit` at most, fewer when they
    /// weigh more than `limits::PRUNE_BYTES_MAX`, the oldest end of each queue and status first. The
    /// same as a delete of each: its history goes along, its id is never given again, the counts follow,
    /// and a task that another one waits for stays. A task that somebody holds at the moment is passed
    /// over, so that any number of nodes may call it at once.
    async fn prune(
        &self,
        retention: &Retention,
        now: Timestamp,
        limit: u32,
    ) -> Result<Pruned, StoreError>;
}
