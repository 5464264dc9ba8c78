//! A JSON object of the server's, its values kept digit by digit. It gives them no meaning.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::fault::Fault;

/// An object: names and the texts of their values.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(in crate::commands) struct Document(BTreeMap<String, Box<RawValue>>);

impl Document {
    /// One object.
    pub(in crate::commands) fn parse(json: &str) -> Result<Self, Fault> {
        serde_json::from_str(json).map_err(strange)
    }

    /// An array of objects.
    pub(in crate::commands) fn parse_all(json: &str) -> Result<Vec<Self>, Fault> {
        serde_json::from_str(json).map_err(strange)
    }

    /// A value's JSON; `None` when it is not there or null.
    pub(in crate::commands) fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null")
    }

    /// A text without its quotes, any other value as its JSON; nothing when there is none.
    pub(in crate::commands) fn text(&self, name: &str) -> String {
        self.raw(name).map(bare).unwrap_or_default()
    }

    /// Names that are not among `known`, in the order of the alphabet.
    pub(super) fn others<'a>(&'a self, known: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str).filter(|name| !known.contains(name))
    }

    /// Whether `status` says that it has ended; a status of a later version has not.
    pub(super) fn is_ended(&self) -> bool {
        taskflow_core::Status::parse(&self.text("status"))
            .is_some_and(taskflow_core::Status::is_ended)
    }
}

/// A JSON string's text, or any other JSON as it is.
fn bare(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn strange(error: serde_json::Error) -> Fault {
    Fault::Strange(error.to_string())
}
