//! How an event looks: one JSON object, the same on every way to a listener. What is around it is theirs.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use taskflow_core::{Change, TaskChange};
use taskflow_service::events::{Event, News};

use crate::v1::words::{Instant, Status};

/// An event. It is a hint: the task, queue or worker itself is what counts, and may have gone on.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Event")]
pub(super) struct EventView<'a> {
    /// Its id: events of one node since its start are numbered.
    id: String,
    /// What happened; `resync` says that something was missed, and that what you show should be read anew.
    #[serde(rename = "type")]
    sort: &'static str,
    /// When, as far as a task's change is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Instant>,
    /// The task, in `task.…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskPart<'a>>,
    /// The queue, in `queue.changed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Named<'a>>,
    /// The worker, in `worker.changed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<Named<'a>>,
}

/// As much of a task as an event tells.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EventTask")]
struct TaskPart<'a> {
    /// Its id.
    id: i64,
    /// Its queue.
    queue: &'a str,
    /// Its kind.
    kind: &'a str,
    /// Its status after the event; of a deleted task the last.
    status: Status,
    /// Claims so far.
    attempt: u32,
    /// Its version after the event.
    version: u64,
    /// Its tags.
    tags: &'a [String],
    /// Who holds it, or held it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressPart<'a>>,
}

/// How far a task is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EventProgress")]
struct ProgressPart<'a> {
    /// 0 to 100.
    percent: f64,
    /// One line.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// Something with a name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EventName")]
struct Named<'a> {
    /// Its name.
    name: &'a str,
}

impl<'a> EventView<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        let id = event.id.to_string();
        let view = Self { id, sort: "resync", at: None, task: None, queue: None, worker: None };
        let News::Change(change) = &event.news else { return view };
        let view = Self { sort: change.sort().as_str(), ..view };
        match change {
            Change::Task(task) => {
                Self { at: Some(Instant(task.at)), task: Some(TaskPart::of(task)), ..view }
            }
            Change::Queue(name) => Self { queue: Some(Named { name: name.as_str() }), ..view },
            Change::Worker(name) => Self { worker: Some(Named { name: name.as_str() }), ..view },
        }
    }
}

impl<'a> TaskPart<'a> {
    fn of(task: &'a TaskChange) -> Self {
        let progress = task.progress.as_ref();
        Self {
            id: task.id.get(),
            queue: task.queue.as_str(),
            kind: task.kind.as_str(),
            status: task.status.into(),
            attempt: task.attempt,
            version: task.version,
            tags: &task.tags,
            worker: task.worker.as_deref(),
            progress: progress
                .map(|p| ProgressPart { percent: p.percent, message: p.message.as_deref() }),
        }
    }
}

/// The event as text, made once for all listeners.
pub(super) fn text(event: &Event) -> &Bytes {
    event.rendered.get_or_init(|| {
        // A view is made of words and numbers: nothing of it can fail.
        serde_json::to_vec(&EventView::of(event)).map_or_else(|_| Bytes::new(), Bytes::from)
    })
}

/// The word of an event.
pub(super) fn sort(event: &Event) -> &'static str {
    match &event.news {
        News::Resync => "resync",
        News::Change(change) => change.sort().as_str(),
    }
}
