//! Removes ended tasks when their time is over, in small steps with pauses between them, so that it
//! never has more than a share of the database. How long tasks are kept is its argument,
//! unless their queue says otherwise.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::limits::PRUNE_MAX;
use taskflow_core::{Retention, TenantId, Timestamp};
use taskflow_store::Store;
use tokio::time::Instant;

use super::Duty;
use crate::error::ServiceError;

/// How long it rests when nothing is left: a task outlives its time by about that.
const EVERY: Duration = Duration::from_secs(2);

/// After a step it rests so many times as long as the step took: a quarter of the time is its own.
const REST_AFTER_A_STEP: u32 = 3;

/// The shortest rest between two steps.
const REST_LEAST: Duration = Duration::from_millis(10);

/// After a look that found nothing more it rests so many times as long as the look took: looking takes
/// longer with many queues, and may have 2 % of the time.
const REST_AFTER_A_LOOK: u32 = 50;

/// The duty.
pub struct Janitor {
    store: Arc<dyn Store>,
    retention: Retention,
    /// When it looks again.
    next: Option<Instant>,
}

impl Janitor {
    /// A janitor over `store`.
    pub fn new(store: Arc<dyn Store>, retention: Retention) -> Self {
        Self { store, retention, next: None }
    }
}

#[async_trait]
impl Duty for Janitor {
    fn name(&self) -> &'static str {
        "janitor"
    }

    async fn tick(&mut self, now: Timestamp) -> Result<Duration, ServiceError> {
        let begun = Instant::now();
        if self.next.is_some_and(|next| begun < next) {
            return Ok(EVERY);
        }
        let retention = self.retention.with(&self.store.settings(TenantId::DEFAULT).await?);
        if retention.is_for_ever() {
            return Ok(EVERY);
        }
        let pruned = self.store.prune(&retention, now, PRUNE_MAX).await?;
        if pruned.deleted > 0 {
            tracing::debug!(tasks.deleted = pruned.deleted, "ended tasks were over their time");
        }
        let took = begun.elapsed();
        // Where others hold all that could go there is nothing to hurry for.
        if pruned.more && pruned.deleted > 0 {
            self.next = None;
            return Ok((took * REST_AFTER_A_STEP).clamp(REST_LEAST, EVERY));
        }
        let rest = (took * REST_AFTER_A_LOOK).max(EVERY);
        // A tick may not stay away for longer: whoever watches would take it for stuck.
        self.next = (rest > EVERY).then(|| Instant::now() + rest);
        Ok(EVERY)
    }
}
