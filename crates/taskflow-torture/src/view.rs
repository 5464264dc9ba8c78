//! What the server shows of tasks and attempts, as far as the rules need it. Lease tokens are turned
//! into hashes on the way in, so that a history can be shown to anybody.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Status of a task, as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Pending,
    InProgress,
    Completed,
    Failed,
    Cancelled,
}

impl Status {
    /// Whether nothing but an explicit retry moves it on; this test never retries.
    pub(crate) fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// A task as an answer showed it. Times are microseconds of the server's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskView {
    pub(crate) id: i64,
    pub(crate) status: Status,
    pub(crate) version: u64,
    pub(crate) attempt: u32,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) payload: Value,
    #[serde(default)]
    pub(crate) result: Value,
    #[serde(default, deserialize_with = "micros")]
    pub(crate) started_at: Option<i64>,
    #[serde(default, deserialize_with = "micros")]
    pub(crate) lease_expires_at: Option<i64>,
    #[serde(
        default,
        rename(deserialize = "lease_token"),
        deserialize_with = "hashed",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) token_hash: Option<String>,
}

impl TaskView {
    /// The payload's mark, unique per create call; empty when it has none.
    pub(crate) fn mark(&self) -> &str {
        self.payload.get("p").and_then(Value::as_str).unwrap_or("")
    }
}

/// An attempt of a task's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AttemptView {
    pub(crate) attempt: u32,
    #[serde(default, deserialize_with = "micros")]
    pub(crate) started_at: Option<i64>,
    #[serde(default, deserialize_with = "micros")]
    pub(crate) ended_at: Option<i64>,
    pub(crate) outcome: String,
}

/// A lease that a worker holds.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    pub(crate) attempt: u32,
    pub(crate) token: String,
    pub(crate) poison: bool,
}

impl Lease {
    /// From a claimed task; none when it carries no token.
    pub(crate) fn read(task: &Value) -> Option<Self> {
        Some(Self {
            id: task.get("id")?.as_i64()?,
            attempt: task.get("attempt")?.as_u64().and_then(|n| u32::try_from(n).ok())?,
            token: task.get("lease_token")?.as_str()?.to_owned(),
            poison: task.pointer("/payload/poison").is_some(),
        })
    }
}

/// What the history keeps of a token.
pub(crate) fn token_hash(token: &str) -> String {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn hashed<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|token| token_hash(&token)))
}

/// Microseconds from an RFC 3339 text.
pub(crate) fn micros_of(text: &str) -> Result<i64, String> {
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_microsecond)
        .map_err(|error| format!("time {text:?}: {error}"))
}

fn micros<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| micros_of(&text).map_err(serde::de::Error::custom)).transpose()
}
