//! One connection from its first byte to its last: drives the HTTP library and ends a connection
//! that waits too long. It knows no routes, and it does not time bodies: the extractors do. What speaks another
//! protocol after an upgrade is timed by whoever speaks it.
//!
//! The library's own head timeout would also run between requests and allocate a timer for each;
//! here one timer serves the whole connection and is set again only when it has run out or must
//! ring earlier than planned.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::HttpService;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ServerLimits;
use super::answer::{Answered, answer, body_length};
use super::io::Io;
use super::watch::{Waiting, Watch};

/// Longest request line with headers, in bytes; a longer one is answered with 431. The library's
/// own limit of 100 headers holds too.
const HEAD_MAX: usize = 32 * 1024;
/// Most bytes that the library gathers for one connection in either direction.
const BUFFER_MAX: usize = 64 * 1024;

/// Serves `stream` until it ends, runs into a limit, or is told to `leave`: then it finishes the
/// request in flight and closes. `start` is when the server began.
pub(super) async fn run(
    stream: TcpStream,
    router: Router,
    limits: ServerLimits,
    watch: Arc<Watch>,
    leave: CancellationToken,
    start: Instant,
) {
    let (alive, gone) = oneshot::channel();
    let io = TokioIo::new(Io::new(stream, Arc::clone(&watch), alive));
    let service = service_fn(|request| {
        let body = body_length(&request);
        watch.called(body);
        answer(router.clone(), Arc::clone(&watch), request, body)
    });
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_header_size(HEAD_MAX).max_buf_size(BUFFER_MAX);
    drive(http.serve_connection(io, service).with_upgrades(), limits, &watch, &leave, start).await;
    if watch.is_upgraded() {
        // It counts as a connection for as long as the socket lives; whoever has it now ends it. Nothing is
        // ever sent: the other end goes with the socket.
        drop(gone.await);
    }
}

/// Drives a connection to its end, which lets go of it.
async fn drive<S, E>(
    connection: UpgradeableConnection<TokioIo<Io>, S>,
    limits: ServerLimits,
    watch: &Watch,
    leave: &CancellationToken,
    start: Instant,
) where
    S: HttpService<Incoming, ResBody = Answered, Error = E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = pin!(connection);
    let mut told = pin!(leave.cancelled());
    let mut leaving = false;
    let now = Instant::now();
    let mut timer = pin!(sleep_until(now));
    let mut clock = Clock { limits, start, turn: watch.turn(), since: now, rings: None };
    std::future::poll_fn(|cx| {
        if !leaving && told.as_mut().poll(cx).is_ready() {
            leaving = true;
            watch.leave();
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
            return Poll::Ready(());
        }
        let Poll::Ready(late) = clock.poll(watch, timer.as_mut(), cx) else {
            return Poll::Pending;
        };
        tracing::debug!(waiting = ?late, "a connection waited too long");
        if late == Waiting::Head {
            // One more turn lets the IO say why; whatever comes of it, the connection ends here.
            watch.expire();
            if connection.as_mut().poll(cx).is_pending() {
                tracing::debug!("a slow head could not be answered");
            }
        }
        Poll::Ready(())
    })
    .await;
}

/// Measures the present wait.
struct Clock {
    limits: ServerLimits,
    start: Instant,
    /// The wait that `since` belongs to.
    turn: u64,
    since: Instant,
    /// When the timer rings, if it was set.
    rings: Option<Instant>,
}

impl Clock {
    /// Ready with the wait that has lasted too long. Call it after the connection was polled.
    fn poll(
        &mut self,
        watch: &Watch,
        mut timer: Pin<&mut Sleep>,
        cx: &mut Context<'_>,
    ) -> Poll<Waiting> {
        if watch.turn() != self.turn {
            self.turn = watch.turn();
            self.since = Instant::now();
            watch.waits_since(self.since.duration_since(self.start));
        }
        let waiting = watch.waiting();
        // A timer that rings while nothing is timed only costs a turn.
        let Some(limit) = self.limit(waiting) else { return Poll::Pending };
        let Some(end) = self.since.checked_add(limit) else { return Poll::Pending };
        if self.rings.is_none_or(|rings| rings > end) {
            timer.as_mut().reset(end);
            self.rings = Some(end);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= end {
                return Poll::Ready(waiting);
            }
            timer.as_mut().reset(end);
            self.rings = Some(end);
        }
        Poll::Pending
    }

    fn limit(&self, waiting: Waiting) -> Option<Duration> {
        match waiting {
            Waiting::Idle => Some(self.limits.idle),
            Waiting::Head => Some(self.limits.header),
            Waiting::Write => Some(self.limits.write),
            Waiting::Drain => Some(self.limits.drain),
            Waiting::Request => None,
        }
    }
}
