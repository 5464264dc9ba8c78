//! Which tasks: the filter of lists and of what is done to many tasks, from a query or from JSON. The names
//! and rules are the same. What is done with it is in `tasks.rs` and `many.rs`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use taskflow_core as core;
use taskflow_core::search::Search;
use taskflow_core::{Fault, Kind, QueueName, Timestamp, text};
use taskflow_service::words::Filter;

use super::words::{Instant, PendingReason, Priority, Status, present};

/// Only tasks that fit all of these.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "TaskFilter")]
pub(crate) struct FilterWords {
    /// Only this status.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Status")]
    status: Option<String>,
    /// Only this priority.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Priority")]
    priority: Option<String>,
    /// Only of this queue.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String", length(min = 1, max = 100))]
    queue: Option<String>,
    /// Only of this kind.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String", length(min = 1, max = 100))]
    kind: Option<String>,
    /// Only with this tag.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String", length(min = 1, max = 100))]
    tag: Option<String>,
    /// Only pending tasks that wait for this reason.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "PendingReason")]
    pending_reason: Option<String>,
    /// Only tasks that were created after this instant.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Instant")]
    created_after: Option<String>,
    /// Only with all of these words and "quoted phrases" somewhere in the title or in the description,
    /// whatever the letters' case. A page may then hold fewer tasks than `limit`, even none, and yet
    /// have a next one.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String", length(min = 1, max = 200))]
    q: Option<String>,
}

impl FilterWords {
    /// The names of its parts.
    pub(crate) const NAMES: [&'static str; 8] =
        ["status", "priority", "queue", "kind", "tag", "pending_reason", "created_after", "q"];

    /// Takes a query's parameter when it is one of its own.
    pub(crate) fn take(&mut self, name: &str, value: &str) {
        let place = match name {
            "status" => &mut self.status,
            "priority" => &mut self.priority,
            "queue" => &mut self.queue,
            "kind" => &mut self.kind,
            "tag" => &mut self.tag,
            "pending_reason" => &mut self.pending_reason,
            "created_after" => &mut self.created_after,
            "q" => &mut self.q,
            _ => return,
        };
        *place = Some(value.to_owned());
    }

    /// What was said for a part of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        self.parts()[at].as_deref()
    }

    fn parts(&self) -> [&Option<String>; 8] {
        let Self { status, priority, queue, kind, tag, pending_reason, created_after, q } = self;
        [status, priority, queue, kind, tag, pending_reason, created_after, q]
    }

    /// Whether it takes all tasks.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts().into_iter().all(Option::is_none)
    }

    /// The same as parameters of a query, each with an `&` before it.
    pub(crate) fn query(&self) -> String {
        let given = Self::NAMES.into_iter().zip(self.parts());
        let given = given.filter_map(|(name, value)| Some((name, value.as_deref()?)));
        given
            .map(|(name, value)| format!("&{name}={}", utf8_percent_encode(value, ENCODED)))
            .collect()
    }

    /// The filter, or every rule that is broken; each fault stands at `at` and the name.
    pub(crate) fn check(&self, at: &str) -> Result<Filter, Vec<Fault>> {
        let mut checks = Checks::at(at);
        let filter = Filter {
            status: checks.part("status", self.status.as_deref(), status),
            priority: checks.part("priority", self.priority.as_deref(), priority),
            queue: checks.part("queue", self.queue.as_deref(), queue),
            kind: checks.part("kind", self.kind.as_deref(), kind),
            tag: checks.part("tag", self.tag.as_deref(), tag),
            reason: checks.part("pending_reason", self.pending_reason.as_deref(), reason),
            created_after: checks.part("created_after", self.created_after.as_deref(), instant),
            search: checks.part("q", self.q.as_deref(), Search::parse),
        };
        let waits = filter.status.is_none_or(|status| status == core::Status::Pending);
        if filter.reason.is_some() && !waits {
            checks.fault("pending_reason", ("conflict", "means nothing for this status"));
        }
        if checks.faults.is_empty() { Ok(filter) } else { Err(checks.faults) }
    }
}

/// What names, words and instants are made of stays readable.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b':');

/// A rule that is broken: its code and its words.
pub(crate) type Broken = (&'static str, &'static str);

/// Reads the parts of a filter, of tasks or of events, and gathers every rule that is broken.
pub(crate) struct Checks<'a> {
    at: &'a str,
    pub(crate) faults: Vec<Fault>,
}

impl<'a> Checks<'a> {
    /// Each fault stands at `at` and the name of its part.
    pub(crate) fn at(at: &'a str) -> Self {
        Self { at, faults: Vec::new() }
    }

    /// A part, when it is given and keeps the rule.
    pub(crate) fn part<T>(
        &mut self,
        name: &str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, Broken>,
    ) -> Option<T> {
        parse(text?).map_err(|broken| self.fault(name, broken)).ok()
    }

    fn fault(&mut self, name: &str, (code, message): Broken) {
        self.faults.push(Fault::new(format!("{}{name}", self.at), code, message));
    }
}

pub(crate) fn queue(text: &str) -> Result<QueueName, Broken> {
    QueueName::parse(text).map_err(|error| ("name", error.0))
}

pub(crate) fn kind(text: &str) -> Result<Kind, Broken> {
    Kind::parse(text).map_err(|error| ("name", error.0))
}

pub(crate) fn status(text: &str) -> Result<core::Status, Broken> {
    let rule = "must be pending, in_progress, completed, failed or cancelled";
    core::Status::parse(text).ok_or(("unknown-word", rule))
}

fn priority(text: &str) -> Result<core::Priority, Broken> {
    core::Priority::parse(text).ok_or(("unknown-word", "must be low, medium, high or urgent"))
}

fn reason(text: &str) -> Result<core::PendingReason, Broken> {
    let rule = "must be ready, scheduled, retrying or blocked";
    core::PendingReason::parse(text).ok_or(("unknown-word", rule))
}

pub(crate) fn tag(tag: &str) -> Result<String, Broken> {
    text::tag_fault(tag).map_or(Ok(tag.to_owned()), Err)
}

fn instant(text: &str) -> Result<Timestamp, Broken> {
    let rule = "must be an RFC 3339 instant with a zone, such as 2026-01-31T09:30:00Z";
    Timestamp::parse(text).map_err(|_| ("not-an-instant", rule))
}
