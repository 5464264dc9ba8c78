//! What a list asks for.

use taskflow_core::{Priority, Status, TaskId};

/// Which tasks; an empty filter takes all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only this status.
    pub status: Option<Status>,
    /// Only this priority.
    pub priority: Option<Priority>,
}

/// One page, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Which tasks.
    pub filter: Filter,
    /// Only tasks that are older than this one, which need not be there any more: where the last page
    /// ended. Unlike `skip` it costs nothing however deep it is, and new tasks do not shift it.
    pub before: Option<TaskId>,
    /// How many to pass over, at most `limits::SKIP_MAX`.
    pub skip: u32,
    /// How many to give, at most `limits::PAGE_MAX`.
    pub limit: u32,
}
