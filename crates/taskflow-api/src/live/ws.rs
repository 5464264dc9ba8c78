//! `GET /api/v1/ws`: events over a WebSocket (RFC 6455), where a client says while it listens what it wants to
//! hear of. What it may say is small and seldom, what it does not read ends it; nobody else is held up by it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures_util::SinkExt;
use futures_util::stream::{AbortHandle, SelectAll, Stream, StreamExt, abortable, unfold};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use taskflow_core::Fault;
use taskflow_core::limits::{WS_MESSAGE_BYTES_MAX, WS_MESSAGES_MAX, WS_SUBSCRIPTIONS_MAX};
use taskflow_service::Actor;
use taskflow_service::bus::Bus;
use taskflow_service::events::{EventId, Events, Piece, Subscription};
use tokio::time::{Instant, interval, timeout};

use super::interest::{InterestWords, event_id};
use super::view::text;
use super::{HEARTBEAT, origin};
use crate::extract::parse;
use crate::openapi::{document, problems};
use crate::problem::Problem;
use crate::state::{ApiOptions, ApiState};
use crate::v1::words::{Object, present};

/// The sub-protocol, for clients that ask for one: browsers send their key as another beside it.
pub(crate) const PROTOCOL: &str = "taskflow";
/// How long a client may take to read what it is told at once.
const WRITE: Duration = Duration::from_secs(30);
/// A client that sent nothing for so long, not even the answer to a ping, is gone.
const SILENT: Duration = Duration::from_secs(60);
/// Messages are counted in spans of so long.
const SPAN: Duration = Duration::from_secs(10);
/// How long a client has to read why it is sent away, and to say farewell.
const FAREWELL: Duration = Duration::from_secs(1);
/// Largest frame that is read at all: what is longer than a message may be is still told so.
const FRAME_BYTES_MAX: usize = 4 * WS_MESSAGE_BYTES_MAX;
/// Longest name of a subscription, in bytes: it stands in every event.
const NAME_BYTES_MAX: usize = 64;

/// The route.
pub(super) fn router() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/ws",
        get_with(upgrade, |op| {
            let op = document(op, "open_websocket", "Events", "Hear of changes over a WebSocket");
            let op = op.description(
                "Send `{\"type\": \"subscribe\", \"id\": \"a\", \"filter\": {…}}` with an `EventFilter`, or \
                 `{\"type\": \"unsubscribe\", \"id\": \"a\"}`; hear \
                 `{\"type\": \"event\", \"subscription\": \"a\", \"event\": {…}}`. See docs/guide/events.md.",
            );
            problems(op, &[400, 403])
        }),
    )
}

async fn upgrade(
    State(events): State<Events>,
    State(bus): State<Arc<Bus>>,
    State(options): State<Arc<ApiOptions>>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    origin::check(&headers, &options.cors)?;
    let upgrade = upgrade.0?.protocols([PROTOCOL]).max_frame_size(FRAME_BYTES_MAX);
    let upgrade = upgrade.max_message_size(FRAME_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let talk = Talk {
            socket,
            events,
            listening: SelectAll::new(),
            names: BTreeMap::new(),
            heard: Instant::now(),
            span: (Instant::now(), 0),
        };
        talk.run(&bus).await;
    }))
}

/// An upgrade, or why there is none.
struct Upgrade(Result<WebSocketUpgrade, Problem>);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Upgrade {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &S,
    ) -> Result<Self, Self::Rejection> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        let why = |rejection: WebSocketUpgradeRejection| {
            Problem::new("bad-request", format!("this is no WebSocket: {}", rejection.body_text()))
        };
        Ok(Self(upgrade.map_err(why)))
    }
}

impl aide::operation::OperationInput for Upgrade {}

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(rename = "type")]
    sort: String,
    #[serde(default, deserialize_with = "present")]
    id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    filter: Option<Object<InterestWords>>,
    #[serde(default, deserialize_with = "present")]
    last_event_id: Option<String>,
}

/// What it is told.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Told<'a> {
    /// The server listens.
    Ready,
    /// It hears from now on, after this event; none while it is to read anew first.
    Subscribed { id: &'a str, position: Option<String> },
    /// No more.
    Unsubscribed { id: &'a str },
    /// An event.
    Event { subscription: &'a str, event: &'a RawValue },
    /// The answer to its own ping.
    Pong,
    /// What it said was not done.
    Error { id: Option<&'a str>, code: &'a str, detail: &'a str, errors: Vec<Wrong<'a>> },
}

#[derive(Debug, Serialize)]
struct Wrong<'a> {
    pointer: &'a str,
    code: &'a str,
    message: &'a str,
}

/// Pieces with the name of their subscription.
type Listening = Pin<Box<dyn Stream<Item = (Arc<str>, EventId, Piece)> + Send>>;

/// Why a connection ends: the code and the words of its last frame; none when nobody is there to read it.
type End = Option<(u16, &'static str)>;

/// One connection.
struct Talk {
    socket: WebSocket,
    events: Events,
    listening: SelectAll<Listening>,
    names: BTreeMap<Arc<str>, AbortHandle>,
    /// When it sent something last.
    heard: Instant,
    /// Since when messages are counted, and how many came.
    span: (Instant, u32),
}

impl Talk {
    async fn run(mut self, bus: &Bus) {
        let end = self.converse(bus).await.err().flatten();
        self.names.values().for_each(AbortHandle::abort);
        let farewell = async {
            if let Some((code, reason)) = end {
                let frame = CloseFrame { code, reason: reason.into() };
                // One that is gone already need not be told.
                drop(self.socket.send(Message::Close(Some(frame))).await);
            }
            // Its own farewell is answered on the way.
            while let Some(Ok(_)) = self.socket.recv().await {}
            if end.is_some_and(|(code, _)| code == close_code::SIZE) {
                // What was too long was not read: closing now would reset the connection, and the client might
                // never read why.
                std::future::pending::<()>().await;
            }
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!("a WebSocket client did not say farewell");
        }
    }

    async fn converse(&mut self, bus: &Bus) -> Result<(), End> {
        self.tell(&Told::Ready).await?;
        let mut beat = interval(HEARTBEAT);
        loop {
            tokio::select! {
                biased;
                () = bus.closed() => return Err(Some((close_code::AWAY, "the server stops"))),
                said = self.socket.recv() => self.hear(said).await?,
                _ = beat.tick() => self.beat().await?,
                Some((name, id, piece)) = self.listening.next() => {
                    let messages = self.messages(&name, id, &piece)?;
                    tokio::select! {
                        biased;
                        sent = self.send(messages) => sent?,
                        () = bus.closed() => return Err(None),
                    }
                }
            }
        }
    }

    async fn beat(&mut self) -> Result<(), End> {
        if self.heard.elapsed() > SILENT {
            return Err(None);
        }
        self.send(vec![Message::Ping(bytes::Bytes::new())]).await
    }

    async fn hear(&mut self, said: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let said = said.ok_or(None)?.map_err(why)?;
        self.heard = Instant::now();
        if self.span.0.elapsed() > SPAN {
            self.span = (self.heard, 0);
        }
        self.span.1 += 1;
        if self.span.1 > WS_MESSAGES_MAX {
            return Err(Some((close_code::POLICY, "too many messages")));
        }
        let text = match &said {
            Message::Text(text) if text.len() <= WS_MESSAGE_BYTES_MAX => text.as_bytes(),
            Message::Text(_) => return Err(Some((close_code::SIZE, "the message is too long"))),
            Message::Binary(_) => {
                return Err(Some((close_code::UNSUPPORTED, "messages are JSON in text frames")));
            }
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(None),
        };
        match parse::<Said>(text) {
            Ok(said) => {
                if let Err(problem) = self.obey(&said).await? {
                    self.refuse(said.id.as_deref(), &problem).await?;
                }
                Ok(())
            }
            Err(problem) => self.refuse(None, &problem).await,
        }
    }

    async fn obey(&mut self, said: &Said) -> Result<Result<(), Problem>, End> {
        match said.sort.as_str() {
            "ping" => self.tell(&Told::Pong).await.map(Ok),
            "subscribe" => match self.subscribe(said).await {
                Ok((name, position)) => {
                    let position = position.map(|position| position.to_string());
                    self.tell(&Told::Subscribed { id: &name, position }).await.map(Ok)
                }
                Err(problem) => Ok(Err(problem)),
            },
            "unsubscribe" => {
                let name = said.id.as_deref().unwrap_or_default();
                let Some(handle) = self.names.remove(name) else {
                    return Ok(Err(Problem::field("/id", "unknown-subscription", "names none")));
                };
                handle.abort();
                self.tell(&Told::Unsubscribed { id: name }).await.map(Ok)
            }
            _ => {
                let rule = "must be subscribe, unsubscribe or ping";
                Ok(Err(Problem::field("/type", "unknown-word", rule)))
            }
        }
    }

    async fn subscribe(&mut self, said: &Said) -> Result<(Arc<str>, Option<EventId>), Problem> {
        let mut faults = Vec::new();
        let name = said.id.as_deref().unwrap_or_default();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            faults.push(Fault::new("/id", "name", "must be a name of 1 to 64 bytes"));
        } else if self.names.contains_key(name) {
            faults.push(Fault::new(
                "/id",
                "repeated",
                "names a subscription that is there already",
            ));
        } else if self.names.len() >= WS_SUBSCRIPTIONS_MAX {
            let rule = format!("a connection has at most {WS_SUBSCRIPTIONS_MAX} subscriptions");
            faults.push(Fault::new("/id", "too-many", rule));
        }
        let words = said.filter.as_ref().map(|Object(words)| words.clone()).unwrap_or_default();
        let interest = words.check("/filter/").map_err(|more| faults.extend(more));
        let last = said.last_event_id.as_deref().map(event_id).transpose();
        let last = last.map_err(|(code, rule)| {
            faults.push(Fault::new("/last_event_id", code, rule));
        });
        let (Ok(interest), Ok(last), true) = (interest, last, faults.is_empty()) else {
            return Err(Problem::invalid(faults));
        };
        let subscription = self.events.subscribe(Actor::DEFAULT, interest, last).await?;
        let name = Arc::<str>::from(name);
        let position = (!subscription.is_behind()).then(|| subscription.position());
        let (pieces, handle) = abortable(pieces(Arc::clone(&name), subscription));
        self.listening.push(Box::pin(pieces));
        self.names.insert(Arc::clone(&name), handle);
        Ok((name, position))
    }

    /// What a piece tells, unless its subscription ended meanwhile.
    fn messages(&self, name: &str, id: EventId, piece: &Piece) -> Result<Vec<Message>, End> {
        let mut messages = Vec::with_capacity(piece.events.len() + 1);
        if !self.names.contains_key(name) {
            return Ok(messages);
        }
        if piece.resync {
            let id = piece.events.first().map_or(id, |first| first.before());
            let resync = RawValue::from_string(format!("{{\"id\":\"{id}\",\"type\":\"resync\"}}"));
            let resync = resync.map_err(|_| None)?;
            messages.push(said(&Told::Event { subscription: name, event: &resync })?);
        }
        for event in &piece.events {
            let event = serde_json::from_slice(text(event)).map_err(|_| None)?;
            messages.push(said(&Told::Event { subscription: name, event })?);
        }
        Ok(messages)
    }

    async fn refuse(&mut self, id: Option<&str>, problem: &Problem) -> Result<(), End> {
        let wrong = |fault: &Fault| (fault.pointer.clone(), fault.code, fault.message.to_string());
        let faults: Vec<_> = problem.faults().iter().map(wrong).collect();
        let errors = faults.iter().map(|(pointer, code, message)| Wrong { pointer, code, message });
        let (code, detail) = (problem.code(), problem.detail());
        self.tell(&Told::Error { id, code, detail, errors: errors.collect() }).await
    }

    async fn tell(&mut self, told: &Told<'_>) -> Result<(), End> {
        self.send(vec![said(told)?]).await
    }

    /// Sends messages; a client that does not read them in time is gone, and so is one that cannot be written to.
    async fn send(&mut self, messages: Vec<Message>) -> Result<(), End> {
        let all = async {
            for message in messages {
                self.socket.feed(message).await?;
            }
            self.socket.flush().await
        };
        match timeout(WRITE, all).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }
}

fn said(told: &Told<'_>) -> Result<Message, End> {
    serde_json::to_string(told).map(|text| Message::Text(text.into())).map_err(|_| None)
}

fn pieces(
    name: Arc<str>,
    subscription: Subscription,
) -> impl Stream<Item = (Arc<str>, EventId, Piece)> {
    unfold((name, subscription), |(name, mut subscription)| async move {
        let piece = subscription.next().await;
        Some(((Arc::clone(&name), subscription.position(), piece), (name, subscription)))
    })
}

/// Why a message could not be read.
fn why(error: axum::Error) -> End {
    let error = error.into_inner();
    match error.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => {
            Some((close_code::SIZE, "the message is too long"))
        }
        Some(tungstenite::Error::Utf8(_)) => {
            Some((close_code::INVALID, "the message is not UTF-8"))
        }
        Some(tungstenite::Error::Protocol(_)) => {
            Some((close_code::PROTOCOL, "this is not how WebSockets talk"))
        }
        _ => None,
    }
}
