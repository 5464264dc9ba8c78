//! What may be changed of a task by `PUT`. A whole task sent back is fine: its read-only fields are
//! known and ignored; fields that are fixed at creation must be what they are.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use taskflow_core::{Fault, Terms, Timestamp};
use taskflow_core::{Pinned, TaskPatch, limits, text};

use super::create;
use super::faults::Faults;
use super::few::present_few;
use super::words::{Instant, Object, Priority, Raw, Retry, Status, present, present_word};

/// Changes to a task; a missing field is left alone, and so are read-only ones.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "TaskUpdate")]
pub(crate) struct UpdateTask {
    /// New title.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String", length(min = 1, max = 255))]
    title: Option<String>,
    /// New description; null clears it.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    description: Option<Option<String>>,
    /// New priority.
    #[serde(deserialize_with = "present_word")]
    #[schemars(with = "Priority")]
    priority: Option<Priority>,
    /// New status, by a person.
    #[serde(deserialize_with = "present_word")]
    #[schemars(with = "Status")]
    status: Option<Status>,
    /// New payload; null clears it.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Raw")]
    payload: Option<Raw>,
    /// New start; only a pending task takes it.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Instant")]
    run_at: Option<Instant>,
    /// New start, so many seconds from now.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "f64", range(min = 0, max = 31622400))]
    delay_seconds: Option<f64>,
    /// New number of attempts.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "u32", range(min = 1, max = 100))]
    max_attempts: Option<u32>,
    /// New back-off.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Retry")]
    retry: Option<Object<Retry>>,
    /// New time limit of an attempt; null clears it.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 604800))]
    timeout_seconds: Option<Option<u32>>,
    /// New deadline; null clears it.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<Instant>")]
    deadline_at: Option<Option<Instant>>,
    /// New expiry; null clears it.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<Instant>")]
    expires_at: Option<Option<Instant>>,
    /// New length of leases.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "u32", range(min = 1, max = 86400))]
    lease_seconds: Option<u32>,
    /// New tags.
    #[serde(deserialize_with = "present_few::<_, _, { limits::TAGS_MAX }>")]
    #[schemars(with = "Vec<String>", length(max = 50))]
    tags: Option<Vec<String>>,
    /// New metadata; null clears it.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    metadata: Option<Raw>,
    /// Fixed at creation.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String")]
    queue: Option<String>,
    /// Fixed at creation.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "String")]
    kind: Option<String>,
    /// Fixed at creation.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    unique_key: Option<Option<String>>,
    /// Fixed at creation.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    concurrency_key: Option<Option<String>>,
    /// Fixed at creation.
    #[serde(deserialize_with = "present_few::<_, _, { limits::DEPENDENCIES_MAX }>")]
    #[schemars(with = "Vec<i64>")]
    depends_on: Option<Vec<i64>>,
    // Read-only: known, so that a task that was read can be sent back, and ignored.
    #[schemars(skip)]
    id: Option<IgnoredAny>,
    #[schemars(skip)]
    pending_reason: Option<IgnoredAny>,
    #[schemars(skip)]
    attempt: Option<IgnoredAny>,
    #[schemars(skip)]
    attempts_used: Option<IgnoredAny>,
    #[schemars(skip)]
    worker: Option<IgnoredAny>,
    #[schemars(skip)]
    lease_expires_at: Option<IgnoredAny>,
    #[schemars(skip)]
    progress: Option<IgnoredAny>,
    #[schemars(skip)]
    checkpoint: Option<IgnoredAny>,
    #[schemars(skip)]
    result: Option<IgnoredAny>,
    #[schemars(skip)]
    error_message: Option<IgnoredAny>,
    #[schemars(skip)]
    cancel_reason: Option<IgnoredAny>,
    #[schemars(skip)]
    created_at: Option<IgnoredAny>,
    #[schemars(skip)]
    updated_at: Option<IgnoredAny>,
    #[schemars(skip)]
    started_at: Option<IgnoredAny>,
    #[schemars(skip)]
    completed_at: Option<IgnoredAny>,
    #[schemars(skip)]
    ended_at: Option<IgnoredAny>,
    #[schemars(skip)]
    version: Option<IgnoredAny>,
}

impl UpdateTask {
    /// The changes, or every rule that is broken. Instants in the past are allowed here: they say
    /// that the task's time is over.
    pub(crate) fn check(self, now: Timestamp) -> Result<TaskPatch, Vec<Fault>> {
        let mut faults = Faults::default();
        if let Some(title) = &self.title {
            faults.add("/title", text::title_fault(title));
        }
        if let Some(Some(text)) = &self.description {
            faults.add("/description", text::description_fault(text));
        }
        let given = Terms::default();
        let terms = Terms {
            max_attempts: self.max_attempts.unwrap_or(given.max_attempts),
            retry: self.retry.map_or(given.retry, |Object(retry)| retry.into()),
            timeout_seconds: self.timeout_seconds.flatten(),
            lease_seconds: self.lease_seconds.unwrap_or(given.lease_seconds),
            ..given
        };
        create::check_terms(&mut faults, &terms);
        let run_at = create::run_at(&mut faults, self.run_at, self.delay_seconds, now);
        let has_payload = self.payload.is_some();
        let payload = create::payload(&mut faults, self.payload);
        let has_metadata = self.metadata.is_some();
        let metadata = create::metadata(&mut faults, self.metadata.filter(|raw| !raw.is_null()));
        let tags = self.tags.map(|tags| create::tags(&mut faults, tags));
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        let instant = |at: Option<Option<Instant>>| at.map(|at| at.map(|at| at.0));
        Ok(TaskPatch {
            title: self.title,
            description: self.description,
            priority: self.priority.map(Into::into),
            payload: has_payload.then_some(payload),
            run_at,
            max_attempts: self.max_attempts,
            retry: self.retry.map(|Object(retry)| retry.into()),
            timeout_seconds: self.timeout_seconds,
            deadline_at: instant(self.deadline_at),
            expires_at: instant(self.expires_at),
            lease_seconds: self.lease_seconds,
            tags,
            metadata: has_metadata.then_some(metadata),
            status: self.status.map(Into::into),
            rerun: false,
            pinned: Pinned {
                queue: self.queue,
                kind: self.kind,
                unique_key: self.unique_key,
                concurrency_key: self.concurrency_key,
                depends_on: self.depends_on,
            },
        })
    }
}
