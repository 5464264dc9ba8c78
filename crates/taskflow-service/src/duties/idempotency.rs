//! Removes keys and sessions that do not last any more, in small steps. It changes nothing that anybody
//! could see: they are as good as gone already.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::Timestamp;
use taskflow_core::limits::{IDEMPOTENCY_SWEEP_MAX, SESSIONS_SWEEP_MAX};
use taskflow_store::Store;

use super::Duty;
use crate::error::ServiceError;

/// How often it looks when there was little to remove: well within what `readiness` takes for stuck.
const EVERY: Duration = Duration::from_secs(2);
/// The pause after a full step, for the others that want to write.
const BREATH: Duration = Duration::from_millis(50);
/// Sessions are looked at about once a minute: they last for hours, and a look reads all of them.
const SESSIONS_EVERY: u32 = 30;

/// The duty.
pub struct Forgetter {
    store: Arc<dyn Store>,
    ticks: u32,
}

impl Forgetter {
    /// A forgetter over `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, ticks: 0 }
    }
}

#[async_trait]
impl Duty for Forgetter {
    fn name(&self) -> &'static str {
        "forgetter"
    }

    async fn tick(&mut self, now: Timestamp) -> Result<Duration, ServiceError> {
        let removed = self.store.forget(now, IDEMPOTENCY_SWEEP_MAX).await?;
        if self.ticks.is_multiple_of(SESSIONS_EVERY) {
            let sessions = self.store.forget_sessions(now, SESSIONS_SWEEP_MAX).await?;
            if sessions >= SESSIONS_SWEEP_MAX {
                // The next tick is theirs too.
                return Ok(BREATH);
            }
        }
        self.ticks = self.ticks.wrapping_add(1);
        Ok(if removed < IDEMPOTENCY_SWEEP_MAX { EVERY } else { BREATH })
    }
}
