//! How long ended tasks are kept. It removes nothing.

use taskflow_core::Retention;
use taskflow_core::limits::RETENTION_SECONDS_MAX;
use taskflow_core::retention::{Period, Periods};

use super::fault::Wrong;
use super::reader::Reader;
use super::value::number;

/// Settings of section "Retention".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// `RETENTION_COMPLETED_SECONDS`, `RETENTION_FAILED_SECONDS`, `RETENTION_CANCELLED_SECONDS`.
    pub everywhere: Periods,
}

impl RetentionConfig {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let completed = reader.read("RETENTION_COMPLETED_SECONDS", period);
        let failed = reader.read("RETENTION_FAILED_SECONDS", period);
        let cancelled = reader.read("RETENTION_CANCELLED_SECONDS", period);
        let everywhere = Periods { completed: completed?, failed: failed?, cancelled: cancelled? };
        Some(Self { everywhere })
    }

    /// What the services need to know.
    pub fn retention(&self) -> Retention {
        Retention { everywhere: self.everywhere, ..Retention::default() }
    }
}

/// 0 is for ever: whoever wants no ended tasks at all says 1.
fn period(text: &str) -> Result<Period, Wrong> {
    number(text, &(0..=RETENTION_SECONDS_MAX)).map(|seconds| (seconds > 0).then_some(seconds))
}
