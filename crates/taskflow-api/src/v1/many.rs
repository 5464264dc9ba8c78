//! One decision about all tasks of a filter: cancel, retry, delete. One task at a time is in `turn.rs`
//! and `tasks.rs`.

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskflow_core::many::Verdict;
use taskflow_service::Actor;
use taskflow_service::many::Many;

use super::filter::FilterWords;
use super::reply::{Answer, Reply};
use super::words::Object;
use crate::extract::{Body, Key};
use crate::openapi::{document, problems};
use crate::problem::Problem;
use crate::state::ApiState;

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    const REFUSALS: &[u16] = &[400, 409, 413, 415, 422];
    ApiRouter::new()
        .api_route(
            "/tasks/bulk/cancel",
            post_with(cancel, |op| {
                let text = "Cancel all tasks of a filter";
                problems(document(op, "cancel_tasks", "Tasks", text), REFUSALS)
            }),
        )
        .api_route(
            "/tasks/bulk/retry",
            post_with(retry, |op| {
                let text = "Run all tasks of a filter that have ended once more";
                problems(document(op, "retry_tasks", "Tasks", text), REFUSALS)
            }),
        )
        .api_route(
            "/tasks/bulk/delete",
            post_with(delete, |op| {
                let text = "Delete all tasks of a filter";
                problems(document(op, "delete_tasks", "Tasks", text), REFUSALS)
            }),
        )
}

/// Which tasks, and whether to do it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "BulkDecision")]
struct ManyBody {
    /// The same names and words as in the query of `GET /api/v1/tasks`.
    filter: Object<FilterWords>,
    /// Says that an empty filter, which takes all tasks, is meant.
    all: bool,
    /// Only count.
    dry_run: bool,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BulkDecided")]
struct ManyAnswer {
    /// Tasks of the filter that were looked at.
    matched: u64,
    /// Tasks that were changed; not in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<u64>,
    /// Tasks to which it cannot be done, and those that changed meanwhile; not in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u64>,
    /// Whether there may be more: time ran out, or a dry run counted as far as it does.
    more: bool,
}

async fn cancel(state: State<Many>, key: Key, body: Body<Object<ManyBody>>) -> Answer<ManyAnswer> {
    key.after(Actor::DEFAULT, decide(state, Verdict::Cancel, body)).await
}

async fn retry(state: State<Many>, key: Key, body: Body<Object<ManyBody>>) -> Answer<ManyAnswer> {
    key.after(Actor::DEFAULT, decide(state, Verdict::Retry, body)).await
}

async fn delete(state: State<Many>, key: Key, body: Body<Object<ManyBody>>) -> Answer<ManyAnswer> {
    key.after(Actor::DEFAULT, decide(state, Verdict::Delete, body)).await
}

async fn decide(
    State(many): State<Many>,
    verdict: Verdict,
    Body(Object(body)): Body<Object<ManyBody>>,
) -> Answer<ManyAnswer> {
    let Object(words) = &body.filter;
    let filter = words.check("/filter/").map_err(Problem::invalid)?;
    if words.is_empty() && !body.all {
        let message = "must not be empty, unless `\"all\": true` says that all tasks are meant";
        return Err(Problem::field("/filter", "missing", message));
    }
    if body.dry_run {
        let (matched, more) = many.count(Actor::DEFAULT, filter).await?;
        return Reply::ok(&ManyAnswer { matched, changed: None, skipped: None, more });
    }
    let done = many.act(Actor::DEFAULT, verdict, filter).await?;
    Reply::ok(&ManyAnswer {
        matched: done.changed + done.skipped,
        changed: Some(done.changed),
        skipped: Some(done.skipped),
        more: done.more,
    })
}
