//! Lists and policies as both stores keep them in one column: JSON text, or nothing for the usual.
//! What producers write (payloads, results) is never parsed here.

use serde::{Deserialize, Serialize};
use taskflow_core::{RetryPolicy, Strategy, TaskId};

/// A retry policy as a row keeps it; none stands for the default of schema 1, which never changes.
#[derive(Serialize, Deserialize)]
struct RetryRow {
    strategy: String,
    base_seconds: f64,
    factor: f64,
    max_seconds: f64,
    jitter: f64,
}

/// The text that `retry` keeps; none for the default policy.
pub fn retry_text(policy: &RetryPolicy) -> Option<String> {
    if *policy == RetryPolicy::default() {
        return None;
    }
    let row = RetryRow {
        strategy: policy.strategy.as_str().to_owned(),
        base_seconds: policy.base_seconds,
        factor: policy.factor,
        max_seconds: policy.max_seconds,
        jitter: policy.jitter,
    };
    serde_json::to_string(&row).ok()
}

/// The policy of a kept text; none when it is not one.
pub fn retry_from(text: &str) -> Option<RetryPolicy> {
    let row: RetryRow = serde_json::from_str(text).ok()?;
    Some(RetryPolicy {
        strategy: Strategy::ALL.into_iter().find(|s| s.as_str() == row.strategy)?,
        base_seconds: row.base_seconds,
        factor: row.factor,
        max_seconds: row.max_seconds,
        jitter: row.jitter,
    })
}

/// The text that `tags` keeps; none for no tags.
pub fn tags_text(tags: &[String]) -> Option<String> {
    if tags.is_empty() { None } else { serde_json::to_string(tags).ok() }
}

/// The tags of a kept text; none when it is not a list of them.
pub fn tags_from(text: Option<&str>) -> Option<Vec<String>> {
    text.map_or(Some(Vec::new()), |text| serde_json::from_str(text).ok())
}

/// The text that `depends_on` keeps; none for no parents.
pub fn ids_text(ids: &[TaskId]) -> Option<String> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    if ids.is_empty() { None } else { serde_json::to_string(&ids).ok() }
}

/// The ids of a kept text; none when it is not a list of them.
pub fn ids_from(text: Option<&str>) -> Option<Vec<TaskId>> {
    let Some(text) = text else { return Some(Vec::new()) };
    let ids: Vec<i64> = serde_json::from_str(text).ok()?;
    ids.into_iter().map(TaskId::new).collect()
}
