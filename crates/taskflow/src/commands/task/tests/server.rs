//! Servers that behave as a real one does not on demand: no room for one more who waits, a redirect,
//! a connection that breaks.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::commands::task::document::Document;
use crate::commands::task::fault::Fault;
use crate::commands::task::site::Site;
use crate::commands::task::watch::until_ended;

/// Gives these answers, a connection each, and then the request heads that it read.
async fn serve(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heads = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            heads.push(String::from_utf8(head).unwrap());
        }
        heads
    });
    (url, heads)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn task(status: &str) -> String {
    answer("200 OK", &format!(r#"{{"id": 7, "status": "{status}"}}"#))
}

#[tokio::test]
async fn where_no_one_more_may_wait_the_task_is_looked_at_instead() {
    let full = answer("429 Too Many Requests", r#"{"detail": "too many wait"}"#);
    let (url, heads) = serve(vec![full, task("pending"), task("completed")]).await;
    let site = Site::new(Some(&url), None).unwrap();
    let ended = until_ended(&site, 7, Duration::from_secs(90)).await.unwrap();
    assert!(Document::parse(&ended.text).unwrap().is_ended());
    let heads = heads.await.unwrap();
    assert!(heads[0].starts_with("GET /api/v1/tasks/7?wait=60 "), "60 at most: {}", heads[0]);
    assert!(heads[1].starts_with("GET /api/v1/tasks/7 "), "{}", heads[1]);
    assert!(heads[2].starts_with("GET /api/v1/tasks/7?wait="), "{}", heads[2]);
}

#[tokio::test]
async fn a_redirect_is_refused_so_that_the_key_stays_here() {
    let redirect =
        answer("302 Found", "").replacen("\r\n", "\r\nLocation: http://127.0.0.1:1/\r\n", 1);
    let (url, heads) = serve(vec![redirect]).await;
    let site = Site::new(Some(&url), Some("sesame")).unwrap();
    let Err(Fault::Refused(refusal)) = site.task(7).await else { panic!("it was followed") };
    assert_eq!(refusal.status, 302);
    assert!(heads.await.unwrap()[0].contains("x-api-key: sesame"));
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_open_what_was_done() {
    let (url, _) = serve(vec![String::new()]).await;
    let site = Site::new(Some(&url), None).unwrap();
    let fault = site.task(7).await.err().unwrap();
    assert_eq!(fault.exit_code(), 3);
    assert!(fault.to_string().contains("may be done or not"), "{fault}");
}

#[tokio::test]
async fn what_is_no_taskflow_is_told_apart() {
    let (url, _) =
        serve(vec![answer("200 OK", "<html>"), answer("502 Bad Gateway", "<html>")]).await;
    let site = Site::new(Some(&url), None).unwrap();
    let answer = site.task(7).await.unwrap();
    assert!(matches!(Document::parse(&answer.text), Err(Fault::Strange(_))));
    let fault = site.task(7).await.err().unwrap();
    assert!(fault.to_string().contains("502") && fault.exit_code() == 1, "{fault}");
}
