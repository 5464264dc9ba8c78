//! A task: what its producer said, what its state is, and the rules of its free-text fields.
//! How its state changes is in `step.rs`; how it looks on the wire is not here.

use crate::attempt::Outcome;
use crate::fault::Fault;
use crate::json::Json;
use crate::lease::{LastFinish, Lease};
use crate::limits as max;
use crate::name::{Kind, QueueName};
use crate::retry::RetryPolicy;
use crate::status::{PendingReason, Priority, Status};
use crate::time::Timestamp;

/// Identity of a task: a positive integer, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(i64);

impl TaskId {
    /// From a positive integer.
    pub const fn new(id: i64) -> Option<Self> {
        if id > 0 { Some(Self(id)) } else { None }
    }

    /// The integer.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What the state machine needs to know of a task's own wishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Counted attempts, 1 to 100.
    pub max_attempts: u32,
    /// Back-off between attempts.
    pub retry: RetryPolicy,
    /// Longest attempt, in seconds.
    pub timeout_seconds: Option<u32>,
    /// No attempt goes on beyond it.
    pub deadline_at: Option<Timestamp>,
    /// No attempt starts at or after it.
    pub expires_at: Option<Timestamp>,
    /// Length of a lease, in seconds.
    pub lease_seconds: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            max_attempts: max::MAX_ATTEMPTS_DEFAULT,
            retry: RetryPolicy::default(),
            timeout_seconds: None,
            deadline_at: None,
            expires_at: None,
            lease_seconds: max::LEASE_SECONDS_DEFAULT,
        }
    }
}

/// What a create does when a live task of its queue holds its unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Answer the task that holds the key.
    #[default]
    Return,
    /// Refuse.
    Reject,
    /// Cancel the holder when it is pending and take its place; refuse when it runs.
    Replace,
}

/// A key that at most one live task of a queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueKey {
    /// The key.
    pub key: String,
    /// What a second create does.
    pub on_conflict: OnConflict,
}

/// A task to be inserted. Built by the API from checked input; `run_at` in the past means now.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// 1 to 255 characters.
    pub title: String,
    /// Free text.
    pub description: Option<String>,
    /// Order within the queue.
    pub priority: Priority,
    /// Where it waits.
    pub queue: QueueName,
    /// Which handler runs it.
    pub kind: Kind,
    /// Its input.
    pub payload: Option<Json>,
    /// Not before.
    pub run_at: Timestamp,
    /// What the state machine needs.
    pub terms: Terms,
    /// Labels.
    pub tags: Vec<String>,
    /// A JSON object of labels.
    pub metadata: Option<Json>,
    /// At most one live task per queue holds it.
    pub unique: Option<UniqueKey>,
    /// Groups tasks under one limit.
    pub concurrency_key: Option<String>,
    /// Tasks that must complete first.
    pub depends_on: Vec<TaskId>,
}

impl NewTask {
    /// A task with nothing but a title, due at `run_at`.
    pub fn titled(title: &str, run_at: Timestamp) -> Self {
        Self {
            title: title.to_owned(),
            description: None,
            priority: Priority::default(),
            queue: QueueName::default(),
            kind: Kind::default(),
            payload: None,
            run_at,
            terms: Terms::default(),
            tags: Vec::new(),
            metadata: None,
            unique: None,
            concurrency_key: None,
            depends_on: Vec::new(),
        }
    }
}

/// How far a running attempt says it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// 0 to 100.
    pub percent: f64,
    /// One line.
    pub message: Option<String>,
}

/// The part of a task that the state machine changes.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The status.
    pub status: Status,
    /// Claims so far; never falls.
    pub attempt: u32,
    /// Claims that do not count against `max_attempts` (released, snoozed, before a retry).
    pub uncounted: u32,
    /// Not before.
    pub run_at: Timestamp,
    /// Whether `run_at` is a back-off.
    pub retrying: bool,
    /// Parents that have not completed yet.
    pub blocked_by: u32,
    /// The lease, when a worker holds it.
    pub lease: Option<Lease>,
    /// How the latest attempt ended, until the next claim.
    pub last: Option<LastFinish>,
    /// Holder of the present or latest attempt.
    pub worker: Option<String>,
    /// Start of the present or latest attempt.
    pub started_at: Option<Timestamp>,
    /// When it completed.
    pub completed_at: Option<Timestamp>,
    /// When it completed, failed or was cancelled.
    pub ended_at: Option<Timestamp>,
    /// Result of the completed attempt.
    pub result: Option<Json>,
    /// Latest error.
    pub error_message: Option<String>,
    /// Why it was cancelled.
    pub cancel_reason: Option<String>,
    /// How far the attempt is.
    pub progress: Option<Progress>,
    /// What an attempt left for the next one.
    pub checkpoint: Option<Json>,
    /// Latest change.
    pub updated_at: Timestamp,
    /// Counts changes of the task, heartbeats apart.
    pub version: u64,
}

impl State {
    /// State of a task just born.
    pub fn born(run_at: Timestamp, blocked_by: u32, now: Timestamp) -> Self {
        Self {
            status: Status::Pending,
            attempt: 0,
            uncounted: 0,
            run_at: run_at.max(now),
            retrying: false,
            blocked_by,
            lease: None,
            last: None,
            worker: None,
            started_at: None,
            completed_at: None,
            ended_at: None,
            result: None,
            error_message: None,
            cancel_reason: None,
            progress: None,
            checkpoint: None,
            updated_at: now,
            version: 1,
        }
    }

    /// Why it is pending; none for the other statuses.
    pub fn pending_reason(&self, now: Timestamp) -> Option<PendingReason> {
        if self.status != Status::Pending {
            None
        } else if self.blocked_by > 0 {
            Some(PendingReason::Blocked)
        } else if self.run_at <= now {
            Some(PendingReason::Ready)
        } else if self.retrying {
            Some(PendingReason::Retrying)
        } else {
            Some(PendingReason::Scheduled)
        }
    }

    /// Attempts that count against `max_attempts`.
    pub fn attempts_used(&self) -> u32 {
        self.attempt.saturating_sub(self.uncounted)
    }

    /// Whether the latest attempt is the one that completed the task: its history entry is the task's
    /// own row, until a retry writes it down.
    pub fn completed_by_attempt(&self) -> bool {
        self.status == Status::Completed
            && self.last.as_ref().is_some_and(|l| l.outcome == Outcome::Completed)
    }
}

/// A task as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Identity.
    pub id: TaskId,
    /// 1 to 255 characters.
    pub title: String,
    /// Free text.
    pub description: Option<String>,
    /// Order within the queue.
    pub priority: Priority,
    /// Where it waits.
    pub queue: QueueName,
    /// Which handler runs it.
    pub kind: Kind,
    /// Its input.
    pub payload: Option<Json>,
    /// What the state machine needs.
    pub terms: Terms,
    /// Labels.
    pub tags: Vec<String>,
    /// A JSON object of labels.
    pub metadata: Option<Json>,
    /// At most one live task per queue holds it.
    pub unique_key: Option<String>,
    /// Groups tasks under one limit.
    pub concurrency_key: Option<String>,
    /// Tasks that must complete first.
    pub depends_on: Vec<TaskId>,
    /// Birth.
    pub created_at: Timestamp,
    /// The rest.
    pub state: State,
}

impl Task {
    /// The task that `new` becomes when it is inserted at `now`.
    pub fn born(id: TaskId, new: NewTask, blocked_by: u32, now: Timestamp) -> Self {
        Self {
            id,
            state: State::born(new.run_at, blocked_by, now),
            title: new.title,
            description: new.description,
            priority: new.priority,
            queue: new.queue,
            kind: new.kind,
            payload: new.payload,
            terms: new.terms,
            tags: new.tags,
            metadata: new.metadata,
            unique_key: new.unique.map(|u| u.key),
            concurrency_key: new.concurrency_key,
            depends_on: new.depends_on,
            created_at: now,
        }
    }
}

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
            task.state.updated_at = now;
            task.state.version += 1;
        }
        changed
    }
}

impl TaskPatch {
    /// A task that this edit sends back to waiting waits until the edit's own `run_at`.
    pub fn reschedule(&self, was: Status, state: &mut State, now: Timestamp) {
        if was != Status::Pending
            && state.status == Status::Pending
            && let Some(run_at) = self.run_at
        {
            state.run_at = run_at.max(now);
        }
    }
}

fn set<T: Clone + PartialEq>(field: &mut T, new: Option<&T>, changed: &mut bool) {
    if let Some(new) = new
        && new != field
    {
        *field = new.clone();
        *changed = true;
    }
}

/// Checks a title: 1 to 255 code points, not only white space, no U+0000.
pub fn title_fault(title: &str) -> Option<(&'static str, &'static str)> {
    let chars = title.chars().count();
    if title.contains('\0') {
        Some(("nul", "must not contain the character U+0000"))
    } else if chars > max::TITLE_CHARS_MAX {
        Some(("too-long", "must be at most 255 characters"))
    } else if title.trim().is_empty() {
        Some(("too-short", "must have at least 1 character that is not white space"))
    } else {
        None
    }
}

/// Checks a description: at most 64 KiB, no U+0000.
pub fn description_fault(text: &str) -> Option<(&'static str, &'static str)> {
    if text.contains('\0') {
        Some(("nul", "must not contain the character U+0000"))
    } else if text.len() > max::DESCRIPTION_BYTES_MAX {
        Some(("too-long", "must be at most 65536 bytes"))
    } else {
        None
    }
}

/// Checks a unique or concurrency key: 1 to 255 characters, no control characters.
pub fn key_fault(key: &str) -> Option<(&'static str, &'static str)> {
    let chars = key.chars().count();
    if chars == 0 || chars > max::KEY_CHARS_MAX {
        Some(("length", "must be 1 to 255 characters"))
    } else if key.chars().any(char::is_control) {
        Some(("control-character", "must not contain control characters"))
    } else {
        None
    }
}

/// Checks a tag: 1 to 100 characters, no comma (lists of tags use it), no control characters.
pub fn tag_fault(tag: &str) -> Option<(&'static str, &'static str)> {
    let chars = tag.chars().count();
    if chars == 0 || chars > max::TAG_CHARS_MAX {
        Some(("length", "must be 1 to 100 characters"))
    } else if tag.contains(',') || tag.chars().any(char::is_control) {
        Some(("character", "must not contain commas or control characters"))
    } else {
        None
    }
}

/// A worker's diagnostic text as it is kept: U+0000 becomes U+FFFD, and more than 16 KiB is cut with
/// a mark. Never refused: refusing would leave the task running.
pub fn kept_error(text: &str) -> String {
    let clean = text.replace('\0', "\u{FFFD}");
    if clean.len() <= max::ERROR_BYTES_MAX {
        return clean;
    }
    let mark = "… [cut]";
    let end = clean.floor_char_boundary(max::ERROR_BYTES_MAX - mark.len());
    format!("{}{mark}", &clean[..end])
}
