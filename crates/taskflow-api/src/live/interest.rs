//! What a listener wants to hear of, from a query or from a message. The names and rules are the same; which
//! events fit is core's to say.

use schemars::JsonSchema;
use serde::Deserialize;
use taskflow_core::limits::{EVENT_SORTS_MAX, EVENT_TASKS_MAX};
use taskflow_core::{Fault, Interest, Sort, TaskId};
use taskflow_service::events::EventId;

use crate::extract::query::FromPairs;
use crate::v1::filter::{Broken, Checks, kind, queue, status, tag};
use crate::v1::words::{Status, present};

/// Only events that fit all of these.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "EventFilter")]
pub(super) struct InterestWords {
    /// Only these sorts, with commas between: `task.created`, `task.started`, `task.progress`,
    /// `task.completed`, `task.failed`, `task.retried`, `task.cancelled`, `task.updated`, `task.deleted`,
    /// `queue.changed`, `worker.changed`.
    #[serde(rename = "type", deserialize_with = "present")]
    #[schemars(with = "String")]
    sorts: Option<String>,
    /// Only of these tasks: at most 200 ids with commas between.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String")]
    task: Option<String>,
    /// Only of this queue and its tasks.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String", length(min = 1, max = 100))]
    queue: Option<String>,
    /// Only of tasks of this kind.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String", length(min = 1, max = 100))]
    kind: Option<String>,
    /// Only of tasks that have this status afterwards.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Status")]
    status: Option<String>,
    /// Only of tasks with this tag.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String", length(min = 1, max = 100))]
    tag: Option<String>,
}

impl InterestWords {
    fn take(&mut self, name: &str, value: &str) {
        let place = match name {
            "type" => &mut self.sorts,
            "task" => &mut self.task,
            "queue" => &mut self.queue,
            "kind" => &mut self.kind,
            "status" => &mut self.status,
            "tag" => &mut self.tag,
            _ => return,
        };
        *place = Some(value.to_owned());
    }

    /// The interest, or every rule that is broken; each fault stands at `at` and the name.
    pub(super) fn check(&self, at: &str) -> Result<Interest, Vec<Fault>> {
        let mut checks = Checks::at(at);
        let interest = Interest {
            sorts: checks.part("type", self.sorts.as_deref(), sorts),
            tasks: checks.part("task", self.task.as_deref(), tasks),
            queue: checks.part("queue", self.queue.as_deref(), queue),
            kind: checks.part("kind", self.kind.as_deref(), kind),
            status: checks.part("status", self.status.as_deref(), status),
            tag: checks.part("tag", self.tag.as_deref(), tag),
        };
        if checks.faults.is_empty() { Ok(interest) } else { Err(checks.faults) }
    }
}

fn sorts(text: &str) -> Result<Vec<Sort>, Broken> {
    let rule = "must be sorts of events with commas between, such as task.completed,task.failed";
    let sorts: Option<Vec<Sort>> = text.split(',').map(Sort::parse).collect();
    sorts.filter(|sorts| sorts.len() <= EVENT_SORTS_MAX).ok_or(("unknown-word", rule))
}

fn tasks(text: &str) -> Result<Vec<TaskId>, Broken> {
    const _: () = assert!(EVENT_TASKS_MAX == 200, "the rule says so");
    let rule = "must be at most 200 ids of tasks with commas between, such as 7,12";
    let id = |text: &str| {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| plain).and_then(TaskId::new)
    };
    let ids: Option<Vec<TaskId>> = text.split(',').take(EVENT_TASKS_MAX + 1).map(id).collect();
    let sorted = |mut ids: Vec<TaskId>| {
        ids.sort_unstable();
        ids
    };
    ids.map(sorted).filter(|ids| ids.len() <= EVENT_TASKS_MAX).ok_or(("task-ids", rule))
}

/// An event's id, as it was given.
pub(super) fn event_id(text: &str) -> Result<EventId, Broken> {
    EventId::parse(text).ok_or(("event-id", "must be the id of an event, as it was given"))
}

/// What a stream is asked for.
#[derive(Debug)]
pub(crate) struct Listen {
    pub(crate) interest: Interest,
    pub(super) last: Option<EventId>,
}

/// The parameters of a stream, for its description.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct ListenWords {
    #[serde(flatten)]
    _interest: InterestWords,
    /// Go on after this event; for who cannot send the header `Last-Event-ID`, which comes first.
    #[serde(rename = "last_event_id")]
    #[schemars(with = "String")]
    _last_event_id: Option<String>,
}

impl FromPairs for Listen {
    const NAMES: &'static [&'static str] =
        &["type", "task", "queue", "kind", "status", "tag", "last_event_id"];

    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        let (mut words, mut last, mut faults) = (InterestWords::default(), None, Vec::new());
        for (name, value) in pairs {
            if name == "last_event_id" {
                match event_id(value) {
                    Ok(id) => last = Some(id),
                    Err((code, rule)) => faults.push(Fault::new("?last_event_id", code, rule)),
                }
            }
            words.take(name, value);
        }
        match words.check("?") {
            Ok(interest) if faults.is_empty() => Ok(Self { interest, last }),
            Ok(_) => Err(faults),
            Err(more) => Err([more, faults].concat()),
        }
    }
}
