//! Ids and names in paths. A thing that is no id is invalid input (422), as in the earlier service.

use aide::operation::OperationInput;
use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use taskflow_core::{QueueName, TaskId, WorkerName};

use crate::problem::Problem;

/// The task that a path names.
pub(crate) struct TaskPath(pub TaskId);

/// The worker that a path names.
pub(crate) struct WorkerPath(pub WorkerName);

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct TaskPathSchema {
    /// The task's id.
    #[expect(dead_code, reason = "only its schema is used")]
    #[schemars(range(min = 1))]
    task_id: i64,
}

/// The queue that a path names.
pub(crate) struct QueuePath(pub QueueName);

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct QueuePathSchema {
    /// The queue's name.
    #[expect(dead_code, reason = "only its schema is used")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"))]
    queue: String,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
struct WorkerPathSchema {
    /// The worker's name.
    #[expect(dead_code, reason = "only its schema is used")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:@/-]*$"))]
    worker: String,
}

async fn segment(parts: &mut Parts, pointer: &str) -> Result<String, Problem> {
    match parts.extract::<Path<String>>().await {
        Ok(Path(text)) => Ok(text),
        Err(_) => Err(Problem::field(pointer, "encoding", "must be percent-encoded UTF-8")),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TaskPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let text = segment(parts, "/task_id").await?;
        // Digits only: "+7" and "007" are no ids.
        let digits = !text.is_empty()
            && text.len() <= 19
            && text.bytes().all(|b| b.is_ascii_digit())
            && !text.starts_with('0');
        let id = digits.then(|| text.parse().ok()).flatten().and_then(TaskId::new);
        id.map(Self).ok_or_else(|| {
            Problem::field("/task_id", "not-an-id", "must be a positive 64-bit integer")
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WorkerPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let text = segment(parts, "/worker").await?;
        WorkerName::parse(&text)
            .map(Self)
            .map_err(|error| Problem::field("/worker", "name", error.to_string()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for QueuePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let text = segment(parts, "/queue").await?;
        QueueName::parse(&text)
            .map(Self)
            .map_err(|error| Problem::field("/queue", "name", error.to_string()))
    }
}

impl OperationInput for QueuePath {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        Path::<QueuePathSchema>::operation_input(context, operation);
    }
}

impl OperationInput for TaskPath {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        Path::<TaskPathSchema>::operation_input(context, operation);
    }
}

impl OperationInput for WorkerPath {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        Path::<WorkerPathSchema>::operation_input(context, operation);
    }
}
