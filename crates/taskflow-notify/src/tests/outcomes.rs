//! Which answer of an endpoint ends the attempt how.

use std::time::{Duration, Instant};

use ::http::HeaderMap;
use taskflow_service::worker::handler::{Answer, Handler};

use super::server::Server;
use super::{completed, context, given_up, loopback_allowed, retried, run};
use crate::HttpHandler;
use crate::answer::asked_wait;

fn get(server: &Server) -> String {
    serde_json::json!({ "url": server.url("/hook") }).to_string()
}

async fn answer_to(raw: impl Into<Vec<u8>>) -> Answer {
    let server = Server::answering(raw).await;
    run(loopback_allowed(), &get(&server)).await
}

fn ok(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_json_answer_completes_with_its_value() {
    let body = br#" {"total": 12.340, "big": 12345678901234567890123} "#;
    assert_eq!(
        completed(answer_to(ok("application/json; charset=utf-8", body)).await),
        r#"{"status":200,"body":{"total": 12.340, "big": 12345678901234567890123}}"#
    );
    assert_eq!(
        completed(answer_to(ok("application/vnd.api+json", b"[1]")).await),
        r#"{"status":200,"body":[1]}"#
    );
}

#[tokio::test]
async fn any_other_answer_completes_with_its_text() {
    for (kind, body, expected) in [
        ("text/plain", &b"42"[..], r#""42""#),
        ("text/plain", b"caf\xe9 \x00!", "\"caf\u{fffd} \u{fffd}!\""),
        ("application/json", b"{\"broken\": ", r#""{\"broken\": ""#),
        ("application/json", b"1 2", r#""1 2""#),
        ("application/json", br#""\u0000""#, r#""\"\\u0000\"""#),
        ("application/json", b"", "null"),
    ] {
        assert_eq!(
            completed(answer_to(ok(kind, body)).await),
            format!(r#"{{"status":200,"body":{expected}}}"#)
        );
    }
}

#[tokio::test]
async fn json_that_would_nest_too_deep_in_the_result_stays_text() {
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    let result = completed(answer_to(ok("application/json", deep.as_bytes())).await);
    assert_eq!(result, format!(r#"{{"status":200,"body":"{deep}"}}"#));
}

#[tokio::test]
async fn every_2xx_completes() {
    for status in ["201", "202", "204", "299"] {
        let result = completed(answer_to(format!("HTTP/1.1 {status} X\r\n\r\n")).await);
        assert_eq!(result, format!(r#"{{"status":{status},"body":null}}"#));
    }
}

#[tokio::test]
async fn client_errors_are_for_good_but_for_three() {
    for status in ["400", "401", "404", "409", "410", "422", "451"] {
        let answer = answer_to(format!("HTTP/1.1 {status} X\r\n\r\nno such\nhook")).await;
        let error = given_up(answer);
        assert!(error.contains(status) && error.ends_with(": no such hook"), "{error}");
    }
    for status in ["408", "425", "429"] {
        assert_eq!(retried(answer_to(format!("HTTP/1.1 {status} X\r\n\r\n")).await).1, None);
    }
}

#[tokio::test]
async fn server_errors_and_redirects_are_retried() {
    for status in ["300", "302", "304", "500", "501", "502", "503", "504", "599"] {
        let head = format!("HTTP/1.1 {status} X\r\nlocation: /\r\n\r\n");
        let (error, wait) = retried(answer_to(head).await);
        assert!(error.starts_with(&format!("answered {status}")), "{error}");
        assert_eq!(wait, None);
    }
}

#[tokio::test]
async fn retry_after_is_honoured_for_429_and_503_only() {
    for (status, expected) in [("429", Some(17.0)), ("503", Some(17.0)), ("500", None)] {
        let head = format!("HTTP/1.1 {status} X\r\nretry-after: 17\r\n\r\n");
        assert_eq!(retried(answer_to(head).await).1, expected, "{status}");
    }
}

#[test]
fn retry_after_is_read_in_both_forms_and_capped() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (given, date, expected) in [
        ("0", None, Some(0.0)),
        ("120", None, Some(120.0)),
        ("31536000", None, Some(3600.0)),
        ("99999999999999999999999999", None, Some(3600.0)),
        ("-5", None, None),
        ("1e3", None, None),
        ("inf", None, None),
        ("", None, None),
        ("soon", None, None),
        ("Sun, 06 Nov 1994 08:50:37 GMT", Some(date), Some(60.0)),
        ("Sunday, 06-Nov-94 08:50:37 GMT", Some(date), Some(60.0)),
        ("Mon, 07 Nov 1994 08:49:37 GMT", Some(date), Some(3600.0)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(date), Some(0.0)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", None, None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", given.parse().unwrap());
        if let Some(date) = date {
            headers.insert("date", date.parse().unwrap());
        }
        assert_eq!(asked_wait(&headers), expected, "{given:?}");
    }
}

#[tokio::test]
async fn a_large_body_is_cut_and_said_to_be() {
    let result = completed(answer_to(ok("text/plain", &vec![b'x'; 10_000_000])).await);
    let value: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(value["body"].as_str().unwrap().len(), 64 * 1024);
    assert_eq!(value["truncated"], true);
    // A character at the cut is left out, not broken.
    let odd = format!("x{}", "é".repeat(40_000));
    let result = completed(answer_to(ok("text/plain", odd.as_bytes())).await);
    assert!(result.ends_with("é\",\"truncated\":true}"));
}

#[tokio::test]
async fn a_body_that_stalls_ends_with_the_attempt_s_time() {
    let server = Server::stalling("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let started = Instant::now();
    let (cx, _cancel) = context(Some(&get(&server)), Some(1));
    let (error, _) = retried(HttpHandler::new(loopback_allowed()).run(cx).await);
    assert_eq!(error, "no complete answer within 1 s");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_stalled_error_page_does_not_hide_the_status() {
    let server = Server::stalling("HTTP/1.1 404 X\r\ncontent-length: 900\r\n\r\nnot here").await;
    assert_eq!(
        given_up(run(loopback_allowed(), &get(&server)).await),
        "answered 404 Not Found: not here"
    );
}

#[tokio::test]
async fn broken_answers_are_retried() {
    for raw in [
        "",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ] {
        retried(answer_to(raw).await);
    }
    let endless = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-more: headers\r\n".repeat(500));
    retried(answer_to(endless).await);
}

#[tokio::test]
async fn a_refused_connection_is_retried() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let payload = format!(r#"{{"url":"http://{address}/?token=secret"}}"#);
    let (error, _) = retried(run(loopback_allowed(), &payload).await);
    assert!(error.to_lowercase().contains("refused"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test]
async fn cancelling_gives_the_attempt_back_at_once() {
    let mut server = Server::stalling("").await;
    let (cx, cancel) = context(Some(&get(&server)), None);
    let running = tokio::spawn(async move { HttpHandler::new(loopback_allowed()).run(cx).await });
    server.request().await;
    cancel.cancel();
    assert_eq!(running.await.unwrap(), Answer::Released);
}
