//! An open load: when each request of a wanted rate is due, whoever sends it. It sends nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A request that starts so late counts from when it was due: then the server has kept it waiting. Less is
/// the timer, which goes by milliseconds.
const LATE: Duration = Duration::from_millis(2);

/// Hands out the instants at which requests are due, evenly apart.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    /// Nanoseconds between two requests.
    gap: u64,
    next: AtomicU64,
}

impl Pace {
    /// `rate` tasks a second, `units` of them in a request, from `start` on.
    pub(super) fn new(rate: u32, units: u32, start: Instant) -> Self {
        let gap = 1_000_000_000 * u64::from(units) / u64::from(rate.max(1));
        Self { start, gap, next: AtomicU64::new(0) }
    }

    /// Takes the next instant and waits for it, `until` at the longest.
    pub(super) async fn wait(&self, until: Instant) -> Instant {
        let due = self.take();
        if due > Instant::now() {
            tokio::time::sleep_until(due.min(until)).await;
        }
        due
    }

    fn take(&self) -> Instant {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.start + Duration::from_nanos(self.gap.saturating_mul(number))
    }

    /// From when on a request counts that was due then and is sent now.
    pub(super) fn began(due: Instant, now: Instant) -> Instant {
        if now.saturating_duration_since(due) > LATE { due } else { now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_evenly_apart_whoever_takes_them() {
        let start = Instant::now();
        let pace = Pace::new(20_000, 100, start);
        let due: Vec<_> = (0..4).map(|_| pace.take() - start).collect();
        assert_eq!(due, [0, 5, 10, 15].map(Duration::from_millis));
    }

    #[test]
    fn a_request_that_was_kept_waiting_counts_from_when_it_was_due() {
        let due = Instant::now();
        let after = |millis| due + Duration::from_millis(millis);
        for (now, began) in [(0, 0), (2, 2), (3, 0), (500, 0)] {
            assert_eq!(Pace::began(due, after(now)), after(began), "sent after {now} ms");
        }
    }

    #[tokio::test]
    async fn nobody_waits_past_the_end() {
        let start = Instant::now();
        let pace = Pace::new(1, 1, start);
        let until = start + Duration::from_millis(20);
        pace.wait(until).await;
        pace.wait(until).await;
        assert!((until..start + Duration::from_millis(900)).contains(&Instant::now()));
    }
}
