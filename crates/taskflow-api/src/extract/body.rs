//! JSON bodies: content type, size, time, syntax and shape, each refused with its own code.
//! What a value means is checked by the wire types.

use std::time::Duration;

use aide::operation::OperationInput;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use taskflow_core::Fault;
use taskflow_core::limits::PAYLOAD_BYTES_MAX;

use crate::problem::{Problem, of_status};

/// Largest body of a request about one task: a whole payload and its neighbours.
pub(crate) const BODY_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 64 * 1024;
/// Largest body of a request about many tasks.
pub(crate) const LARGE_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
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
    let plain = headers.get(header::CONTENT_ENCODING).is_none_or(|value| value == "identity");
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

async fn receive(request: Request, max: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new("body-too-large", format!("the body exceeds {max} bytes"));
    // Refused before any of it is read.
    let announced = http_body::Body::size_hint(request.body()).lower();
    if announced > max as u64 {
        return Err(too_large());
    }
    let body = Limited::new(request.into_body(), max).collect();
    match tokio::time::timeout(ARRIVAL, body).await {
        Err(_) => Err(of_status(http::StatusCode::REQUEST_TIMEOUT)),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new("bad-request", "the body broke off")),
    }
}

/// Parses a body; on a fault a second pass finds the field, so that the good path pays nothing for it.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if !error.is_data() {
        let detail = if bytes.is_empty() {
            "the body is empty; JSON was expected".to_owned()
        } else {
            format!("the body is not JSON: {error}")
        };
        return Err(Problem::new("malformed-json", detail));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let tracked: Result<T, _> = serde_path_to_error::deserialize(&mut deserializer);
    let (pointer, message) = match tracked {
        Err(at) => (pointer_of(at.path()), said(at.inner())),
        Ok(_) => (String::new(), said(&error)),
    };
    if message.starts_with("duplicate field") {
        return Err(Problem::new("duplicate-key", format!("{pointer}: {message}")));
    }
    let code = match message.as_str() {
        m if m.starts_with("unknown field") => "unknown-field",
        m if m.starts_with("missing field") => "missing",
        m if m.starts_with("unknown variant") => "unknown-word",
        _ => "type",
    };
    // The parser names a missing or unknown field in its text and the object in its path.
    let named = message.split('`').nth(1).filter(|_| matches!(code, "missing" | "unknown-field"));
    let pointer = match named {
        Some(name) if !pointer.ends_with(&format!("/{name}")) => format!("{pointer}/{name}"),
        _ => pointer,
    };
    Err(Problem::invalid(vec![Fault::new(pointer, code, message)]))
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
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
        pointer
    })
}
