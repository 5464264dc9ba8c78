//! Many tasks in one request and one commit. How one task is read is in `create.rs`.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskflow_core::limits::{BULK_MAX, FAULTS_MAX};
use taskflow_core::{Clock, Fault, NewTask};
use taskflow_service::idempotency::{CreatedAll, Wanted};
use taskflow_service::queues::Queues;
use taskflow_service::tasks::Created;
use taskflow_service::{Actor, ServiceError};

use super::create::CreateTask;
use super::few::few;
use super::reply::{Answer, Reply};
use super::words::Object;
use crate::extract::query::FromPairs;
use crate::extract::{Key, LargeBody, Query};
use crate::openapi::{document, problems};
use crate::problem::Problem;
use crate::state::ApiState;

/// The route.
pub(crate) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/tasks/bulk",
        post_with(create, |op| {
            let op = document(op, "create_tasks", "Tasks", "Create many tasks in one commit");
            problems(op, &[400, 409, 413, 415, 422])
                .response_with::<200, axum::Json<BulkAnswer>, _>(|r| {
                    r.description("Everything that was not refused is on disk.")
                })
        }),
    )
}

/// Tasks to create.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BulkCreate")]
struct BulkBody {
    /// Each as for `POST /api/v1/tasks`.
    #[serde(deserialize_with = "few::<_, _, BULK_MAX>")]
    #[schemars(with = "Vec<CreateTask>", length(min = 1, max = 10_000))]
    tasks: Vec<Object<CreateTask>>,
}

/// What happens when one of the tasks is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Nothing is created.
    Atomic,
    /// The others are created.
    Partial,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
struct BulkQuery {
    /// `atomic`: all of them or none. `partial`: what is refused does not hinder the others.
    #[serde(default = "atomic")]
    mode: Mode,
}

fn atomic() -> Mode {
    Mode::Atomic
}

impl FromPairs for BulkQuery {
    const NAMES: &'static [&'static str] = &["mode"];

    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Vec<Fault>> {
        match pairs.iter().find(|(name, _)| name == "mode").map(|(_, value)| value.as_str()) {
            None | Some("atomic") => Ok(Self { mode: Mode::Atomic }),
            Some("partial") => Ok(Self { mode: Mode::Partial }),
            Some(_) => Err(vec![Fault::new("?mode", "unknown-word", "must be atomic or partial")]),
        }
    }
}

/// What became of the tasks, in their order.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BulkCreated")]
struct BulkAnswer {
    /// New tasks.
    created: usize,
    /// Unique keys that live tasks hold already: those tasks are named.
    existing: usize,
    /// Tasks that were refused; none when `atomic`.
    refused: usize,
    /// One per task.
    tasks: Vec<ItemAnswer>,
}

/// What became of one task.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "BulkItem")]
struct ItemAnswer {
    /// 201 created, 200 there already, 409 or 422 refused.
    status: u16,
    /// The task that was created or is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The task that holds the unique key.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<i64>,
}

async fn create(
    State(queues): State<Queues>,
    State(clock): State<Arc<dyn Clock>>,
    Query(query): Query<BulkQuery>,
    key: Key,
    LargeBody(Object(body)): LargeBody<Object<BulkBody>>,
) -> Answer<BulkAnswer> {
    if !(1..=BULK_MAX).contains(&body.tasks.len()) {
        let message = format!("must be 1 to {BULK_MAX} tasks");
        let code = if body.tasks.is_empty() { "too-few" } else { "too-many" };
        return Err(Problem::field("/tasks", code, message));
    }
    let book = queues.book(Actor::DEFAULT).await?;
    let now = clock.now();
    let checked = body.tasks.into_iter().map(|Object(task)| task.check(now, &book)).collect();
    match query.mode {
        Mode::Atomic => {
            let batch = match all(checked) {
                Ok(batch) => Wanted::create_all(batch),
                Err(problem) => return key.before(Actor::DEFAULT).await?.ok_or(problem),
            };
            key.answer(Actor::DEFAULT, batch, |created, _| shown(all_created(created)?)).await
        }
        Mode::Partial => {
            let (good, checked) = each(checked);
            if good.is_empty() {
                if let Some(before) = key.before(Actor::DEFAULT).await? {
                    return Ok(before);
                }
                return shown(each_created(&checked, Vec::new())?);
            }
            let show = move |created, _| shown(each_created(&checked, created)?);
            key.answer(Actor::DEFAULT, Wanted::create_many(good), show).await
        }
    }
}

fn shown(items: Vec<ItemAnswer>) -> Answer<BulkAnswer> {
    let count = |status: u16| items.iter().filter(|item| item.status == status).count();
    let (created, existing) = (count(201), count(200));
    let refused = items.len() - created - existing;
    Reply::ok(&BulkAnswer { created, existing, refused, tasks: items })
}

type Checked = Vec<Result<NewTask, Vec<Fault>>>;

/// The tasks, when none is at fault.
fn all(checked: Checked) -> Result<Vec<NewTask>, Problem> {
    let mut batch = Vec::with_capacity(checked.len());
    let mut faults = Vec::new();
    for (at, task) in checked.into_iter().enumerate() {
        match task {
            Ok(task) => batch.push(task),
            Err(found) => faults.extend(found.into_iter().map(|fault| within(at, fault))),
        }
    }
    if faults.is_empty() {
        return Ok(batch);
    }
    faults.truncate(FAULTS_MAX);
    Err(Problem::invalid(faults))
}

fn all_created(created: CreatedAll) -> Result<Vec<ItemAnswer>, Problem> {
    match created {
        Ok(created) => Ok(created.iter().map(ItemAnswer::of).collect()),
        Err((at, ServiceError::Invalid(faults))) => {
            Err(Problem::invalid(faults.into_iter().map(|fault| within(at, fault)).collect()))
        }
        Err((at, error)) => Err(Problem::from(error).about(&format!("/tasks/{at}"))),
    }
}

/// The tasks that are not at fault, and for each task what is.
fn each(checked: Checked) -> (Vec<NewTask>, Vec<Result<(), Vec<Fault>>>) {
    let mut good = Vec::with_capacity(checked.len());
    let faults = checked.into_iter().map(|task| task.map(|task| good.push(task))).collect();
    (good, faults)
}

fn each_created(
    checked: &[Result<(), Vec<Fault>>],
    created: Vec<Result<Created, ServiceError>>,
) -> Result<Vec<ItemAnswer>, Problem> {
    let mut answers = created.into_iter();
    let mut items = Vec::with_capacity(checked.len());
    for task in checked {
        items.push(match task {
            Err(faults) => ItemAnswer::refused(ServiceError::Invalid(faults.clone())),
            Ok(()) => match answers.next() {
                Some(Ok(created)) => ItemAnswer::of(&created),
                Some(Err(error)) => ItemAnswer::refused(error),
                None => return Err(Problem::new("internal-error", "an answer is missing")),
            },
        });
    }
    Ok(items)
}

/// A fault of one task, as one of the whole body.
fn within(at: usize, fault: Fault) -> Fault {
    Fault { pointer: format!("/tasks/{at}{}", fault.pointer), ..fault }
}

impl ItemAnswer {
    fn of(created: &Created) -> Self {
        let status = if created.new { StatusCode::CREATED } else { StatusCode::OK };
        Self { status: status.as_u16(), id: Some(created.task.id.get()), ..Self::default() }
    }

    fn refused(error: ServiceError) -> Self {
        let problem = Problem::from(error);
        Self {
            status: problem.status().as_u16(),
            code: Some(problem.code()),
            detail: Some(problem.detail().to_owned()),
            task_id: problem.task_id(),
            ..Self::default()
        }
    }
}
