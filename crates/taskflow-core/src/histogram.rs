//! Lengths of time in fixed buckets, so that percentiles of many can be kept in little and added up.
//! It does not know what was measured.
//!
//! Each power of two has eight buckets of one width: a length below 16 µs is exact, and a longer one lies
//! at most 6.25 % (half a bucket of an eighth) beside the middle of its bucket, which is what percentiles
//! answer.

use std::collections::BTreeMap;

/// Buckets of one power of two.
const SPLIT: u64 = 8;

/// Longest length, in microseconds: two to the 50th, some 35 years; longer ones count as this.
const MICROS_MAX: u64 = (1 << 50) - 1;

/// The last bucket.
pub const BUCKET_MAX: u16 = bucket(MICROS_MAX as i64);

/// The bucket of a length in microseconds; negative ones count as 0.
pub const fn bucket(micros: i64) -> u16 {
    let micros = if micros < 0 { 0 } else { micros as u64 };
    let micros = if micros > MICROS_MAX { MICROS_MAX } else { micros };
    if micros < SPLIT {
        return micros as u16;
    }
    // The power of two, and which eighth of it: 8 to 15 are powers 3, each number a bucket.
    let power = micros.ilog2() as u64;
    let eighth = (micros >> (power - 3)) - SPLIT;
    ((power - 2) * SPLIT + eighth) as u16
}

/// The middle of a bucket, in microseconds.
pub fn middle(bucket: u16) -> f64 {
    let bucket = u64::from(bucket.min(BUCKET_MAX));
    if bucket < 2 * SPLIT {
        return bucket as f64;
    }
    let (power, eighth) = (bucket / SPLIT + 2, bucket % SPLIT);
    let width = 1_u64 << (power - 3);
    let first = (SPLIT + eighth) * width;
    // The largest whole number in it is one less than the next bucket's first.
    first as f64 + (width - 1) as f64 / 2.0
}

/// How many lengths each bucket holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram(BTreeMap<u16, u64>);

impl Histogram {
    /// Adds a length in microseconds.
    pub fn record(&mut self, micros: i64) {
        self.add(bucket(micros), 1);
    }

    /// Adds `n` lengths to a bucket.
    pub fn add(&mut self, bucket: u16, n: u64) {
        if n > 0 {
            let held = self.0.entry(bucket.min(BUCKET_MAX)).or_insert(0);
            *held = held.saturating_add(n);
        }
    }

    /// Adds everything of another one.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(bucket, n)| self.add(*bucket, *n));
    }

    /// The buckets that hold anything, with how many they hold, shortest first.
    pub fn buckets(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.0.iter().map(|(bucket, n)| (*bucket, *n))
    }

    /// How many lengths there are.
    pub fn count(&self) -> u64 {
        self.0.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// The length that `share` of all lengths (0 to 1) do not exceed, in microseconds; none without any
    /// lengths. By the nearest rank: the smallest recorded length that is no shorter than that share.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let rank = (share.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0_u64;
        self.0.iter().find_map(|(bucket, n)| {
            seen = seen.saturating_add(*n);
            (seen >= rank).then(|| middle(*bucket))
        })
    }
}
