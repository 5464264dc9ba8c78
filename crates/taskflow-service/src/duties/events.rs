//! Has the store tell of changes while somebody watches. What it tells goes to `events.rs` by itself.

use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::Timestamp;

use super::Duty;
use crate::error::ServiceError;
use crate::events::{ASK_EVERY, Events};

/// The duty.
pub struct Watcher(Events);

impl Watcher {
    /// For these.
    pub fn new(events: Events) -> Self {
        Self(events)
    }
}

#[async_trait]
impl Duty for Watcher {
    fn name(&self) -> &'static str {
        "events"
    }

    async fn tick(&mut self, _: Timestamp) -> Result<Duration, ServiceError> {
        self.0.keep().await?;
        // Not after the time at which it has to be asked.
        Ok(ASK_EVERY / 2)
    }
}
