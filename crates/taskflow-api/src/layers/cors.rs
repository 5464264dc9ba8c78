//! Which browsers' pages may call the API. Credentials are never allowed, so `*` is harmless.

use http::{HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::layers::edge::REQUEST_ID;
use crate::state::Cors;
use crate::v1::reply::REPLAYED;

/// The layer for these origins; none when no page may call.
pub(crate) fn layer(cors: &Cors) -> Option<CorsLayer> {
    let origins = match cors {
        Cors::Any => AllowOrigin::any(),
        Cors::Only(origins) if origins.is_empty() => return None,
        Cors::Only(origins) => {
            AllowOrigin::list(origins.iter().filter_map(|o| HeaderValue::from_str(o).ok()))
        }
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(AllowHeaders::list([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            header::IF_MATCH,
            http::HeaderName::from_static("x-api-key"),
            http::HeaderName::from_static("idempotency-key"),
            http::HeaderName::from_static("last-event-id"),
            REQUEST_ID.clone(),
        ]))
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::LOCATION,
            REPLAYED,
            REQUEST_ID.clone(),
        ]);
    Some(layer)
}
