//! What `unique_key` and `on_conflict` do.

use serde_json::{Value, json};

use super::with;
use crate::app::{TestApp, path};

fn unique(on_conflict: &str) -> Value {
    json!({"title": "second", "kind": "job", "unique_key": "u", "on_conflict": on_conflict})
}

async fn holder(app: &TestApp) -> Value {
    app.create(&json!({"title": "first", "kind": "job", "unique_key": "u"})).await
}

#[tokio::test]
async fn a_second_task_with_the_key_is_the_first_one() {
    let app = TestApp::new();
    let first = holder(&app).await;
    for second in [unique("return"), json!({"title": "second", "unique_key": "u"})] {
        let answer = app.post("/api/v1/tasks", &second).await;
        assert_eq!(answer.header("location"), "");
        assert_eq!(answer.header("etag"), "\"1\"");
        assert_eq!(answer.ok(200), first);
    }
    let running = app.claim(1).await;
    assert_eq!(app.post("/api/v1/tasks", &unique("return")).await.ok(200)["id"], running[0]["id"]);
}

#[tokio::test]
async fn a_second_task_with_the_key_may_be_rejected() {
    let app = TestApp::new();
    let first = holder(&app).await;
    let before = app.everything().await;
    let body = app.post("/api/v1/tasks", &unique("reject")).await.refused(409, "unique-key-held");
    assert_eq!(body["task_id"], first["id"]);
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_second_task_with_the_key_may_replace_a_waiting_one() {
    let app = TestApp::new();
    let first = holder(&app).await;
    let second = app.post("/api/v1/tasks", &unique("replace")).await.ok(201);
    assert_ne!(second["id"], first["id"]);
    let first = app.task(&first["id"]).await;
    assert_eq!(first["status"], "cancelled");
    assert!(first["cancel_reason"].is_string(), "{first}");
}

#[tokio::test]
async fn a_running_task_is_not_replaced() {
    let app = TestApp::new();
    let first = holder(&app).await;
    app.claim(1).await;
    let before = app.everything().await;
    let body = app.post("/api/v1/tasks", &unique("replace")).await.refused(409, "unique-key-held");
    assert_eq!(body["task_id"], first["id"]);
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_key_is_free_again_when_its_task_has_ended_or_is_gone() {
    let app = TestApp::new();
    for status in ["completed", "failed", "cancelled"] {
        let first = holder(&app).await;
        app.set(&first["id"], status).await.ok(200);
    }
    let last = holder(&app).await;
    assert_eq!(app.delete(&path(&last["id"], "")).await.status, 204);
    holder(&app).await;
}

#[tokio::test]
async fn a_retry_does_not_take_a_key_that_another_task_holds() {
    let app = TestApp::new();
    let first = holder(&app).await;
    app.set(&first["id"], "failed").await.ok(200);
    let second = holder(&app).await;
    let before = app.everything().await;
    let body = app.set(&first["id"], "pending").await.refused(409, "unique-key-held");
    assert_eq!(body["task_id"], second["id"]);
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_key_belongs_to_its_queue() {
    let app = TestApp::new();
    holder(&app).await;
    let mut elsewhere = unique("reject");
    elsewhere["queue"] = json!("other");
    app.create(&elsewhere).await;
}

#[tokio::test]
async fn on_conflict_is_one_of_three_words_and_needs_a_key() {
    let app = TestApp::new();
    let mut new = unique("ignore");
    app.post("/api/v1/tasks", &new).await.blames("/on_conflict", "unknown-word");
    new["on_conflict"] = json!(null);
    app.post("/api/v1/tasks", &new).await.blames("/on_conflict", "type");
    with(&app, "on_conflict", json!("return")).await.blames("/on_conflict", "conflict");
}
