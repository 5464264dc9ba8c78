//! Instants and the port through which a service asks for them.
//! The real clock is not here (`service/clock.rs`); only RFC 3339 text, arithmetic and a clock for tests.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::limits::INSTANT_MAX_MICROS;

/// Year 1 as the lower end: year 0 exists in ISO 8601 but in no database's text form.
const INSTANT_MIN_MICROS: i64 = -62_135_596_800_000_000;

/// An instant: microseconds since 1970-01-01T00:00:00Z. Arithmetic saturates, it never wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// The text is no RFC 3339 instant between the years 1 and 9998.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an RFC 3339 instant with an offset between the years 1 and 9998, for example 2026-01-31T09:30:00Z"
)]
pub struct BadInstant;

impl Timestamp {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This instant and `seconds` (fractions down to a microsecond) later; saturates at the year 9998.
    pub fn plus_seconds(self, seconds: f64) -> Self {
        // The cast saturates by definition, so no input can wrap.
        let micros = (seconds * 1e6) as i64;
        Self(self.0.saturating_add(micros).min(INSTANT_MAX_MICROS))
    }

    /// Seconds from `earlier` to this instant; negative when it lies before.
    pub fn seconds_since(self, earlier: Timestamp) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }

    /// Parses RFC 3339 (section 5.6) with an offset and at most nine digits of a second, of which six
    /// are kept. A leap second is refused: no clock here can show it.
    pub fn parse(text: &str) -> Result<Self, BadInstant> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() >= 20
            && bytes.len() <= 40
            && bytes[4] == b'-'
            && bytes[7] == b'-'
            && matches!(bytes[10], b'T' | b't' | b' ')
            && bytes[13] == b':'
            && bytes[16] == b':'
            && &bytes[17..19] != b"60"
            && ends_like_rfc3339(&bytes[19..]);
        if !shaped {
            return Err(BadInstant);
        }
        let instant: jiff::Timestamp = text.parse().map_err(|_| BadInstant)?;
        // Downwards, not towards 1970: the last instant of year 0 must not become year 1.
        let micros =
            i64::try_from(instant.as_nanosecond().div_euclid(1000)).map_err(|_| BadInstant)?;
        if !(INSTANT_MIN_MICROS..=INSTANT_MAX_MICROS).contains(&micros) {
            return Err(BadInstant);
        }
        Ok(Self(micros))
    }
}

/// Whether what follows the seconds is an optional fraction and `Z` or `±hh:mm`; the parser behind
/// it knows more of ISO 8601 than RFC 3339 allows (`,5`, `+05`, `+0530`, `+25:59`, `[UTC]`).
fn ends_like_rfc3339(tail: &[u8]) -> bool {
    let fraction = match tail {
        [b'.', rest @ ..] => 1 + rest.iter().take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    matches!(
        &tail[fraction..],
        [b'Z' | b'z']
            | [b'+' | b'-', b'0' | b'1', b'0'..=b'9', b':', _, _]
            | [b'+' | b'-', b'2', b'0'..=b'3', b':', _, _]
    )
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with microseconds and `Z`; what lies outside the years 1 to 9998 shows as
    /// the nearest instant inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.clamp(INSTANT_MIN_MICROS, INSTANT_MAX_MICROS);
        match jiff::Timestamp::from_microsecond(shown) {
            Ok(instant) => write!(f, "{instant:.6}"),
            Err(_) => f.write_str("9998-12-31T23:59:59.999999Z"),
        }
    }
}

/// Who knows the time. Only services and duties hold one; everything below takes `now`.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// A clock that moves when a test says so.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.micros()))
    }

    /// Moves the clock by `seconds`, backwards when negative.
    pub fn advance(&self, seconds: f64) {
        self.0.fetch_add((seconds * 1e6) as i64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
