//! Refuses URIs that are longer than anything here needs.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// Longest path and query, in bytes: bounds what is decoded, compared and logged.
const URI_BYTES_MAX: usize = 8 * 1024;

/// The layer.
pub(crate) async fn limit(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let bytes = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if bytes > URI_BYTES_MAX {
        return Problem::new("uri-too-long", "path and query exceed 8192 bytes").into_response();
    }
    next.run(request).await
}
