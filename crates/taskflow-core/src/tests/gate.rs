//! What a queue lets through.

use proptest::prelude::*;

use crate::gate::{Barred, Gate, RateWindow, is_guard_turn};
use crate::name::QueueName;
use crate::queue::{Queue, QueuePatch, RateLimit};
use crate::time::Timestamp;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn gate(patch: &QueuePatch) -> Gate {
    assert!(patch.faults().is_empty());
    let (queue, changed) = Queue::plain(QueueName::default()).patched(patch, at(5));
    assert!(changed);
    Gate::new(queue, RateWindow::default())
}

#[test]
fn a_paused_queue_lets_nothing_through() {
    let gate = gate(&QueuePatch { pause: Some(Some(None)), ..QueuePatch::default() });
    assert_eq!(gate.barred(at(9)), Some(Barred::Paused));
    assert!(gate.queue.is_gated());
    let resume = QueuePatch { pause: Some(None), ..QueuePatch::default() };
    let (queue, _) = gate.queue.patched(&resume, at(9));
    assert_eq!(queue, Queue::plain(QueueName::default()), "nothing is set any more");
}

#[test]
fn a_second_pause_changes_the_reason_and_not_the_beginning() {
    let first = gate(&QueuePatch { pause: Some(Some(None)), ..QueuePatch::default() }).queue;
    let again = QueuePatch { pause: Some(Some(Some("why".into()))), ..QueuePatch::default() };
    let (second, changed) = first.patched(&again, at(99));
    let pause = second.pause.clone().unwrap();
    assert_eq!((pause.since, pause.reason.as_deref(), changed), (at(5), Some("why"), true));
    assert_eq!(second.patched(&again, at(100)), (second.clone(), false));
}

#[test]
fn leases_count_against_the_queue_and_against_their_key() {
    let patch = QueuePatch {
        concurrency_limit: Some(Some(3)),
        concurrency_key_limit: Some(Some(1)),
        ..QueuePatch::default()
    };
    let mut gate = gate(&patch);
    assert_eq!((gate.barred(at(9)), gate.barred_key(Some("a"))), (None, None));
    gate.take(Some("a"), Some(at(9)));
    assert_eq!(gate.barred_key(Some("a")), Some(Barred::KeyFull));
    assert_eq!((gate.barred_key(Some("b")), gate.barred_key(None)), (None, None));
    assert_eq!(gate.full_keys(), ["a"]);
    gate.take(None, Some(at(9)));
    gate.take(None, Some(at(9)));
    assert_eq!(gate.barred(at(9)), Some(Barred::Full));
    gate.give_back(Some("a"));
    assert_eq!((gate.barred(at(9)), gate.barred_key(Some("a"))), (None, None));
}

#[test]
fn a_rate_says_when_the_next_one_may_start() {
    let rate = RateLimit { tasks: 2, per_seconds: 64 };
    let mut gate = gate(&QueuePatch { rate_limit: Some(Some(rate)), ..QueuePatch::default() });
    let second = 1_000_000;
    gate.take(None, Some(at(10 * second)));
    gate.take(None, Some(at(12 * second)));
    let next = at((10 + 1 + 64) * second);
    assert_eq!(gate.barred(at(13 * second)), Some(Barred::Rate(next)));
    assert_eq!(gate.barred(at(next.micros() - 1)), Some(Barred::Rate(next)));
    assert_eq!(gate.barred(next), None);
    // A lease that was there before is no start.
    gate.take(None, None);
    assert_eq!(gate.barred(next), None);
}

#[test]
fn a_span_that_was_shorter_for_a_while_forgets_no_start() {
    let long = RateLimit { tasks: 5, per_seconds: 60 };
    let short = RateLimit { tasks: 1, per_seconds: 1 };
    let mut window = RateWindow::default();
    let second = 1_000_000;
    (0..5).for_each(|_| window.take(long, at(0)));
    window.take(short, at(2 * second));
    assert_eq!(window.room(long, at(3 * second)), 0);
    for n in 0..2_000 {
        window.take(short, at(4 * second + n * second / 50));
    }
    assert!(window.to_text().split(',').count() <= 81);
    assert_eq!(window.room(long, at(50 * second)), 0);
    assert_eq!(window.room(long, at(200 * second)), 5);
}

#[test]
fn whoever_asks_why_hears_every_reason() {
    let patch = QueuePatch {
        concurrency_limit: Some(Some(1)),
        concurrency_key_limit: Some(Some(1)),
        rate_limit: Some(Some(RateLimit { tasks: 1, per_seconds: 64 })),
        pause: Some(Some(None)),
        ..QueuePatch::default()
    };
    let mut gate = gate(&patch);
    assert_eq!(gate.all_barred(Some("a"), at(9)), [Barred::Paused]);
    gate.take(Some("a"), Some(at(9)));
    let next = Barred::Rate(at(65_000_000));
    let all = [Barred::Paused, Barred::Full, Barred::KeyFull, next];
    assert_eq!(gate.all_barred(Some("a"), at(9)), all);
    assert_eq!(gate.all_barred(None, at(9)), [Barred::Paused, Barred::Full, next]);
}

#[test]
fn the_guard_comes_at_every_nth_start() {
    let turns = |guard| (0..8).filter(|n| is_guard_turn(guard, *n)).collect::<Vec<_>>();
    assert!(turns(0).is_empty());
    assert_eq!(turns(1), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(turns(3), [2, 5]);
    assert!(turns(16).is_empty());
}

#[test]
fn settings_out_of_range_are_named() {
    let patch = QueuePatch {
        concurrency_limit: Some(Some(0)),
        concurrency_key_limit: Some(Some(100_001)),
        rate_limit: Some(Some(RateLimit { tasks: 0, per_seconds: 86_401 })),
        starvation_guard: Some(10_001),
        pause: Some(Some(Some("a\nb".into()))),
        ..QueuePatch::default()
    };
    let pointers: Vec<String> = patch.faults().into_iter().map(|f| f.pointer).collect();
    let expected = [
        "/concurrency_limit",
        "/concurrency_key_limit",
        "/rate_limit/tasks",
        "/rate_limit/per_seconds",
        "/starvation_guard",
        "/reason",
    ];
    assert_eq!(pointers, expected);
}

proptest! {
    /// In no span of the limit's length more starts than it says, and a full window opens when it said.
    #[test]
    fn no_span_ever_holds_more_starts_than_the_limit(
        tasks in 1..20_u32,
        per_seconds in 1..100_u32,
        steps in prop::collection::vec(0..3_000_000_i64, 1..300),
    ) {
        let limit = RateLimit { tasks, per_seconds };
        let mut window = RateWindow::default();
        let (mut now, mut starts) = (1_767_225_600_123_457_i64, Vec::new());
        for step in steps {
            now += step;
            if window.room(limit, at(now)) > 0 {
                window.take(limit, at(now));
                starts.push(now);
            } else {
                let next = window.next(limit, at(now));
                prop_assert!(next > at(now));
                prop_assert_eq!(window.room(limit, at(next.micros() - 1)), 0);
                prop_assert!(window.room(limit, next) > 0);
            }
            prop_assert_eq!(&RateWindow::from_text(&window.to_text()), &Some(window.clone()));
            prop_assert!(window.to_text().split(',').count() <= 81);
        }
        let span = i64::from(per_seconds) * 1_000_000;
        for (i, end) in starts.iter().enumerate() {
            let inside = starts[..=i].iter().filter(|start| **start > end - span).count();
            prop_assert!(inside <= tasks as usize);
        }
    }
}
