//! The API key: who is let in and what the others are told (bad inputs 64 to 66).

use serde_json::json;

use crate::app::{Answer, TestApp};
use crate::operations::operations;

const KEY: &str = "s3cret-key";

async fn ask(app: &TestApp, headers: &[(&str, &str)]) -> Answer {
    app.call("GET", "/api/v1/tasks", headers, "").await
}

#[tokio::test]
async fn the_key_is_taken_from_either_header() {
    let app = TestApp::with_key(KEY);
    for headers in [
        [("x-api-key", KEY)],
        [("authorization", "Bearer s3cret-key")],
        [("authorization", "bearer s3cret-key")],
        [("authorization", "BEARER s3cret-key")],
    ] {
        ask(&app, &headers).await.ok(200);
    }
}

#[tokio::test]
async fn without_the_key_nothing_is_answered_and_nothing_is_done() {
    let app = TestApp::with_key(KEY);
    let known = [("x-api-key", KEY), ("content-type", "application/json")];
    for body in [json!({"title": "a"}), json!({"title": "b", "kind": "job"})] {
        app.call("POST", "/api/v1/tasks", &known, body.to_string()).await.ok(201);
    }
    let claim = r#"{"worker":"w1"}"#;
    app.call("POST", "/api/v1/tasks/claim", &known, claim).await.ok(200);
    let everything = async || {
        let mut all = Vec::new();
        for path in ["tasks?limit=1000", "queues", "workers", "stats"] {
            all.push(app.call("GET", &format!("/api/v1/{path}"), &known, "").await.ok(200));
        }
        all
    };
    let before = everything().await;
    for operation in operations() {
        if operation.template.starts_with("/api/v1/health") {
            continue;
        }
        let answer = operation.call(&app, &[]).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{}", operation.name);
        answer.refused(401, "unauthorized");
        assert_eq!(everything().await, before, "{}", operation.name);
    }
}

#[tokio::test]
async fn missing_and_wrong_keys_get_the_same_answer() {
    let app = TestApp::with_key(KEY);
    let huge = "x".repeat(1_000_000);
    let refused: &[&[(&str, &str)]] = &[
        // 64
        &[],
        &[("x-api-key", "")],
        &[("x-api-key", "   ")],
        &[("x-api-key", KEY), ("x-api-key", KEY)],
        &[("x-api-key", KEY), ("x-api-key", "other")],
        &[("x-api-key", ""), ("authorization", "Bearer s3cret-key")],
        &[("authorization", "Bearer s3cret-key"), ("authorization", "Bearer s3cret-key")],
        &[("cookie", "x-api-key=s3cret-key")],
        // 65
        &[("x-api-key", "s3cret-kez")],
        &[("x-api-key", "s3cret-ke")],
        &[("x-api-key", "s3cret-key2")],
        &[("x-api-key", "S3CRET-KEY")],
        &[("x-api-key", &huge)],
        // 66
        &[("authorization", "Bearer")],
        &[("authorization", "bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic s3cret-key")],
        &[("authorization", "Basic czNjcmV0LWtleQ==")],
        &[("authorization", "Bearer s3cret-key b")],
        &[("authorization", "Bearer a s3cret-key")],
        &[("authorization", "Digest s3cret-key")],
        &[("authorization", "s3cret-key")],
        &[("authorization", "Bearers3cret-key")],
    ];
    let mut bodies = Vec::new();
    for headers in refused {
        let mut body = ask(&app, headers).await.refused(401, "unauthorized");
        body["request_id"].take();
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn a_key_in_the_query_is_no_key() {
    let app = TestApp::with_key(KEY);
    for name in ["api_key", "x-api-key", "X-API-Key", "key", "access_token"] {
        let answer = app.get(&format!("/api/v1/tasks?{name}={KEY}")).await;
        assert!(!answer.text.contains(KEY), "{name}");
        answer.refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn the_key_is_asked_for_before_the_request_is_read() {
    let app = TestApp::with_key(KEY);
    app.json("POST", "/api/v1/tasks", "{").await.refused(401, "unauthorized");
    app.get("/api/v1/tasks/abc").await.refused(401, "unauthorized");
    app.get("/api/v1/tasks?limit=0").await.refused(401, "unauthorized");
}

#[tokio::test]
async fn health_and_the_documentation_need_no_key() {
    let app = TestApp::with_key(KEY);
    let health = ["/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"];
    for path in health.into_iter().chain(["/sign-in", "/docs", "/redoc", "/openapi.json"]) {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn without_a_configured_key_none_is_asked_for() {
    let app = TestApp::new();
    for headers in [&[][..], &[("x-api-key", "any")], &[("authorization", "Basic eA==")]] {
        ask(&app, headers).await.ok(200);
    }
}

#[tokio::test]
async fn addresses_and_users_in_headers_are_no_credentials() {
    // 76, as far as there is something to trust.
    let app = TestApp::with_key(KEY);
    for header in ["x-forwarded-for", "x-real-ip", "forwarded", "x-user-id", "x-tenant"] {
        ask(&app, &[(header, "127.0.0.1")]).await.refused(401, "unauthorized");
    }
}
