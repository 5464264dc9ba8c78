//! What a payload may say and what is sent for it.

use super::server::Server;
use super::{context, given_up, loopback_allowed, run};
use crate::HttpHandler;
use taskflow_service::worker::handler::Handler;

/// The request that the endpoint gets for `rest`, fields beside the URL.
async fn sent(rest: &str) -> String {
    let mut server = Server::answering("HTTP/1.1 204 X\r\n\r\n").await;
    let url = server.url("/p?q=1#f");
    run(loopback_allowed(), &format!(r#"{{"url":"{url}"{rest}}}"#)).await;
    server.request().await
}

#[tokio::test]
async fn without_a_body_it_is_a_get_that_names_the_task() {
    let request = sent("").await;
    assert!(request.starts_with("GET /p?q=1 HTTP/1.1\r\n"), "{request}");
    for line in ["taskflow-task-id: 7", "taskflow-attempt: 2", "user-agent: taskflow/", "host: 127"]
    {
        assert!(request.contains(&format!("\r\n{line}")), "{request}");
    }
    // Nothing is decompressed here, so nothing compressed is asked for.
    assert!(!request.to_lowercase().contains("accept-encoding"), "{request}");
}

#[tokio::test]
async fn a_json_body_is_posted_digit_for_digit() {
    let request = sent(r#","body":{"n":1.50, "big":12345678901234567890}"#).await;
    assert!(request.starts_with("POST "), "{request}");
    assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"n\":1.50, \"big\":12345678901234567890}"), "{request}");
}

#[tokio::test]
async fn a_string_body_and_the_given_headers_go_out_as_they_are() {
    let request =
        sent(r#","method":"put","body":"a\"b\n","headers":{"Content-Type":"text/x","X-Key":"k"}"#)
            .await;
    assert!(request.starts_with("PUT "), "{request}");
    assert!(request.contains("\r\ncontent-type: text/x\r\n"), "{request}");
    assert!(request.contains("\r\nx-key: k\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\na\"b\n"), "{request}");
}

#[tokio::test]
async fn null_fields_are_as_good_as_absent() {
    let request = sent(r#","method":null,"body":null,"headers":null"#).await;
    assert!(request.starts_with("GET "), "{request}");
}

#[tokio::test]
async fn every_fault_of_a_payload_is_for_good_and_named() {
    let url = r#""url":"http://127.0.0.1:9/""#;
    for (payload, expected) in [
        ("null".to_owned(), "payload.url is missing"),
        ("[]".to_owned(), "payload must be an object"),
        ("\"https://example.com\"".to_owned(), "payload must be an object"),
        ("{}".to_owned(), "payload.url is missing"),
        (r#"{"url":5}"#.to_owned(), "payload.url must be a string"),
        (r#"{"url":"ftp://x"}"#.to_owned(), "payload.url has the scheme `ftp`"),
        (format!(r#"{{{url},"urll":1}}"#), "unknown field `urll`"),
        (format!(r#"{{{url},"method":"TRACE"}}"#), "payload.method must be"),
        (format!(r#"{{{url},"method":"CONNECT"}}"#), "payload.method must be"),
        (format!(r#"{{{url},"method":1}}"#), "payload.method must be"),
        (format!(r#"{{{url},"headers":[]}}"#), "payload.headers must be an object"),
        (
            format!(r#"{{{url},"headers":{{"a":1}}}}"#),
            "payload.headers must be an object of strings",
        ),
        (format!(r#"{{{url},"headers":{{"Host":"evil"}}}}"#), "`host`"),
        (format!(r#"{{{url},"headers":{{"Content-Length":"1"}}}}"#), "`content-length`"),
        (
            format!(r#"{{{url},"headers":{{"transfer-encoding":"chunked"}}}}"#),
            "`transfer-encoding`",
        ),
        (format!(r#"{{{url},"headers":{{"Connection":"close"}}}}"#), "`connection`"),
        (format!(r#"{{{url},"headers":{{"Proxy-Connection":"x"}}}}"#), "`proxy-connection`"),
        (format!(r#"{{{url},"headers":{{"TaskFlow-Attempt":"1"}}}}"#), "`taskflow-attempt`"),
        (format!(r#"{{{url},"headers":{{"X":"a\r\nHost: b"}}}}"#), "a value for `x`"),
        (format!(r#"{{{url},"headers":{{"X":"é"}}}}"#), "a value for `x`"),
        (format!(r#"{{{url},"headers":{{"a b":"c"}}}}"#), "no header name"),
        (format!(r#"{{{url},"headers":{{"":"c"}}}}"#), "no header name"),
        (format!(r#"{{{url},"headers":{{"X-A":"1","x-a":"2"}}}}"#), "`x-a` twice"),
        (format!(r#"{{{url},"headers":{{"X":"{}"}}}}"#, "a".repeat(20_000)), "longer than"),
    ] {
        let error = given_up(run(loopback_allowed(), &payload).await);
        assert!(error.contains(expected), "{payload}: {error}");
    }
}

#[tokio::test]
async fn a_task_without_a_payload_is_told_what_is_missing() {
    let handler = HttpHandler::new(loopback_allowed());
    let error = given_up(handler.run(context(None, None).0).await);
    assert_eq!(error, "payload.url is missing");
}
