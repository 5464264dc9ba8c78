//! What of a row a change of state touches: a claim and a completion, which are nearly all changes there are,
//! write a third of the columns that any change may write. The SQL is in the stores.

use taskflow_core::{State, Status};

/// Which columns have to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A first claim: status (in progress), attempt, lease, worker, version, and one instant that is both
    /// `started_at` and `updated_at`.
    Claimed,
    /// A completion: status (completed), no lease, last finish, result, version, and one instant that is
    /// `updated_at`, `completed_at` and `ended_at`.
    Completed,
    /// All of them.
    Any,
}

impl Shape {
    /// What turns the row of `old` into that of `new`.
    pub fn between(old: &State, new: &State) -> Self {
        if !keeps_the_rest(old, new) {
            return Self::Any;
        }
        let at = Some(new.updated_at);
        match new.status {
            Status::InProgress
                if new.lease.is_some()
                    && new.started_at == at
                    && old.last == new.last
                    && old.result == new.result
                    && old.completed_at == new.completed_at
                    && old.ended_at == new.ended_at =>
            {
                Self::Claimed
            }
            Status::Completed
                if new.lease.is_none()
                    && new.last.is_some()
                    && new.completed_at == at
                    && new.ended_at == at
                    && old.attempt == new.attempt
                    && old.worker == new.worker
                    && old.started_at == new.started_at =>
            {
                Self::Completed
            }
            _ => Self::Any,
        }
    }
}

/// Whether nothing changed that neither a claim nor a completion writes.
fn keeps_the_rest(old: &State, new: &State) -> bool {
    // Every field by name: a new one has to be thought of here.
    let State {
        status: _,
        attempt: _,
        uncounted,
        run_at,
        retrying,
        blocked_by,
        lease: _,
        last: _,
        worker: _,
        started_at: _,
        completed_at: _,
        ended_at: _,
        result: _,
        error_message,
        cancel_reason,
        progress,
        checkpoint,
        updated_at: _,
        version: _,
    } = old;
    *uncounted == new.uncounted
        && *run_at == new.run_at
        && *retrying == new.retrying
        && *blocked_by == new.blocked_by
        && *error_message == new.error_message
        && *cancel_reason == new.cancel_reason
        && *progress == new.progress
        && *checkpoint == new.checkpoint
}

#[cfg(test)]
mod tests;
