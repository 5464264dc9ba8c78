//! What a list asks for. Cursors join here when lists get them.

use taskflow_core::{Priority, Status};

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
    /// How many to pass over, at most `limits::SKIP_MAX`.
    pub skip: u32,
    /// How many to give, at most `limits::PAGE_MAX`.
    pub limit: u32,
}
