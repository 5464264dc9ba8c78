//! Back-off, its cap, its jitter and the chance that places it.

use proptest::prelude::*;

use crate::limits::{BACKOFF_FACTOR_MAX, BACKOFF_SECONDS_MAX};
use crate::retry::{RetryPolicy, Strategy as Growth, chance};

/// Every policy that `faults` lets through, the corners more often than chance would.
pub(super) fn policies() -> impl Strategy<Value = RetryPolicy> {
    let cap = prop_oneof![Just(0.0), Just(BACKOFF_SECONDS_MAX), 0.0..=BACKOFF_SECONDS_MAX];
    let part = prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0];
    let factor = prop_oneof![Just(1.0), Just(BACKOFF_FACTOR_MAX), 1.0..=BACKOFF_FACTOR_MAX];
    let growth = proptest::sample::select(Growth::ALL.to_vec());
    (growth, cap, part.clone(), factor, part).prop_map(|(strategy, max, part, factor, jitter)| {
        RetryPolicy { strategy, base_seconds: max * part, factor, max_seconds: max, jitter }
    })
}

fn attempts() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..=100, Just(u32::MAX), Just(i32::MAX as u32), any::<u32>()]
}

fn without_jitter(strategy: Growth) -> RetryPolicy {
    RetryPolicy { strategy, base_seconds: 3.0, jitter: 0.0, ..RetryPolicy::default() }
}

#[test]
fn strategies_keep_their_words_and_order() {
    assert_eq!(Growth::ALL.map(Growth::as_str), ["exponential", "linear", "fixed"]);
}

#[test]
fn the_default_policy_is_the_documented_one() {
    let policy = RetryPolicy::default();
    assert_eq!(policy.strategy, Growth::Exponential);
    assert_eq!(
        [policy.base_seconds, policy.factor, policy.max_seconds, policy.jitter],
        [1.0, 2.0, 3600.0, 0.2]
    );
    assert!(policy.faults("/retry").is_empty());
}

#[test]
fn each_strategy_grows_as_it_says_up_to_the_cap() {
    let waits =
        |strategy| [1, 2, 3, 4, 12, 5000].map(|n| without_jitter(strategy).backoff_seconds(n, 0.5));
    assert_eq!(waits(Growth::Exponential), [3.0, 6.0, 12.0, 24.0, 3600.0, 3600.0]);
    assert_eq!(waits(Growth::Linear), [3.0, 6.0, 9.0, 12.0, 36.0, 3600.0]);
    assert_eq!(waits(Growth::Fixed), [3.0; 6]);
}

#[test]
fn an_attempt_number_of_zero_waits_like_the_first() {
    for strategy in Growth::ALL {
        let policy = without_jitter(strategy);
        assert_eq!(policy.backoff_seconds(0, 0.5), policy.backoff_seconds(1, 0.5));
    }
}

#[test]
fn a_base_of_zero_never_waits_however_often_it_failed() {
    for strategy in Growth::ALL {
        let policy = RetryPolicy { strategy, base_seconds: 0.0, ..RetryPolicy::default() };
        for used in [1, 100, 1025, 5000, u32::MAX] {
            assert_eq!(policy.backoff_seconds(used, 0.9), 0.0, "{strategy:?} after {used}");
        }
    }
}

#[test]
fn jitter_spreads_to_both_sides_of_the_plain_wait() {
    let policy = RetryPolicy { base_seconds: 10.0, ..RetryPolicy::default() };
    assert_eq!(policy.backoff_seconds(1, 0.0), 8.0);
    assert_eq!(policy.backoff_seconds(1, 0.5), 10.0);
    let most = policy.backoff_seconds(1, 1.0 - f64::EPSILON);
    assert!((11.99..=12.0).contains(&most), "{most}");
    let full = RetryPolicy { jitter: 1.0, ..policy };
    assert_eq!(full.backoff_seconds(1, 0.0), 0.0);
}

#[test]
fn a_policy_names_every_rule_that_it_breaks() {
    let bad = RetryPolicy {
        strategy: Growth::Fixed,
        base_seconds: -1.0,
        factor: 0.5,
        max_seconds: BACKOFF_SECONDS_MAX + 1.0,
        jitter: 1.5,
    };
    let faults = bad.faults("/retry");
    let pointers: Vec<_> = faults.iter().map(|f| f.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/retry/max_seconds", "/retry/base_seconds", "/retry/factor", "/retry/jitter"]
    );
    assert!(faults.iter().all(|f| f.code == "out-of-range"));
}

#[test]
fn each_field_of_a_policy_has_its_bounds() {
    let good = RetryPolicy::default();
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1];
    for value in odd.into_iter().chain([3600.1]) {
        let at_fault = RetryPolicy { base_seconds: value, ..good }.faults("");
        assert_eq!(at_fault.len(), 1, "base_seconds {value}");
        assert_eq!(at_fault[0].pointer, "/base_seconds");
    }
    for value in odd.into_iter().chain([0.99, 100.1]) {
        assert_eq!(RetryPolicy { factor: value, ..good }.faults("").len(), 1, "factor {value}");
    }
    for value in odd.into_iter().chain([1.01]) {
        assert_eq!(RetryPolicy { jitter: value, ..good }.faults("").len(), 1, "jitter {value}");
    }
    for value in odd.into_iter().chain([2_592_000.1]) {
        let policy = RetryPolicy { base_seconds: 0.0, max_seconds: value, ..good };
        assert!(!policy.faults("").is_empty(), "max_seconds {value}");
    }
    let nothing =
        RetryPolicy { base_seconds: 0.0, max_seconds: 0.0, jitter: 0.0, factor: 1.0, ..good };
    assert!(nothing.faults("").is_empty());
}

/// Every node must compute the same back-off, the next release too.
#[test]
fn chance_is_pinned() {
    let pinned = [chance(1, 1), chance(1, 2), chance(2, 1), chance(i64::MAX, 100)];
    assert_eq!(
        pinned,
        [0.4273225344666286, 0.4533052468619725, 0.15843946222824845, 0.8169473490805247]
    );
}

#[test]
fn chance_spreads_tasks_that_failed_together() {
    let mut tenths = [0u32; 10];
    for id in 1..=10_000 {
        tenths[(chance(id, 1) * 10.0) as usize] += 1;
    }
    assert!(tenths.iter().all(|n| (850..=1150).contains(n)), "{tenths:?}");
}

proptest! {
    #[test]
    fn a_back_off_stays_within_its_bounds(
        policy in policies(),
        used in attempts(),
        chance in 0.0..1.0f64,
    ) {
        prop_assert!(policy.faults("").is_empty());
        let wait = policy.backoff_seconds(used, chance);
        prop_assert!(!wait.is_nan());
        prop_assert!((0.0..=policy.max_seconds).contains(&wait), "{wait}");
        let plain = RetryPolicy { jitter: 0.0, ..policy }.backoff_seconds(used, chance);
        let (least, most) = (plain * (1.0 - policy.jitter), plain * (1.0 + policy.jitter));
        let slack = 1e-9 * plain;
        prop_assert!(least - slack <= wait && wait <= most + slack, "{least} {wait} {most}");
    }

    #[test]
    fn without_jitter_a_later_attempt_never_waits_less(policy in policies(), used in 1..u32::MAX) {
        let policy = RetryPolicy { jitter: 0.0, ..policy };
        prop_assert!(policy.backoff_seconds(used, 0.5) <= policy.backoff_seconds(used + 1, 0.5));
    }

    #[test]
    fn chance_lies_in_zero_to_one(id in any::<i64>(), attempt in any::<u32>()) {
        let chance = chance(id, attempt);
        prop_assert!((0.0..1.0).contains(&chance), "{chance}");
    }
}
