//! The server over real sockets, byte by byte: a small router, short limits.
//! Everything here waits for a condition and gives up after [`PATIENCE`].

mod framing;
mod lifecycle;
mod waits;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{ServerLimits, serve};

const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

/// Limits that no test runs into by accident.
const ROOMY: ServerLimits =
    ServerLimits { header: LONG, idle: LONG, write: LONG, drain: LONG, connections: 1000 };

/// What the routes tell the tests.
#[derive(Default)]
struct Seen {
    /// Requests that reached `/hit`.
    hits: AtomicUsize,
    /// Requests that reached `/wait`.
    waiting: AtomicUsize,
    /// Requests at `/wait` that are over, answered or not.
    left: AtomicUsize,
    /// Lets one request at `/wait` go.
    release: Notify,
    /// An endless answer was dropped.
    dropped: Notify,
}

struct Server {
    addr: SocketAddr,
    seen: Arc<Seen>,
    shutdown: CancellationToken,
    running: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(limits: ServerLimits) -> Self {
        Self::start_with_grace(limits, LONG).await
    }

    async fn start_with_grace(limits: ServerLimits, grace: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(serve(listener, router(&seen), limits, shutdown.clone(), grace));
        Self { addr, seen, shutdown, running }
    }

    async fn open(&self) -> TcpStream {
        soon(TcpStream::connect(self.addr)).await.expect("a connection")
    }

    /// A connection that has sent `bytes`.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = self.open().await;
        soon(stream.write_all(bytes.as_ref())).await.expect("sent");
        stream
    }

    /// Everything that comes back until the server closes.
    async fn talk(&self, bytes: impl AsRef<[u8]>) -> String {
        let (mut read, mut write) = self.open().await.into_split();
        let mut answer = Vec::new();
        // The server may close before it has read everything: only the answer counts.
        let (sent, read) = soon(async {
            tokio::join!(write.write_all(bytes.as_ref()), read.read_to_end(&mut answer))
        })
        .await;
        drop((sent, read));
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn assert_refuses(&self, status: u16, bytes: impl AsRef<[u8]>) {
        let answer = self.talk(bytes.as_ref()).await;
        let shown = String::from_utf8_lossy(&bytes.as_ref()[..bytes.as_ref().len().min(200)]);
        let start = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&start), "{shown:?} got {answer:?} instead of {status}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{shown:?} got {answer:?}");
        assert_eq!(self.seen.hits.load(SeqCst), 0, "{shown:?} reached the route");
    }

    async fn assert_serves(&self) {
        let answer = self.talk(request("GET /ok", "Connection: close\r\n", "")).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok"), "{answer}");
    }
}

fn router(seen: &Arc<Seen>) -> Router {
    let (hit, wait, endless) = (Arc::clone(seen), Arc::clone(seen), Arc::clone(seen));
    let hit = async move || {
        hit.hits.fetch_add(1, SeqCst);
        "hit"
    };
    let wait = async move || {
        let _present = Present::new(&wait);
        wait.release.notified().await;
        "waited"
    };
    Router::new()
        .route("/ok", get(async || "ok"))
        .route("/hit", get(hit.clone()).post(hit))
        .route("/n/{n}", get(async |Path(n): Path<u32>| n.to_string()))
        .route("/echo", post(echo))
        .route("/ignore", post(async || StatusCode::PAYLOAD_TOO_LARGE))
        .route("/wait", get(wait))
        .route("/nap", get(async || tokio::time::sleep(SHORT * 3).await))
        .route("/panic", get(async || -> &'static str { panic!("a test asked for it") }))
        .route("/endless", get(async move || Body::new(Endless { seen: endless })))
}

async fn echo(body: Body) -> Result<Bytes, StatusCode> {
    to_bytes(body, 1 << 20).await.map_err(|_| StatusCode::BAD_REQUEST)
}

/// Counts a request at `/wait`.
struct Present(Arc<Seen>);

impl Present {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.waiting.fetch_add(1, SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, SeqCst);
    }
}

/// An answer without an end.
struct Endless {
    seen: Arc<Seen>,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'.'; 64 * 1024])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.seen.dropped.notify_one();
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it should not take so long")
}

async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// A request with a host, more header lines and a body.
fn request(line: &str, headers: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}")
}

/// One answer that says its length, and not a byte more.
async fn one_answer(stream: &mut TcpStream) -> String {
    soon(async {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.expect("the head of an answer"));
        }
        let head = String::from_utf8(answer).expect("text");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |l| l.parse().expect("a length"))];
        stream.read_exact(&mut body).await.expect("the body of an answer");
        head + &String::from_utf8(body).expect("text")
    })
    .await
}

/// What is left until the server closes; a reset is a close too.
async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.unwrap_or_default();
    String::from_utf8_lossy(&rest).into_owned()
}
