//! Makes the sketches by which a search is quick, behind the writes and in small steps with long pauses.
//! A search finds the same without them, only slower.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::Timestamp;
use taskflow_core::limits::SEARCH_SKETCH_MIN;
use taskflow_store::Store;
use tokio::time::Instant;

use super::Duty;
use crate::error::ServiceError;

/// How often it looks when there was little to sketch: well within what `readiness` takes for stuck.
const EVERY: Duration = Duration::from_secs(2);

/// After a step it rests so many times as long as the step took: a tenth of one core at most.
const REST_AFTER_A_STEP: u32 = 9;

/// The shortest rest between two steps.
const REST_LEAST: Duration = Duration::from_millis(10);

/// The duty.
pub struct Sketcher {
    store: Arc<dyn Store>,
}

impl Sketcher {
    /// A sketcher over `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Duty for Sketcher {
    fn name(&self) -> &'static str {
        "sketcher"
    }

    async fn tick(&mut self, _now: Timestamp) -> Result<Duration, ServiceError> {
        let begun = Instant::now();
        let sketched = self.store.sketch(SEARCH_SKETCH_MIN).await?;
        match sketched.more {
            true => Ok((begun.elapsed() * REST_AFTER_A_STEP).clamp(REST_LEAST, EVERY)),
            false => Ok(EVERY),
        }
    }
}
