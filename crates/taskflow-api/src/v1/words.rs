//! The words of the wire: enums, instants and raw JSON as they are written and read.

use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use taskflow_core as core;
use taskflow_core::{Fault, Json, Timestamp};

/// Order within the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// After everything else.
    Low,
    /// The default.
    Medium,
    /// Before medium.
    High,
    /// Before everything else.
    Urgent,
}

impl From<Priority> for core::Priority {
    fn from(word: Priority) -> Self {
        match word {
            Priority::Low => Self::Low,
            Priority::Medium => Self::Medium,
            Priority::High => Self::High,
            Priority::Urgent => Self::Urgent,
        }
    }
}

impl From<core::Priority> for Priority {
    fn from(word: core::Priority) -> Self {
        match word {
            core::Priority::Low => Self::Low,
            core::Priority::Medium => Self::Medium,
            core::Priority::High => Self::High,
            core::Priority::Urgent => Self::Urgent,
        }
    }
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits.
    Pending,
    /// Is worked on.
    InProgress,
    /// Done.
    Completed,
    /// Given up.
    Failed,
    /// Called off.
    Cancelled,
}

impl From<Status> for core::Status {
    fn from(word: Status) -> Self {
        match word {
            Status::Pending => Self::Pending,
            Status::InProgress => Self::InProgress,
            Status::Completed => Self::Completed,
            Status::Failed => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

impl From<core::Status> for Status {
    fn from(word: core::Status) -> Self {
        match word {
            core::Status::Pending => Self::Pending,
            core::Status::InProgress => Self::InProgress,
            core::Status::Completed => Self::Completed,
            core::Status::Failed => Self::Failed,
            core::Status::Cancelled => Self::Cancelled,
        }
    }
}

/// Why a pending task is not running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PendingReason {
    /// Nothing but a free worker is missing.
    Ready,
    /// Its `run_at` lies in the future.
    Scheduled,
    /// It failed and waits for its back-off.
    Retrying,
    /// It waits for other tasks.
    Blocked,
}

impl From<core::PendingReason> for PendingReason {
    fn from(word: core::PendingReason) -> Self {
        match word {
            core::PendingReason::Ready => Self::Ready,
            core::PendingReason::Scheduled => Self::Scheduled,
            core::PendingReason::Retrying => Self::Retrying,
            core::PendingReason::Blocked => Self::Blocked,
        }
    }
}

/// How the back-off grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// `base * factor^(n-1)`.
    Exponential,
    /// `base * n`.
    Linear,
    /// `base`.
    Fixed,
}

/// When a failed attempt is tried again. Missing fields have their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// How the back-off grows.
    #[serde(deserialize_with = "word")]
    pub strategy: Strategy,
    /// First back-off in seconds, at most `max_seconds`.
    #[schemars(range(min = 0))]
    pub base_seconds: f64,
    /// Growth per attempt (exponential only).
    #[schemars(range(min = 1, max = 100))]
    pub factor: f64,
    /// No back-off is longer, in seconds.
    #[schemars(range(min = 0, max = 2592000))]
    pub max_seconds: f64,
    /// Part of the back-off that chance takes or adds.
    #[schemars(range(min = 0, max = 1))]
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        core::RetryPolicy::default().into()
    }
}

impl From<core::RetryPolicy> for Retry {
    fn from(policy: core::RetryPolicy) -> Self {
        Self {
            strategy: match policy.strategy {
                core::Strategy::Exponential => Strategy::Exponential,
                core::Strategy::Linear => Strategy::Linear,
                core::Strategy::Fixed => Strategy::Fixed,
            },
            base_seconds: policy.base_seconds,
            factor: policy.factor,
            max_seconds: policy.max_seconds,
            jitter: policy.jitter,
        }
    }
}

impl From<Retry> for core::RetryPolicy {
    fn from(retry: Retry) -> Self {
        Self {
            strategy: match retry.strategy {
                Strategy::Exponential => core::Strategy::Exponential,
                Strategy::Linear => core::Strategy::Linear,
                Strategy::Fixed => core::Strategy::Fixed,
            },
            base_seconds: retry.base_seconds,
            factor: retry.factor,
            max_seconds: retry.max_seconds,
            jitter: retry.jitter,
        }
    }
}

/// An instant: RFC 3339; answers are in UTC with `Z` and microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instant(pub Timestamp);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Timestamp::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// Any JSON value, kept digit by digit.
#[derive(Debug, Clone)]
pub(crate) struct Raw(pub Box<RawValue>);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Raw {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnyJson".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

impl Raw {
    /// Whether it is `null`.
    pub(crate) fn is_null(&self) -> bool {
        self.0.get() == "null"
    }

    /// The checked value; `null` is none. Faults are told at `pointer`.
    pub(crate) fn check(self, pointer: &str, bytes_max: usize) -> Result<Option<Json>, Fault> {
        let text = self.0.get();
        if text == "null" {
            return Ok(None);
        }
        if text.len() > bytes_max {
            let message = format!("must be at most {bytes_max} bytes of JSON");
            return Err(Fault::new(pointer, "too-large", message));
        }
        Json::parse(text).map(Some).map_err(|error| {
            let message = error.to_string();
            Fault::new(pointer, "json", message)
        })
    }
}

/// A stored JSON value on its way out, as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a>(pub &'a Json);

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue =
            serde_json::from_str(self.0.as_str()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl JsonSchema for Stored<'_> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnyJson".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

/// An object. A derived struct alone would also take an array of its fields' values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Object<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// For a word: text only. A derived enum alone would also take `{"high": null}`, and its parser calls
/// every other value no JSON.
pub(crate) fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    T::deserialize(text.into_deserializer())
}

/// For optional words that may be missing but not `null`.
pub(crate) fn present_word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    word(deserializer).map(Some)
}

/// For optional fields that may be missing but not `null`.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
