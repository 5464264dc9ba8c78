//! `GET /api/v1/events`: events as a stream of server-sent events (the HTML standard, 9.2). One that reads too
//! slowly misses some and is told to read anew; one that reads nothing at all is cut off by the server's own limit.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use taskflow_service::Actor;
use taskflow_service::bus::Bus;
use taskflow_service::events::{Events, Piece, Subscription};

use super::interest::{Listen, ListenWords, event_id};
use super::view::{EventView, sort, text};
use super::{HEARTBEAT, origin};
use crate::extract::Query;
use crate::openapi::{document, problems};
use crate::problem::Problem;
use crate::state::{ApiOptions, ApiState};

/// The route.
pub(super) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/events",
        get_with(events, |op| {
            let op = document(op, "stream_events", "Events", "Hear of changes as they happen");
            let op = op.description(
                "A stream of server-sent events (`text/event-stream`). The first is `ready`; each other \
                 one has the name of its type and an `Event` as its data. `resync` says that something \
                 was missed: read anew what you show.",
            );
            let op = op.response_with::<200, axum::Json<EventView<'_>>, _>(|op| {
                op.description("The data of one event; the answer is a stream of them.")
            });
            problems(op, &[400, 403, 422, 429])
        }),
    )
}

/// How long a browser waits before it comes again, in milliseconds.
const AGAIN: u32 = 2000;

async fn events(
    State(events): State<Events>,
    State(bus): State<Arc<Bus>>,
    State(options): State<Arc<ApiOptions>>,
    headers: HeaderMap,
    query: Listening,
) -> Result<Response, Problem> {
    origin::check(&headers, &options.cors)?;
    let Listening(Listen { interest, last }) = query;
    let last = match headers.get("last-event-id").map(HeaderValue::to_str) {
        // A browser that heard nothing yet sends none, some libraries an empty one.
        None | Some(Ok("")) => last,
        Some(text) => Some(event_id(text.unwrap_or_default()).map_err(|(code, rule)| {
            Problem::field("?last_event_id", code, format!("{rule}; here the header Last-Event-ID"))
        })?),
    };
    let subscription = events.subscribe(Actor::DEFAULT, interest, last).await?;
    let mut response = Response::new(Body::from_stream(stream(subscription, bus)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that gather an answer before they pass it on would pass this one on never.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The query of a stream, which is described by other words than it is read into.
struct Listening(Listen);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Listening {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &S,
    ) -> Result<Self, Problem> {
        let Query(listen) = Query::<Listen>::from_request_parts(parts, state).await?;
        Ok(Self(listen))
    }
}

impl aide::operation::OperationInput for Listening {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        Query::<ListenWords>::operation_input(context, operation);
    }
}

type Part = Result<Bytes, std::convert::Infallible>;

fn stream(subscription: Subscription, bus: Arc<Bus>) -> impl stream::Stream<Item = Part> {
    let id = subscription.position();
    // Who is to read anew has no place yet: had it one, it might come back to it without having been told so.
    let place = if subscription.is_behind() { String::new() } else { format!("id: {id}\n") };
    let ready = format!(
        "retry: {AGAIN}\n{place}event: ready\ndata: {{\"id\":\"{id}\",\"type\":\"ready\"}}\n\n"
    );
    let begun = stream::once(async move { Ok(Bytes::from(ready)) });
    let rest = stream::unfold((subscription, bus), |(mut subscription, bus)| async move {
        let part = tokio::select! {
            biased;
            () = bus.closed() => return None,
            piece = subscription.next() => written(&subscription, &piece),
            () = tokio::time::sleep(HEARTBEAT) => {
                // Where it is, so that whoever comes back need not look at what was not for it.
                Bytes::from(format!("id: {}\n: \n\n", subscription.position()))
            }
        };
        Some((Ok(part), (subscription, bus)))
    });
    stream::StreamExt::chain(begun, rest)
}

/// A piece as it goes over the wire.
fn written(subscription: &Subscription, piece: &Piece) -> Bytes {
    let mut out = Vec::with_capacity(512 * (piece.events.len() + 1));
    if piece.resync {
        let id = piece.events.first().map_or(subscription.position(), |first| first.before());
        let data = format!("{{\"id\":\"{id}\",\"type\":\"resync\"}}");
        out.extend_from_slice(format!("id: {id}\nevent: resync\ndata: {data}\n\n").as_bytes());
    }
    for event in &piece.events {
        let head = format!("id: {}\nevent: {}\ndata: ", event.id, sort(event));
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(text(event));
        out.extend_from_slice(b"\n\n");
    }
    Bytes::from(out)
}
