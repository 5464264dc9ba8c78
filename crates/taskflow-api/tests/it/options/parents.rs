//! What `depends_on` does.

use serde_json::{Value, json};

use super::{refuses, takes, with};
use crate::app::{TestApp, path};

async fn child(app: &TestApp, parents: &[&Value]) -> Value {
    let ids: Vec<&Value> = parents.iter().map(|parent| &parent["id"]).collect();
    let task = app.create(&json!({"title": "child", "kind": "job", "depends_on": ids})).await;
    assert_eq!(task["depends_on"], json!(ids));
    task
}

#[tokio::test]
async fn a_task_waits_until_all_its_parents_have_completed() {
    let app = TestApp::new();
    let (a, b) = (app.titled("a").await, app.titled("b").await);
    let child = child(&app, &[&a, &b]).await;
    assert_eq!(child["pending_reason"], "blocked");
    assert!(app.claim(10).await.is_empty());
    app.set(&a["id"], "completed").await.ok(200);
    assert_eq!(app.task(&child["id"]).await["pending_reason"], "blocked");
    app.set(&b["id"], "completed").await.ok(200);
    assert_eq!(app.task(&child["id"]).await["pending_reason"], "ready");
    assert_eq!(app.claim(10).await[0]["id"], child["id"]);
}

#[tokio::test]
async fn a_parent_that_has_completed_blocks_nothing() {
    let app = TestApp::new();
    let parent = app.titled("a").await;
    app.set(&parent["id"], "completed").await.ok(200);
    assert_eq!(child(&app, &[&parent]).await["pending_reason"], "ready");
}

#[tokio::test]
async fn a_task_whose_parent_does_not_complete_is_cancelled() {
    let app = TestApp::new();
    for end in ["failed", "cancelled"] {
        let parent = app.titled("a").await;
        let child = child(&app, &[&parent]).await;
        app.set(&parent["id"], end).await.ok(200);
        let child = app.task(&child["id"]).await;
        assert_eq!(child["status"], "cancelled", "{end}");
        let reason = child["cancel_reason"].as_str().expect("a reason");
        assert!(reason.contains(&parent["id"].to_string()), "{reason}");
    }
}

#[tokio::test]
async fn a_parent_must_exist_and_be_alive() {
    let app = TestApp::new();
    refuses(&app, "depends_on", "no-such-task", [json!([99])]).await;
    for end in ["failed", "cancelled"] {
        let parent = app.titled("a").await;
        app.set(&parent["id"], end).await.ok(200);
        refuses(&app, "depends_on", "parent-ended", [json!([parent["id"]])]).await;
    }
    refuses(&app, "depends_on", "type", [json!(null), json!(1), json!("1")]).await;
}

#[tokio::test]
async fn up_to_100_parents_are_named_by_id() {
    let app = TestApp::new();
    let mut ids = Vec::new();
    for _ in 0..101 {
        ids.push(app.titled("a").await["id"].clone());
    }
    refuses(&app, "depends_on", "too-many", [json!(ids)]).await;
    takes(&app, "depends_on", [json!(ids[..100])]).await;
    let twice = with(&app, "depends_on", json!([ids[0], ids[0]])).await.ok(201);
    assert_eq!(twice["depends_on"], json!([ids[0]]));
    for id in [0, -1] {
        with(&app, "depends_on", json!([ids[0], id])).await.blames("/depends_on/1", "not-an-id");
    }
    for id in [json!("1"), json!(1.5), json!(9_223_372_036_854_775_808_u64), json!(null)] {
        with(&app, "depends_on", json!([ids[0], id])).await.blames("/depends_on/1", "type");
    }
}

#[tokio::test]
async fn a_parent_that_is_waited_for_cannot_be_deleted() {
    let app = TestApp::new();
    let parent = app.titled("a").await;
    let child = child(&app, &[&parent]).await;
    let before = app.everything().await;
    let body = app.delete(&path(&parent["id"], "")).await.refused(409, "has-dependants");
    assert_eq!(body["task_id"], child["id"]);
    assert_eq!(app.everything().await, before);
    assert_eq!(app.delete(&path(&child["id"], "")).await.status, 204);
    assert_eq!(app.delete(&path(&parent["id"], "")).await.status, 204);
}
