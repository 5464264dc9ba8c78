//! One execution of a task and how it ended: the words of its history.
//! It holds no rule; `step.rs` writes these.

use crate::time::Timestamp;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The worker completed it.
    Completed,
    /// The worker, or a person, said that it failed.
    Failed,
    /// It ran into `timeout_seconds` or `deadline_at`.
    TimedOut,
    /// No heartbeat came before the lease ended.
    LeaseExpired,
    /// It was given back; not counted.
    Released,
    /// The worker asked for it again later; not counted.
    Snoozed,
    /// The task was cancelled while it ran.
    Cancelled,
    /// The worker stopped before it was through; not counted.
    Interrupted,
}

impl Outcome {
    /// Every outcome, in the order of their stored numbers.
    pub const ALL: [Outcome; 8] = [
        Self::Completed,
        Self::Failed,
        Self::TimedOut,
        Self::LeaseExpired,
        Self::Released,
        Self::Snoozed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// The public word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::LeaseExpired => "lease_expired",
            Self::Released => "released",
            Self::Snoozed => "snoozed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// The number that stores keep; never renumbered.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// From a stored number.
    pub fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied())
    }
}

/// A finished attempt of a task's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1 by the claim.
    pub attempt: u32,
    /// Who held it.
    pub worker: Option<String>,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// The error text, when there was one.
    pub error: Option<String>,
}
