//! Query parameters: known names once each, valid percent-encoding. `+` means a space.

use aide::openapi::{ParameterSchemaOrContent, ReferenceOr};
use aide::operation::OperationInput;
use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use taskflow_core::Fault;

use crate::openapi::drop_null_defaults;
use crate::problem::Problem;

/// Parameters that were parsed into `T`.
pub(crate) struct Query<T>(pub T);

/// How a set of parameters is read.
pub(crate) trait FromPairs: Sized {
    /// The names that it knows.
    const NAMES: &'static [&'static str];
    /// Whether other names are refused. The earlier service's read of one task passed over them.
    const STRICT: bool = true;
    /// Reads decoded pairs; every fault at once.
    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Vec<Fault>>;
}

impl<T: FromPairs, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = decode(parts.uri.query().unwrap_or(""))?;
        let mut faults = Vec::new();
        for (i, (name, _)) in pairs.iter().enumerate() {
            let at = format!("?{name}");
            if !T::NAMES.contains(&name.as_str()) {
                if !T::STRICT {
                    continue;
                }
                let message = format!("is not known; known are {}", T::NAMES.join(", "));
                faults.push(Fault::new(at, "unknown-parameter", message));
            } else if pairs[..i].iter().any(|(earlier, _)| earlier == name) {
                faults.push(Fault::new(at, "repeated", "may be given only once"));
            }
        }
        match T::from_pairs(&pairs) {
            Ok(query) if faults.is_empty() => Ok(Self(query)),
            Ok(_) => Err(Problem::invalid(faults)),
            Err(more) => {
                faults.extend(more);
                Err(Problem::invalid(faults))
            }
        }
    }
}

impl<T: schemars::JsonSchema> OperationInput for Query<T> {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        axum::extract::Query::<T>::operation_input(context, operation);
        for parameter in operation.parameters.iter_mut().filter_map(ReferenceOr::as_item_mut) {
            let format = &mut parameter.parameter_data_mut().format;
            if let ParameterSchemaOrContent::Schema(schema) = format {
                drop_null_defaults(&mut schema.json_schema);
            }
        }
    }
}

/// Digits only: no sign, no exponent.
pub(crate) fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

pub(crate) fn decode(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let broken = || Problem::new("invalid-url", "the query is not percent-encoded UTF-8");
    let text = |part: &str| {
        let bytes = part.as_bytes();
        let whole = bytes.iter().enumerate().filter(|(_, b)| **b == b'%').all(|(i, _)| {
            bytes.get(i + 1..i + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
        });
        let spaced = part.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map(std::borrow::Cow::into_owned);
        decoded.ok().filter(|_| whole)
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((text(name).ok_or_else(broken)?, text(value).ok_or_else(broken)?))
        })
        .collect()
}
