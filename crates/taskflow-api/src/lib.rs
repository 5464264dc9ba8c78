//! How the world speaks to TaskFlow: its HTTP surface, and nothing else. It asks services, never a store.

mod dashboard;
pub mod errors_doc;
mod extract;
mod layers;
mod live;
mod openapi;
pub mod problem;
pub mod server;
pub mod state;
mod v1;

use std::sync::{Arc, OnceLock};

use aide::axum::ApiRouter;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;

use layers::edge::{RequestIds, edge};
use layers::key::key;
pub use state::{ApiKey, ApiOptions, ApiState, Cors};

/// The whole surface.
pub fn router(state: ApiState) -> Router {
    let options = Arc::clone(state.options());
    // Described when somebody asks: an idle server does not keep the document.
    let document: Arc<OnceLock<bytes::Bytes>> = Arc::default();
    let described = Arc::clone(&options);
    let title = options.title.clone();
    let title_of_redoc = title.clone();
    let pages =
        Router::new()
            .route(
                "/openapi.json",
                get(move || async move {
                    openapi::json(document.get_or_init(|| document_of(&described)))
                }),
            )
            .route("/docs", get(move || async move { openapi::swagger(&title) }))
            .route("/redoc", get(move || async move { openapi::redoc(&title_of_redoc) }))
            .merge(errors_doc::router())
            .merge(dashboard::router(&state));
    let api = keyed().layer(from_fn_with_state(Arc::clone(&options), key));
    let api: Router<ApiState> = Router::from(v1::health::router()).merge(Router::from(api));
    let mut router = Router::new()
        .nest("/api/v1", api)
        .merge(pages)
        .fallback(dashboard::guard::nowhere)
        .with_state(state);
    if let Some(cors) = layers::cors::layer(&options.cors) {
        router = router.layer(cors);
    }
    router
        .layer(from_fn(layers::uri::limit))
        .layer(from_fn_with_state(RequestIds::new(options.request_seed), edge))
}

/// Everything that asks for the key.
fn keyed() -> ApiRouter<ApiState> {
    v1::tasks::router()
        .merge(v1::bulk::router())
        .merge(v1::many::router())
        .merge(v1::turn::router())
        .merge(v1::queues::router())
        .merge(v1::explain::router())
        .merge(v1::stats::router())
        .merge(v1::timeseries::router())
        .merge(v1::work::router())
        .merge(v1::workers::router())
        .merge(live::router())
}

/// The OpenAPI document as text.
pub fn document_of(options: &ApiOptions) -> bytes::Bytes {
    let mut document = openapi::frame(options);
    let api = ApiRouter::<ApiState>::new()
        .nest("/api/v1", v1::health::router().merge(keyed()))
        .finish_api(&mut document);
    drop(api);
    openapi::text(document)
}
