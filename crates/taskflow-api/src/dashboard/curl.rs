//! A task as the command that creates one like it. Texts of tasks stand in single quotes, in which a shell reads
//! nothing but the quote itself.

use serde::Serialize;
use serde_json::value::RawValue;
use taskflow_core::{Json, Task};

use crate::v1::words::Retry;

/// A payload beyond it is not for a command line, in bytes.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

#[derive(Serialize)]
struct Body<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    queue: &'a str,
    kind: &'a str,
    priority: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    max_attempts: u32,
    retry: Retry,
    lease_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<i64>,
}

/// The first command on an empty database.
pub(super) fn first(address: &str, key: bool) -> String {
    command(address, key, r#"{"title": "My first task"}"#)
}

fn command(address: &str, key: bool, body: &str) -> String {
    let key = if key { " \\\n  -H \"X-API-Key: $API_KEY\"" } else { "" };
    format!(
        "curl -X POST {address}/api/v1/tasks{key} \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    )
}

/// The command, against the server at `address`.
pub(super) fn create(task: &Task, address: &str, key: bool) -> String {
    let raw = |json: &'_ Json| -> Option<Box<RawValue>> {
        RawValue::from_string(json.as_str().to_owned()).ok()
    };
    let small = task.payload.as_ref().filter(|json| json.len() <= PAYLOAD_BYTES_MAX);
    let (payload, metadata) = (small.and_then(raw), task.metadata.as_ref().and_then(raw));
    let body = Body {
        title: &task.title,
        description: task.description.as_deref(),
        queue: task.queue.as_str(),
        kind: task.kind.as_str(),
        priority: task.priority.as_str(),
        payload: payload.as_deref(),
        max_attempts: task.terms.max_attempts,
        retry: task.terms.retry.into(),
        lease_seconds: task.terms.lease_seconds,
        timeout_seconds: task.terms.timeout_seconds,
        tags: &task.tags,
        metadata: metadata.as_deref(),
        unique_key: task.unique_key.as_deref(),
        concurrency_key: task.concurrency_key.as_deref(),
        deadline_at: task.terms.deadline_at.map(|at| at.to_string()),
        expires_at: task.terms.expires_at.map(|at| at.to_string()),
        depends_on: task.depends_on.iter().map(|id| id.get()).collect(),
    };
    let body = serde_json::to_string(&body).unwrap_or_default().replace('\'', r"'\''");
    let left_out = match task.payload.is_some() && small.is_none() {
        true => "# the payload is too long for a command line: read it with the link above\n",
        false => "",
    };
    format!("{left_out}{}", command(address, key, &body))
}

#[cfg(test)]
mod tests;
