//! How many connections there may be, how they end, and what the server survives.

use std::sync::Mutex;
use std::time::Instant;

use super::super::accept::{self, Accept};
use super::*;

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_until_one_ends() {
    let server = Server::start(ServerLimits { connections: 2, ..ROOMY }).await;
    let wait = request("GET /wait", "Connection: close\r\n", "");
    let mut first = server.send(&wait).await;
    let mut second = server.send(&wait).await;
    until(|| server.seen.waiting.load(SeqCst) == 2).await;
    let mut third = server.send(request("GET /ok", "Connection: close\r\n", "")).await;
    let early = tokio::time::timeout(SHORT * 4, third.read_u8()).await;
    assert!(early.is_err(), "the third was served: {early:?}");
    server.seen.release.notify_one();
    let answer = rest(&mut third).await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    server.seen.release.notify_one();
    assert!(rest(&mut first).await.ends_with("waited"));
    assert!(rest(&mut second).await.ends_with("waited"));
}

#[tokio::test]
async fn at_the_limit_the_longest_idle_connection_makes_room() {
    let server = Server::start(ServerLimits { connections: 2, ..ROOMY }).await;
    let ok = request("GET /ok", "", "");
    let mut opened_first = server.send(&ok).await;
    one_answer(&mut opened_first).await;
    let mut idle_longest = server.send(&ok).await;
    one_answer(&mut idle_longest).await;
    opened_first.write_all(ok.as_bytes()).await.expect("sent");
    one_answer(&mut opened_first).await;
    let mut third = server.send(&ok).await;
    assert!(one_answer(&mut third).await.ends_with("ok"));
    assert_eq!(rest(&mut idle_longest).await, "");
    opened_first.write_all(ok.as_bytes()).await.expect("still open");
    assert!(one_answer(&mut opened_first).await.ends_with("ok"));
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_finishes_requests() {
    let server = Server::start(ROOMY).await;
    let mut silent = server.open().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let mut idle = server.send(request("POST /echo", chunked, "2\r\nhi\r\n0\r\n\r\n")).await;
    one_answer(&mut idle).await;
    let mut busy = server.send(request("GET /wait", "", "")).await;
    until(|| server.seen.waiting.load(SeqCst) == 1).await;
    server.shutdown.cancel();
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut idle).await, "");
    assert!(!server.running.is_finished());
    server.seen.release.notify_one();
    let answer = rest(&mut busy).await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("waited"), "{answer}");
    soon(server.running).await.expect("no panic").expect("no error");
    let late = soon(TcpStream::connect(server.addr)).await;
    assert!(late.is_err(), "a connection was taken after the end");
}

#[tokio::test]
async fn a_shutdown_cuts_off_what_outlasts_the_grace() {
    let server = Server::start_with_grace(ROOMY, SHORT).await;
    let mut busy = server.send(request("GET /wait", "", "")).await;
    until(|| server.seen.waiting.load(SeqCst) == 1).await;
    let begun = Instant::now();
    server.shutdown.cancel();
    soon(server.running).await.expect("no panic").expect("no error");
    assert!(begun.elapsed() >= SHORT, "cut off after {:?}", begun.elapsed());
    assert_eq!(rest(&mut busy).await, "");
}

#[tokio::test]
async fn a_shutdown_ends_a_server_that_is_full() {
    let server = Server::start_with_grace(ServerLimits { connections: 1, ..ROOMY }, SHORT).await;
    let busy = server.send(request("GET /wait", "", "")).await;
    until(|| server.seen.waiting.load(SeqCst) == 1).await;
    let waiting = server.open().await;
    server.shutdown.cancel();
    soon(server.running).await.expect("no panic").expect("no error");
    drop((busy, waiting));
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let server = Server::start(ROOMY).await;
    let client = server.send(request("GET /wait", "", "")).await;
    until(|| server.seen.waiting.load(SeqCst) == 1).await;
    drop(client);
    until(|| server.seen.left.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn a_panic_in_a_route_ends_only_its_connection() {
    let server = Server::start(ServerLimits { connections: 1, ..ROOMY }).await;
    assert_eq!(server.talk(request("GET /panic", "", "")).await, "");
    server.assert_serves().await;
}

/// A listener that fails a few times first.
struct Failing {
    listener: TcpListener,
    errors: Mutex<Vec<i32>>,
}

impl Accept for Failing {
    async fn next(&self) -> std::io::Result<TcpStream> {
        if let Some(code) = self.errors.lock().expect("no panic").pop() {
            return Err(std::io::Error::from_raw_os_error(code));
        }
        self.listener.next().await
    }
}

#[tokio::test]
async fn the_server_outlives_failures_to_take_a_connection() {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ECONNABORTED: i32 = 103;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let errors = Mutex::new(vec![ECONNABORTED, EMFILE, ENFILE]);
    let seen = Arc::new(Seen::default());
    let shutdown = CancellationToken::new();
    let failing = Failing { listener, errors };
    let running = tokio::spawn(accept::run(failing, router(&seen), ROOMY, shutdown.clone(), LONG));
    let server = Server { addr, seen, shutdown, running: tokio::spawn(async { Ok(()) }) };
    server.assert_serves().await;
    server.shutdown.cancel();
    soon(running).await.expect("no panic");
}
