//! The outermost layer: gives every request an id, turns every error into a problem document,
//! catches panics, sets the headers that every answer has, and logs what went wrong, once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::dashboard::fault::Shown;
use crate::layers::read::Read;
use crate::problem::{Problem, of_status};
use crate::server::refuse::Refused;

/// The header that carries the request id in both directions.
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes request ids: a seed per start and a counter.
#[derive(Debug)]
pub(crate) struct RequestIds {
    seed: u32,
    count: AtomicU32,
}

impl RequestIds {
    /// Ids that begin with `seed`.
    pub(crate) fn new(seed: u32) -> Arc<Self> {
        Arc::new(Self { seed, count: AtomicU32::new(0) })
    }

    fn next(&self) -> String {
        format!("{:08x}{:08x}", self.seed, self.count.fetch_add(1, Ordering::Relaxed))
    }
}

/// A client's own id is kept when it is short and plain, so that logs of both sides meet.
fn given(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(&REQUEST_ID)?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    ((1..=64).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

/// The layer.
pub(crate) async fn edge(
    State(ids): State<Arc<RequestIds>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = given(request.headers()).unwrap_or_else(|| ids.next());
    let started = Instant::now();
    let debug = tracing::enabled!(tracing::Level::DEBUG);
    // Only the path: a query may hold what should not be in a log.
    let target = (request.method().clone(), request.uri().clone());
    let refused = request.extensions_mut().remove::<Refused>();
    let read = Read::of(&mut request);
    let answering = async {
        match refused {
            Some(Refused(fault)) => Problem::new("bad-request", fault).into_response(),
            None => next.run(request).await,
        }
    };
    let mut response = match AssertUnwindSafe(answering).catch_unwind().await {
        Ok(response) => response,
        Err(_) => IntoResponse::into_response(Problem::new(
            "internal-error",
            "the server failed; the request id finds its log line",
        )),
    };
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = problem(response, &id, &target);
    }
    let headers = response.headers_mut();
    if !read.is_whole() {
        // The server ends a connection whose request was not read; the client must know.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID.clone(), value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    if debug {
        tracing::debug!(
            request.id = id,
            http.method = target.0.as_str(),
            http.path = target.1.path(),
            http.status = status.as_u16(),
            duration_ms = started.elapsed().as_secs_f64() * 1e3,
            "request"
        );
    }
    response
}

/// The problem document of a refused or failed request; headers such as `Allow` stay.
fn problem(mut response: Response, id: &str, target: &(http::Method, http::Uri)) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_document = kind.is_some_and(|value| value == "application/problem+json");
    // A form that was filled in wrongly is shown again, with its faults.
    let is_page = kind.is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
        && response.extensions().get::<Shown>().is_some()
        && response.extensions().get::<Problem>().is_none();
    if is_document || is_page {
        return response;
    }
    let status = response.status();
    let problem =
        response.extensions_mut().remove::<Problem>().unwrap_or_else(|| of_status(status));
    if status.is_server_error() {
        tracing::error!(
            request.id = id,
            http.method = target.0.as_str(),
            http.path = target.1.path(),
            problem.code = problem.code(),
            error = problem.chain(),
            "a request failed"
        );
    }
    let mut document = match response.extensions().get::<Shown>() {
        Some(shown) => shown.page(&problem, id),
        None => problem.render(id),
    };
    if target.0 == http::Method::HEAD {
        *document.body_mut() = axum::body::Body::empty();
    }
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            document.headers_mut().insert(name, value.clone());
        }
    }
    document
}

#[cfg(test)]
mod tests;
