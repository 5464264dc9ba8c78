//! The history of a task's attempts.

use serde_json::{Value, json};

use crate::app::{TestApp, at, path};

async fn history(app: &TestApp, id: &Value) -> Vec<Value> {
    let answer = app.get(&path(id, "/attempts")).await.ok(200);
    answer.as_array().expect("a list").clone()
}

async fn outcomes(app: &TestApp, id: &Value) -> Vec<Value> {
    history(app, id).await.iter().map(|attempt| attempt["outcome"].clone()).collect()
}

#[tokio::test]
async fn a_task_that_never_ran_has_no_attempts() {
    let app = TestApp::new();
    let task = app.titled("a").await;
    assert!(history(&app, &task["id"]).await.is_empty());
}

#[tokio::test]
async fn a_running_attempt_is_not_in_the_history_yet() {
    let app = TestApp::new();
    let task = app.running("a").await;
    assert!(history(&app, &task["id"]).await.is_empty());
}

#[tokio::test]
async fn an_attempt_says_who_when_and_how() {
    let app = TestApp::new();
    app.clock.advance(1.0);
    let task = app.running("a").await;
    app.clock.advance(2.5);
    let body = json!({"lease_token": task["lease_token"], "error": "no luck", "retryable": false});
    app.post(&path(&task["id"], "/fail"), &body).await.ok(200);
    let expected = json!([{
        "attempt": 1,
        "worker": "w1",
        "started_at": at(1.0),
        "ended_at": at(3.5),
        "outcome": "failed",
        "error": "no luck",
    }]);
    assert_eq!(json!(history(&app, &task["id"]).await), expected);
}

#[tokio::test]
async fn every_way_to_end_an_attempt_has_its_word() {
    let app = TestApp::new();
    let new = json!({"title": "a", "kind": "job", "max_attempts": 10, "timeout_seconds": 100,
                     "retry": {"strategy": "fixed", "base_seconds": 0}});
    let id = app.create(&new).await["id"].clone();
    let claim = async || app.claim(1).await.pop().expect("it is ready");
    let end = async |how: &str, more: Value| {
        let mut body = more;
        body["lease_token"] = claim().await["lease_token"].clone();
        app.post(&path(&id, how), &body).await.ok(200);
    };
    end("/fail", json!({"error": "x"})).await;
    end("/release", json!({})).await;
    end("/snooze", json!({"delay_seconds": 0})).await;
    // Nobody says anything until the lease is over.
    claim().await;
    app.clock.advance(30.0);
    app.tick().await;
    // It says that it lives until its time is over.
    let token = claim().await["lease_token"].clone();
    for _ in 0..4 {
        app.clock.advance(25.0);
        let beat = json!({"lease_token": token});
        app.post(&path(&id, "/heartbeat"), &beat).await.ok(200);
    }
    app.tick().await;
    claim().await;
    app.set(&id, "cancelled").await.ok(200);
    app.set(&id, "pending").await.ok(200);
    end("/complete", json!({})).await;
    let expected =
        ["failed", "released", "snoozed", "lease_expired", "timed_out", "cancelled", "completed"];
    assert_eq!(json!(outcomes(&app, &id).await), json!(expected));
    let numbers: Vec<Value> =
        history(&app, &id).await.iter().map(|a| a["attempt"].clone()).collect();
    assert_eq!(json!(numbers), json!([1, 2, 3, 4, 5, 6, 7]));
}

#[tokio::test]
async fn a_retry_keeps_the_history() {
    let app = TestApp::new();
    let task = app.running("a").await;
    let done = json!({"lease_token": task["lease_token"]});
    app.post(&path(&task["id"], "/complete"), &done).await.ok(200);
    let before = history(&app, &task["id"]).await;
    app.set(&task["id"], "pending").await.ok(200);
    assert_eq!(history(&app, &task["id"]).await, before);
    let again = app.claim(1).await.pop().expect("it is ready again");
    assert_eq!(again["attempt"], 2);
}

#[tokio::test]
async fn the_history_goes_with_its_task() {
    let app = TestApp::new();
    let task = app.running("a").await;
    let body = json!({"lease_token": task["lease_token"], "error": "x"});
    app.post(&path(&task["id"], "/fail"), &body).await.ok(200);
    assert_eq!(app.delete(&path(&task["id"], "")).await.status, 204);
    app.get(&path(&task["id"], "/attempts")).await.refused(404, "not-found");
}

#[tokio::test]
async fn a_person_s_own_work_is_no_attempt() {
    let app = TestApp::new();
    let task = app.titled("a").await;
    app.set(&task["id"], "in_progress").await.ok(200);
    app.set(&task["id"], "completed").await.ok(200);
    assert!(history(&app, &task["id"]).await.is_empty());
    assert_eq!(app.task(&task["id"]).await["attempt"], 0);
}
