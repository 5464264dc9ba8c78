//! The accept loop and the set of connections that it keeps. What happens on a connection is
//! `connection.rs`'s business.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::watch::{Waiting, Watch};
use super::{ServerLimits, connection};

/// The pause after a failed accept: the reason, most often a lack of file descriptors, does not
/// go away by asking again at once.
const PAUSE: Duration = Duration::from_millis(50);
/// Failed accepts are logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(1);
/// How often a full server looks for an idle connection when nothing ends by itself.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A connection that has been idle for less is not ended for another one: its first request may
/// be on the way, and a full server would close new connections as fast as it takes them.
const IDLE_AT_LEAST: Duration = Duration::from_millis(500);

/// Where connections come from: a socket, or a test.
pub(super) trait Accept {
    /// The next connection.
    fn next(&self) -> impl Future<Output = std::io::Result<TcpStream>> + Send;
}

impl Accept for TcpListener {
    async fn next(&self) -> std::io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Takes and serves connections until `shutdown`, then ends them within `grace`.
pub(super) async fn run(
    listener: impl Accept,
    router: Router,
    limits: ServerLimits,
    shutdown: CancellationToken,
    grace: Duration,
) {
    let mut connections = Connections::new(router, limits);
    let mut logged = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = connections.one_ended() => continue,
            accepted = listener.next() => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                let now = Instant::now();
                if logged.is_none_or(|at| now.duration_since(at) >= LOG_EVERY) {
                    logged = Some(now);
                    tracing::warn!(%error, "cannot take a connection, trying again");
                }
                connections.end_longest_idle();
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = sleep(PAUSE) => continue,
                }
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = connections.room() => connections.spawn(stream),
        }
    }
    // New peers are refused from here on instead of waiting for nobody.
    drop(listener);
    connections.end(grace).await;
}

struct Member {
    watch: Arc<Watch>,
    leave: CancellationToken,
}

struct Connections {
    router: Router,
    limits: ServerLimits,
    start: Instant,
    leave: CancellationToken,
    tasks: JoinSet<()>,
    members: HashMap<Id, Member>,
}

impl Connections {
    fn new(router: Router, limits: ServerLimits) -> Self {
        Self {
            router,
            limits,
            start: Instant::now(),
            leave: CancellationToken::new(),
            tasks: JoinSet::new(),
            members: HashMap::new(),
        }
    }

    fn spawn(&mut self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch off the delay of small packets");
        }
        let watch = Arc::new(Watch::new(self.start.elapsed()));
        let leave = self.leave.child_token();
        let member = Member { watch: Arc::clone(&watch), leave: leave.clone() };
        let run =
            connection::run(stream, self.router.clone(), self.limits, watch, leave, self.start);
        let task = self.tasks.spawn(run);
        self.members.insert(task.id(), member);
    }

    /// Waits until a connection has ended; for ever when there is none. Safe to drop.
    async fn one_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.forget(ended),
            None => std::future::pending().await,
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a connection panicked");
                }
                error.id()
            }
        };
        self.members.remove(&id);
    }

    /// Waits until one more connection is allowed. Safe to drop.
    async fn room(&mut self) {
        while self.tasks.len() >= self.limits.connections.max(1) {
            self.end_longest_idle();
            tokio::select! {
                () = self.one_ended() => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Tells the connection that has been idle for longest to close. It may have got a request
    /// in the meantime: then it serves that first.
    fn end_longest_idle(&mut self) {
        let longest = self
            .members
            .values()
            .filter(|m| m.watch.waiting() == Waiting::Idle && !m.watch.is_upgraded())
            .filter(|m| !m.leave.is_cancelled())
            .min_by_key(|m| m.watch.since());
        if let Some(member) = longest
            && self.start.elapsed().saturating_sub(member.watch.since()) >= IDLE_AT_LEAST
        {
            member.leave.cancel();
        }
    }

    async fn end(mut self, grace: Duration) {
        self.leave.cancel();
        let all = async {
            while !self.tasks.is_empty() {
                self.one_ended().await;
            }
        };
        if timeout(grace, all).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "cutting off connections");
            self.tasks.shutdown().await;
        }
    }
}
