//! What is done to many tasks at once, and which of them it can do anything to. How it is done to one task
//! is in `patch.rs` and `step.rs`.

use crate::patch::TaskPatch;
use crate::status::Status;

/// One decision about many tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Call them off.
    Cancel,
    /// Run them once more.
    Retry,
    /// Delete them with their history.
    Delete,
}

impl Verdict {
    /// Whether a task of `status` can be changed by it. The others are passed over without being touched.
    pub const fn fits(self, status: Status) -> bool {
        match self {
            Self::Cancel => !status.is_ended(),
            Self::Retry => status.is_ended(),
            Self::Delete => true,
        }
    }

    /// The same as an edit; none for a deletion.
    pub fn patch(self) -> Option<TaskPatch> {
        match self {
            Self::Cancel => {
                Some(TaskPatch { status: Some(Status::Cancelled), ..TaskPatch::default() })
            }
            Self::Retry => Some(TaskPatch { rerun: true, ..TaskPatch::default() }),
            Self::Delete => None,
        }
    }
}
