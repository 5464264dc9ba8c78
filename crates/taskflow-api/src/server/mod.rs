//! The HTTP server below the routes: takes connections, keeps their number and their waits within
//! limits, and ends them in order. It serves any router and knows nothing of tasks; body sizes and
//! body times are the extractors' business. HTTP/1 only, without TLS.

mod accept;
mod answer;
mod connection;
mod framing;
mod io;
pub(crate) mod refuse;
#[cfg(test)]
mod tests;
mod watch;

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long a connection may wait for what, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// From the first byte of a request to the end of its head; then 408 and the end.
    pub header: Duration,
    /// Without a byte between two requests, or before the first.
    pub idle: Duration,
    /// Without progress of an answer: the peer must read 32 KiB, or the rest, in this time.
    pub write: Duration,
    /// After the last answer, for the peer to take note when it was still sending.
    pub drain: Duration,
    /// Connections at the same time. One more makes the longest idle one end; when none is idle
    /// the new one waits. At least one is always allowed.
    pub connections: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            drain: Duration::from_secs(2),
            connections: 10_240,
        }
    }
}

/// Serves `router` on `listener` until `shutdown` is cancelled. Then no connection is taken any
/// more, idle ones close at once, requests in flight get `grace` to end, and what is left after
/// that is cut off. Dropping the future cuts everything off at once.
///
/// # Errors
/// When the listener itself cannot be used. Failures to take one connection (no file descriptors
/// left, a peer that is gone) are logged and waited out.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    shutdown: CancellationToken,
    grace: Duration,
) -> std::io::Result<()> {
    listener.local_addr()?;
    accept::run(listener, router, limits, shutdown, grace).await;
    Ok(())
}
