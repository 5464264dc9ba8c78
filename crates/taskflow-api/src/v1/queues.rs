//! Queues: their settings, pause and resume. What the settings do is told in `docs/queues.md`.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::State;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use taskflow_core::limits::{PAGE_DEFAULT, PAGE_MAX};
use taskflow_core::many::Verdict;
use taskflow_core::queue::{Defaults, Keep, RateLimit};
use taskflow_core::{Fault, QueueName, QueuePatch, Status as Word};
use taskflow_service::Actor;
use taskflow_service::many::{Many, Outcome};
use taskflow_service::queues::Queues;
use taskflow_service::words::{Filter, QueueView as Seen};

use super::create;
use super::faults::Faults;
use super::reply::{Answer, Reply};
use super::words::{Instant, Object, Priority, Retry, Status, present, present_word};
use crate::extract::query::{FromPairs, number};
use crate::extract::{Body, IfMatch, Key, NoBody, OptionalBody, Query, QueuePath};
use crate::openapi::{document, problems};
use crate::problem::Problem;
use crate::state::ApiState;

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    const REFUSALS: &[u16] = &[400, 409, 412, 413, 415, 422];
    ApiRouter::new()
        .api_route(
            "/queues",
            get_with(list, |op| {
                let op = document(op, "list_queues", "Queues", "List queues by name");
                problems(op, &[400, 422])
            }),
        )
        .api_route(
            "/queues/{queue}",
            get_with(get, |op| {
                let op = document(op, "get_queue", "Queues", "Read a queue's settings and counts");
                problems(op, &[404, 422])
            })
            .put_with(update, |op| {
                let op = document(op, "update_queue", "Queues", "Change a queue's settings");
                problems(op, REFUSALS)
            }),
        )
        .api_route(
            "/queues/{queue}/pause",
            post_with(pause, |op| {
                let op = document(op, "pause_queue", "Queues", "Let nothing of a queue start");
                problems(op, REFUSALS)
            }),
        )
        .api_route(
            "/queues/{queue}/resume",
            post_with(resume, |op| {
                let op = document(op, "resume_queue", "Queues", "Let a paused queue go on");
                problems(op, REFUSALS)
            }),
        )
        .api_route(
            "/queues/{queue}/purge",
            post_with(purge, |op| {
                let op =
                    document(op, "purge_queue", "Queues", "Delete a queue's tasks of a status");
                problems(op, &[400, 409, 413, 415, 422])
            }),
        )
}

/// At most so many tasks start in any span of so many seconds, over all nodes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RateLimit")]
struct RateBody {
    /// How many.
    #[schemars(range(min = 1, max = 1_000_000))]
    tasks: u32,
    /// In how many seconds.
    #[schemars(range(min = 1, max = 86400))]
    per_seconds: u32,
}

/// What a new task of the queue has when its producer does not say; null means the usual.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "QueueDefaults")]
struct DefaultsBody {
    /// Order within the queue.
    priority: Option<Priority>,
    /// Counted executions allowed.
    #[schemars(range(min = 1, max = 100))]
    max_attempts: Option<u32>,
    /// Back-off between attempts.
    #[serde(serialize_with = "bare")]
    #[schemars(with = "Option<Retry>")]
    retry: Option<Object<Retry>>,
    /// Longest attempt, in seconds.
    #[schemars(range(min = 1, max = 604800))]
    timeout_seconds: Option<u32>,
    /// Length of a lease, in seconds.
    #[schemars(range(min = 1, max = 86400))]
    lease_seconds: Option<u32>,
}

fn bare<S: serde::Serializer>(
    retry: &Option<Object<Retry>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    retry.map(|Object(retry)| retry).serialize(serializer)
}

/// How long the queue's ended tasks are kept, in seconds; null means as the configuration says, 0 for ever.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "QueueRetention")]
struct KeepBody {
    /// Completed ones.
    #[schemars(range(max = 315_360_000))]
    completed_seconds: Option<u32>,
    /// Failed ones.
    #[schemars(range(max = 315_360_000))]
    failed_seconds: Option<u32>,
    /// Cancelled ones.
    #[schemars(range(max = 315_360_000))]
    cancelled_seconds: Option<u32>,
}

/// Changes to a queue; a missing field is left alone, and so are read-only ones.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "QueueUpdate")]
struct UpdateQueue {
    /// Most tasks with a lease at once, over all nodes; null for no limit.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 100_000))]
    concurrency_limit: Option<Option<u32>>,
    /// The same per `concurrency_key`; null for no limit.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 100_000))]
    concurrency_key_limit: Option<Option<u32>>,
    /// Most starts in a span of time; null for no limit.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<RateBody>")]
    rate_limit: Option<Option<Object<RateBody>>>,
    /// One start in so many is the oldest ready task whatever its priority; 0 means strict priority, null
    /// the usual 16.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<u32>", range(min = 0, max = 10_000))]
    starvation_guard: Option<Option<u32>>,
    /// What its new tasks have; all of it is replaced, null for nothing.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<DefaultsBody>")]
    defaults: Option<Option<Object<DefaultsBody>>>,
    /// How long its ended tasks are kept; all of it is replaced, null for nothing.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<KeepBody>")]
    retention: Option<Option<Object<KeepBody>>>,
    // Read-only: known, so that a queue that was read can be sent back, and ignored.
    #[schemars(skip)]
    name: Option<IgnoredAny>,
    #[schemars(skip)]
    paused: Option<IgnoredAny>,
    #[schemars(skip)]
    paused_at: Option<IgnoredAny>,
    #[schemars(skip)]
    pause_reason: Option<IgnoredAny>,
    #[schemars(skip)]
    counts: Option<IgnoredAny>,
    #[schemars(skip)]
    version: Option<IgnoredAny>,
    #[schemars(skip)]
    updated_at: Option<IgnoredAny>,
}

impl UpdateQueue {
    /// The changes, or every rule that is broken.
    fn check(self) -> Result<QueuePatch, Problem> {
        let defaults = self.defaults.map(|body| body.map(|Object(body)| body).unwrap_or_default());
        let defaults = defaults.map(|body| Defaults {
            priority: body.priority.map(Into::into),
            max_attempts: body.max_attempts,
            retry: body.retry.map(|Object(retry)| retry.into()),
            timeout_seconds: body.timeout_seconds,
            lease_seconds: body.lease_seconds,
        });
        let keep = self.retention.map(|body| body.map(|Object(body)| body).unwrap_or_default());
        let patch = QueuePatch {
            concurrency_limit: self.concurrency_limit,
            concurrency_key_limit: self.concurrency_key_limit,
            rate_limit: self.rate_limit.map(|rate| {
                rate.map(|Object(RateBody { tasks, per_seconds })| RateLimit { tasks, per_seconds })
            }),
            starvation_guard: self
                .starvation_guard
                .map(|guard| guard.unwrap_or(taskflow_core::limits::STARVATION_GUARD_DEFAULT)),
            defaults,
            retention: keep.map(|keep| Keep {
                completed_seconds: keep.completed_seconds,
                failed_seconds: keep.failed_seconds,
                cancelled_seconds: keep.cancelled_seconds,
            }),
            pause: None,
        };
        let mut faults = Faults::default();
        faults.0.extend(patch.faults());
        let mut terms = Faults::default();
        create::check_terms(&mut terms, &defaults.unwrap_or_default().terms());
        let below =
            |fault: Fault| Fault { pointer: format!("/defaults{}", fault.pointer), ..fault };
        faults.0.extend(terms.0.into_iter().map(below));
        if faults.0.is_empty() { Ok(patch) } else { Err(Problem::invalid(faults.0)) }
    }
}

/// Why a queue is paused.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Pause")]
struct PauseBody {
    /// For whoever asks why nothing runs; 500 characters at most.
    #[schemars(length(max = 500))]
    reason: Option<String>,
}

/// A queue.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Queue")]
struct QueueView {
    /// Its name.
    name: String,
    /// Whether nothing of it starts.
    paused: bool,
    /// Since when.
    paused_at: Option<Instant>,
    /// Why, as whoever paused it said.
    pause_reason: Option<String>,
    /// Most tasks with a lease at once, over all nodes.
    concurrency_limit: Option<u32>,
    /// The same per `concurrency_key`.
    concurrency_key_limit: Option<u32>,
    /// Most starts in a span of time.
    rate_limit: Option<RateBody>,
    /// One start in so many is the oldest ready task whatever its priority; 0 means strict priority.
    starvation_guard: u32,
    /// What its new tasks have when their producers do not say.
    defaults: DefaultsBody,
    /// How long its ended tasks are kept.
    retention: KeepBody,
    /// Its tasks per status.
    counts: QueueCounts,
    /// Counts its changes; also the ETag. 0 when nothing was ever set.
    version: u64,
    /// Latest change of its settings.
    updated_at: Option<Instant>,
}

/// Tasks of a queue per status.
#[derive(Debug, Serialize, JsonSchema)]
struct QueueCounts {
    pending: u64,
    in_progress: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
}

fn view(seen: Seen) -> QueueView {
    let Seen { queue, counts } = seen;
    let (settings, pause) = (queue.settings, queue.pause);
    let (defaults, keep) = (settings.defaults, settings.retention);
    QueueView {
        name: queue.name.as_str().to_owned(),
        paused: pause.is_some(),
        paused_at: pause.as_ref().map(|pause| Instant(pause.since)),
        pause_reason: pause.and_then(|pause| pause.reason),
        concurrency_limit: settings.concurrency_limit,
        concurrency_key_limit: settings.concurrency_key_limit,
        rate_limit: settings
            .rate_limit
            .map(|RateLimit { tasks, per_seconds }| RateBody { tasks, per_seconds }),
        starvation_guard: settings.starvation_guard,
        defaults: DefaultsBody {
            priority: defaults.priority.map(Into::into),
            max_attempts: defaults.max_attempts,
            retry: defaults.retry.map(|retry| Object(retry.into())),
            timeout_seconds: defaults.timeout_seconds,
            lease_seconds: defaults.lease_seconds,
        },
        retention: KeepBody {
            completed_seconds: keep.completed_seconds,
            failed_seconds: keep.failed_seconds,
            cancelled_seconds: keep.cancelled_seconds,
        },
        counts: QueueCounts {
            pending: counts.of(Word::Pending),
            in_progress: counts.of(Word::InProgress),
            completed: counts.of(Word::Completed),
            failed: counts.of(Word::Failed),
            cancelled: counts.of(Word::Cancelled),
        },
        version: queue.version,
        updated_at: queue.updated_at.map(Instant),
    }
}

fn reply(seen: Seen) -> Answer<QueueView> {
    let version = seen.queue.version;
    Ok(Reply::ok(&view(seen))?.etag(version))
}

async fn list(
    State(queues): State<Queues>,
    Query(query): Query<ListQuery>,
) -> Answer<Vec<QueueView>> {
    let after = query.after.as_deref().and_then(|after| QueueName::parse(after).ok());
    let page = queues.list(Actor::DEFAULT, after, query.limit).await?;
    let last = page.last().map(|seen| seen.queue.name.clone());
    let full = page.len() == query.limit as usize;
    let reply = Reply::ok(&page.into_iter().map(view).collect::<Vec<_>>())?;
    Ok(match last.filter(|_| full) {
        Some(last) => reply.next(format!("/api/v1/queues?after={last}&limit={}", query.limit)),
        None => reply,
    })
}

async fn get(State(queues): State<Queues>, QueuePath(name): QueuePath) -> Answer<QueueView> {
    reply(queues.get(Actor::DEFAULT, name).await?)
}

async fn update(
    State(queues): State<Queues>,
    QueuePath(name): QueuePath,
    IfMatch(version): IfMatch,
    Body(body): Body<UpdateQueue>,
) -> Answer<QueueView> {
    reply(queues.set(Actor::DEFAULT, name, version, body.check()?).await?)
}

async fn pause(
    State(queues): State<Queues>,
    QueuePath(name): QueuePath,
    IfMatch(version): IfMatch,
    key: Key,
    OptionalBody(body): OptionalBody<PauseBody>,
) -> Answer<QueueView> {
    let patch = QueuePatch { pause: Some(Some(body.reason)), ..QueuePatch::default() };
    let act = async { reply(queues.set(Actor::DEFAULT, name, version, patch).await?) };
    key.after(Actor::DEFAULT, act).await
}

async fn resume(
    State(queues): State<Queues>,
    QueuePath(name): QueuePath,
    IfMatch(version): IfMatch,
    key: Key,
    _: NoBody,
) -> Answer<QueueView> {
    let patch = QueuePatch { pause: Some(None), ..QueuePatch::default() };
    let act = async { reply(queues.set(Actor::DEFAULT, name, version, patch).await?) };
    key.after(Actor::DEFAULT, act).await
}

/// Which tasks to delete.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Purge")]
struct PurgeBody {
    /// Only those of this status; pending when left out.
    #[serde(deserialize_with = "present_word")]
    #[schemars(with = "Status")]
    status: Option<Status>,
}

/// What a purge did.
#[derive(Debug, Serialize, JsonSchema)]
struct Purged {
    /// Tasks that were deleted.
    deleted: u64,
    /// Tasks that could not be: others wait for them, or they changed meanwhile.
    skipped: u64,
    /// Whether time ran out before all were looked at: say it again.
    more: bool,
}

async fn purge(
    State(many): State<Many>,
    QueuePath(name): QueuePath,
    key: Key,
    OptionalBody(body): OptionalBody<PurgeBody>,
) -> Answer<Purged> {
    let status = Some(body.status.map_or(Word::Pending, Into::into));
    let filter = Filter { status, queue: Some(name), ..Filter::default() };
    let act = async {
        let done = many.act(Actor::DEFAULT, Verdict::Delete, filter).await?;
        let Outcome { changed, skipped, more } = done;
        Reply::ok(&Purged { deleted: changed, skipped, more })
    };
    key.after(Actor::DEFAULT, act).await
}

/// Which queues to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
struct ListQuery {
    /// Where the last page ended: only queues whose names come after this one.
    #[schemars(with = "String", length(min = 1, max = 100))]
    #[serde(default)]
    after: Option<String>,
    /// How many to give.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    limit: u32,
}

fn default_limit() -> u32 {
    PAGE_DEFAULT
}

impl FromPairs for ListQuery {
    const NAMES: &'static [&'static str] = &["after", "limit"];
    const STRICT: bool = true;

    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        let mut query = Self { after: None, limit: PAGE_DEFAULT };
        let mut faults = Vec::new();
        for (name, value) in pairs {
            if name == "after" {
                match QueueName::parse(value) {
                    Ok(_) => query.after = Some(value.clone()),
                    Err(error) => faults.push(Fault::new("?after", "name", error.to_string())),
                }
            } else if name == "limit" {
                match number(value).filter(|limit| (1..=PAGE_MAX).contains(limit)) {
                    Some(limit) => query.limit = limit,
                    None => {
                        faults.push(Fault::new("?limit", "out-of-range", "must be 1 to 1000"));
                    }
                }
            }
        }
        if faults.is_empty() { Ok(query) } else { Err(faults) }
    }
}
