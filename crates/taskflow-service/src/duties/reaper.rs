//! Ends what ran out of time: leases, timeouts, deadlines, `expires_at`. What that does to a task is
//! `core::step`'s business.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::Timestamp;
use taskflow_core::limits::SWEEP_MAX;
use taskflow_store::Store;

use super::Duty;
use crate::bus::Bus;
use crate::error::ServiceError;

/// A quarter of the second that a lease may stand after its end.
const EVERY: Duration = Duration::from_millis(250);

/// The duty.
pub struct Reaper {
    store: Arc<dyn Store>,
    bus: Arc<Bus>,
}

impl Reaper {
    /// A reaper over `store`.
    pub fn new(store: Arc<dyn Store>, bus: Arc<Bus>) -> Self {
        Self { store, bus }
    }
}

#[async_trait]
impl Duty for Reaper {
    fn name(&self) -> &'static str {
        "reaper"
    }

    async fn tick(&mut self, now: Timestamp) -> Result<Duration, ServiceError> {
        let expired = self.store.expire(now, SWEEP_MAX).await?;
        self.bus.ready(&expired.ready, now);
        let ended = expired.items.iter().filter(|task| task.status.is_ended());
        self.bus.ends.tell(ended.map(|task| task.id));
        for task in &expired.items {
            tracing::info!(
                task.id = task.id.get(),
                task.status = task.status.as_str(),
                attempt.outcome = task.outcome.map(taskflow_core::Outcome::as_str),
                worker.name = task.worker,
                "a task's time ran out"
            );
        }
        // A full sweep means that more may wait.
        Ok(if expired.items.len() < SWEEP_MAX as usize { EVERY } else { Duration::ZERO })
    }
}
