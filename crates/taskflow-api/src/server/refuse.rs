//! What is refused before any route sees it: targets that name another server, and requests whose
//! host or framing can be read in two ways. Everything that a router can refuse as well, with a
//! request id and a log line, is left to it: lengths of targets, bodies, routes.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, StatusCode, Version};
use serde_json::json;

use super::watch::BodyLength;

/// The answer to a request that must go no further, if it is one.
pub(super) fn refuse<B>(request: &Request<B>, body: BodyLength) -> Option<Response> {
    fault(request, body).map(problem)
}

/// What is wrong, as a sentence.
fn fault<B>(request: &Request<B>, body: BodyLength) -> Option<&'static str> {
    // `GET http://elsewhere/` and `CONNECT elsewhere:443` ask for a proxy, which this is not.
    if request.uri().authority().is_some() {
        return Some("The request target must be a path.");
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() || (first.is_none() && request.version() == Version::HTTP_11) {
        return Some("A request needs exactly one Host header.");
    }
    if body == BodyLength::Chunked {
        let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
        let coding = codings.next();
        let plain = coding.is_some_and(|c| c.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !plain || codings.next().is_some() {
            return Some("The only transfer coding that is understood is chunked, once.");
        }
    }
    None
}

/// The refusal as a problem document. The connection ends with it: whoever sent such a request
/// may not mean by the next bytes what we would read in them.
fn problem(detail: &str) -> Response {
    let document = json!({
        "type": "/errors/bad-request",
        "title": "Bad request",
        "status": 400,
        "detail": detail,
        "code": "bad-request",
    });
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
