//! The body of a create: what the command line says, as JSON that keeps every digit. Rules of values
//! are the server's.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::fault::Fault;
use super::options::CreateOptions;

/// What `-` of `--payload` is read from.
pub(super) type Input<'a> = &'a mut dyn Read;

/// The body that `options` ask for. A usage fault when a value is no JSON, a file cannot be read or
/// a field is given twice.
pub(super) fn body(options: &CreateOptions, input: Input<'_>) -> Result<String, Fault> {
    let mut body = Body::default();
    body.give("title", Some(&options.title))?;
    body.give("kind", options.kind.as_ref())?;
    body.give("queue", options.queue.as_ref())?;
    body.give("priority", options.priority.as_ref())?;
    body.give("delay_seconds", options.delay.as_ref())?;
    body.give("run_at", options.run_at.as_ref())?;
    body.give("max_attempts", options.max_attempts.as_ref())?;
    body.give("tags", Some(&options.tags).filter(|tags| !tags.is_empty()))?;
    body.give("unique_key", options.unique_key.as_ref())?;
    body.give("on_conflict", options.on_conflict.as_ref())?;
    body.give("depends_on", Some(&options.depends_on).filter(|ids| !ids.is_empty()))?;
    if let Some(payload) = &options.payload {
        body.add("payload", json("--payload", &content(payload, input)?)?)?;
    }
    for field in &options.fields {
        let (name, value) = field
            .split_once('=')
            .ok_or_else(|| Fault::Usage(format!("--field {field:?} must be NAME=JSON")))?;
        body.add(name, json(&format!("--field {name}"), value)?)?;
    }
    serde_json::to_string(&body).map_err(usage)
}

/// Field by field, each once.
#[derive(Default, Serialize)]
#[serde(transparent)]
struct Body(BTreeMap<String, Box<RawValue>>);

impl Body {
    fn give<T: Serialize>(&mut self, name: &str, value: Option<&T>) -> Result<(), Fault> {
        match value {
            Some(value) => self.add(name, to_raw_value(value).map_err(usage)?),
            None => Ok(()),
        }
    }

    fn add(&mut self, name: &str, value: Box<RawValue>) -> Result<(), Fault> {
        match self.0.insert(name.to_owned(), value) {
            Some(_) => Err(Fault::Usage(format!("the field {name} is given twice"))),
            None => Ok(()),
        }
    }
}

/// The text itself, or that of the file or the input that it names. JSON begins with no `@` and is
/// no lone `-`.
fn content(payload: &str, input: Input<'_>) -> Result<String, Fault> {
    let mut text = String::new();
    let read = match (payload, payload.strip_prefix('@')) {
        ("-", _) => input.read_to_string(&mut text).map(|_| text),
        (_, Some(path)) => std::fs::read_to_string(path),
        _ => return Ok(payload.to_owned()),
    };
    read.map_err(|error| Fault::Usage(format!("--payload {payload} cannot be read: {error}")))
}

fn json(what: &str, text: &str) -> Result<Box<RawValue>, Fault> {
    // Not `RawValue::from_string`, which refuses the line end of a file.
    serde_json::from_str(text).map_err(|error| {
        Fault::Usage(format!(r#"{what} is not JSON ({error}); text needs quotes, as in '"text"'"#))
    })
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn usage(error: serde_json::Error) -> Fault {
    Fault::Usage(error.to_string())
}
