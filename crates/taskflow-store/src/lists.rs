//! The room of lists: finding the tasks of a filter without reading them, and what both stores know of
//! how to walk one. Pages of whole tasks are in `tasks.rs`; the SQL is in the stores.

use async_trait::async_trait;
use taskflow_core::{
    Kind, PendingReason, Priority, QueueName, Status, TaskId, TenantId, Timestamp,
};

use crate::{Filter, Page, Paged, StoreError};

mod merge;

pub use merge::{Gap, Merge};

/// A task that a filter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The task.
    pub id: TaskId,
    /// Its version.
    pub version: u64,
    /// Its status.
    pub status: Status,
}

/// A task that failed, as far as a look at many errors needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The task.
    pub id: TaskId,
    /// Its version.
    pub version: u64,
    /// Its queue.
    pub queue: QueueName,
    /// Its kind.
    pub kind: Kind,
    /// Attempts that counted.
    pub attempts_used: u32,
    /// Who had it last.
    pub worker: Option<String>,
    /// The beginning of its error, at most `limits::FAILURE_ERROR_CHARS_MAX` characters.
    pub error: Option<String>,
    /// When it failed.
    pub ended_at: Timestamp,
}

/// Lists: which tasks there are, many at once.
#[async_trait]
pub trait ListStore: Send + Sync {
    /// One page as [`crate::TaskStore::list`] gives it, without the tasks themselves.
    async fn find(&self, scope: TenantId, page: Page) -> Result<Paged<Found>, StoreError>;

    /// The failed tasks that are older than `before`, newest first, at most `limits::FIND_MAX`. It reads no
    /// payloads.
    async fn failures(
        &self,
        scope: TenantId,
        before: Option<TaskId>,
        limit: u32,
    ) -> Result<Paged<Failure>, StoreError>;
}

/// The number below 32 under which the indexes of lists keep a task: four times where it stands, and its
/// priority. It stands where its status says; a pending one is `0` when it could run as soon as it was
/// written, `5` when it was scheduled, `6` when it was to be retried later, `7` when it waits for others.
/// The migrations say the same words: an index is only used for the very same expression.
pub const CODE: &str = "(CASE WHEN status <> 0 THEN status WHEN blocked_by > 0 THEN 7 \
     WHEN run_at <= updated_at THEN 0 WHEN retrying THEN 6 ELSE 5 END * 4 + priority)";

const AT_ONCE: u8 = 0;
const SCHEDULED: u8 = 5;
const RETRYING: u8 = 6;
const BLOCKED: u8 = 7;

/// As many entries of two indexes are compared to see which one leads to fewer tasks.
pub const COMPARED: u32 = 500;

/// Up to so many delayed tasks are read by `run_at` and sorted; beyond it all delayed ones are walked.
pub const SORTED_MAX: u32 = 10_000;

/// Over more lanes than this a page looks at the newest tasks one by one first: where so many lanes have
/// tasks of a filter, most pages are full before as many lanes are looked at.
pub const LANES_MANY: usize = 512;

/// At so many ids it looks then: some milliseconds.
pub const NEAR: i64 = 8_192;

/// What of the tasks that were put off a filter wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// Those whose time has come.
    Due,
    /// Those whose time has not come.
    Later,
}

/// Where a walk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// All tasks.
    All,
    /// The lanes that fit, merged.
    Lanes,
    /// The tasks of one tag.
    Tag,
}

/// A range of the index of lists: the tasks of one queue, kind and number. There is one index for every
/// filter, and the kept counts tell which lanes there are: an index for each filter costs every change of
/// every task more than all lists together ever take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The queue of its tasks.
    pub queue: QueueName,
    /// Their kind.
    pub kind: Kind,
    /// Their number, see [`CODE`].
    pub code: i32,
}

impl Lane {
    /// The lanes of a kept count, as far as their numbers are among `codes`.
    pub fn among(
        codes: &[i32],
        (queue, kind): (&QueueName, &Kind),
        (status, priority): (Status, Priority),
    ) -> Vec<Self> {
        let places: &[u8] = match status {
            Status::Pending => &[AT_ONCE, SCHEDULED, RETRYING, BLOCKED],
            status => &[status as u8],
        };
        let numbers = places.iter().map(|place| i32::from(*place) * 4 + priority as i32);
        let lane = |code| Self { queue: queue.clone(), kind: kind.clone(), code };
        numbers.filter(|number| codes.contains(number)).map(lane).collect()
    }
}

/// Which numbers a filter wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    /// Those all of whose tasks fit, as far as the numbers go.
    pub whole: Vec<i32>,
    /// Those of which `off` decides.
    pub some: Vec<i32>,
    /// Which tasks of `some` fit.
    pub off: Option<Off>,
}

impl Codes {
    /// What `filter` wants.
    pub fn of(filter: &Filter) -> Self {
        let waits = filter.status.is_none_or(|status| status == Status::Pending);
        let (whole, some, off): (Vec<u8>, &[u8], _) = match (filter.reason, filter.status) {
            (Some(_), _) if !waits => (Vec::new(), &[], None),
            (Some(PendingReason::Ready), _) => {
                (vec![AT_ONCE], &[SCHEDULED, RETRYING], Some(Off::Due))
            }
            (Some(PendingReason::Scheduled), _) => (Vec::new(), &[SCHEDULED], Some(Off::Later)),
            (Some(PendingReason::Retrying), _) => (Vec::new(), &[RETRYING], Some(Off::Later)),
            (Some(PendingReason::Blocked), _) => (vec![BLOCKED], &[], None),
            (None, Some(Status::Pending)) => {
                (vec![AT_ONCE, SCHEDULED, RETRYING, BLOCKED], &[], None)
            }
            (None, Some(status)) => (vec![status as u8], &[], None),
            (None, None) => ((0..8).collect(), &[], None),
        };
        let priorities: Vec<Priority> = Priority::ALL
            .into_iter()
            .filter(|priority| filter.priority.is_none_or(|wanted| wanted == *priority))
            .collect();
        let with_priorities = |places: &[u8]| {
            let codes = places.iter().flat_map(|place| {
                priorities.iter().map(|priority| i32::from(*place) * 4 + *priority as i32)
            });
            codes.collect()
        };
        Self { whole: with_priorities(&whole), some: with_priorities(some), off }
    }

    /// All of them.
    pub fn all(&self) -> Vec<i32> {
        self.whole.iter().chain(&self.some).copied().collect()
    }
}

impl Source {
    /// Where a walk for `filter` may begin; the first is taken when none is better.
    pub fn of(filter: &Filter) -> Vec<Self> {
        let lanes = filter.status.is_some()
            || filter.priority.is_some()
            || filter.reason.is_some()
            || filter.queue.is_some()
            || filter.kind.is_some();
        let sources = [(Self::Lanes, lanes), (Self::Tag, filter.tag.is_some())];
        let sources: Vec<Self> =
            sources.into_iter().filter(|(_, there)| *there).map(|(source, _)| source).collect();
        if sources.is_empty() { vec![Self::All] } else { sources }
    }
}

#[cfg(test)]
mod tests;
