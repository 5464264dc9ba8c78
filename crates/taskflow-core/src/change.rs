//! What happened: the words in which changes of tasks, queues and workers are told to whoever watches.
//! How they travel, and to whom, is not here; they are hints, and the tasks themselves are the truth.

use crate::name::{Kind, QueueName, WorkerName};
use crate::status::Status;
use crate::task::{Progress, State, TaskId};
use crate::time::Timestamp;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Of a task.
    Task(Box<TaskChange>),
    /// Of a queue: its settings, or its tasks in a way that is told of no task.
    Queue(QueueName),
    /// A worker is new, called from a new process, or is to drain or to work again.
    Worker(WorkerName),
}

/// A change of a task, and as much of the task as filters need.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskChange {
    /// The task.
    pub id: TaskId,
    /// Its queue.
    pub queue: QueueName,
    /// Its kind.
    pub kind: Kind,
    /// Its tags.
    pub tags: Vec<String>,
    /// What happened.
    pub event: TaskEvent,
    /// Its status afterwards; of a deleted one the last.
    pub status: Status,
    /// Claims so far.
    pub attempt: u32,
    /// Holder of the present or latest attempt.
    pub worker: Option<String>,
    /// How far the attempt is.
    pub progress: Option<Progress>,
    /// Its version afterwards.
    pub version: u64,
    /// When.
    pub at: Timestamp,
}

impl TaskChange {
    /// What `event` left of a task at `at`; its tags are not the state's to tell.
    pub fn of(
        id: TaskId,
        lane: (&QueueName, &Kind),
        event: TaskEvent,
        state: &State,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            queue: lane.0.clone(),
            kind: lane.1.clone(),
            tags: Vec::new(),
            event,
            status: state.status,
            attempt: state.attempt,
            worker: state.worker.clone(),
            progress: state.progress.clone(),
            version: state.version,
            at,
        }
    }
}

/// What happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskEvent {
    /// It is new.
    Created,
    /// A worker took it.
    Started,
    /// The running attempt says how far it is.
    Progress,
    /// It completed.
    Completed,
    /// It failed for good.
    Failed,
    /// It waits once more: after an attempt that failed or was given back, or because somebody asked.
    Retried,
    /// It was cancelled.
    Cancelled,
    /// Something else of it changed.
    Updated,
    /// It was deleted by somebody; what retention removes is not told.
    Deleted,
}

impl TaskEvent {
    /// All of them, in the order of a task's life.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Started,
        Self::Progress,
        Self::Completed,
        Self::Failed,
        Self::Retried,
        Self::Cancelled,
        Self::Updated,
        Self::Deleted,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::Progress => "progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::Cancelled => "cancelled",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }

    /// From its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == word)
    }

    /// What happened between two states of one task; nothing when only its lease was extended,
    /// or what the next attempt should know was kept.
    pub fn between(was: &State, is: &State) -> Option<Self> {
        if was.status != is.status {
            return Some(match is.status {
                Status::Pending => Self::Retried,
                Status::InProgress => Self::Started,
                Status::Completed => Self::Completed,
                Status::Failed => Self::Failed,
                Status::Cancelled => Self::Cancelled,
            });
        }
        if was.version != is.version {
            return Some(Self::Updated);
        }
        (was.progress != is.progress).then_some(Self::Progress)
    }
}

/// What sort of change: the word by which it is told and asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sort {
    /// Something happened to a task.
    Task(TaskEvent),
    /// A queue changed.
    Queue,
    /// A worker changed.
    Worker,
}

impl Sort {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TaskEvent::ALL.into_iter().map(Self::Task).chain([Self::Queue, Self::Worker])
    }

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task(TaskEvent::Created) => "task.created",
            Self::Task(TaskEvent::Started) => "task.started",
            Self::Task(TaskEvent::Progress) => "task.progress",
            Self::Task(TaskEvent::Completed) => "task.completed",
            Self::Task(TaskEvent::Failed) => "task.failed",
            Self::Task(TaskEvent::Retried) => "task.retried",
            Self::Task(TaskEvent::Cancelled) => "task.cancelled",
            Self::Task(TaskEvent::Updated) => "task.updated",
            Self::Task(TaskEvent::Deleted) => "task.deleted",
            Self::Queue => "queue.changed",
            Self::Worker => "worker.changed",
        }
    }

    /// From its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::all().find(|sort| sort.as_str() == word)
    }
}

impl Change {
    /// Its sort.
    pub fn sort(&self) -> Sort {
        match self {
            Self::Task(change) => Sort::Task(change.event),
            Self::Queue(_) => Sort::Queue,
            Self::Worker(_) => Sort::Worker,
        }
    }
}

/// Which changes somebody wants to hear of; without a part, all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Only of these sorts.
    pub sorts: Option<Vec<Sort>>,
    /// Only of these tasks, in the order of their ids, at most `limits::EVENT_TASKS_MAX`.
    pub tasks: Option<Vec<TaskId>>,
    /// Only of this queue and its tasks.
    pub queue: Option<QueueName>,
    /// Only of tasks of this kind.
    pub kind: Option<Kind>,
    /// Only of tasks that have this status afterwards.
    pub status: Option<Status>,
    /// Only of tasks with this tag.
    pub tag: Option<String>,
}

impl Interest {
    /// Whether a change is among them. What is asked of a task leaves out queues and workers, what is asked
    /// of a queue leaves out workers.
    pub fn takes(&self, change: &Change) -> bool {
        if self.sorts.as_ref().is_some_and(|sorts| !sorts.contains(&change.sort())) {
            return false;
        }
        let of_tasks = self.tasks.is_some()
            || self.kind.is_some()
            || self.status.is_some()
            || self.tag.is_some();
        match change {
            Change::Task(task) => self.takes_task(task),
            Change::Queue(name) => !of_tasks && self.queue.as_ref().is_none_or(|of| of == name),
            Change::Worker(_) => !of_tasks && self.queue.is_none(),
        }
    }

    fn takes_task(&self, task: &TaskChange) -> bool {
        self.tasks.as_ref().is_none_or(|tasks| tasks.binary_search(&task.id).is_ok())
            && self.queue.as_ref().is_none_or(|queue| *queue == task.queue)
            && self.kind.as_ref().is_none_or(|kind| *kind == task.kind)
            && self.status.is_none_or(|status| status == task.status)
            && self.tag.as_ref().is_none_or(|tag| task.tags.contains(tag))
    }
}
