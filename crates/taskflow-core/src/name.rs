//! Names that can only be built valid: queues, kinds and workers.
//! Free text (titles, keys, tags) is checked in `task.rs`.

use std::fmt;

use crate::limits::{INSTANCE_CHARS_MAX, NAME_CHARS_MAX, WORKER_CHARS_MAX};

/// The text does not follow the rule of its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadName(pub &'static str);

const NAME_RULE: &str =
    "must be 1 to 100 characters from A-Z a-z 0-9 . _ : - and start with a letter or digit";
const WORKER_RULE: &str =
    "must be 1 to 200 characters from A-Z a-z 0-9 . _ : @ / - and start with a letter or digit";
const INSTANCE_RULE: &str =
    "must be 1 to 64 characters from A-Z a-z 0-9 . _ : - and start with a letter or digit";

fn named(text: &str, max: usize, also: &[u8]) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= max
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || also.contains(b))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $max:expr, $also:expr, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Box<str>);

        impl $type {
            /// Checks the rule and keeps the text.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                if named(text, $max, $also) { Ok(Self(text.into())) } else { Err(BadName($rule)) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Name of a queue: `[A-Za-z0-9][A-Za-z0-9._:-]{0,99}`.
    QueueName,
    NAME_CHARS_MAX,
    b"._:-",
    NAME_RULE
);
name!(
    /// Name of a kind of work; picks the handler. The same rule as a queue's.
    Kind,
    NAME_CHARS_MAX,
    b"._:-",
    NAME_RULE
);
name!(
    /// Name of a worker process: `[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}`.
    WorkerName,
    WORKER_CHARS_MAX,
    b"._:@/-",
    WORKER_RULE
);
name!(
    /// Which process of a worker's name: made up at its start, `[A-Za-z0-9][A-Za-z0-9._:-]{0,63}`.
    Instance,
    INSTANCE_CHARS_MAX,
    b"._:-",
    INSTANCE_RULE
);

impl Default for QueueName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl Kind {
    /// Kinds that the built-in worker runs, or (`manual`) that no worker runs. A claim that names
    /// no kinds never gets them.
    pub const BUILT_IN: [&'static str; 5] = ["log", "sleep", "http", "command", "manual"];

    /// The kind that people work on: no worker ever claims it.
    pub const MANUAL: &'static str = "manual";

    /// Whether a claim that names no kinds must leave this kind alone.
    pub fn is_built_in(&self) -> bool {
        Self::BUILT_IN.contains(&self.as_str())
    }
}

impl Default for Kind {
    fn default() -> Self {
        Self("log".into())
    }
}
