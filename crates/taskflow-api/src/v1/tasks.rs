//! Tasks: the earlier service's routes and what producers need. Work on them is in `work.rs`.

use std::sync::Arc;
use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use taskflow_core as core;
use taskflow_core::limits::{PAGE_DEFAULT, PAGE_MAX, SKIP_MAX, WAIT_SECONDS_MAX};
use taskflow_core::{Clock, Fault, TaskId};
use taskflow_service::Actor;
use taskflow_service::idempotency::Wanted;
use taskflow_service::queues::Queues;
use taskflow_service::tasks::Tasks;
use taskflow_service::words::{Filter, Page};

use super::create::CreateTask;
use super::filter::FilterWords;
use super::reply::{Answer, Reply};
use super::update::UpdateTask;
use super::view::{AttemptView, TaskView, view};
use crate::extract::query::{FromPairs, number};
use crate::extract::{Body, IfMatch, Key, Query, TaskPath};
use crate::openapi::{document, problems};
use crate::problem::Problem;
use crate::state::ApiState;

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/tasks",
            get_with(list, |op| {
                let op = document(op, "list_tasks", "Tasks", "List tasks, newest first");
                problems(op, &[400, 422])
            })
            .post_with(create, |op| {
                let op = document(op, "create_task", "Tasks", "Create a task");
                problems(op, &[400, 409, 413, 415, 422])
                    .response_with::<201, axum::Json<TaskView<'_>>, _>(|r| {
                        r.description("Created: it is on disk.")
                    })
                    .response_with::<200, axum::Json<TaskView<'_>>, _>(|r| {
                        r.description("A live task holds the unique key; here it is.")
                    })
            }),
        )
        .api_route(
            "/tasks/{task_id}",
            get_with(get, |op| {
                let op = document(op, "get_task", "Tasks", "Read a task, or wait for its end");
                problems(op, &[400, 404, 422, 429])
            })
            .put_with(update, |op| {
                let op = document(op, "update_task", "Tasks", "Change a task's fields or status");
                problems(op, &[400, 404, 409, 412, 413, 415, 422])
            })
            .delete_with(delete, |op| {
                let op = document(op, "delete_task", "Tasks", "Delete a task and its history");
                problems(op, &[400, 404, 409, 412, 422])
                    .response_with::<204, (), _>(|r| r.description("Deleted."))
            }),
        )
        .api_route(
            "/tasks/{task_id}/attempts",
            get_with(attempts, |op| {
                let op = document(op, "list_attempts", "Tasks", "A task's finished attempts");
                problems(op, &[404, 422])
            }),
        )
        .api_route(
            "/tasks/stats/summary",
            get_with(summary, |op| {
                problems(document(op, "count_tasks", "Tasks", "Number of tasks per status"), &[])
            }),
        )
        .api_route("/bench/bare", post_with(super::bench::bare, super::bench::describe))
}

async fn create(
    State(queues): State<Queues>,
    State(clock): State<Arc<dyn Clock>>,
    key: Key,
    Body(body): Body<CreateTask>,
) -> Answer<TaskView<'static>> {
    let book = queues.book(Actor::DEFAULT).await?;
    let new = match body.check(clock.now(), &book) {
        Ok(new) => new,
        Err(faults) => {
            return key.before(Actor::DEFAULT).await?.ok_or_else(|| Problem::invalid(faults));
        }
    };
    key.answer(Actor::DEFAULT, Wanted::create(new), |created, now| {
        let task = &created.task;
        let reply = Reply::ok(&view(task, task.created_at.max(now)))?.etag(task.state.version);
        Ok(if created.new {
            reply.status(StatusCode::CREATED).location(format!("/api/v1/tasks/{}", task.id))
        } else {
            reply
        })
    })
    .await
}

async fn get(
    State(tasks): State<Tasks>,
    State(clock): State<Arc<dyn Clock>>,
    TaskPath(id): TaskPath,
    Query(query): Query<GetQuery>,
) -> Answer<TaskView<'static>> {
    let task = match query.wait {
        Some(wait) => tasks.wait(Actor::DEFAULT, id, wait).await?,
        None => tasks.get(Actor::DEFAULT, id).await?,
    };
    Ok(Reply::ok(&view(&task, clock.now()))?.etag(task.state.version))
}

async fn update(
    State(tasks): State<Tasks>,
    State(clock): State<Arc<dyn Clock>>,
    TaskPath(id): TaskPath,
    IfMatch(version): IfMatch,
    Body(body): Body<UpdateTask>,
) -> Answer<TaskView<'static>> {
    let now = clock.now();
    let patch = body.check(now).map_err(Problem::invalid)?;
    let task = tasks.edit(Actor::DEFAULT, id, version, patch).await?;
    Ok(Reply::ok(&view(&task, clock.now()))?.etag(task.state.version))
}

async fn delete(
    State(tasks): State<Tasks>,
    TaskPath(id): TaskPath,
    IfMatch(version): IfMatch,
) -> Result<StatusCode, Problem> {
    tasks.delete(Actor::DEFAULT, id, version).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn attempts(State(tasks): State<Tasks>, TaskPath(id): TaskPath) -> Answer<Vec<AttemptView>> {
    let attempts = tasks.attempts(Actor::DEFAULT, id).await?;
    Reply::ok(&attempts.into_iter().map(AttemptView::from).collect::<Vec<_>>())
}

async fn list(
    State(tasks): State<Tasks>,
    State(clock): State<Arc<dyn Clock>>,
    Query(query): Query<ListQuery>,
) -> Answer<Vec<TaskView<'static>>> {
    let now = clock.now();
    let page = Page {
        filter: query.filter.clone(),
        before: query.after.and_then(TaskId::new),
        skip: query.skip,
        limit: query.limit,
        now,
    };
    let tasks = tasks.list(Actor::DEFAULT, page).await?;
    let reply = Reply::ok(&tasks.items.iter().map(|task| view(task, now)).collect::<Vec<_>>())?;
    Ok(match tasks.rest {
        Some(rest) => reply.next(query.next(rest)),
        None => reply,
    })
}

/// Whether to wait.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[schemars(inline)]
struct GetQuery {
    /// Answer when the task has ended, or after so many seconds as it is then.
    #[serde(default)]
    #[schemars(with = "f64", range(min = 0, max = 60))]
    wait: Option<Duration>,
}

impl FromPairs for GetQuery {
    const NAMES: &'static [&'static str] = &["wait"];
    const STRICT: bool = false;

    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        let Some((_, value)) = pairs.iter().find(|(name, _)| name == "wait") else {
            return Ok(Self::default());
        };
        let seconds: Option<f64> = value.parse().ok();
        match seconds.filter(|seconds| (0.0..=WAIT_SECONDS_MAX).contains(seconds)) {
            Some(seconds) => Ok(Self { wait: Some(Duration::from_secs_f64(seconds)) }),
            None => Err(vec![Fault::new("?wait", "out-of-range", "must be 0 to 60 seconds")]),
        }
    }
}

/// Which tasks to list.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[schemars(inline)]
struct ListQuery {
    /// How many to pass over.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    skip: u32,
    /// Where the last page ended: only tasks that are older than this one.
    #[schemars(with = "i64", range(min = 1))]
    #[serde(default)]
    after: Option<i64>,
    /// How many to give.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    limit: u32,
    #[serde(flatten)]
    words: FilterWords,
    /// What the words mean.
    #[serde(skip)]
    filter: Filter,
}

fn default_limit() -> u32 {
    PAGE_DEFAULT
}

impl FromPairs for ListQuery {
    const NAMES: &'static [&'static str] = &[
        "skip",
        "after",
        "limit",
        "status",
        "priority",
        "queue",
        "kind",
        "tag",
        "pending_reason",
        "created_after",
        "q",
    ];

    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        let mut query = Self::default();
        let mut faults = Vec::new();
        let mut fault = |name: &str, code, message: &str| {
            faults.push(Fault::new(format!("?{name}"), code, message));
        };
        for (name, value) in pairs {
            match name.as_str() {
                "skip" => match number(value).filter(|n| *n <= SKIP_MAX) {
                    Some(n) => query.skip = n,
                    None => fault(name, "out-of-range", "must be an integer from 0 to 1000000"),
                },
                "after" => match positive(value) {
                    Some(id) => query.after = Some(id.get()),
                    None => fault(name, "not-a-cursor", "must be what a page's Link gave"),
                },
                "limit" => match number(value).filter(|n| (1..=PAGE_MAX).contains(n)) {
                    Some(n) => query.limit = n,
                    None => fault(name, "out-of-range", "must be an integer from 1 to 1000"),
                },
                // The earlier service took them for not given.
                "status" | "priority" if value.is_empty() => {}
                _ => query.words.take(name, value),
            }
        }
        match query.words.check("?") {
            Ok(filter) => query.filter = filter,
            Err(more) => faults.extend(more),
        }
        if query.filter.search.is_some() && query.skip > 0 {
            let rule = "does not go with q: follow the Link of the page";
            faults.push(Fault::new("?skip", "conflict", rule));
        }
        if faults.is_empty() { Ok(query) } else { Err(faults) }
    }
}

impl Default for ListQuery {
    fn default() -> Self {
        let (words, filter) = (FilterWords::default(), Filter::default());
        Self { skip: 0, after: None, limit: PAGE_DEFAULT, words, filter }
    }
}

impl ListQuery {
    /// The same list from `last` on.
    fn next(&self, last: TaskId) -> String {
        format!("/api/v1/tasks?after={last}&limit={}{}", self.limit, self.words.query())
    }
}

fn positive(text: &str) -> Option<TaskId> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().and_then(TaskId::new)
}

/// Number of tasks per status.
#[derive(Debug, Serialize, JsonSchema)]
struct Summary {
    /// Waiting.
    pending: u64,
    /// Being worked on.
    in_progress: u64,
    /// Done.
    completed: u64,
    /// Given up.
    failed: u64,
    /// Called off.
    cancelled: u64,
}

async fn summary(State(tasks): State<Tasks>) -> Answer<Summary> {
    let counts = tasks.count(Actor::DEFAULT).await?;
    Reply::ok(&Summary {
        pending: counts.of(core::Status::Pending),
        in_progress: counts.of(core::Status::InProgress),
        completed: counts.of(core::Status::Completed),
        failed: counts.of(core::Status::Failed),
        cancelled: counts.of(core::Status::Cancelled),
    })
}
