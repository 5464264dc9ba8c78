//! `/live`: the events for pages, with the session that pages have. A stream ends after a minute and is begun anew by
//! the browser, so that a session that is over hears no more.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use futures_util::StreamExt;

use crate::live::sse;
use crate::state::ApiState;

/// The longest stream.
const LONGEST: Duration = Duration::from_secs(60);

/// The route.
pub(super) fn router() -> Router<ApiState> {
    Router::new().route("/live", get(sse::events)).layer(axum::middleware::map_response(limited))
}

async fn limited(response: Response) -> Response {
    if !response.status().is_success() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let stream = body.into_data_stream().take_until(tokio::time::sleep(LONGEST));
    Response::from_parts(parts, Body::from_stream(stream))
}
