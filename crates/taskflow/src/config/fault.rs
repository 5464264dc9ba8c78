//! What is wrong with a configuration: every fault at once, by the name of its variable.
//! Messages never carry the value of a secret; `reader.rs` sees to that.

use std::fmt;

use super::sources::Source;

/// One variable at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The variable, or the file.
    pub name: String,
    /// Where the value came from.
    pub source: Source,
    /// What is wrong and what was expected; lower case, no full stop.
    pub message: String,
}

/// All faults of one configuration, in the order of the settings. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<ConfigFault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a fault:")?,
            n => write!(f, "the configuration has {n} faults:")?,
        }
        for ConfigFault { name, source, message } in &self.0 {
            write!(f, "\n  {name} ({source}): {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Why a text is no value of its setting: one or more reasons, each a part of a sentence.
/// For a secret setting they must not repeat the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) Vec<String>);

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self(vec![reason])
    }
}

impl From<&str> for Wrong {
    fn from(reason: &str) -> Self {
        Self(vec![reason.to_owned()])
    }
}
