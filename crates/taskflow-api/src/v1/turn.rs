//! What a person decides about one task without changing its fields: cancel, retry. Any other change of
//! status goes by `PUT` (`update.rs`).

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::extract::State;
use taskflow_core::{Clock, Status, TaskPatch};
use taskflow_service::Actor;
use taskflow_service::tasks::Tasks;

use super::reply::{Answer, Reply};
use super::view::{TaskView, view};
use crate::extract::{IfMatch, NoBody, TaskPath};
use crate::openapi::{document, problems};
use crate::state::ApiState;

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    const REFUSALS: &[u16] = &[400, 404, 409, 412, 413, 415, 422];
    ApiRouter::new()
        .api_route(
            "/tasks/{task_id}/cancel",
            post_with(cancel, |op| {
                problems(document(op, "cancel_task", "Tasks", "Cancel a task"), REFUSALS)
            }),
        )
        .api_route(
            "/tasks/{task_id}/retry",
            post_with(retry, |op| {
                let op = document(op, "retry_task", "Tasks", "Run a task that has ended once more");
                problems(op, REFUSALS)
            }),
        )
}

async fn cancel(
    State(tasks): State<Tasks>,
    State(clock): State<Arc<dyn Clock>>,
    TaskPath(id): TaskPath,
    IfMatch(version): IfMatch,
    _: NoBody,
) -> Answer<TaskView<'static>> {
    let patch = TaskPatch { status: Some(Status::Cancelled), ..TaskPatch::default() };
    let task = tasks.edit(Actor::DEFAULT, id, version, patch).await?;
    Ok(Reply::ok(&view(&task, clock.now()))?.etag(task.state.version))
}

async fn retry(
    State(tasks): State<Tasks>,
    State(clock): State<Arc<dyn Clock>>,
    TaskPath(id): TaskPath,
    IfMatch(version): IfMatch,
    _: NoBody,
) -> Answer<TaskView<'static>> {
    let patch = TaskPatch { rerun: true, ..TaskPatch::default() };
    let task = tasks.edit(Actor::DEFAULT, id, version, patch).await?;
    Ok(Reply::ok(&view(&task, clock.now()))?.etag(task.state.version))
}
