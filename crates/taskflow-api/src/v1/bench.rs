//! The yardstick of `taskflow bench`: parses a small JSON and answers one, through the same server
//! and layers as everything else, with no store behind it.

use aide::transform::TransformOperation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reply::{Answer, Reply};
use super::words::Raw;
use crate::extract::Body;
use crate::openapi::{document, problems};

/// What is parsed.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Bare {
    title: String,
    description: Option<String>,
    priority: String,
    queue: String,
    payload: Raw,
}

/// What is answered: as many fields as a bare task would have.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BareAnswer {
    id: u64,
    title: String,
    description: Option<String>,
    status: &'static str,
    priority: String,
    queue: String,
    #[schemars(with = "serde_json::Value")]
    payload: Box<serde_json::value::RawValue>,
    attempt: u32,
    max_attempts: u32,
    created_at: &'static str,
    updated_at: &'static str,
    completed_at: Option<&'static str>,
    result: Option<&'static str>,
}

pub(super) fn describe(op: TransformOperation<'_>) -> TransformOperation<'_> {
    let op = document(op, "bench_bare", "Benchmark", "Parse and answer, nothing else");
    problems(op, &[400, 413, 415, 422])
}

pub(super) async fn bare(Body(body): Body<Bare>) -> Answer<BareAnswer> {
    Reply::ok(&BareAnswer {
        id: 1,
        title: body.title,
        description: body.description,
        status: "pending",
        priority: body.priority,
        queue: body.queue,
        payload: body.payload.0,
        attempt: 0,
        max_attempts: 5,
        created_at: "2026-01-01T00:00:00.000000Z",
        updated_at: "2026-01-01T00:00:00.000000Z",
        completed_at: None,
        result: None,
    })
}
