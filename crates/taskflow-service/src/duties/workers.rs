//! Writes down which workers called, hears who is to drain, and forgets who is gone. Nothing of it is
//! in the way of a claim.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::Timestamp;
use taskflow_core::limits::{WORKER_KEPT_SECONDS, WORKERS_SEEN_MAX};
use taskflow_store::Store;

use super::Duty;
use crate::bus::Bus;
use crate::error::ServiceError;

/// Half of the second within which every node obeys a drain.
const EVERY: Duration = Duration::from_millis(500);
/// Calls are written down at every fourth look: one small commit in two seconds while anybody works.
const WRITE_EVERY: u32 = 4;
/// Once a minute: a day is not counted in seconds.
const FORGET_EVERY: u32 = 120;
/// A drained process that did not call for so long is not asked about any more; one that was asleep
/// for longer is told with its second call.
const DRAINED_SECONDS: f64 = 3600.0;

/// The duty.
pub struct Roster {
    store: Arc<dyn Store>,
    bus: Arc<Bus>,
    looks: u32,
}

impl Roster {
    /// A roster over `store`.
    pub fn new(store: Arc<dyn Store>, bus: Arc<Bus>) -> Self {
        Self { store, bus, looks: 0 }
    }
}

#[async_trait]
impl Duty for Roster {
    fn name(&self) -> &'static str {
        "workers"
    }

    async fn tick(&mut self, now: Timestamp) -> Result<Duration, ServiceError> {
        let roll = &self.bus.roll;
        let said = roll.said();
        let drained = self.store.drained(now.plus_seconds(-DRAINED_SECONDS)).await?;
        roll.learn(drained, said);
        // A database that reads and does not write, on a full disk say, is others' concern.
        if self.looks.is_multiple_of(WRITE_EVERY)
            && let Err(error) = roll.write_down(&*self.store).await
        {
            tracing::warn!(error = %error, "who called is not written down");
        }
        if self.looks.is_multiple_of(FORGET_EVERY) {
            let before = now.plus_seconds(-WORKER_KEPT_SECONDS);
            let limit = u32::try_from(WORKERS_SEEN_MAX).unwrap_or(u32::MAX);
            if let Err(error) = self.store.forget_workers(before, limit).await {
                tracing::warn!(error = %error, "workers that are gone are not forgotten");
            }
        }
        self.looks = self.looks.wrapping_add(1);
        Ok(EVERY)
    }
}
