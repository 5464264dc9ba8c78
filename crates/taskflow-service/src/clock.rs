//! The only file that reads time or entropy: the system's clock and source of tokens.

use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use rand::Rng;
use taskflow_core::{Clock, LeaseToken, Timestamp};

/// Makes what must not be guessed.
pub trait IdSource: Send + Sync {
    /// Fresh lease tokens.
    fn tokens(&self, n: usize) -> Vec<LeaseToken>;
}

/// Tokens from the thread's cryptographic generator, seeded by the operating system.
#[derive(Debug, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that rolls dice")]
    fn tokens(&self, n: usize) -> Vec<LeaseToken> {
        let mut dice = rand::rng();
        (0..n)
            .map(|_| {
                let mut bytes = [0; 16];
                dice.fill_bytes(&mut bytes);
                LeaseToken::new(bytes)
            })
            .collect()
    }
}

/// The system's wall clock, made to never go back: when it is set back, time runs at half speed until
/// the wall has caught up, so that no lease ends twice and nothing stands still.
#[derive(Debug, Default)]
pub struct SystemClock(Mutex<Option<(i64, Instant)>>);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the time")]
    fn now(&self) -> Timestamp {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        let mut last = self.0.lock();
        let instant = Instant::now();
        let micros = reading(*last, wall, instant);
        *last = Some((micros, instant));
        Timestamp::from_micros(micros)
    }
}

/// The reading that follows `last` when the wall shows `wall` at `instant`, in microseconds.
pub(crate) fn reading(last: Option<(i64, Instant)>, wall: i64, instant: Instant) -> i64 {
    match last {
        Some((then, at)) if wall < then => then + half(instant - at),
        _ => wall,
    }
}

fn half(elapsed: Duration) -> i64 {
    i64::try_from(elapsed.as_micros() / 2).unwrap_or(0)
}
