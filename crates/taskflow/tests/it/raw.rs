//! Bytes on a socket against the real program: what must never reach the tasks. The same in detail, against
//! a router of its own, is tested beside the server.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Server;

/// All that the server says to these bytes, until it closes or is silent for two seconds.
async fn said(server: &Server, bytes: &str, and_close: bool) -> String {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    if and_close {
        stream.shutdown().await.unwrap();
    }
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(read @ 1..)) =
        tokio::time::timeout(Duration::from_secs(2), stream.read(&mut buffer)).await
    {
        said.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(said).unwrap()
}

fn post(headers: &str, body: &str) -> String {
    format!(
        "POST /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
    )
}

#[tokio::test]
async fn what_is_smuggled_cut_or_too_large_creates_nothing() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let task = r#"{"title":"smuggled"}"#;
    let inner = post(&format!("Content-Length: {}\r\n", task.len()), task);

    let huge = "Expect: 100-continue\r\nContent-Length: 10737418240\r\n";
    let answer = said(&server, &post(huge, ""), false).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(!answer.contains(" 100 Continue"), "{answer}");

    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    let answer = said(&server, &post(both, &format!("0\r\n\r\n{inner}")), false).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");

    let longer = format!("Content-Length: {}\r\n", task.len() + 10);
    let answer = said(&server, &post(&longer, task), true).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");

    for (head, status) in [
        ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"),
        ("GET /api/v1/health HTTP/1.1\r\n\r\n", "400"),
        ("TRACE /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "405"),
        ("GET /api/v1/health\r\n\r\n", "400"),
        ("SSH-2.0-OpenSSH_9.0\r\n", "400"),
    ] {
        let answer = said(&server, head, false).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        // What is no head of a request at all is answered by the HTTP library, without a body.
        let said =
            answer.contains("application/problem+json") || answer.contains("content-length: 0");
        assert!(said, "{head}: {answer}");
    }
    assert_eq!(server.get("/api/v1/tasks").await.is(200), json!([]));
}
