//! What a person decides about one task without changing its fields: cancel, retry. Any other change of
//! status goes by `PUT` (`update.rs`).

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use taskflow_core::{Status, Task, TaskPatch, Timestamp};
use taskflow_service::Actor;
use taskflow_service::idempotency::Wanted;

use super::reply::{Answer, Reply};
use super::view::{TaskView, view};
use crate::extract::{IfMatch, Key, NoBody, TaskPath};
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
    TaskPath(id): TaskPath,
    IfMatch(version): IfMatch,
    key: Key,
    _: NoBody,
) -> Answer<TaskView<'static>> {
    let patch = TaskPatch { status: Some(Status::Cancelled), ..TaskPatch::default() };
    key.answer(Actor::DEFAULT, Wanted::edit(id, version, patch), |task, now| shown(&task, now))
        .await
}

async fn retry(
    TaskPath(id): TaskPath,
    IfMatch(version): IfMatch,
    key: Key,
    _: NoBody,
) -> Answer<TaskView<'static>> {
    let patch = TaskPatch { rerun: true, ..TaskPatch::default() };
    key.answer(Actor::DEFAULT, Wanted::edit(id, version, patch), |task, now| shown(&task, now))
        .await
}

fn shown(task: &Task, now: Timestamp) -> Answer<TaskView<'static>> {
    Ok(Reply::ok(&view(task, now))?.etag(task.state.version))
}
