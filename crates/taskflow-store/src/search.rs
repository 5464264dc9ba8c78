//! The room of search: sketches of texts are made behind the writes, and a search skips the tasks that
//! they rule out. What a text means is core's `search.rs`; the SQL is in the stores.

use std::collections::VecDeque;

use async_trait::async_trait;
use taskflow_core::TaskId;
use taskflow_core::limits::{SEARCH_BYTES_MAX, SEARCH_EFFORT_MAX};

use crate::StoreError;

/// What one step of sketching did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sketched {
    /// Texts that are in a sketch now: of new tasks, and of edited ones.
    pub texts: u32,
    /// Whether there may be more to do now.
    pub more: bool,
}

/// Search: the sketches by which it is quick. Without them it finds the same.
#[async_trait]
pub trait SearchStore: Send + Sync {
    /// One step for all tenants: puts what was edited into the sketch where the task is, makes one sketch
    /// of the oldest texts that have none when there are at least `least` of them, and removes sketches
    /// of tasks that are all gone, and what lists keep of such tasks. Any number of nodes may call it at once.
    async fn sketch(&self, least: u32) -> Result<Sketched, StoreError>;
}

/// A range of ids, both included.
pub type Range = (i64, i64);

/// What a search does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read the texts of this range.
    Read(Range),
    /// Look at the next sketches below this id, so many at most.
    Look(i64, u32),
    /// Nothing is left.
    End,
}

/// The way of a search through the ids, newest first: past the ranges whose sketches rule it out.
#[derive(Debug)]
pub struct Trail {
    /// What is to be read next, newest first.
    ranges: VecDeque<Range>,
    /// Edited tasks that no sketch knows yet, the newest last.
    edited: Vec<i64>,
    /// Sketches below this id were not looked at; none when there are no more.
    below: Option<i64>,
    chunk: u32,
    /// Ids up to this one are not wanted.
    floor: i64,
    /// Ids above this one are in the ranges, or not wanted.
    top: i64,
    costs: Costs,
    spent: Spent,
}

/// What a store's steps cost, in tenths of a microsecond, as measured: so that a page takes some
/// milliseconds on each.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// A text that a range is read for.
    pub text: u32,
    /// A text whose task was found by an index of its own.
    pub looked_up: u32,
    /// A sketch.
    pub sketch: u32,
    /// A range, whatever is in it.
    pub range: u32,
}

#[derive(Debug, Default)]
struct Spent {
    effort: u64,
    texts: usize,
    bytes: usize,
}

/// How many texts are read at once: many, but as long as it is not known that they are short, or where they
/// are long, few.
const TEXTS_MANY: u32 = 256;
const TEXTS_FEW: u32 = 32;

/// Longer texts than this, in bytes and on average, are long.
const SHORT: usize = 8 * 1024;

/// Few sketches first: most searches end soon.
const CHUNK_FIRST: u32 = 32;
const CHUNK_MAX: u32 = 1_024;

impl Trail {
    /// The way through the ids between `floor` and `before`, both excluded. Sketches know the tasks up to
    /// `known`, but for the `edited` ones.
    pub fn new(costs: Costs, [floor, before]: [i64; 2], known: i64, mut edited: Vec<i64>) -> Self {
        edited.retain(|id| *id > floor && *id < before && *id <= known);
        edited.sort_unstable();
        edited.dedup();
        let mut trail = Self {
            ranges: VecDeque::new(),
            edited,
            below: Some(before.min(known.saturating_add(1))),
            chunk: CHUNK_FIRST,
            floor,
            top: before.saturating_sub(1),
            costs,
            spent: Spent::default(),
        };
        trail.push((known.saturating_add(1), before.saturating_sub(1)));
        trail
    }

    /// The way through all of them, where sketches are of no use.
    pub fn whole(costs: Costs, [floor, before]: [i64; 2]) -> Self {
        let mut trail = Self::new(costs, [floor, before], floor, Vec::new());
        trail.below = None;
        trail
    }

    /// What to do next.
    pub fn step(&mut self) -> Step {
        if let Some(range) = self.ranges.pop_front() {
            self.spent.effort += u64::from(self.costs.range);
            return Step::Read(range);
        }
        match self.below {
            Some(below) if below > self.floor.saturating_add(1) => Step::Look(below, self.chunk),
            _ => Step::End,
        }
    }

    /// What came of a look: how many sketches were looked at, the first id of the oldest one (none when
    /// there are none below), and the ranges of those that may hold what is searched, newest first.
    pub fn looked(&mut self, sketches: u32, oldest: Option<i64>, may: &[Range]) {
        self.spent.effort += u64::from(sketches) * u64::from(self.costs.sketch);
        self.chunk = (self.chunk * 4).min(CHUNK_MAX);
        let down_to = oldest.filter(|_| sketches > 0).unwrap_or(i64::MIN);
        self.below = oldest.filter(|oldest| sketches > 0 && *oldest > self.floor + 1);
        let end = self.below;
        for range in may {
            self.push_edited(range.1.saturating_add(1));
            while self.edited.last().is_some_and(|id| *id >= range.0) {
                self.edited.pop();
            }
            self.push(*range);
        }
        self.push_edited(if end.is_some() { down_to } else { i64::MIN });
    }

    /// The edited tasks from `down_to` on.
    fn push_edited(&mut self, down_to: i64) {
        while let Some(id) = self.edited.pop_if(|id| *id >= down_to) {
            self.push((id, id));
        }
    }

    fn push(&mut self, (low, high): Range) {
        let (low, high) = (low.max(self.floor.saturating_add(1)), high.min(self.top));
        if low > high {
            return;
        }
        self.top = low - 1;
        match self.ranges.back_mut() {
            // One walk for neighbours.
            Some(last) if last.0 == high + 1 => last.0 = low,
            _ => self.ranges.push_back((low, high)),
        }
    }

    /// Counts a text that was read.
    pub fn read(&mut self, bytes: usize, looked_up: bool) {
        let cost = if looked_up { self.costs.looked_up } else { self.costs.text };
        self.spent.effort += u64::from(cost);
        self.spent.texts += 1;
        self.spent.bytes += bytes;
    }

    /// Counts ids that were passed over one by one.
    pub fn passed(&mut self, ids: i64) {
        self.spent.effort += u64::try_from(ids).unwrap_or(0) * u64::from(self.costs.text);
    }

    /// How many texts to read at once: an answer is held in memory.
    pub fn texts(&self) -> u32 {
        let Spent { texts, bytes, .. } = self.spent;
        if texts > 0 && bytes / texts < SHORT { TEXTS_MANY } else { TEXTS_FEW }
    }

    /// Whether the page has to end here.
    pub fn is_spent(&self) -> bool {
        self.spent.effort >= SEARCH_EFFORT_MAX || self.spent.bytes >= SEARCH_BYTES_MAX
    }

    /// Where the next page begins when this one ends before `step`: nothing from this id on is left.
    pub fn rest(&self) -> Option<TaskId> {
        let next = self.ranges.front().map(|range| range.1 + 1);
        next.or(self.below).and_then(TaskId::new)
    }
}

#[cfg(test)]
mod tests;
