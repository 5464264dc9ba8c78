//! What happened to tasks in one minute: counters, waiting times and running times, as numbers that can be
//! added up. When and where they are kept is not here.

use crate::attempt::Outcome;
use crate::histogram::{BUCKET_MAX, Histogram};
use crate::status::Status;
use crate::task::State;
use crate::time::Timestamp;

/// A minute: whole minutes since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Minute(pub i32);

const MICROS: i64 = 60_000_000;

impl Minute {
    /// The minute of an instant.
    pub fn of(at: Timestamp) -> Self {
        Self(i32::try_from(at.micros().div_euclid(MICROS)).unwrap_or(i32::MAX))
    }

    /// When it begins.
    pub fn start(self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.0) * MICROS)
    }

    /// So many minutes later.
    pub fn plus(self, minutes: i32) -> Self {
        Self(self.0.saturating_add(minutes))
    }
}

/// One number of a minute, as stores keep it: a counter, or how many lengths a bucket holds. Never
/// renumbered.
pub type Cell = i16;

/// What is counted, in the order of the stored numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    /// Tasks that were created.
    Created,
    /// Attempts that began, by a worker's claim or by hand.
    Started,
    /// Tasks that completed.
    Completed,
    /// Tasks that failed for good.
    Failed,
    /// Attempts that failed, ran out of time or lost their lease, the last of a failed task included.
    AttemptsFailed,
    /// Tasks that will run again: after an attempt that failed, or because an ended task was retried.
    Retried,
    /// Tasks that were cancelled.
    Cancelled,
}

impl Counter {
    /// Every counter, in the order of their stored numbers.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Started,
        Self::Completed,
        Self::Failed,
        Self::AttemptsFailed,
        Self::Retried,
        Self::Cancelled,
    ];

    /// Its cell.
    pub const fn cell(self) -> Cell {
        self as Cell
    }
}

/// Where the buckets of waiting times begin, and those of running times.
const WAITING: Cell = 1000;
const RUNNING: Cell = 2000;

const _: () = assert!(BUCKET_MAX < 1000);

/// The cells that a change of one task adds one to, in the minute of the change.
pub fn cells(was: &State, is: &State) -> impl Iterator<Item = Cell> + use<> {
    let now = is.updated_at;
    let ends = is.last.as_ref().map(|last| last.outcome);
    let ran = was.status == Status::InProgress && is.status != Status::InProgress;
    let begins = was.status == Status::Pending && is.status == Status::InProgress;
    let turned = was.status != is.status;
    let lost = [Outcome::Failed, Outcome::TimedOut, Outcome::LeaseExpired];
    let attempt_failed = ran && was.lease.is_some() && ends.is_some_and(|end| lost.contains(&end));
    let retried =
        turned && is.status == Status::Pending && (attempt_failed || was.status.is_ended());
    let count = |so: bool, counter: Counter| so.then_some(counter.cell());
    let length = |first: Cell, from: Timestamp| {
        let bucket = crate::histogram::bucket(now.micros().saturating_sub(from.micros()));
        first + Cell::try_from(bucket).unwrap_or(0)
    };
    // A person's own work says nothing about how fast workers are.
    let waited = (begins && is.lease.is_some()).then(|| length(WAITING, was.run_at));
    let started = was.started_at.filter(|_| ran && was.lease.is_some());
    [
        count(begins, Counter::Started),
        count(turned && is.status == Status::Completed, Counter::Completed),
        count(turned && is.status == Status::Failed, Counter::Failed),
        count(attempt_failed, Counter::AttemptsFailed),
        count(retried, Counter::Retried),
        count(turned && is.status == Status::Cancelled, Counter::Cancelled),
        waited,
        started.map(|started| length(RUNNING, started)),
    ]
    .into_iter()
    .flatten()
}

/// All that happened in one minute, or in several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    counters: [u64; Counter::ALL.len()],
    /// From `run_at`, or the creation where it was not put off, to the claim.
    pub waiting: Histogram,
    /// From the claim to the attempt's end, whatever the end.
    pub running: Histogram,
}

impl Tally {
    /// How often something happened.
    pub fn of(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    /// Adds `n` to a cell; one that is not known is passed over: a newer program wrote it.
    pub fn add(&mut self, cell: Cell, n: u64) {
        let at = usize::try_from(cell).unwrap_or(usize::MAX);
        let bucket = |first: Cell| u16::try_from(cell - first).unwrap_or(0);
        match cell {
            RUNNING.. => self.running.add(bucket(RUNNING), n),
            WAITING.. => self.waiting.add(bucket(WAITING), n),
            _ => {
                if let Some(counter) = self.counters.get_mut(at) {
                    *counter = counter.saturating_add(n);
                }
            }
        }
    }

    /// Adds everything of another one.
    pub fn merge(&mut self, other: &Self) {
        for (counter, n) in self.counters.iter_mut().zip(other.counters) {
            *counter = counter.saturating_add(n);
        }
        self.waiting.merge(&other.waiting);
        self.running.merge(&other.running);
    }
}
