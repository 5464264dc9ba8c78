//! When a failed attempt is tried again: the back-off, its cap and its jitter.
//! Whether it is tried again is decided in `step.rs`.

use crate::fault::Fault;
use crate::limits::{BACKOFF_FACTOR_MAX, BACKOFF_SECONDS_MAX};

/// How the back-off grows from attempt to attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// `base * factor^(n-1)`.
    Exponential,
    /// `base * n`.
    Linear,
    /// `base`.
    Fixed,
}

impl Strategy {
    /// Every strategy, in the order of their stored numbers.
    pub const ALL: [Strategy; 3] = [Self::Exponential, Self::Linear, Self::Fixed];

    /// The public word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::Linear => "linear",
            Self::Fixed => "fixed",
        }
    }
}

/// A task's retry policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// How the back-off grows.
    pub strategy: Strategy,
    /// First back-off in seconds; fractions count.
    pub base_seconds: f64,
    /// Growth per attempt (exponential only).
    pub factor: f64,
    /// No back-off is longer, jitter included, in seconds.
    pub max_seconds: f64,
    /// Part of the back-off that chance takes or adds: 0.2 spreads it over 80 % to 120 %.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            strategy: Strategy::Exponential,
            base_seconds: 1.0,
            factor: 2.0,
            max_seconds: 3600.0,
            jitter: 0.2,
        }
    }
}

impl RetryPolicy {
    /// Every rule that the policy breaks, with pointers below `at`.
    pub fn faults(&self, at: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut check = |ok: bool, field: &str, message: &str| {
            if !ok {
                faults.push(Fault::new(format!("{at}/{field}"), "out-of-range", message));
            }
        };
        let within = |v: f64, max: f64| v.is_finite() && (0.0..=max).contains(&v);
        check(
            within(self.max_seconds, BACKOFF_SECONDS_MAX),
            "max_seconds",
            "must be 0 to 2592000 (thirty days)",
        );
        check(
            within(self.base_seconds, self.max_seconds),
            "base_seconds",
            "must be at least 0 and at most max_seconds",
        );
        check(
            self.factor.is_finite() && (1.0..=BACKOFF_FACTOR_MAX).contains(&self.factor),
            "factor",
            "must be 1 to 100",
        );
        check(within(self.jitter, 1.0), "jitter", "must be 0 to 1");
        faults
    }

    /// Seconds to wait after the `used`-th counted attempt failed. `chance` in 0..1 places it within
    /// the jitter. Never negative, never above `max_seconds`, never NaN, whatever the attempt.
    pub fn backoff_seconds(&self, used: u32, chance: f64) -> f64 {
        let n = used.max(1);
        let plain = match self.strategy {
            Strategy::Exponential => {
                let growth = self.factor.powi(i32::try_from(n - 1).unwrap_or(i32::MAX));
                // Infinite growth of a base of 0 would be NaN, and that the cap instead of 0.
                self.base_seconds * growth.min(f64::MAX)
            }
            Strategy::Linear => self.base_seconds * f64::from(n),
            Strategy::Fixed => self.base_seconds,
        };
        let capped = plain.min(self.max_seconds);
        let spread = 1.0 + self.jitter * (2.0 * chance - 1.0);
        (capped * spread).clamp(0.0, self.max_seconds)
    }
}

/// A number in 0..1 that depends on nothing but the task and the attempt, so that every store and
/// node computes the same back-off. SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
/// number generators", OOPSLA 2014).
pub fn chance(id: i64, attempt: u32) -> f64 {
    let mut z = (id as u64).wrapping_add(u64::from(attempt) << 40);
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}
