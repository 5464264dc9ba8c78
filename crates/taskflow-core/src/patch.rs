//! An edit of a task's own fields: what may change, what may only be repeated.
//! What a change of status does is in `step.rs`.

use crate::fault::Fault;
use crate::json::Json;
use crate::retry::RetryPolicy;
use crate::status::{Priority, Status};
use crate::step::{Command, Illegal, Step, hard_end, step};
use crate::task::{State, Task};
use crate::time::Timestamp;

/// Changes to a task's own fields; `None` leaves a field alone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskPatch {
    /// New title.
    pub title: Option<String>,
    /// New description; `Some(None)` clears it.
    pub description: Option<Option<String>>,
    /// New priority.
    pub priority: Option<Priority>,
    /// New payload; `Some(None)` clears it.
    pub payload: Option<Option<Json>>,
    /// New `run_at`; only a pending task takes it.
    pub run_at: Option<Timestamp>,
    /// New `max_attempts`.
    pub max_attempts: Option<u32>,
    /// New retry policy.
    pub retry: Option<RetryPolicy>,
    /// New `timeout_seconds`; `Some(None)` clears it.
    pub timeout_seconds: Option<Option<u32>>,
    /// New `deadline_at`; `Some(None)` clears it.
    pub deadline_at: Option<Option<Timestamp>>,
    /// New `expires_at`; `Some(None)` clears it.
    pub expires_at: Option<Option<Timestamp>>,
    /// New `lease_seconds`.
    pub lease_seconds: Option<u32>,
    /// New tags.
    pub tags: Option<Vec<String>>,
    /// New metadata; `Some(None)` clears it.
    pub metadata: Option<Option<Json>>,
    /// New status, by a person.
    pub status: Option<Status>,
    /// Runs a task that has ended once more; a pending one is left as it is, a running one refused.
    pub rerun: bool,
    /// Fields that never change after creation: they must be what they are.
    pub pinned: Pinned,
}

/// What an edit may repeat but not change.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pinned {
    /// The queue.
    pub queue: Option<String>,
    /// The kind.
    pub kind: Option<String>,
    /// The unique key.
    pub unique_key: Option<Option<String>>,
    /// The concurrency key.
    pub concurrency_key: Option<Option<String>>,
    /// The parents.
    pub depends_on: Option<Vec<i64>>,
}

impl Pinned {
    /// Faults for every field that differs from what `task` has.
    pub fn faults(&self, task: &Task) -> Vec<Fault> {
        let depends_on: Vec<i64> = task.depends_on.iter().map(|id| id.get()).collect();
        [
            ("queue", self.queue.as_deref().is_some_and(|q| q != task.queue.as_str())),
            ("kind", self.kind.as_deref().is_some_and(|k| k != task.kind.as_str())),
            ("unique_key", self.unique_key.as_ref().is_some_and(|k| *k != task.unique_key)),
            (
                "concurrency_key",
                self.concurrency_key.as_ref().is_some_and(|k| *k != task.concurrency_key),
            ),
            ("depends_on", self.depends_on.as_ref().is_some_and(|d| *d != depends_on)),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(field, _)| {
            Fault::new(format!("/{field}"), "immutable", "cannot be changed after creation")
        })
        .collect()
    }
}

impl TaskPatch {
    /// Faults that only the task itself can tell: what is fixed at creation, and fewer attempts than a
    /// live task has used already.
    pub fn faults(&self, task: &Task) -> Vec<Fault> {
        let mut faults = self.pinned.faults(task);
        let used = task.state.attempts_used();
        // A waiting task needs one more; a running one may be at its last.
        let least = used + u32::from(task.state.status == Status::Pending);
        let live = !task.state.status.is_ended();
        if live && used > 0 && self.max_attempts.is_some_and(|attempts| attempts < least) {
            let message = format!("must be at least {least}: {used} attempts are used already");
            faults.push(Fault::new("/max_attempts", "out-of-range", message));
        }
        faults
    }

    /// Writes the fields (not the status) into `task`; whether anything changed.
    /// `run_at` moves a pending task only: elsewhere it says when the task was due.
    pub fn apply(&self, task: &mut Task, now: Timestamp) -> bool {
        let mut changed = false;
        set(&mut task.title, self.title.as_ref(), &mut changed);
        set(&mut task.description, self.description.as_ref(), &mut changed);
        set(&mut task.priority, self.priority.as_ref(), &mut changed);
        set(&mut task.payload, self.payload.as_ref(), &mut changed);
        set(&mut task.terms.max_attempts, self.max_attempts.as_ref(), &mut changed);
        set(&mut task.terms.retry, self.retry.as_ref(), &mut changed);
        set(&mut task.terms.timeout_seconds, self.timeout_seconds.as_ref(), &mut changed);
        set(&mut task.terms.deadline_at, self.deadline_at.as_ref(), &mut changed);
        set(&mut task.terms.expires_at, self.expires_at.as_ref(), &mut changed);
        set(&mut task.terms.lease_seconds, self.lease_seconds.as_ref(), &mut changed);
        set(&mut task.tags, self.tags.as_ref(), &mut changed);
        set(&mut task.metadata, self.metadata.as_ref(), &mut changed);
        if task.state.status == Status::Pending
            && let Some(run_at) = self.run_at
            && run_at != task.state.run_at
        {
            task.state.run_at = run_at.max(now);
            task.state.retrying = false;
            changed = true;
        }
        if changed {
            // A running attempt is bound by its new end too.
            if let (Some(end), Some(lease)) =
                (hard_end(&task.terms, &task.state), &mut task.state.lease)
            {
                lease.until = lease.until.min(end.max(now));
            }
            task.state.updated_at = now;
            task.state.version += 1;
        }
        changed
    }
}

impl TaskPatch {
    /// What this edit makes of `task` at `now`: fields first, then the status. All or nothing.
    pub fn plan(&self, task: &Task, now: Timestamp) -> Result<Plan, Refusal> {
        let faults = self.faults(task);
        if !faults.is_empty() {
            return Err(Refusal::Faults(faults));
        }
        let mut new = task.clone();
        let fields = self.apply(&mut new, now);
        let command = match self.rerun {
            true => Command::Retry,
            false => Command::Move(self.status.unwrap_or(new.state.status)),
        };
        let mut step =
            step(new.id, &new.terms, &new.state, command, now).map_err(Refusal::Illegal)?;
        self.reschedule(task.state.status, &mut step.state, now);
        let revived = task.state.status.is_ended() && !step.state.status.is_ended();
        Ok(Plan { task: new, step, fields, revived })
    }

    /// A task that this edit sends back to waiting waits until the edit's own `run_at`.
    fn reschedule(&self, was: Status, state: &mut State, now: Timestamp) {
        if was != Status::Pending
            && state.status == Status::Pending
            && let Some(run_at) = self.run_at
        {
            state.run_at = run_at.max(now);
        }
    }
}

/// What an edit makes of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The task with its new fields; its state is not yet that of `step`.
    pub task: Task,
    /// The change of status.
    pub step: Step,
    /// Whether any field changed.
    pub fields: bool,
    /// Whether it had ended and lives again, so that its unique key must be free.
    pub revived: bool,
}

/// Why an edit changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// Fields that the task does not take.
    Faults(Vec<Fault>),
    /// A status that it cannot have.
    Illegal(Illegal),
}

fn set<T: Clone + PartialEq>(field: &mut T, new: Option<&T>, changed: &mut bool) {
    if let Some(new) = new
        && new != field
    {
        *field = new.clone();
        *changed = true;
    }
}
