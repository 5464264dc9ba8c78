//! The dashboard: pages for people, made on the server and brought up to date by a script that reads them anew when an
//! event says so. It asks the services that the API asks; no page has a query of its own. Everything can be read and
//! done without the script.

mod assets;
mod chart;
mod charts;
mod create;
mod curl;
mod draft;
mod edit;
mod failed;
pub(crate) mod fault;
mod fields;
mod forms;
pub(crate) mod guard;
mod json;
mod live;
mod many;
mod overview;
mod page;
mod parts;
mod places;
mod queues;
mod settings;
mod sign;
mod task;
mod tasks;
mod timeline;
mod workers;

use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::state::ApiState;

/// Every page.
pub(crate) fn router(state: &ApiState) -> Router<ApiState> {
    overview::router()
        .merge(tasks::router())
        .merge(many::router())
        .merge(create::router())
        .merge(task::router())
        .merge(edit::router())
        .merge(queues::router())
        .merge(workers::router())
        .merge(failed::router())
        .merge(sign::router())
        .merge(live::router())
        .merge(assets::router())
        .route_layer(from_fn_with_state(state.clone(), guard::guard))
}
