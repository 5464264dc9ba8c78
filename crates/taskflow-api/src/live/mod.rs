//! Live events, as a stream of server-sent events and over a WebSocket. What is told and kept is the service's
//! business; here is how it looks and who may listen.

pub(crate) mod interest;
pub(crate) mod origin;
mod sse;
mod view;
mod ws;

use std::time::Duration;

use aide::axum::ApiRouter;

use crate::state::ApiState;

/// How long nothing may be said: proxies cut connections that are silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The routes.
pub(crate) fn router() -> ApiRouter<ApiState> {
    sse::router().merge(ws::router())
}
