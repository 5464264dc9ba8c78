//! A task: what its producer said, what its state is, and the rules of its free-text fields.
//! How its state changes is in `step.rs`; how it looks on the wire is not here.

use crate::attempt::{Attempt, Outcome};
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

    /// The history entry of the attempt that completed the task, while it is the task's own row.
    pub fn completed_attempt(&self) -> Option<Attempt> {
        self.completed_by_attempt().then(|| Attempt {
            attempt: self.attempt,
            worker: self.worker.clone(),
            started_at: self.started_at.unwrap_or(self.updated_at),
            ended_at: self.ended_at.unwrap_or(self.updated_at),
            outcome: Outcome::Completed,
            error: None,
        })
    }

    /// The whole history of a task of which these attempts are written down, oldest first: at most
    /// `limits::ATTEMPTS_KEPT`, the newest.
    pub fn history(&self, mut written: Vec<Attempt>) -> Vec<Attempt> {
        written.extend(self.completed_attempt());
        let over = written.len().saturating_sub(max::ATTEMPTS_KEPT as usize);
        written.drain(..over);
        written
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
