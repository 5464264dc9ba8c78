//! Asks for the API key, when one is set. Keys in the query are never looked at. A browser cannot send a header
//! with a WebSocket: there, and nowhere else, the key may be a sub-protocol.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};

use crate::problem::Problem;
use crate::state::{ApiKey, ApiOptions};

/// The layer.
pub(crate) async fn key(
    State(options): State<Arc<ApiOptions>>,
    request: Request,
    next: Next,
) -> Response {
    match &options.key {
        Some(key) if !presented(&request, key) => Problem::new(
            "unauthorized",
            "an API key is needed: send it as X-API-Key or as Authorization: Bearer",
        )
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        .into_response(),
        _ => next.run(request).await,
    }
}

/// Whether the headers present the key. Two keys are none: nobody could tell which one counts.
fn presented(request: &Request, key: &ApiKey) -> bool {
    let headers = request.headers();
    let mut given = headers.get_all("x-api-key").iter();
    match (given.next(), given.next()) {
        (Some(guess), None) => key.is(guess.as_bytes()),
        (Some(_), Some(_)) => false,
        (None, _) => {
            let mut given = headers.get_all(header::AUTHORIZATION).iter();
            match (given.next(), given.next()) {
                (Some(value), None) => bearer(value.as_bytes()).is_some_and(|guess| key.is(guess)),
                (Some(_), Some(_)) => false,
                (None, _) if request.uri().path() == "/ws" => {
                    protocol(headers).is_some_and(|guess| key.is(&guess))
                }
                (None, _) => false,
            }
        }
    }
}

/// The key that a WebSocket's sub-protocols hold: `taskflow.key.` and the key, percent-encoded. Two are none.
fn protocol(headers: &HeaderMap) -> Option<Vec<u8>> {
    headers
        .get(header::UPGRADE)
        .filter(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))?;
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offers = offers.filter_map(|offers| offers.to_str().ok()).flat_map(|all| all.split(','));
    let mut keys = offers.filter_map(|offer| offer.trim().strip_prefix("taskflow.key."));
    match (keys.next(), keys.next()) {
        (Some(key), None) => Some(percent_encoding::percent_decode_str(key).collect()),
        _ => None,
    }
}

/// The credential of `Bearer <credential>`, RFC 6750 section 2.1; the scheme in any letter case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(rest)
}
