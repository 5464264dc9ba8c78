//! Removes keys that do not last any more, in small steps. It changes nothing that anybody could see:
//! such a key is as good as gone already.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::Timestamp;
use taskflow_core::limits::IDEMPOTENCY_SWEEP_MAX;
use taskflow_store::Store;

use super::Duty;
use crate::error::ServiceError;

/// How often it looks when there was little to remove: well within what `readiness` takes for stuck.
const EVERY: Duration = Duration::from_secs(2);
/// The pause after a full step, for the others that want to write.
const BREATH: Duration = Duration::from_millis(50);

/// The duty.
pub struct Forgetter {
    store: Arc<dyn Store>,
}

impl Forgetter {
    /// A forgetter over `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Duty for Forgetter {
    fn name(&self) -> &'static str {
        "forgetter"
    }

    async fn tick(&mut self, now: Timestamp) -> Result<Duration, ServiceError> {
        let removed = self.store.forget(now, IDEMPOTENCY_SWEEP_MAX).await?;
        Ok(if removed < IDEMPOTENCY_SWEEP_MAX { EVERY } else { BREATH })
    }
}
