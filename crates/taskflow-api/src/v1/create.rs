//! What a producer says of a new task, and its rules. Every fault is told at once.

use schemars::JsonSchema;
use serde::Deserialize;
use taskflow_core::limits as max;
use taskflow_core::task::{OnConflict, UniqueKey};
use taskflow_core::{Fault, Json, Kind, NewTask, QueueName, TaskId, Terms, Timestamp, text};

use taskflow_service::queues::Book;

use super::faults::Faults;
use super::few::present_few;
use super::words::{Instant, Object, Priority, Raw, Retry, present, present_word};

/// A new task. Only `title` is needed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewTask")]
pub(crate) struct CreateTask {
    /// What it is about, 1 to 255 characters.
    #[schemars(length(min = 1, max = 255))]
    title: String,
    /// Free text, 64 KiB at most.
    #[schemars(length(max = 65536))]
    description: Option<String>,
    /// Order within the queue; default medium.
    #[serde(default, deserialize_with = "present_word")]
    #[schemars(with = "Priority")]
    priority: Option<Priority>,
    /// Where it waits; default "default".
    #[serde(default, deserialize_with = "present")]
    #[schemars(
        with = "String",
        length(min = 1, max = 100),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    )]
    queue: Option<String>,
    /// What sort of work; default "log".
    #[serde(default, deserialize_with = "present")]
    #[schemars(
        with = "String",
        length(min = 1, max = 100),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    )]
    kind: Option<String>,
    /// Its input: any JSON up to 1 MiB, nested at most 64 deep.
    payload: Option<Raw>,
    /// Not before; an instant in the past means now.
    run_at: Option<Instant>,
    /// Not before so many seconds from now; not together with `run_at`.
    #[schemars(range(min = 0, max = 31622400))]
    delay_seconds: Option<f64>,
    /// Counted executions allowed; default 5.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u32", range(min = 1, max = 100))]
    max_attempts: Option<u32>,
    /// Back-off between attempts.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Retry")]
    retry: Option<Object<Retry>>,
    /// Longest attempt, in seconds.
    #[schemars(range(min = 1, max = 604800))]
    timeout_seconds: Option<u32>,
    /// No attempt goes on beyond it: the task fails.
    deadline_at: Option<Instant>,
    /// Not started by then: cancelled with `cancel_reason` = `expired`.
    expires_at: Option<Instant>,
    /// Length of a lease, in seconds; default 30.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u32", range(min = 1, max = 86400))]
    lease_seconds: Option<u32>,
    /// Labels: 50 at most, of 1 to 100 characters without commas.
    #[serde(default, deserialize_with = "present_few::<_, _, { max::TAGS_MAX }>")]
    #[schemars(with = "Vec<String>", length(max = 50))]
    tags: Option<Vec<String>>,
    /// Labels with values: an object of at most 64 keys and 16 KiB.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    metadata: Option<Raw>,
    /// At most one live task per queue holds it.
    #[schemars(length(min = 1, max = 255))]
    unique_key: Option<String>,
    /// What happens when a live task holds the key; default return.
    #[serde(default, deserialize_with = "present_word")]
    #[schemars(with = "OnConflictWord")]
    on_conflict: Option<OnConflictWord>,
    /// Groups tasks under one limit.
    #[schemars(length(min = 1, max = 255))]
    concurrency_key: Option<String>,
    /// Tasks that must complete first, 100 at most.
    #[serde(default, deserialize_with = "present_few::<_, _, { max::DEPENDENCIES_MAX }>")]
    #[schemars(with = "Vec<i64>", length(max = 100), inner(range(min = 1)))]
    depends_on: Option<Vec<i64>>,
}

/// What a create does when a live task of its queue holds its unique key.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "OnConflict")]
enum OnConflictWord {
    /// Answer the task that holds the key (200).
    Return,
    /// Refuse (409).
    Reject,
    /// Cancel the holder when it is pending and take its place; refuse (409) when it runs.
    Replace,
}

impl CreateTask {
    /// The task to insert, with its queue's defaults, or every rule that is broken.
    pub(crate) fn check(self, now: Timestamp, book: &Book) -> Result<NewTask, Vec<Fault>> {
        let mut faults = Faults::default();
        faults.add("/title", text::title_fault(&self.title));
        if let Some(text) = &self.description {
            faults.add("/description", text::description_fault(text));
        }
        let queue = name(&mut faults, "/queue", self.queue.as_deref(), QueueName::parse);
        let kind = name(&mut faults, "/kind", self.kind.as_deref(), Kind::parse);
        let payload = payload(&mut faults, self.payload);
        let run_at = run_at(&mut faults, self.run_at, self.delay_seconds, now);
        let queue = queue.unwrap_or_default();
        let defaults = book.of(&queue);
        let usual = defaults.terms();
        let terms = Terms {
            max_attempts: self.max_attempts.unwrap_or(usual.max_attempts),
            retry: self.retry.map_or(usual.retry, |Object(retry)| retry.into()),
            timeout_seconds: self.timeout_seconds.or(usual.timeout_seconds),
            deadline_at: self.deadline_at.map(|at| at.0),
            expires_at: self.expires_at.map(|at| at.0),
            lease_seconds: self.lease_seconds.unwrap_or(usual.lease_seconds),
        };
        check_terms(&mut faults, &terms);
        let start = run_at.unwrap_or(now).max(now);
        for (at, pointer) in
            [(terms.expires_at, "/expires_at"), (terms.deadline_at, "/deadline_at")]
        {
            let ok = at.is_none_or(|at| at > start);
            faults.check(ok, pointer, "too-early", "must be later than run_at and than now");
        }
        let unique = unique(&mut faults, self.unique_key, self.on_conflict);
        if let Some(key) = &self.concurrency_key {
            faults.add("/concurrency_key", text::key_fault(key));
        }
        let depends_on = depends_on(&mut faults, self.depends_on.unwrap_or_default());
        let tags = tags(&mut faults, self.tags.unwrap_or_default());
        let metadata = metadata(&mut faults, self.metadata);
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        Ok(NewTask {
            title: self.title,
            description: self.description,
            priority: self.priority.map(Into::into).or(defaults.priority).unwrap_or_default(),
            queue,
            kind: kind.unwrap_or_default(),
            payload,
            run_at: start,
            terms,
            tags,
            metadata,
            unique,
            concurrency_key: self.concurrency_key,
            depends_on,
        })
    }
}

fn name<T>(
    faults: &mut Faults,
    pointer: &str,
    text: Option<&str>,
    parse: fn(&str) -> Result<T, taskflow_core::name::BadName>,
) -> Option<T> {
    let parsed = parse(text?).map_err(|error| Fault::new(pointer, "name", error.to_string()));
    faults.take(parsed)
}

pub(crate) fn payload(faults: &mut Faults, raw: Option<Raw>) -> Option<Json> {
    faults.take(raw?.check("/payload", max::PAYLOAD_BYTES_MAX)).flatten()
}

pub(crate) fn run_at(
    faults: &mut Faults,
    run_at: Option<Instant>,
    delay: Option<f64>,
    now: Timestamp,
) -> Option<Timestamp> {
    let both = run_at.is_some() && delay.is_some();
    faults.check(!both, "/delay_seconds", "conflict", "cannot stand together with run_at");
    if let Some(seconds) = delay {
        let ok = (0.0..=max::DELAY_SECONDS_MAX).contains(&seconds);
        faults.check(ok, "/delay_seconds", "out-of-range", "must be 0 to 31622400 (a year)");
    }
    run_at.map(|at| at.0).or_else(|| delay.map(|seconds| now.plus_seconds(seconds)))
}

/// The rules of numbers that a create and an edit share.
pub(crate) fn check_terms(faults: &mut Faults, terms: &Terms) {
    let attempts = (1..=max::MAX_ATTEMPTS_MAX).contains(&terms.max_attempts);
    faults.check(attempts, "/max_attempts", "out-of-range", "must be 1 to 100");
    let timeout = terms.timeout_seconds.is_none_or(|s| (1..=max::TIMEOUT_SECONDS_MAX).contains(&s));
    faults.check(timeout, "/timeout_seconds", "out-of-range", "must be 1 to 604800 (a week)");
    let lease = (1..=max::LEASE_SECONDS_MAX).contains(&terms.lease_seconds);
    faults.check(lease, "/lease_seconds", "out-of-range", "must be 1 to 86400 (a day)");
    faults.0.extend(terms.retry.faults("/retry"));
}

fn unique(
    faults: &mut Faults,
    key: Option<String>,
    on_conflict: Option<OnConflictWord>,
) -> Option<UniqueKey> {
    let stray = key.is_none() && on_conflict.is_some();
    faults.check(!stray, "/on_conflict", "conflict", "means nothing without unique_key");
    let key = key?;
    faults.add("/unique_key", text::key_fault(&key));
    let on_conflict = match on_conflict {
        None | Some(OnConflictWord::Return) => OnConflict::Return,
        Some(OnConflictWord::Reject) => OnConflict::Reject,
        Some(OnConflictWord::Replace) => OnConflict::Replace,
    };
    Some(UniqueKey { key, on_conflict })
}

fn depends_on(faults: &mut Faults, ids: Vec<i64>) -> Vec<TaskId> {
    let few = ids.len() <= max::DEPENDENCIES_MAX;
    faults.check(few, "/depends_on", "too-many", "must name at most 100 tasks");
    let mut parents: Vec<TaskId> = Vec::new();
    for (i, id) in ids.into_iter().enumerate().take(max::DEPENDENCIES_MAX) {
        match TaskId::new(id) {
            Some(id) if !parents.contains(&id) => parents.push(id),
            Some(_) => {}
            None => {
                let pointer = format!("/depends_on/{i}");
                faults.check(false, &pointer, "not-an-id", "must be a positive integer");
            }
        }
    }
    parents
}

pub(crate) fn tags(faults: &mut Faults, tags: Vec<String>) -> Vec<String> {
    faults.check(tags.len() <= max::TAGS_MAX, "/tags", "too-many", "must be at most 50 tags");
    let mut kept: Vec<String> = Vec::new();
    for (i, tag) in tags.into_iter().enumerate().take(max::TAGS_MAX) {
        faults.add(&format!("/tags/{i}"), text::tag_fault(&tag));
        if !kept.contains(&tag) {
            kept.push(tag);
        }
    }
    kept
}

pub(crate) fn metadata(faults: &mut Faults, raw: Option<Raw>) -> Option<Json> {
    let json = faults.take(raw?.check("/metadata", max::METADATA_BYTES_MAX)).flatten()?;
    let object: Result<std::collections::HashMap<&str, &serde_json::value::RawValue>, _> =
        serde_json::from_str(json.as_str());
    // Keys with escapes do not borrow; count them the slow way.
    let keys = match &object {
        Ok(object) => Some(object.len()),
        Err(_) => serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json.as_str())
            .ok()
            .map(|object| object.len()),
    };
    faults.check(keys.is_some(), "/metadata", "type", "must be an object");
    let few = keys.unwrap_or(0) <= max::METADATA_KEYS_MAX;
    faults.check(few, "/metadata", "too-many", "must have at most 64 keys");
    // An empty object is the same as none.
    (keys != Some(0)).then_some(json)
}
