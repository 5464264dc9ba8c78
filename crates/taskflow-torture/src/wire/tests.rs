//! The client against a peer that answers by a script.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Sent, Wire};

/// Takes one connection per script, reads a request on it, sends the script and closes.
async fn peer(scripts: &'static [&'static str]) -> Wire {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for script in scripts {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(script.as_bytes()).await.unwrap();
        }
    });
    Wire::new(address)
}

#[tokio::test]
async fn no_connection_is_a_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut wire = Wire::new(listener.local_addr().unwrap());
    drop(listener);
    let sent = wire.call("GET", "/", None).await;
    assert!(matches!(sent, Sent::Refused(_)), "{sent:?}");
}

#[tokio::test]
async fn an_answer_that_is_cut_is_unknown() {
    for script in [
        "",
        "HTTP/1.1 201 Cre",
        "HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n123",
    ] {
        let scripts: &'static [&'static str] = Vec::leak(vec![script]);
        let mut wire = peer(scripts).await;
        let sent = wire.call("POST", "/", Some(&json!({"a": 1}))).await;
        assert!(matches!(sent, Sent::Unknown(_)), "{script:?}: {sent:?}");
    }
}

#[tokio::test]
async fn answers_are_read_whole_by_length_and_by_chunks() {
    for script in [
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nabcdef",
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n\
         4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n",
    ] {
        let scripts: &'static [&'static str] = Vec::leak(vec![script]);
        let mut wire = peer(scripts).await;
        let Sent::Answered(answer) = wire.call("GET", "/", None).await else {
            panic!("no answer to {script:?}");
        };
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"abcdef".as_slice()));
        assert_eq!(answer.content_type, "text/plain");
    }
}

#[tokio::test]
async fn a_request_is_not_wasted_on_a_connection_that_the_peer_has_closed() {
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    let mut wire = peer(Vec::leak(vec![empty, empty])).await;
    let first = wire.call("DELETE", "/", None).await;
    assert!(matches!(first, Sent::Answered(_)), "{first:?}");
    let kept = wire.stream.as_ref().expect("the connection is kept");
    kept.readable().await.expect("the peer closes it");
    let second = wire.call("DELETE", "/", None).await;
    assert!(matches!(second, Sent::Answered(_)), "{second:?}");
}
