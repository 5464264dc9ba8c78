//! `/`: where things are. The dashboard will stand here.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};

const PAGE: &str = include_str!("../static/start.html");
/// Where the page itself says that the server is.
const HERE: &str = "127.0.0.1:8000";

/// The page, with the host by which it was asked for.
pub(crate) async fn page(headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
    let host = host.filter(|host| host.len() <= 255 && host.chars().all(plain)).unwrap_or(HERE);
    let mut response = Html(PAGE.replace(HERE, host)).into_response();
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
        ),
    );
    response
}
