//! Whether the server answers, lives and is ready. No key is needed.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use taskflow_core::Clock;
use taskflow_service::readiness::{Probe, Readiness};

use super::reply::{Answer, Reply};
use super::words::Instant;
use crate::openapi::problems;
use crate::problem::Problem;
use crate::state::{ApiOptions, ApiState};

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/health",
            get_with(health, |op| {
                let op = op.id("health").tag("Health").summary("Whether the server answers");
                let mut op = problems(op, &[500]);
                // The empty requirement: no key is asked for.
                op.inner_mut().security = vec![Default::default()];
                op
            }),
        )
        .api_route(
            "/health/live",
            get_with(live, |op| {
                let op = op.id("health_live").tag("Health").summary("Whether the process serves");
                let mut op = problems(op, &[500]);
                op.inner_mut().security = vec![Default::default()];
                op
            }),
        )
        .api_route(
            "/health/ready",
            get_with(ready, |op| {
                let op = op.id("health_ready").tag("Health").summary("Whether it can do its work");
                let mut op = problems(op, &[500, 503]);
                op.inner_mut().security = vec![Default::default()];
                op
            }),
        )
}

/// The process serves.
#[derive(Debug, Serialize, JsonSchema)]
struct Live {
    /// Always "alive".
    status: &'static str,
}

/// Asks nothing but itself: a database that is away is no reason to restart the process.
async fn live() -> Answer<Live> {
    Reply::ok(&Live { status: "alive" })
}

/// Whether requests should be sent here.
#[derive(Debug, Serialize, JsonSchema)]
struct Ready {
    /// Always "ready"; otherwise the answer is 503.
    status: &'static str,
    /// The database's schema, which is the one that this program knows.
    schema: i64,
    /// How far this machine's clock is ahead of the database's; null where they are the same. The
    /// database's counts, so a difference does no harm to the queue.
    clock_lead_ms: Option<i64>,
    /// What runs in the background, and the seconds since each was last through; more than ten mean
    /// that it is stuck.
    duties: std::collections::BTreeMap<&'static str, f64>,
}

async fn ready(State(probe): State<Probe>) -> Answer<Ready> {
    let found = probe.look().await;
    if !found.is_ready() {
        let again = (http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        return Err(Problem::new("not-ready", faults(&found)).with_header(again.0, again.1));
    }
    Reply::ok(&Ready {
        status: "ready",
        schema: found.database.map_or(0, |health| health.schema),
        clock_lead_ms: found.database.and_then(|health| health.clock_lead_ms),
        duties: found.duties.into_iter().collect(),
    })
}

/// What is wrong, in words.
fn faults(found: &Readiness) -> String {
    let mut faults = Vec::new();
    match found.database {
        None => faults.push("the database does not answer".to_owned()),
        Some(health) if health.schema != health.known => faults.push(format!(
            "the database has schema {}, and this program knows {}",
            health.schema, health.known
        )),
        Some(_) => {}
    }
    for (name, seconds) in found.stuck() {
        faults.push(format!("the duty {name} was last through {seconds:.1} s ago"));
    }
    faults.join("; ")
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
