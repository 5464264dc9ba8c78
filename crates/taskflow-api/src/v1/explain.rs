//! Why a task is not running. The reasons are `core::explain`'s.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use taskflow_core::explain::Reason;
use taskflow_service::Actor;
use taskflow_service::tasks::Tasks;

use super::reply::{Answer, Reply};
use super::words::{Instant, PendingReason, Status};
use crate::extract::TaskPath;
use crate::openapi::{document, problems};
use crate::state::ApiState;

/// The route.
pub(crate) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/tasks/{task_id}/explain",
        get_with(explain, |op| {
            let op = document(op, "explain_task", "Tasks", "Why a task is not running");
            problems(op, &[404, 422])
        }),
    )
}

/// Why a task is not running, or what became of it.
#[derive(Debug, Serialize, JsonSchema)]
struct Explanation {
    /// The task.
    id: i64,
    /// Where it stands.
    status: Status,
    /// The word of the list for it; null unless pending.
    pending_reason: Option<PendingReason>,
    /// Every reason that holds, the weightiest first.
    reasons: Vec<ReasonView>,
}

/// One reason.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Reason")]
struct ReasonView {
    /// `blocked`, `scheduled`, `retrying`, `paused`, `queue-limit`, `key-limit`, `rate-limit`, `manual`,
    /// `in-line`, `no-worker`, `workers-busy`, `starting`, `running`, `by-hand`, `completed`, `failed` or
    /// `cancelled`.
    code: &'static str,
    /// What holds it.
    detail: String,
    /// What would end that.
    ends: Option<String>,
    /// The tasks behind it.
    task_ids: Vec<i64>,
    /// The instant that is waited for.
    until: Option<Instant>,
}

impl From<Reason> for ReasonView {
    fn from(reason: Reason) -> Self {
        Self {
            code: reason.code,
            detail: reason.detail,
            ends: reason.ends,
            task_ids: reason.tasks.iter().map(|id| id.get()).collect(),
            until: reason.until.map(Instant),
        }
    }
}

async fn explain(
    State(tasks): State<Tasks>,
    State(clock): State<std::sync::Arc<dyn taskflow_core::Clock>>,
    TaskPath(id): TaskPath,
) -> Answer<Explanation> {
    let (task, reasons) = tasks.explain(Actor::DEFAULT, id).await?;
    Reply::ok(&Explanation {
        id: task.id.get(),
        status: task.state.status.into(),
        pending_reason: task.state.pending_reason(clock.now()).map(Into::into),
        reasons: reasons.into_iter().map(Into::into).collect(),
    })
}
