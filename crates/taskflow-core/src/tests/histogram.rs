//! Buckets hold every length once, in order, and a percentile is as near as was said.

use proptest::prelude::*;

use crate::histogram::{BUCKET_MAX, Histogram, bucket, middle};

/// Half the width of a bucket of an eighth.
const ERROR: f64 = 0.0625;

#[test]
fn short_lengths_are_exact_and_negative_ones_are_none() {
    for micros in 0..16 {
        assert_eq!(middle(bucket(micros)), micros as f64);
    }
    assert_eq!((bucket(-1), bucket(i64::MIN)), (0, 0));
    assert_eq!((bucket(i64::MAX), bucket(1 << 50)), (BUCKET_MAX, BUCKET_MAX));
}

#[test]
fn buckets_follow_each_other_without_a_gap() {
    let mut last = 0;
    for micros in 0..200_000 {
        let this = bucket(micros);
        assert!(this == last || this == last + 1, "{micros}: {last} then {this}");
        last = this;
    }
    for power in 4..50 {
        let first = 1_i64 << power;
        assert_eq!(bucket(first), bucket(first - 1) + 1, "at two to the {power}");
    }
}

#[test]
fn percentiles_of_a_few_lengths_are_those_lengths() {
    let mut histogram = Histogram::default();
    assert_eq!(histogram.percentile(0.5), None);
    (1..=10).for_each(|micros| histogram.record(micros));
    let table =
        [(0.0, 1.0), (0.1, 1.0), (0.11, 2.0), (0.5, 5.0), (0.9, 9.0), (0.99, 10.0), (1.0, 10.0)];
    for (share, wanted) in table {
        assert_eq!(histogram.percentile(share), Some(wanted), "{share}");
    }
}

proptest! {
    #[test]
    fn the_middle_of_a_bucket_is_within_the_error_of_every_length_in_it(micros in 1_i64..1 << 50) {
        let middle = middle(bucket(micros));
        prop_assert!((middle - micros as f64).abs() <= ERROR * micros as f64, "{middle}");
        prop_assert_eq!(bucket(middle as i64), bucket(micros));
    }

    #[test]
    fn a_longer_length_is_never_in_an_earlier_bucket(a in 0_i64..1 << 52, b in 0_i64..1 << 52) {
        prop_assert!(bucket(a.min(b)) <= bucket(a.max(b)));
    }

    #[test]
    fn a_percentile_is_within_the_error_of_the_exact_one(
        mut lengths in prop::collection::vec(1_i64..10_000_000_000, 1..200),
        share in 0.0..=1.0_f64,
    ) {
        let mut histogram = Histogram::default();
        lengths.iter().for_each(|length| histogram.record(*length));
        lengths.sort_unstable();
        let rank = (share * lengths.len() as f64).ceil().max(1.0) as usize;
        let exact = lengths[rank - 1] as f64;
        let told = histogram.percentile(share).unwrap();
        prop_assert!((told - exact).abs() <= ERROR * exact, "{told} for {exact}");
    }

    #[test]
    fn merging_is_recording_everything_in_one(
        a in prop::collection::vec(0_i64..1 << 40, 0..50),
        b in prop::collection::vec(0_i64..1 << 40, 0..50),
    ) {
        let of = |lengths: &[i64]| {
            let mut histogram = Histogram::default();
            lengths.iter().for_each(|length| histogram.record(*length));
            histogram
        };
        let mut merged = of(&a);
        merged.merge(&of(&b));
        prop_assert_eq!(merged.count(), (a.len() + b.len()) as u64);
        prop_assert_eq!(merged, of(&[a, b].concat()));
    }
}
