//! `/live`: tells a page that something of what it shows changed, once a second at most; the page then reads itself
//! anew. A stream ends after a minute and is begun anew by the browser, so that a session that is over hears no more.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header};
use taskflow_service::Actor;
use taskflow_service::bus::Bus;
use taskflow_service::events::{Events, Subscription};
use tokio::time::{Instant, sleep_until};

use crate::extract::Query;
use crate::live::interest::Listen;
use crate::problem::Problem;
use crate::state::ApiState;

/// The longest stream.
const LONGEST: Duration = Duration::from_secs(60);
/// The shortest time between two words.
const PAUSE: Duration = Duration::from_secs(1);

/// The route.
pub(super) fn router() -> Router<ApiState> {
    Router::new().route("/live", get(live))
}

struct Listener {
    subscription: Subscription,
    bus: Arc<Bus>,
    /// When the stream is over.
    end: Instant,
    /// Nothing is said before.
    quiet: Instant,
}

async fn live(
    State(events): State<Events>,
    State(bus): State<Arc<Bus>>,
    Query(Listen { interest, .. }): Query<Listen>,
) -> Result<Response, Problem> {
    let subscription = events.subscribe(Actor::DEFAULT, interest, None).await?;
    let now = Instant::now();
    let listener = Listener { subscription, bus, end: now + LONGEST, quiet: now };
    let said = stream::once(async { Bytes::from_static(b"retry: 2000\nevent: ready\ndata: \n\n") })
        .chain(stream::unfold(listener, changed))
        .map(Ok::<_, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(said));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that gather an answer before they pass it on would pass this one on never.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The next word; none when the stream is over.
async fn changed(mut of: Listener) -> Option<(Bytes, Listener)> {
    let mut news = false;
    loop {
        tokio::select! {
            biased;
            () = of.bus.closed() => return None,
            () = sleep_until(of.end) => return None,
            () = sleep_until(of.quiet), if news => break,
            _ = of.subscription.next() => news = true,
        }
    }
    of.quiet = Instant::now() + PAUSE;
    Some((Bytes::from_static(b"event: changed\ndata: \n\n"), of))
}
