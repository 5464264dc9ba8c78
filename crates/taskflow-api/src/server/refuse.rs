//! What is refused before any route sees it: targets that name another server, and requests whose
//! host or framing can be read in two ways. Everything that a router can refuse as well, with a
//! request id and a log line, is left to it: lengths of targets, bodies, routes.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, StatusCode, Version};
use serde_json::json;

use super::watch::BodyLength;

/// Marks a request of which only the refusal is left; the edge answers it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused(pub(crate) &'static str);

/// What goes to the router instead of a refused request: nothing of it but its own id.
pub(super) fn refused<B>(request: &Request<B>, fault: &'static str) -> Request<Body> {
    let mut empty = Request::new(Body::empty());
    empty.extensions_mut().insert(Refused(fault));
    if let Some(id) = request.headers().get("x-request-id") {
        empty.headers_mut().insert("x-request-id", id.clone());
    }
    empty
}

/// What is wrong, as a sentence.
pub(super) fn fault<B>(request: &Request<B>, body: BodyLength) -> Option<&'static str> {
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

/// The refusal: the edge's answer, or one of our own when the router has no edge. The connection ends
/// with it: whoever sent such a request may not mean by the next bytes what we would read in them.
pub(super) fn problem(fault: &str, answered: Response) -> Response {
    let mut response = match answered.status() {
        StatusCode::BAD_REQUEST => answered,
        _ => bare(fault),
    };
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn bare(fault: &str) -> Response {
    let document = json!({
        "type": "/errors/bad-request",
        "title": "Bad request",
        "status": 400,
        "detail": fault,
        "code": "bad-request",
    });
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
