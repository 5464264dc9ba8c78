//! Whether the server answers. No key is needed.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use taskflow_core::Clock;

use super::reply::{Answer, Reply};
use super::words::Instant;
use crate::openapi::problems;
use crate::state::{ApiOptions, ApiState};

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/health",
        get_with(health, |op| {
            let op = op.id("health").tag("Health").summary("Whether the server answers");
            let mut op = problems(op, &[500]);
            // The empty requirement: no key is asked for.
            op.inner_mut().security = vec![Default::default()];
            op
        }),
    )
}

/// The server answers.
#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    /// Always "healthy".
    status: &'static str,
    /// The program's version, or `API_VERSION`.
    version: String,
    /// The server's time.
    timestamp: Instant,
}

async fn health(
    State(options): State<Arc<ApiOptions>>,
    State(clock): State<Arc<dyn Clock>>,
) -> Answer<Health> {
    Reply::ok(&Health {
        status: "healthy",
        version: options.version.clone(),
        timestamp: Instant(clock.now()),
    })
}
