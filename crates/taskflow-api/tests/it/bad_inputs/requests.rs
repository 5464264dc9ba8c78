//! Methods, paths and headers.

use super::peopled;
use serde_json::json;

use crate::app::{TestApp, allowed};
use crate::operations::operations;

#[tokio::test]
async fn strange_methods_are_refused_without_an_echo() {
    // 21
    let (app, before) = peopled().await;
    let secret = [("x-secret", "do-not-echo-me")];
    for method in ["TRACE", "CONNECT", "PROPFIND", "PATCH", "get", "Post", "LIST"] {
        for path in ["/api/v1/tasks", "/api/v1/tasks/1", "/api/v1/health", "/docs"] {
            let answer = app.call(method, path, &secret, "").await;
            assert!(!answer.text.contains("do-not-echo-me"), "{method} {path}");
            assert!(!allowed(&answer).is_empty(), "{method} {path}");
            answer.refused(405, "method-not-allowed");
        }
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_method_cannot_be_overridden() {
    // 22
    let (app, before) = peopled().await;
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        app.call("GET", "/api/v1/tasks/1", &[(header, "DELETE")], "").await.ok(200);
        app.call("POST", "/api/v1/tasks/1", &[(header, "DELETE")], "")
            .await
            .refused(405, "method-not-allowed");
    }
    app.get("/api/v1/tasks/1?_method=DELETE").await.ok(200);
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    // 23
    let (app, _) = peopled().await;
    let pages = ["/", "/docs", "/redoc", "/openapi.json", "/errors", "/errors/busy"];
    let refused = ["/errors/none", "/api/v1/tasks/99", "/api/v1/tasks/abc", "/nothing"];
    let gets = operations().into_iter().filter(|operation| operation.method == "GET");
    let paths = pages.into_iter().chain(refused).map(str::to_owned);
    for path in paths.chain(gets.map(|operation| operation.path())) {
        let path = path.as_str();
        let (get, head) = (app.get(path).await, app.call("HEAD", path, &[], "").await);
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        let plain = |headers: &http::HeaderMap| {
            let mut headers = headers.clone();
            // Each request has its own, and a length need not be told.
            headers.remove("x-request-id");
            headers.remove("content-length");
            headers
        };
        assert_eq!(plain(&head.headers), plain(&get.headers), "{path}");
    }
}

#[tokio::test]
async fn options_without_origins_is_refused_and_says_what_is_allowed() {
    // 23
    let (app, _) = peopled().await;
    for (path, methods) in [
        ("/api/v1/health", &["get", "head"][..]),
        ("/api/v1/tasks", &["get", "head", "post"]),
        ("/api/v1/tasks/1", &["delete", "get", "head", "put"]),
        ("/api/v1/tasks/claim", &["post"]),
        ("/api/v1/queues/default", &["get", "head", "put"]),
        ("/docs", &["get", "head"]),
    ] {
        let answer = app.call("OPTIONS", path, &[], "").await;
        assert_eq!(allowed(&answer), methods, "{path}");
        answer.refused(405, "method-not-allowed");
    }
}

#[tokio::test]
async fn another_host_in_the_target_is_neither_fetched_nor_redirected_to() {
    // 24
    let (app, _) = peopled().await;
    for target in ["http://evil.example/", "http://evil.example/api/v1/health"] {
        // RFC 9112, section 3.2.2: such a target means the same path here.
        let answer = app.get(target).await;
        assert_eq!((answer.status, answer.header("location")), (200, ""), "{target}");
        assert!(!answer.text.contains("evil"), "{target}");
    }
    for target in ["http://evil.example/x", "//evil.example/x", "//evil.example", "//"] {
        let answer = app.get(target).await;
        assert_eq!(answer.header("location"), "", "{target}");
        answer.refused(404, "not-found");
    }
}

#[tokio::test]
async fn paths_do_not_climb() {
    // 25
    let (app, before) = peopled().await;
    for path in [
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/../../etc/passwd",
        "/..\\..\\etc\\passwd",
        "/docs/..%2f..%2fetc/passwd",
        "/docs/../openapi.json",
        "/openapi.json%00",
        "/%00",
        "/%c0%ae%c0%ae/etc/passwd",
        "/static/%c0%ae",
        "/api/v1/tasks/..%2f..%2fetc/passwd",
        "/api/v1/../v1/tasks",
        "/docs/%00",
        "/redoc/%00",
        "/errors/..%2f..",
        "/errors/..%2f..%2fetc/passwd",
        "/errors/%00",
        "/errors/busy%00",
        "/errors/BUSY",
        "/errors/busy/",
    ] {
        app.get(path).await.refused(404, "not-found");
    }
    for code in ["%ff", "%c0%ae", "busy%ff"] {
        app.get(&format!("/errors/{code}")).await.refused(400, "bad-request");
    }
    for id in ["%00", "%c0%ae", "..", "..%2f1", "%2e%2e", "1%00"] {
        app.get(&format!("/api/v1/tasks/{id}")).await.refused(422, "invalid-input");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn paths_are_taken_letter_by_letter() {
    // 26
    let (app, before) = peopled().await;
    for path in [
        "/api/v1/tasks/",
        "/api/v1/tasks/1/",
        "//api/v1/tasks",
        "/api//v1/tasks",
        "/api/v1//tasks",
        "/api/v1/tasks//1",
        "/api/v1/tasks;a=b",
        "/API/v1/tasks",
        "/api/V1/tasks",
        "/api/v1/Tasks",
        "/api/v1/tasks/1/Attempts",
        "/api/v1/tasks/stats/",
        "/api/v1/health/",
        "/Docs",
        "/docs/",
        "/api/v1",
        "/api/v1/",
        "/api",
        "/api/v2/tasks",
        "/favicon.ico",
        "/metrics",
        "/debug",
    ] {
        app.get(path).await.refused(404, "not-found");
    }
    app.get("/api/v1/tasks/1;a=b").await.blames("/task_id", "not-an-id");
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn whatever_is_accepted_the_answer_is_json() {
    // 27
    let (app, _) = peopled().await;
    for accept in ["application/xml", "*/*;q=0", "text/html", "", "a", "application/json;q=x"] {
        for path in ["/api/v1/tasks/1", "/api/v1/health"] {
            let answer = app.call("GET", path, &[("accept", accept)], "").await;
            assert_eq!(answer.header("content-type"), "application/json", "{accept}");
            answer.ok(200);
        }
        let answer = app.call("GET", "/api/v1/tasks/99", &[("accept", accept)], "").await;
        answer.refused(404, "not-found");
    }
}

#[tokio::test]
async fn a_target_of_8_kib_is_read_and_a_longer_one_is_not() {
    // 8
    let app = TestApp::new();
    let padded = |length: usize| {
        let start = "/api/v1/tasks?limit=5&x=";
        format!("{start}{}", "x".repeat(length - start.len()))
    };
    app.get(&padded(8192)).await.blames("?x", "unknown-parameter");
    app.get(&padded(8193)).await.refused(414, "uri-too-long");
    app.get(&format!("/{}", "x".repeat(9000))).await.refused(414, "uri-too-long");
}

/// A client that keeps its connection must know when the server will not.
#[tokio::test]
async fn an_answer_that_did_not_wait_for_the_body_says_that_the_connection_ends() {
    let app = TestApp::new();
    let unread = app.post("/api/v1/nowhere", &json!({"title": "x"})).await;
    assert_eq!(unread.header("connection"), "close");
    let read = app.post("/api/v1/tasks", &json!({"title": ""})).await;
    assert!(!read.headers.contains_key("connection"), "the body was read to its end");
}
