//! JSON bodies: content type, size, time, syntax and shape, each refused with its own code.
//! What a value means is checked by the wire types.

use std::time::Duration;

use aide::operation::OperationInput;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, IgnoredAny};
use taskflow_core::Fault;
use taskflow_core::limits::PAYLOAD_BYTES_MAX;

use super::idempotency::BodyHash;
use crate::problem::{Problem, of_status};
use crate::v1::words::Object;

/// Largest body of a request about one task: a whole payload and its neighbours.
pub(crate) const BODY_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64 * 1024;
/// Largest body of a request about many tasks.
pub(crate) const LARGE_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest sentence about a fault, and longest pointer to it: all field names fit, in bytes.
const SAID_BYTES_MAX: usize = 1000;
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// A JSON body of at most [`BODY_BYTES_MAX`].
pub(crate) struct Body<T>(pub T);

/// A JSON body of at most [`LARGE_BODY_BYTES_MAX`].
pub(crate) struct LargeBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, BODY_BYTES_MAX).await.map(Self)
    }
}

/// What a route takes that needs nothing to be said: no body at all, or `{}`.
pub(crate) struct NoBody;

/// `{}`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if http_body::Body::is_end_stream(request.body()) {
            return Ok(Self);
        }
        read::<Object<Nothing>>(request, BODY_BYTES_MAX).await.map(|_| Self)
    }
}

impl OperationInput for NoBody {}

/// A body that may be left out: then everything in it has its default.
pub(crate) struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if http_body::Body::is_end_stream(request.body()) {
            return Ok(Self(T::default()));
        }
        read::<Object<T>>(request, BODY_BYTES_MAX).await.map(|Object(body)| Self(body))
    }
}

impl<T: schemars::JsonSchema> OperationInput for OptionalBody<T> {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        axum::Json::<T>::operation_input(context, operation);
        if let Some(aide::openapi::ReferenceOr::Item(body)) = &mut operation.request_body {
            body.required = false;
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for LargeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, LARGE_BODY_BYTES_MAX).await.map(Self)
    }
}

impl<T: schemars::JsonSchema> OperationInput for Body<T> {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        axum::Json::<T>::operation_input(context, operation);
    }
}

impl<T: schemars::JsonSchema> OperationInput for LargeBody<T> {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        axum::Json::<T>::operation_input(context, operation);
    }
}

async fn read<T: DeserializeOwned>(request: Request, max: usize) -> Result<T, Problem> {
    check_type(request.headers())?;
    let bytes = receive(request, max).await?;
    parse(&bytes)
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let only = match (types.next(), types.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    };
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let plain = encodings.all(|value| value == "identity");
    if only.is_some_and(is_json) && plain {
        Ok(())
    } else {
        Err(of_status(http::StatusCode::UNSUPPORTED_MEDIA_TYPE))
    }
}

/// `application/json`, alone or with `charset=utf-8`.
fn is_json(value: &str) -> bool {
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    let parameter = parameters.trim();
    kind.trim().eq_ignore_ascii_case("application/json")
        && (parameter.is_empty()
            || parameter.split_once('=').is_some_and(|(name, charset)| {
                name.trim().eq_ignore_ascii_case("charset")
                    && charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }))
}

pub(crate) async fn receive(request: Request, max: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new("body-too-large", format!("the body exceeds {max} bytes"));
    // Refused before any of it is read.
    let announced = http_body::Body::size_hint(request.body()).lower();
    if announced > max as u64 {
        return Err(too_large());
    }
    let hash = request.extensions().get::<BodyHash>().cloned();
    let body = Limited::new(request.into_body(), max).collect();
    let received = match tokio::time::timeout(ARRIVAL, body).await {
        Err(_) => Err(of_status(http::StatusCode::REQUEST_TIMEOUT)),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new("bad-request", "the body broke off")),
    };
    if let (Some(hash), Ok(bytes)) = (hash, &received) {
        hash.note(bytes);
    }
    received
}

/// Parses a body; on a fault a second pass finds the field, so that the good path pays nothing for it.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let malformed = |detail: String| Problem::new("malformed-json", detail);
    // Checked as a whole: fields that are passed over are not looked at.
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed(format!("the body is not UTF-8: {error}")))?;
    let error = match serde_json::from_str::<Object<T>>(text) {
        Ok(Object(value)) => return Ok(value),
        Err(error) => error,
    };
    if text.is_empty() {
        return Err(malformed("the body is empty; JSON was expected".to_owned()));
    }
    // What is no JSON is told as such, even when a field before it is at fault.
    let whole = if error.is_data() { serde_json::from_str::<IgnoredAny>(text).err() } else { None };
    if let Some(error) = whole.as_ref().or(Some(&error).filter(|error| !error.is_data())) {
        return Err(malformed(format!("the body is not JSON: {error}")));
    }
    Err(misfit::<T>(text, &error))
}

/// Says which field does not fit.
fn misfit<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> Problem {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let tracked: Result<Object<T>, _> = serde_path_to_error::deserialize(&mut deserializer);
    let (pointer, message) = match tracked {
        Err(at) => (pointer_of(at.path()), said(at.inner())),
        Ok(_) => (String::new(), said(error)),
    };
    if message.starts_with("duplicate field") {
        return Problem::new("duplicate-key", format!("{pointer}: {message}"));
    }
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let code = match message.as_str() {
        _ if missing.is_some() => "missing",
        m if m.starts_with("unknown field") => "unknown-field",
        m if m.starts_with("unknown variant") => "unknown-word",
        _ => "type",
    };
    // The path to an unknown field ends with it, that to a missing one with its object.
    let pointer = match missing {
        Some(name) => format!("{pointer}/{}", escaped(name)),
        None => pointer,
    };
    let (pointer, message) = (cut(pointer), cut(message));
    Problem::invalid(vec![Fault::new(pointer, code, message)])
}

/// The parser's sentence without its place in the text.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// RFC 6901.
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |mut pointer, segment| {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&escaped(key));
            }
            Segment::Unknown => {}
        }
        pointer
    })
}

/// A name in a pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// An answer does not repeat a megabyte that was sent.
fn cut(mut text: String) -> String {
    if text.len() > SAID_BYTES_MAX {
        text.truncate(text.floor_char_boundary(SAID_BYTES_MAX));
        text.push('…');
    }
    text
}
