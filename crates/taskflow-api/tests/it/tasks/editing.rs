//! Edits by `PUT`: what they change, what they leave alone, and `If-Match`.

use serde_json::json;

use super::{STATUSES, in_status};
use crate::app::{Answer, TestApp, at, path};
use crate::operations::operations;

#[tokio::test]
async fn an_edit_changes_only_the_given_fields() {
    let app = TestApp::new();
    let mut expected = app.create(&json!({"title": "a", "description": "d"})).await;
    let edits = [
        json!({"title": "b"}),
        json!({"description": "e"}),
        json!({"description": null}),
        json!({"priority": "urgent"}),
        json!({"title": "c", "description": "f", "priority": "low"}),
    ];
    for (i, edit) in edits.iter().enumerate() {
        app.clock.advance(1.0);
        let answer = app.put("/api/v1/tasks/1", edit).await;
        let version = i + 2;
        assert_eq!(answer.header("etag"), format!("\"{version}\""));
        for (field, value) in edit.as_object().expect("an object") {
            expected[field] = value.clone();
        }
        expected["version"] = json!(version);
        expected["updated_at"] = at(i as f64 + 1.0);
        assert_eq!(answer.ok(200), expected);
    }
    assert_eq!(app.task(&json!(1)).await, expected);
}

#[tokio::test]
async fn an_edit_that_changes_nothing_leaves_no_trace() {
    let app = TestApp::new();
    let task = app.create(&json!({"title": "a", "tags": ["x"], "metadata": {"k": 1}})).await;
    app.clock.advance(1.0);
    let edits = [
        json!({}),
        json!({"title": "a"}),
        json!({"status": "pending"}),
        json!({"tags": ["x"], "metadata": {"k": 1}, "description": null}),
    ];
    for edit in &edits {
        assert_eq!(app.put("/api/v1/tasks/1", edit).await.ok(200), task, "{edit}");
    }
}

#[tokio::test]
async fn every_field_of_its_own_can_be_edited_and_cleared() {
    let app = TestApp::new();
    app.titled("a").await;
    let edit = json!({
        "payload": {"n": 1}, "run_at": at(60.0), "max_attempts": 7,
        "retry": {"strategy": "fixed", "base_seconds": 2.0, "factor": 3.0, "max_seconds": 9.0,
                  "jitter": 0.0},
        "timeout_seconds": 9, "deadline_at": at(99.0), "expires_at": at(88.0),
        "lease_seconds": 11, "tags": ["x", "y"], "metadata": {"k": "v"},
    });
    let edited = app.put("/api/v1/tasks/1", &edit).await.ok(200);
    for (field, value) in edit.as_object().expect("an object") {
        assert_eq!(&edited[field], value, "{field}");
    }
    assert_eq!(edited["pending_reason"], "scheduled");
    let clear = json!({
        "payload": null, "timeout_seconds": null, "deadline_at": null, "expires_at": null,
        "tags": [], "metadata": null,
    });
    let mut cleared = app.put("/api/v1/tasks/1", &clear).await.ok(200);
    assert_eq!(cleared["metadata"].take(), json!({}));
    for (field, value) in clear.as_object().expect("an object") {
        assert_eq!(&cleared[field], value, "{field}");
    }
    let later = app.put("/api/v1/tasks/1", &json!({"delay_seconds": 5.5})).await.ok(200);
    assert_eq!(later["run_at"], at(5.5));
}

#[tokio::test]
async fn a_running_task_keeps_the_start_it_had() {
    let app = TestApp::new();
    let task = app.running("a").await;
    let edited = app.put("/api/v1/tasks/1", &json!({"run_at": at(60.0)})).await.ok(200);
    assert_eq!(edited["run_at"], task["run_at"]);
}

#[tokio::test]
async fn a_whole_task_sent_back_changes_nothing() {
    let app = TestApp::new();
    let parent = app.titled("parent").await;
    app.create(&json!({
        "title": "a", "kind": "job", "queue": "q", "payload": {"n": 1.50}, "unique_key": "u",
        "concurrency_key": "c", "tags": ["t"], "metadata": {"m": 1}, "timeout_seconds": 500,
        "deadline_at": at(5000.0), "expires_at": at(4000.0), "depends_on": [parent["id"]],
    }))
    .await;
    for status in STATUSES {
        in_status(&app, status).await;
    }
    let held = app.running("held").await;
    let beat = json!({"lease_token": held["lease_token"], "progress": {"percent": 5},
                      "checkpoint": {"at": 1}});
    app.post(&path(&held["id"], "/heartbeat"), &beat).await.ok(200);
    let failed = app.running("retrying").await;
    let fail = json!({"lease_token": failed["lease_token"], "error": "x"});
    app.post(&path(&failed["id"], "/fail"), &fail).await.ok(200);
    app.clock.advance(0.25);
    let before = app.everything().await;
    for task in before[1].as_array().expect("a list") {
        let answer = app.put(&path(&task["id"], ""), task).await;
        assert_eq!(&answer.ok(200), task);
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn read_only_fields_are_ignored_whatever_they_say() {
    let app = TestApp::new();
    let task = app.titled("a").await;
    for field in [
        "id",
        "pending_reason",
        "attempt",
        "attempts_used",
        "worker",
        "lease_expires_at",
        "progress",
        "checkpoint",
        "result",
        "error_message",
        "cancel_reason",
        "created_at",
        "updated_at",
        "started_at",
        "completed_at",
        "ended_at",
        "version",
    ] {
        for value in [json!(99), json!("x"), json!({"deep": [1]}), json!(null)] {
            let answer = app.put("/api/v1/tasks/1", &json!({field: value})).await;
            assert_eq!(answer.ok(200), task, "{field}");
        }
    }
}

#[tokio::test]
async fn what_is_fixed_at_creation_cannot_be_edited() {
    let app = TestApp::new();
    app.titled("a").await;
    for (field, other) in [
        ("queue", json!("other")),
        ("kind", json!("other")),
        ("unique_key", json!("other")),
        ("concurrency_key", json!("other")),
        ("depends_on", json!([1])),
    ] {
        let before = app.everything().await;
        let edit = json!({"title": "b", field: other});
        app.put("/api/v1/tasks/1", &edit).await.blames(&format!("/{field}"), "immutable");
        assert_eq!(app.everything().await, before, "{field}");
    }
}

// `If-Match`: bad input 92.

async fn put_if(app: &TestApp, if_match: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("if-match", if_match)];
    let body = json!({"priority": "high"}).to_string();
    app.call("PUT", "/api/v1/tasks/1", &headers, body).await
}

#[tokio::test]
async fn an_edit_of_the_version_that_was_read_is_taken() {
    let app = TestApp::new();
    let etag = app.post("/api/v1/tasks", &json!({"title": "a"})).await.header("etag").to_owned();
    assert_eq!(app.get("/api/v1/tasks/1").await.header("etag"), etag);
    let edited = put_if(&app, &etag).await;
    assert_ne!(edited.header("etag"), etag);
    assert_eq!(app.get("/api/v1/tasks/1").await.header("etag"), edited.header("etag"));
    put_if(&app, "*").await.ok(200);
}

#[tokio::test]
async fn an_edit_of_a_stale_version_is_refused() {
    let app = TestApp::new();
    app.titled("a").await;
    let task = app.put("/api/v1/tasks/1", &json!({"title": "b"})).await.ok(200);
    for stale in ["\"1\"", "\"3\"", "\"0\"", "\"18446744073709551615\""] {
        put_if(&app, stale).await.refused(412, "stale-version");
        let headers = [("if-match", stale)];
        let answer = app.call("DELETE", "/api/v1/tasks/1", &headers, "").await;
        answer.refused(412, "stale-version");
    }
    assert_eq!(app.task(&task["id"]).await, task);
    let answer = app.call("DELETE", "/api/v1/tasks/1", &[("if-match", "\"2\"")], "").await;
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn an_if_match_that_is_no_etag_is_refused() {
    let app = TestApp::new();
    app.titled("a").await;
    let bad = [
        "",
        "1",
        "\"\"",
        "\"x\"",
        "\"1",
        "1\"",
        "W/\"1\"",
        "\"1\", \"2\"",
        "\"-1\"",
        "\"+1\"",
        "* *",
        "\"99999999999999999999999\"",
    ];
    let twos = [["\"1\"", "\"1\""], ["*", "\"1\""], ["\"1\"", "*"], ["*", "*"]];
    let ones = bad.into_iter().map(|value| vec![("if-match", value)]);
    let twos = twos.into_iter().map(|two| two.map(|value| ("if-match", value)).to_vec());
    let guarded = operations().into_iter().filter(|operation| operation.takes("If-Match"));
    let guarded: Vec<_> = guarded.collect();
    let before = app.everything().await;
    for headers in ones.chain(twos) {
        for operation in &guarded {
            operation.call(&app, &headers).await.refused(400, "invalid-if-match");
        }
    }
    assert_eq!(app.everything().await, before);
    assert_eq!(app.get("/api/v1/queues/default").await.ok(200)["version"], 0);
    let mut names: Vec<&str> = guarded.iter().map(|operation| operation.name).collect();
    names.sort_unstable();
    let tasks = ["cancel_task", "delete_task", "pause_queue", "resume_queue", "retry_task"];
    assert_eq!(names, [&tasks[..], &["update_queue", "update_task"]].concat());
}
