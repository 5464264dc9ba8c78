//! Many walks as one: the ids of some lines, each newest first, in one order. How a line is read is the
//! store's business; this says which one to read on, from where and how far.

use std::collections::{BinaryHeap, VecDeque};

/// What all first reads together fetch at most, in ids: so little that a page of a hundred tasks stays a
/// matter of a millisecond, and enough that most pages need no second read.
const FIRST: usize = 1_024;

/// What one read of one line fetches at least and at most, in ids.
const LEAST: usize = 4;
const MOST: usize = 8_192;

/// How much more than the last one a further read of the same line fetches.
const GROWTH: usize = 4;

/// Lines that are merged, as far as they were read.
#[derive(Debug)]
pub struct Merge {
    lines: Vec<Line>,
    /// The next id of each line that has one.
    heads: BinaryHeap<(i64, usize)>,
    /// Lines of which nobody knows the next id.
    dry: Vec<usize>,
}

#[derive(Debug)]
struct Line {
    ids: VecDeque<i64>,
    /// What comes next is below it.
    before: i64,
    /// How much the next read fetches.
    read: usize,
    ended: bool,
}

/// A read that a merge needs to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Which line.
    pub line: usize,
    /// Ids below it, newest first.
    pub before: i64,
    /// As many of them.
    pub limit: u32,
}

impl Merge {
    /// A merge of so many lines below `before`, of which about `wanted` ids are taken.
    pub fn new(lines: usize, before: i64, wanted: usize) -> Self {
        let read = (FIRST / lines.max(1)).min(wanted).max(LEAST);
        let line = || Line { ids: VecDeque::new(), before, read, ended: false };
        let lines: Vec<Line> = (0..lines).map(|_| line()).collect();
        let dry = (0..lines.len()).collect();
        Self { lines, heads: BinaryHeap::new(), dry }
    }

    /// Adds a line that is known to its end, newest first.
    pub fn add(&mut self, ids: Vec<i64>) {
        let line = self.lines.len();
        self.lines.push(Line { ids: ids.into(), before: 0, read: 0, ended: true });
        self.advance(line);
    }

    /// The next id; none when something has to be read first, or all is through.
    pub fn next_id(&mut self) -> Option<i64> {
        if !self.dry.is_empty() {
            return None;
        }
        let (id, line) = self.heads.pop()?;
        self.advance(line);
        Some(id)
    }

    /// What has to be read before there is a next id; nothing when all is through.
    pub fn gaps(&self) -> Vec<Gap> {
        let gap = |line: &usize| {
            let Line { before, read, .. } = self.lines[*line];
            Gap { line: *line, before, limit: u32::try_from(read).unwrap_or(u32::MAX) }
        };
        self.dry.iter().map(gap).collect()
    }

    /// Gives what was read for a gap. Fewer ids than were asked for are the end of the line.
    pub fn give(&mut self, gap: Gap, ids: Vec<i64>) {
        let line = &mut self.lines[gap.line];
        line.ended = ids.len() < gap.limit as usize;
        line.before = ids.last().copied().unwrap_or(gap.before);
        line.read = (line.read * GROWTH).min(MOST);
        line.ids = ids.into();
        self.dry.retain(|dry| *dry != gap.line);
        self.advance(gap.line);
    }

    fn advance(&mut self, at: usize) {
        let line = &mut self.lines[at];
        match line.ids.pop_front() {
            Some(id) => self.heads.push((id, at)),
            None if !line.ended => self.dry.push(at),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
