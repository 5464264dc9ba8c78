//! Health, and what every answer carries.

use serde_json::json;

use taskflow_core::Clock;

use crate::app::{TestApp, at};

#[tokio::test]
async fn health_says_healthy_with_version_and_time() {
    let app = TestApp::new();
    let health = app.get("/api/v1/health").await.ok(200);
    let version = env!("CARGO_PKG_VERSION");
    let expected = json!({"status": "healthy", "version": version, "timestamp": at(0.0)});
    assert_eq!(health, expected);
    assert_eq!(health["timestamp"], "2026-01-01T00:00:00.000000Z");
}

#[tokio::test]
async fn health_tells_the_time_of_the_clock() {
    let app = TestApp::new();
    app.clock.advance(1.5);
    assert_eq!(app.get("/api/v1/health").await.ok(200)["timestamp"], at(1.5));
}

#[tokio::test]
async fn a_process_that_serves_is_alive() {
    let app = TestApp::with_key("secret");
    assert_eq!(app.get("/api/v1/health/live").await.ok(200), json!({"status": "alive"}));
}

#[tokio::test]
async fn a_server_is_ready_while_its_database_answers_and_its_duties_tick() {
    let app = TestApp::with_key("secret");
    for duty in &mut app.services.duties() {
        duty.tick(app.clock.now()).await.expect("ticks");
    }
    app.clock.advance(1.0);
    let ready = app.get("/api/v1/health/ready").await.ok(200);
    assert_eq!(
        ready,
        json!({
            "status": "ready", "schema": 10, "clock_lead_ms": null,
            "duties": {"events": 1.0, "forgetter": 1.0, "herald": 1.0, "janitor": 1.0, "reaper": 1.0, "sketcher": 1.0, "workers": 1.0},
        })
    );
}

#[tokio::test]
async fn a_server_whose_duties_are_stuck_is_not_ready() {
    let app = TestApp::new();
    for duty in &mut app.services.duties() {
        duty.tick(app.clock.now()).await.expect("ticks");
    }
    app.clock.advance(10.5);
    let answer = app.get("/api/v1/health/ready").await;
    assert_eq!((answer.status, &answer.json["code"]), (503, &json!("not-ready")));
    let detail = answer.json["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("reaper was last through 10.5 s ago"), "{detail}");
    assert!(!detail.contains("database"), "{detail}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_whose_database_does_not_answer_is_alive_but_not_ready() {
    let app = TestApp::new();
    app.tick().await;
    app.lose_database();
    let answer = app.get("/api/v1/health/ready").await;
    assert_eq!(answer.header("retry-after"), "1");
    let refusal = answer.refused(503, "not-ready");
    let detail = refusal["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("database") && !detail.contains("duty"), "{detail}");
    let head = app.call("HEAD", "/api/v1/health/ready", &[], "").await;
    assert_eq!((head.status, head.text.as_str()), (503, ""));
    app.get("/api/v1/health/live").await.ok(200);
    app.get("/api/v1/health").await.ok(200);
}

/// No connection to it is open yet, and none can be opened.
#[cfg(unix)]
#[tokio::test]
async fn what_needs_a_database_that_cannot_be_opened_is_unavailable() {
    let app = TestApp::new();
    app.lose_database();
    for (method, path, body) in [
        ("GET", "/api/v1/tasks/1", ""),
        ("GET", "/api/v1/tasks", ""),
        ("GET", "/api/v1/stats", ""),
        ("POST", "/api/v1/tasks", r#"{"title":"t"}"#),
    ] {
        let answer = app.json(method, path, body).await;
        assert_eq!(answer.header("retry-after"), "1", "{method} {path}");
        answer.refused(503, "unavailable");
    }
}

#[tokio::test]
async fn a_plain_request_id_comes_back_and_another_is_replaced() {
    let app = TestApp::new();
    let ask =
        async |id: &str| app.call("GET", "/api/v1/nothing", &[("x-request-id", id)], "").await;
    let longest = "x".repeat(64);
    for kept in ["a", "Trace_01-b", &longest] {
        assert_eq!(ask(kept).await.header("x-request-id"), kept);
    }
    let too_long = "x".repeat(65);
    for replaced in ["", "a b", "a\tb", "<b>", "a;b", "a\"b", &too_long] {
        let answer = ask(replaced).await;
        assert_ne!(answer.header("x-request-id"), replaced);
        assert_eq!(answer.header("x-request-id").len(), 16, "a fresh one");
    }
}

#[tokio::test]
async fn two_requests_have_two_ids() {
    let app = TestApp::new();
    let first = app.get("/api/v1/health").await;
    let second = app.get("/api/v1/health").await;
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn answers_are_not_cached() {
    let app = TestApp::new();
    for path in ["/api/v1/health", "/api/v1/tasks", "/api/v1/tasks/1"] {
        assert_eq!(app.get(path).await.header("cache-control"), "no-store", "{path}");
    }
}
