//! Clients that are too slow, and those that only seem so.

use std::time::Instant;

use tokio::io::AsyncWrite;

use super::super::io::Io;
use super::super::watch::{Waiting, Watch};
use super::*;

#[tokio::test]
async fn a_head_that_drips_is_ended_while_others_are_served() {
    let limits = ServerLimits { header: SHORT, ..ROOMY };
    let server = Server::start(limits).await;
    let mut drips = Vec::new();
    for _ in 0..20 {
        let mut stream = server.send("GET /hit HTTP/1.1\r\n").await;
        drips.push(tokio::spawn(async move {
            let begun = Instant::now();
            let (mut read, mut write) = stream.split();
            let mut answer = Vec::new();
            let drip = async {
                while write.write_all(b"X").await.is_ok() {
                    tokio::time::sleep(SHORT / 10).await;
                }
            };
            tokio::select! {
                ended = read.read_to_end(&mut answer) => drop(ended),
                () = drip => {}
            }
            (begun.elapsed(), String::from_utf8_lossy(&answer).into_owned())
        }));
    }
    server.assert_serves().await;
    for drip in drips {
        let (lasted, answer) = soon(drip).await.expect("no panic");
        assert!(lasted >= SHORT / 2, "ended after {lasted:?}");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert_eq!(server.seen.hits.load(SeqCst), 0);
}

#[tokio::test]
async fn a_slow_head_is_told_so() {
    let server = Server::start(ServerLimits { header: SHORT, ..ROOMY }).await;
    let answer = server.talk("GET /hit HTTP/1.1\r\nHost:").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn half_a_head_behind_a_whole_request_is_timed_as_a_head() {
    let server = Server::start(ServerLimits { header: SHORT, ..ROOMY }).await;
    let answer = server.talk(request("GET /ok", "", "") + "GET /h").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("okHTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_before_and_after_a_request() {
    let server = Server::start(ServerLimits { idle: SHORT, ..ROOMY }).await;
    let begun = Instant::now();
    assert_eq!(server.talk("").await, "");
    assert!(begun.elapsed() >= SHORT, "closed after {:?}", begun.elapsed());

    let mut stream = server.send(request("GET /ok", "", "")).await;
    one_answer(&mut stream).await;
    assert_eq!(rest(&mut stream).await, "");

    let body = request("POST /echo", "Content-Length: 2\r\n", "hi");
    let mut stream = server.send(body).await;
    one_answer(&mut stream).await;
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn the_idle_time_starts_anew_with_every_request() {
    let server = Server::start(ServerLimits { idle: SHORT * 2, ..ROOMY }).await;
    let mut stream = server.open().await;
    let begun = Instant::now();
    while begun.elapsed() < SHORT * 5 {
        stream.write_all(request("GET /ok", "", "").as_bytes()).await.expect("still open");
        one_answer(&mut stream).await;
        tokio::time::sleep(SHORT / 10).await;
    }
}

#[tokio::test]
async fn a_request_in_progress_is_not_timed() {
    let limits = ServerLimits { header: SHORT, idle: SHORT, write: SHORT, ..ROOMY };
    let server = Server::start(limits).await;
    let mut stream = server.send(request("GET /nap", "", "")).await;
    let answer = one_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "a slow route: {answer}");

    let mut stream = server.send(request("POST /echo", "Content-Length: 2\r\n", "h")).await;
    tokio::time::sleep(SHORT * 2).await;
    stream.write_all(b"i").await.expect("still open");
    let answer = one_answer(&mut stream).await;
    assert!(answer.ends_with("\r\n\r\nhi"), "a slow body: {answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    let server = Server::start(ServerLimits { write: SHORT, ..ROOMY }).await;
    let stream = server.send(request("GET /endless", "", "")).await;
    soon(server.seen.dropped.notified()).await;
    drop(stream);
}

#[tokio::test]
async fn a_client_that_reads_gets_as_much_as_it_likes() {
    let server = Server::start(ServerLimits { write: SHORT, ..ROOMY }).await;
    let mut stream = server.send(request("GET /endless", "", "")).await;
    let begun = Instant::now();
    let mut space = vec![0; 256 << 10];
    while begun.elapsed() < SHORT * 4 {
        let count = soon(stream.read(&mut space)).await.expect("still open");
        assert_ne!(count, 0, "closed after {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_blocked_write_is_over_once_everything_is_written() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let (client, accepted) = tokio::join!(TcpStream::connect(addr), listener.accept());
    let (mut client, (socket, _)) = (client.expect("connected"), accepted.expect("accepted"));
    let watch = Arc::new(Watch::new(Duration::ZERO));
    let mut io = Io::new(socket, Arc::clone(&watch), tokio::sync::oneshot::channel().0);
    let mut written = 0;
    let fill = |cx: &mut Context<'_>| Poll::Ready(Pin::new(&mut io).poll_write(cx, &[b'.'; 4096]));
    let mut fill = std::pin::pin!(std::future::poll_fn(fill));
    while let Poll::Ready(count) = fill.as_mut().await {
        written += count.expect("written");
    }
    assert_eq!(watch.waiting(), Waiting::Write);
    soon(client.read_exact(&mut vec![0; written])).await.expect("read");
    soon(io.write_all(b"the end")).await.expect("written");
    soon(io.flush()).await.expect("flushed");
    assert_eq!(watch.waiting(), Waiting::Idle);
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let server = Server::start(ROOMY).await;
    let size = 8 << 20;
    let head = request("POST /ignore", &format!("Content-Length: {size}\r\n"), "");
    let mut stream = server.send(head + &"x".repeat(size - 1)).await;
    stream.write_all(b"x").await.expect("the server takes it");
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_never_stops_sending_is_cut_off() {
    let limits = ServerLimits { drain: SHORT, ..ROOMY };
    let server = Server::start(limits).await;
    let mut stream = server.send(request("POST /ignore", "Content-Length: 99999\r\n", "x")).await;
    assert!(one_answer(&mut stream).await.starts_with("HTTP/1.1 413 "));
    soon(async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 20).await;
        }
    })
    .await;
}
