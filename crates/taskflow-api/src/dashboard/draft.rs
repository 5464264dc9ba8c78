//! A form of a task as the JSON that the API takes, so that the API's own rules judge it and JSON texts stay as they
//! were typed.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use taskflow_core::Fault;

use super::fields::Fields;
use crate::extract::body::parse;

/// How a field's text becomes JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// As a text.
    Text,
    /// As the number that it is.
    Number,
    /// It is JSON.
    Json,
    /// A list of texts, with commas between.
    Words,
    /// A list of whole numbers, with commas or spaces between.
    Numbers,
}

/// The object that is made of a form.
#[derive(Default)]
pub(super) struct Draft {
    parts: Vec<(&'static str, String)>,
    faults: Vec<Fault>,
}

impl Draft {
    /// Every field of the form that says something.
    pub(super) fn of(fields: &Fields, sorts: &[(&'static str, Sort)]) -> Self {
        let mut draft = Self::default();
        for (name, sort) in sorts {
            let given = match sort {
                Sort::Text => fields.text(name).filter(|text| !text.is_empty()),
                Sort::Json => fields.text(name).filter(|text| !text.trim().is_empty()),
                _ => fields.word(name).map(str::to_owned),
            };
            if let Some(text) = given {
                draft.add(name, *sort, &text);
            }
        }
        draft
    }

    /// Adds a field.
    pub(super) fn add(&mut self, name: &'static str, sort: Sort, text: &str) {
        match json(sort, text) {
            Ok(json) => self.parts.push((name, json)),
            Err(rule) => self.faults.push(Fault::new(format!("/{name}"), "type", rule)),
        }
    }

    /// The same as the body of a request, or everything that is wrong with it.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Vec<Fault>> {
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let parts: Vec<String> =
            self.parts.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
        let body = format!("{{{}}}", parts.join(","));
        parse(body.as_bytes()).map_err(|problem| match problem.faults() {
            [] => vec![Fault::new("", "bad-request", problem.detail().to_owned())],
            faults => faults.to_vec(),
        })
    }
}

fn json(sort: Sort, text: &str) -> Result<String, String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match sort {
        Sort::Text => Ok(quoted(text)),
        Sort::Number => match text.parse::<f64>() {
            // What is written is kept: the API says what it thinks of 1.5 attempts.
            Ok(_) if serde_json::from_str::<f64>(text).is_ok() => Ok(text.to_owned()),
            _ => Err("must be a number".to_owned()),
        },
        Sort::Json => match serde_json::from_str::<&RawValue>(text) {
            Ok(value) => Ok(value.get().to_owned()),
            Err(error) => Err(format!("is not JSON: {error}")),
        },
        Sort::Words => {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            Ok(format!("[{}]", words.map(quoted).collect::<Vec<_>>().join(",")))
        }
        Sort::Numbers => {
            let words = text.split([',', ' ', '#']).filter(|word| !word.is_empty());
            let numbers: Result<Vec<String>, _> =
                words.map(|word| word.parse::<i64>().map(|n| n.to_string())).collect();
            let numbers = numbers.map_err(|_| "must be ids with commas between".to_owned())?;
            Ok(format!("[{}]", numbers.join(",")))
        }
    }
}

#[cfg(test)]
mod tests;
