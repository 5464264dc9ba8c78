//! Malformed, oversized and ambiguous requests, and well-formed ones in odd pieces.

use super::super::framing::{Admitted, Framing};
use super::super::watch::BodyLength;
use super::*;

#[tokio::test]
async fn a_request_line_must_have_a_version_that_we_speak() {
    let server = Server::start(ROOMY).await;
    for line in ["GET /hit", "GET /hit garbage", "GET /hit HTTP/1.2", "GET /hit HTTP/3.0", "GET"] {
        server.assert_refuses(400, format!("{line}\r\nHost: localhost\r\n\r\n")).await;
    }
    server.assert_refuses(400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    server.assert_serves().await;
}

#[tokio::test]
async fn a_request_needs_exactly_one_host() {
    let server = Server::start(ROOMY).await;
    server.assert_refuses(400, "GET /hit HTTP/1.1\r\n\r\n").await;
    server.assert_refuses(400, request("GET /hit", "Host: localhost\r\n", "")).await;
    let two = server.talk("GET /hit HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").await;
    assert!(two.starts_with("HTTP/1.0 400 "), "{two}");
    let old = server.talk("GET /ok HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 "), "HTTP/1.0 has no host: {old}");
}

#[tokio::test]
async fn a_refusal_is_a_problem_document() {
    let server = Server::start(ROOMY).await;
    let answer = server.talk("GET /hit HTTP/1.1\r\n\r\n").await;
    assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
    assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["status"], 400);
    assert_eq!(body["code"], "bad-request");
    assert_eq!(body["type"], "/errors/bad-request");
}

#[tokio::test]
async fn a_target_that_names_a_server_is_refused() {
    let server = Server::start(ROOMY).await;
    server.assert_refuses(400, request("GET http://evil.example/hit", "", "")).await;
    server.assert_refuses(400, request("CONNECT evil.example:443", "", "")).await;
    let doubled = server.talk(request("GET //evil.example/hit", "Connection: close\r\n", "")).await;
    assert!(doubled.starts_with("HTTP/1.1 404 "), "{doubled}");
    let star = server.talk(request("OPTIONS *", "Connection: close\r\n", "")).await;
    assert!(star.starts_with("HTTP/1.1 404 "), "{star}");
}

#[tokio::test]
async fn a_method_that_is_not_routed_is_answered_without_an_echo() {
    let server = Server::start(ROOMY).await;
    for method in ["TRACE", "PROPFIND", "get"] {
        let headers = "X-Secret: abc\r\nConnection: close\r\n";
        let answer = server.talk(request(&format!("{method} /hit"), headers, "")).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        assert!(!answer.contains("abc"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn a_request_smuggled_behind_two_lengths_is_never_run() {
    let server = Server::start(ROOMY).await;
    let smuggled = request("GET /hit", "", "");
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\nContent-Length: 7\r\n",
    ] {
        let body = format!("0\r\n\r\n{smuggled}");
        let answer = server.talk(request("POST /echo", headers, &body)).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answer}");
        assert_eq!(server.seen.hits.load(SeqCst), 0, "{headers:?}: {answer}");
    }
}

#[tokio::test]
async fn a_content_length_is_one_plain_number() {
    let server = Server::start(ROOMY).await;
    for length in
        ["-1", "+5", "1e3", "18446744073709551616", "5, 6", "0x5", " ", "5\r\nContent-Length: 6"]
    {
        let head = format!("Content-Length: {length}\r\n");
        server.assert_refuses(400, request("POST /hit", &head, "hello")).await;
    }
}

#[tokio::test]
async fn the_only_transfer_coding_is_chunked() {
    let server = Server::start(ROOMY).await;
    for coding in [
        "xchunked",
        "chunked, identity",
        "identity",
        "gzip, chunked",
        "chunked\r\nTransfer-Encoding: chunked",
    ] {
        let head = format!("Transfer-Encoding: {coding}\r\n");
        server.assert_refuses(400, request("POST /hit", &head, "0\r\n\r\n")).await;
    }
    let old = "POST /hit HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = server.talk(old).await;
    assert!(answer.contains(" 400 "), "HTTP/1.0 has no codings: {answer}");
}

#[tokio::test]
async fn a_bad_chunk_ends_the_request() {
    let server = Server::start(ROOMY).await;
    let huge = format!("5;ext={}\r\nhello\r\n0\r\n\r\n", "x".repeat(1 << 20));
    for body in
        ["0x5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n", "5\r\nhelloworld\r\n0\r\n\r\n", &huge]
    {
        server
            .assert_refuses(400, request("POST /echo", "Transfer-Encoding: chunked\r\n", body))
            .await;
    }
    server.assert_serves().await;
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_refused() {
    let server = Server::start(ROOMY).await;
    for head in [
        "GET /hit HTTP/1.1\nHost: localhost\n\n",
        "GET /hit HTTP/1.1\r\nHost: localhost\r\nX: a\n\r\n",
        "GET /hit HTTP/1.1\r\nHost: localhost\r\n\n",
        "\nGET /hit HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /hit HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
        "GET /hit HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET /hit HTTP/1.1\r\n Host: localhost\r\n\r\n",
        "GET /hit HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        "GET /hit HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
        "GET  /hit HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        server.assert_refuses(400, head).await;
    }
}

#[tokio::test]
async fn a_bare_line_feed_is_found_in_any_piece_and_behind_other_requests() {
    let server = Server::start(ROOMY).await;
    let mut slow = server.send("GET /hit HTTP/1.1\r\nHost: localhost\r\nX: a").await;
    slow.set_nodelay(true).expect("set");
    for piece in ["b", "\n", "Y: c\r\n", "\r\n"] {
        // The server may have closed already.
        drop(slow.write_all(piece.as_bytes()).await);
        tokio::task::yield_now().await;
    }
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");

    let bad = "GET /hit HTTP/1.1\r\nHost: localhost\r\nX: a\n\r\n";
    let good = request("GET /ok", "", "") + &request("POST /echo", "Content-Length: 3\r\n", "a\nb");
    let answer = server.talk(good + bad).await;
    let statuses: Vec<_> = answer.matches("HTTP/1.1 200").collect();
    assert_eq!(statuses.len(), 2, "{answer}");
    assert!(answer.contains("a\nbHTTP/1.1 400 "), "{answer}");
    assert_eq!(server.seen.hits.load(SeqCst), 0);
}

#[tokio::test]
async fn a_head_that_is_too_big_is_refused() {
    let server = Server::start(ROOMY).await;
    let headers = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    server.assert_refuses(431, request("GET /hit", &headers(100), "")).await;
    let big = format!("X: {}\r\n", "y".repeat(64 << 10));
    server.assert_refuses(431, request("GET /hit", &big, "")).await;
    let many = format!("X: {}\r\n", "y".repeat(1 << 10)).repeat(33);
    server.assert_refuses(431, request("GET /hit", &many, "")).await;
    let fits = headers(98) + "Connection: close\r\n";
    let answer = server.talk(request("GET /ok", &fits, "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "100 headers are allowed: {answer}");
    let fits = format!("X: {}\r\nConnection: close\r\n", "y".repeat(31 << 10));
    let answer = server.talk(request("GET /ok", &fits, "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "31 KiB are allowed: {answer}");
}

#[tokio::test]
async fn other_protocols_are_refused() {
    let server = Server::start(ROOMY).await;
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 512]].concat();
    server.assert_refuses(400, hello).await;
    server.assert_refuses(400, "SSH-2.0-OpenSSH_9.9\r\n").await;
    server.assert_refuses(400, vec![0; 1 << 20]).await;
    server.assert_serves().await;
}

#[tokio::test]
async fn a_body_that_ends_too_early_is_not_taken_for_whole() {
    let server = Server::start(ROOMY).await;
    let mut stream = server.send(request("POST /echo", "Content-Length: 10\r\n", "short")).await;
    stream.shutdown().await.expect("half closed");
    let answer = rest(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    server.assert_serves().await;
}

#[tokio::test]
async fn a_thousand_requests_in_one_write_are_answered_in_order() {
    let server = Server::start(ROOMY).await;
    let all: String = (0..1000).map(|n| request(&format!("GET /n/{n}"), "", "")).collect();
    let mut stream = server.send(all).await;
    for n in 0..1000 {
        let answer = one_answer(&mut stream).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{n}")), "answer {n}: {answer}");
    }
}

#[tokio::test]
async fn bodies_of_both_kinds_keep_the_connection_alive() {
    let server = Server::start(ROOMY).await;
    let mut stream = server.open().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    for request in [
        request("POST /echo", "Content-Length: 5\r\n", "a\n\nbc"),
        request("POST /echo", chunked, "2\r\na\n\r\n3\r\n\nbc\r\n0\r\n\r\n"),
        request("POST /echo", "Content-Length: 5\r\n", "a\n\nbc"),
    ] {
        for piece in
            [&request[..30], &request[30..request.len() - 4], &request[request.len() - 4..]]
        {
            stream.write_all(piece.as_bytes()).await.expect("sent");
            tokio::task::yield_now().await;
        }
        let answer = one_answer(&mut stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\na\n\nbc"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_client_that_expects_it_is_told_to_continue_when_the_body_is_wanted() {
    let server = Server::start(ROOMY).await;
    let expects = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    let mut stream = server.send(request("POST /echo", expects, "")).await;
    let go = one_answer(&mut stream).await;
    assert!(go.starts_with("HTTP/1.1 100 "), "{go}");
    stream.write_all(b"hello").await.expect("sent");
    let answer = one_answer(&mut stream).await;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");

    let expects = "Expect: 100-continue\r\nContent-Length: 10737418240\r\n";
    let answer = server.talk(request("POST /ignore", expects, "")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "no body was wanted: {answer}");
}

#[test]
fn framing_does_not_depend_on_how_the_bytes_are_cut() {
    let stream = b"\r\nPOST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n\n\r\n\nGET / HTTP/1.1\r\n\r\n\
        GET / HTTP/1.1\r\nX: y\nGET";
    let heads = [40, 62];
    for size in 1..=stream.len() {
        let mut framing = Framing::new();
        let mut at = 0;
        let mut ends = Vec::new();
        loop {
            let piece = &stream[at..stream.len().min(at + size)];
            let Admitted { count, bare_line_feed } = framing.admit(piece);
            at += count;
            if bare_line_feed {
                break;
            }
            if matches!(framing, Framing::Complete) {
                ends.push(at);
                framing.body(BodyLength::Exactly(if ends.len() == 1 { 4 } else { 0 }));
            }
        }
        assert_eq!(ends, heads, "pieces of {size}");
        assert_eq!(&stream[at..], b"GET", "pieces of {size}");
        assert!(matches!(framing, Framing::Refused));
    }
}

#[tokio::test]
async fn a_head_behind_a_chunked_body_may_have_no_bare_line_feed_either() {
    let server = Server::start(ROOMY).await;
    let chunked = |body: &str| request("POST /echo", "Transfer-Encoding: chunked\r\n", body);
    let smuggled = "GET /hit HTTP/1.1\nHost: localhost\n\n";
    for body in ["0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "3;x=\"y\"\r\nabc\r\n00\r\nA: b\r\n\r\n"] {
        let answer = server.talk(chunked(body) + smuggled).await;
        let second = answer.match_indices("HTTP/1.1 ").nth(1).map(|(at, _)| &answer[at..]);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{body:?}: {answer}");
        let second = second.unwrap_or_else(|| panic!("{body:?}: {answer}"));
        assert!(second.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
        assert_eq!(server.seen.hits.load(std::sync::atomic::Ordering::SeqCst), 0, "{body:?}");
    }
    for bare in ["3\nabc\r\n0\r\n\r\n", "3;x\nabc\r\n0\r\n\r\n", "0\r\n\n", "0\r\nA: b\n\r\n"] {
        let answer = server.talk(chunked(bare) + &request("GET /hit", "", "")).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{bare:?}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{bare:?}: {answer}");
        assert_eq!(server.seen.hits.load(std::sync::atomic::Ordering::SeqCst), 0, "{bare:?}");
    }
    server.assert_serves().await;
}

/// Nothing is made up for a chunk that was announced and never came.
#[tokio::test]
async fn a_broken_chunk_line_ends_the_connection_at_once() {
    let server = Server::start(ROOMY).await;
    let mut stream = server.open().await;
    let body = request("POST /echo", "Transfer-Encoding: chunked\r\n", "ffffffff;x\n");
    stream.write_all(body.as_bytes()).await.expect("written");
    let mut said = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut said)).await;
    assert!(read.is_ok(), "it is still open");
    let said = String::from_utf8_lossy(&said);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    server.assert_serves().await;
}

#[tokio::test]
async fn requests_go_on_behind_chunked_bodies() {
    let server = Server::start(ROOMY).await;
    let body = "3\r\na\r\n\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
    let one = request("POST /echo", "Transfer-Encoding: chunked\r\n", body);
    let last = request("GET /ok", "Connection: close\r\n", "");
    let answer = server.talk(one.repeat(3) + &last).await;
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 4, "{answer}");
}

/// However the bytes are cut, a body ends at the same place.
#[test]
fn chunks_are_followed_in_any_pieces() {
    let body = b"5;a=b\r\n12\r\n3\r\n0a\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n";
    let end = body.len() - b"GET / HTTP/1.1\r\n".len();
    for piece in 1..body.len() {
        let mut framing = Framing::new();
        framing.body(BodyLength::Chunked);
        let mut at = 0;
        while matches!(framing, Framing::Chunks(_)) && at < body.len() {
            let Admitted { count, bare_line_feed } =
                framing.admit(&body[at..body.len().min(at + piece)]);
            assert!(!bare_line_feed && count > 0, "piece {piece} at {at}");
            at += count;
        }
        assert_eq!(at, end, "piece {piece}");
        assert!(matches!(framing, Framing::Head(_)), "piece {piece}");
    }
}

/// Bytes without sense, and heads in which a byte is another: an answer or an end, and the server goes on.
#[tokio::test]
async fn random_bytes_end_no_server() {
    let server = Server::start(ROOMY).await;
    let mut state = 7_u64;
    let mut dice = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    for n in 0..600 {
        let mut bytes: Vec<u8> = match n % 3 {
            0 => (0..dice(400)).map(|_| u8::try_from(dice(256)).expect("a byte")).collect(),
            1 => request("POST /echo", "Content-Length: 5\r\n", "abcde").into_bytes(),
            _ => request("POST /echo", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n")
                .into(),
        };
        for _ in 0..dice(4) {
            if !bytes.is_empty() {
                let at = dice(bytes.len());
                bytes[at] = u8::try_from(dice(256)).expect("a byte");
            }
        }
        let mut stream = server.open().await;
        // A server that has refused may have closed already.
        drop(stream.write_all(&bytes).await);
        drop(stream.shutdown().await);
    }
    server.assert_serves().await;
}
