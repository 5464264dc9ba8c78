//! Wakes claimers when a scheduled or retrying task comes due. It changes nothing: a task that is due
//! can be claimed whether the herald spoke or not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::Timestamp;
use taskflow_store::Store;

use super::Duty;
use crate::bus::Bus;
use crate::error::ServiceError;

/// It looks at least this often, for tasks whose wake-up was lost.
const AT_LEAST: Duration = Duration::from_secs(1);

/// The duty.
pub struct Herald {
    store: Arc<dyn Store>,
    bus: Arc<Bus>,
    /// What came due until then is told.
    told: Option<Timestamp>,
}

impl Herald {
    /// A herald over `store`.
    pub fn new(store: Arc<dyn Store>, bus: Arc<Bus>) -> Self {
        Self { store, bus, told: None }
    }
}

#[async_trait]
impl Duty for Herald {
    fn name(&self) -> &'static str {
        "herald"
    }

    async fn tick(&mut self, now: Timestamp) -> Result<Duration, ServiceError> {
        let mut from = self.told.unwrap_or(now.plus_seconds(-1.0));
        // Take it first: what is expected while the store looks is heard afterwards. It may lie before
        // what is told: its commit came after that look.
        if let Some(expected) = self.bus.take_due(now) {
            from = from.min(Timestamp::from_micros(expected.micros() - 1));
        }
        // So that a look that fails is made up for.
        self.told = Some(from);
        let due = self.store.due(from, now).await?;
        self.told = Some(now);
        self.bus.ready(&due.ready, now);
        for next in [due.next, self.bus.wake_later(now)].into_iter().flatten() {
            self.bus.note_due(next);
        }
        let pause = self.bus.next_due().map_or(AT_LEAST, |next| {
            // A millisecond late rather than early: an early look finds nothing.
            Duration::from_secs_f64(next.seconds_since(now).clamp(0.0, 1.0))
                + Duration::from_millis(1)
        });
        Ok(pause.min(AT_LEAST))
    }

    async fn woken(&mut self) {
        self.bus.sooner().await;
    }
}
