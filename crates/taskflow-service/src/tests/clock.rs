//! The system's clock never goes back; tokens are not guessed and not repeated.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskflow_core::{Clock, LeaseToken};

use crate::clock::{IdSource, SystemClock, SystemIds, reading};

#[test]
fn the_clock_never_goes_back_for_anybody() {
    let clock = Arc::new(SystemClock::default());
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let clock = Arc::clone(&clock);
            std::thread::spawn(move || {
                let mut last = clock.now();
                for _ in 0..20_000 {
                    let now = clock.now();
                    assert!(now >= last);
                    last = now;
                }
            })
        })
        .collect();
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn the_clock_shows_the_time_of_the_wall() {
    let first = Instant::now();
    assert_eq!(reading(None, 5_000_000, first), 5_000_000);
    let later = first + Duration::from_secs(10);
    assert_eq!(reading(Some((5_000_000, first)), 15_000_000, later), 15_000_000);
    // A jump ahead is believed.
    assert_eq!(reading(Some((5_000_000, first)), 999_000_000, later), 999_000_000);
}

#[test]
fn when_the_wall_is_set_back_time_goes_on_at_half_speed_until_it_catches_up() {
    let start = Instant::now();
    let mut last = (100_000_000, start);
    let mut wall = 95_000_000;
    for second in 1..=20 {
        wall += 1_000_000;
        let instant = start + Duration::from_secs(second);
        let now = reading(Some(last), wall, instant);
        let caught_up = wall >= last.0;
        let expected = if caught_up { wall } else { last.0 + 500_000 };
        assert_eq!(now, expected, "after {second} s");
        last = (now, instant);
    }
    assert_eq!(last.0, wall, "it has caught up");
}

#[test]
fn tokens_differ() {
    let mut seen = BTreeSet::new();
    for n in [0, 1, 1000, 1000] {
        let tokens = SystemIds.tokens(n);
        assert_eq!(tokens.len(), n);
        seen.extend(tokens.into_iter().map(LeaseToken::to_wire));
    }
    assert_eq!(seen.len(), 2001);
}
