//! What a list asks for. How a store finds it is in `lists.rs` and in the stores.

use taskflow_core::search::Search;
use taskflow_core::{Kind, PendingReason, Priority, QueueName, Status, Task, TaskId, Timestamp};

/// Which tasks: those that every part which is given takes. An empty filter takes all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only this status.
    pub status: Option<Status>,
    /// Only this priority.
    pub priority: Option<Priority>,
    /// Only of this queue.
    pub queue: Option<QueueName>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only with this tag, letter by letter.
    pub tag: Option<String>,
    /// Only pending tasks that wait for this reason.
    pub reason: Option<PendingReason>,
    /// Only tasks that were created after this instant.
    pub created_after: Option<Timestamp>,
    /// Only with this in the title or in the description.
    pub search: Option<Search>,
}

impl Filter {
    /// Whether it takes `task` as it is at `now`.
    pub fn takes(&self, task: &Task, now: Timestamp) -> bool {
        let state = &task.state;
        self.status.is_none_or(|status| status == state.status)
            && self.priority.is_none_or(|priority| priority == task.priority)
            && self.queue.as_ref().is_none_or(|queue| *queue == task.queue)
            && self.kind.as_ref().is_none_or(|kind| *kind == task.kind)
            && self.tag.as_ref().is_none_or(|tag| task.tags.contains(tag))
            && self.reason.is_none_or(|reason| state.pending_reason(now) == Some(reason))
            && self.created_after.is_none_or(|after| task.created_at > after)
            && self
                .search
                .as_ref()
                .is_none_or(|search| search.finds(&task.title, task.description.as_deref()))
    }
}

/// One page, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Which tasks.
    pub filter: Filter,
    /// Only tasks that are older than this one, which need not be there any more: where the last page
    /// ended. Unlike `skip` it costs nothing however deep it is, and new tasks do not shift it.
    pub before: Option<TaskId>,
    /// How many to pass over, at most `limits::SKIP_MAX`; none in a search.
    pub skip: u32,
    /// How many to give, at most `limits::PAGE_MAX`; of [`crate::ListStore::find`] `limits::FIND_MAX`.
    pub limit: u32,
    /// The instant for which `filter.reason` is meant.
    pub now: Timestamp,
}

/// What a page holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paged<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Where the next page begins; None when nothing more can follow. A search may end before its page is
    /// full, even with nothing found, and go on here.
    pub rest: Option<TaskId>,
}

impl<T> Paged<T> {
    /// A page of `limit` that was filled as far as there was something.
    pub fn full(items: Vec<T>, limit: u32, id: impl Fn(&T) -> TaskId) -> Self {
        let full = items.len() >= limit as usize;
        let rest = items.last().map(id).filter(|_| full);
        Self { items, rest }
    }

    /// The same page of something else.
    pub fn map<U>(self, to: impl FnMut(T) -> U) -> Paged<U> {
        Paged { items: self.items.into_iter().map(to).collect(), rest: self.rest }
    }
}
