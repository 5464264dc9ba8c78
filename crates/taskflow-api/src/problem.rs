//! The only place where an error becomes HTTP: RFC 9457 problem documents, one table of codes.
//! The request id is added at the edge (`layers/edge.rs`), which also logs what is unexpected.

use std::error::Error;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use taskflow_core::Fault;
use taskflow_core::limits::FAULTS_MAX;
use taskflow_service::ServiceError;

/// Every code: its status, its title, and what it means, for `docs/errors.md`. Never renamed.
pub const CODES: &[(&str, StatusCode, &str, &str)] = &[
    (
        "malformed-json",
        StatusCode::BAD_REQUEST,
        "Malformed JSON",
        "The body is not JSON (RFC 8259), or not UTF-8.",
    ),
    (
        "duplicate-key",
        StatusCode::BAD_REQUEST,
        "Duplicate key",
        "A field stands twice in an object of the body.",
    ),
    (
        "invalid-if-match",
        StatusCode::BAD_REQUEST,
        "Invalid If-Match",
        "`If-Match` is neither `*` nor an ETag such as `\"3\"`.",
    ),
    (
        "invalid-idempotency-key",
        StatusCode::BAD_REQUEST,
        "Invalid Idempotency-Key",
        "`Idempotency-Key` is given twice, or is not 1 to 255 visible ASCII characters, alone or in double quotes.",
    ),
    (
        "invalid-url",
        StatusCode::BAD_REQUEST,
        "Invalid URL",
        "The query has a broken percent-encoding or is not UTF-8.",
    ),
    ("bad-request", StatusCode::BAD_REQUEST, "Bad request", "The request is not valid HTTP."),
    (
        "unauthorized",
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        "The API key is missing or wrong. Send it as `X-API-Key`.",
    ),
    (
        "foreign-origin",
        StatusCode::FORBIDDEN,
        "Foreign origin",
        "The web page that asks comes from another origin than the server's own. Events may be heard from those of `CORS_ORIGINS` too; the dashboard's forms work from its own pages only.",
    ),
    (
        "not-found",
        StatusCode::NOT_FOUND,
        "Not found",
        "There is no such task, queue, worker or path.",
    ),
    (
        "method-not-allowed",
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        "The path exists, but not with this method; `Allow` lists what it takes.",
    ),
    (
        "request-timeout",
        StatusCode::REQUEST_TIMEOUT,
        "Request timeout",
        "The body did not arrive within 30 seconds.",
    ),
    (
        "illegal-transition",
        StatusCode::CONFLICT,
        "Illegal transition",
        "The status cannot be set from the present one; `allowed` lists what can.",
    ),
    (
        "not-ended",
        StatusCode::CONFLICT,
        "Not ended",
        "The task runs, so it cannot run once more. Wait for its end, or cancel it first.",
    ),
    (
        "lease-lost",
        StatusCode::CONFLICT,
        "Lease lost",
        "The token is not that of the running attempt: it ended, was ended, or is another's. Nothing changed; stop the work.",
    ),
    (
        "unique-key-held",
        StatusCode::CONFLICT,
        "Unique key held",
        "A live task of the queue holds the unique key; `task_id` names it.",
    ),
    (
        "idempotency-in-progress",
        StatusCode::CONFLICT,
        "Idempotency key in progress",
        "A request with the same `Idempotency-Key` is at work. Repeat yours after `Retry-After` seconds.",
    ),
    (
        "has-dependants",
        StatusCode::CONFLICT,
        "Has dependants",
        "Another task waits for this one; `task_id` names it.",
    ),
    (
        "stale-version",
        StatusCode::PRECONDITION_FAILED,
        "Stale version",
        "The task or queue changed since: `If-Match` does not name its version. Read it again.",
    ),
    (
        "body-too-large",
        StatusCode::PAYLOAD_TOO_LARGE,
        "Body too large",
        "The body exceeds the limit that the answer names.",
    ),
    (
        "uri-too-long",
        StatusCode::URI_TOO_LONG,
        "URI too long",
        "Path and query together exceed 8 KiB.",
    ),
    (
        "unsupported-media-type",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "Unsupported media type",
        "The body must be `application/json` in UTF-8 without a content encoding.",
    ),
    (
        "invalid-input",
        StatusCode::UNPROCESSABLE_ENTITY,
        "Invalid input",
        "The input breaks rules; `errors` lists each field with its rule.",
    ),
    (
        "too-many-queues",
        StatusCode::CONFLICT,
        "Too many queues",
        "1000 queues have settings of their own, and each claim reads them. Queues without settings are not limited.",
    ),
    (
        "idempotency-mismatch",
        StatusCode::UNPROCESSABLE_ENTITY,
        "Idempotency key of another request",
        "The `Idempotency-Key` was used for a request with another path, query or body before. Nothing was done.",
    ),
    (
        "idempotency-too-large",
        StatusCode::UNPROCESSABLE_ENTITY,
        "Answer too large for an idempotency key",
        "The answer would exceed 4 MiB, which is more than is kept for an `Idempotency-Key`. Nothing was done: ask for less at a time, or without the header.",
    ),
    (
        "page-too-large",
        StatusCode::UNPROCESSABLE_ENTITY,
        "Page too large",
        "The payloads, results and other texts of the page weigh more than 32 MiB. Ask for fewer tasks with `limit`.",
    ),
    (
        "too-many-waiters",
        StatusCode::TOO_MANY_REQUESTS,
        "Too many waiters",
        "Too many claims wait on this server already.",
    ),
    (
        "internal-error",
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal error",
        "A fault of the server. `request_id` finds its log line. Nothing was done.",
    ),
    (
        "busy",
        StatusCode::SERVICE_UNAVAILABLE,
        "Busy",
        "The server is overloaded, or somebody holds a lock for long. Nothing was done; try again after `Retry-After` seconds.",
    ),
    (
        "unavailable",
        StatusCode::SERVICE_UNAVAILABLE,
        "Unavailable",
        "The server is stopping, or its database cannot be reached. Nothing was done; try again after `Retry-After` seconds.",
    ),
    (
        "not-ready",
        StatusCode::SERVICE_UNAVAILABLE,
        "Not ready",
        "The database does not answer as it should, or a background duty is stuck; `detail` says which.",
    ),
    (
        "storage-full",
        StatusCode::SERVICE_UNAVAILABLE,
        "Storage full",
        "The disk is full. Nothing was done; reads still work.",
    ),
    (
        "outcome-unknown",
        StatusCode::SERVICE_UNAVAILABLE,
        "Outcome unknown",
        "The commit failed in a way that leaves open whether it is on disk. Read before you repeat, or repeat with the same `Idempotency-Key`.",
    ),
];

/// A problem on its way to the edge. Boxed: it is the rare end of every result.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    code: &'static str,
    detail: String,
    errors: Vec<Fault>,
    task_id: Option<i64>,
    allowed: Option<Vec<&'static str>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// A problem document, RFC 9457.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemBody<'a> {
    /// URI reference of the explanation.
    #[serde(rename = "type")]
    kind: String,
    /// What sort of problem.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// A sentence about this occurrence.
    detail: &'a str,
    /// A stable word.
    code: &'a str,
    /// Finds the line in the server's log.
    request_id: &'a str,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    errors: Vec<ProblemField<'a>>,
    /// The other task in a conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<i64>,
    /// What could be set instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<&'a [&'static str]>,
}

/// One field at fault.
#[derive(Debug, Serialize, JsonSchema)]
struct ProblemField<'a> {
    /// JSON pointer (RFC 6901) into the body, `?name` for a query parameter, or
    /// `/task_id`, `/worker` or `/queue` for what a path names.
    pointer: &'a str,
    /// A stable word.
    code: &'a str,
    /// The rule.
    message: &'a str,
}

impl Problem {
    /// A problem with a code of [`CODES`].
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            task_id: None,
            allowed: None,
            headers: Vec::new(),
            source: None,
        }))
    }

    /// 422 with the fields at fault.
    ///
    /// The first `limits::FAULTS_MAX` of them: a query of nothing but unknown names has thousands.
    pub fn invalid(mut errors: Vec<Fault>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => format!("the body: {}", one.message),
            [one] => format!("{} {}", one.pointer, one.message),
            many => format!("{} fields are not valid: see errors", many.len()),
        };
        errors.truncate(FAULTS_MAX);
        let mut problem = Self::new("invalid-input", detail);
        problem.0.errors = errors;
        problem
    }

    /// 422 for one field.
    pub fn field(pointer: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(vec![Fault::new(pointer, code, message)])
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Adds the cause, for the log only.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Says which part of the body it is about.
    #[must_use]
    pub fn about(mut self, pointer: &str) -> Self {
        self.0.detail = format!("{pointer}: {}", self.0.detail);
        self
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The fields at fault.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.0.errors
    }

    /// The other task in a conflict.
    pub fn task_id(&self) -> Option<i64> {
        self.0.task_id
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    fn row(&self) -> &'static (&'static str, StatusCode, &'static str, &'static str) {
        let known = CODES.iter().find(|row| row.0 == self.0.code);
        known.unwrap_or_else(|| {
            CODES.iter().find(|row| row.0 == "internal-error").expect("the table has this code")
        })
    }

    /// The title of its code.
    pub fn title(&self) -> &'static str {
        self.row().2
    }

    /// The status of its code.
    pub fn status(&self) -> StatusCode {
        self.row().1
    }

    /// The cause with all its sources, for the log.
    pub fn chain(&self) -> String {
        let mut text = self.0.detail.clone();
        let mut cause = self.0.source.as_ref().map(|source| &**source as &dyn Error);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// The whole answer.
    pub fn render(&self, request_id: &str) -> Response {
        let (code, status, title, _) = self.row();
        let fields = |f: &'_ Fault| (f.pointer.clone(), f.code, f.message.clone());
        let kept: Vec<_> = self.0.errors.iter().map(fields).collect();
        let body = ProblemBody {
            kind: format!("/errors/{code}"),
            title,
            status: status.as_u16(),
            detail: &self.0.detail,
            code,
            request_id,
            errors: kept
                .iter()
                .map(|(pointer, code, message)| ProblemField { pointer, code, message })
                .collect(),
            task_id: self.0.task_id,
            allowed: self.0.allowed.as_deref(),
        };
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (*status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.0.headers {
            headers.insert(name, value.clone());
        }
        response
    }
}

impl IntoResponse for Problem {
    /// An empty answer that carries the problem; the edge renders it with the request id.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let code = error.code();
        let retry = |seconds| (header::RETRY_AFTER, HeaderValue::from_static(seconds));
        match error {
            ServiceError::Invalid(faults) => Self::invalid(faults),
            ServiceError::IllegalTransition { from, .. } => {
                let allowed = from.allowed();
                let mut problem = Self::new(code, format!("{error}; allowed: {}", words(&allowed)));
                problem.0.allowed = Some(allowed.iter().map(|s| s.as_str()).collect());
                problem
            }
            ServiceError::KeyHeld(id) | ServiceError::HasDependant { child: id, .. } => {
                let mut problem = Self::new(code, error.to_string());
                problem.0.task_id = Some(id.get());
                problem
            }
            ServiceError::Busy
            | ServiceError::Unavailable
            | ServiceError::KeyInProgress
            | ServiceError::TooManyWaiters => {
                let (name, value) = retry("1");
                Self::new(code, error.to_string()).with_header(name, value)
            }
            ServiceError::KeyReused | ServiceError::AnswerTooLarge => {
                let mut problem = Self::new(code, error.to_string());
                problem.0.errors = vec![Fault::new("", code, "must fit the Idempotency-Key")];
                problem
            }
            ServiceError::PageTooLarge => {
                let mut problem = Self::new(code, error.to_string());
                problem.0.errors = vec![Fault::new("?limit", code, "must be smaller")];
                problem
            }
            ServiceError::StorageFull => {
                let (name, value) = retry("5");
                Self::new(code, error.to_string()).with_header(name, value)
            }
            ServiceError::Unknown(source) => {
                let (name, value) = retry("5");
                Self::new(code, "the outcome is unknown: read before you repeat the request")
                    .with_header(name, value)
                    .with_source(source)
            }
            ServiceError::Internal(source) => {
                Self::new(code, "the server failed; the request id finds its log line")
                    .with_source(source)
            }
            other => Self::new(code, other.to_string()),
        }
    }
}

fn words(statuses: &[taskflow_core::Status]) -> String {
    statuses.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whatever became of a framework's own answer: the problem for a bare status.
pub(crate) fn of_status(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::new("not-found", "there is nothing at this path"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new("method-not-allowed", "this path does not take this method; see Allow")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new("body-too-large", "the body exceeds the limit of this path")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
            "unsupported-media-type",
            "the body must be JSON: send it with -H 'Content-Type: application/json'",
        ),
        StatusCode::REQUEST_TIMEOUT => {
            Problem::new("request-timeout", "the request did not arrive in time")
        }
        status if status.is_client_error() => {
            Problem::new("bad-request", "the request is not valid")
        }
        _ => Problem::new("internal-error", "the server failed; the request id finds its log line"),
    }
}

#[cfg(test)]
mod tests;
