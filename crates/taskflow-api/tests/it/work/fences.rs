//! Reports of the same attempt repeated, and of attempts that are over.

use serde_json::{Value, json};

use super::report;
use crate::app::{TestApp, at, path};

/// The four ends with what they need.
fn ends() -> [(&'static str, Value); 4] {
    [
        ("/complete", json!({"result": 1})),
        ("/fail", json!({"error": "x"})),
        ("/snooze", json!({"delay_seconds": 5})),
        ("/release", json!({})),
    ]
}

#[tokio::test]
async fn the_same_end_again_gets_the_same_answer_and_another_one_does_not() {
    // 83
    for (how, body) in ends() {
        let app = TestApp::new();
        let task = app.running("a").await;
        let first = report(&app, &task, how, body.clone()).await.ok(200);
        let after = app.everything().await;
        app.clock.advance(0.5);
        let again = report(&app, &task, how, body).await.ok(200);
        assert_eq!(again, first, "{how}");
        let others = ends().into_iter().filter(|(other, _)| *other != how);
        let different = [
            ("/complete", json!({"result": 2})),
            ("/complete", json!({})),
            ("/fail", json!({"error": "y"})),
            ("/fail", json!({"error": "x", "retryable": false})),
            ("/snooze", json!({"delay_seconds": 6})),
            ("/heartbeat", json!({})),
        ];
        for (other, body) in others.chain(different) {
            report(&app, &task, other, body).await.refused(409, "lease-lost");
        }
        app.clock.advance(-0.5);
        assert_eq!(app.everything().await, after, "{how}");
    }
}

#[tokio::test]
async fn a_stale_token_changes_nothing() {
    // 82: an attempt that was over, rescued and handed out again.
    for (how, body) in ends().into_iter().chain([("/heartbeat", json!({}))]) {
        let app = TestApp::new();
        let old = app.running("a").await;
        app.clock.advance(30.0);
        app.tick().await;
        report(&app, &old, how, body.clone()).await.refused(409, "lease-lost");
        let new = app.claim(1).await.pop().expect("it was rescued");
        let before = app.everything().await;
        report(&app, &old, how, body.clone()).await.refused(409, "lease-lost");
        assert_eq!(app.everything().await, before, "{how}");
        report(&app, &new, how, body).await.ok(200);
    }
}

#[tokio::test]
async fn an_attempt_whose_time_is_over_says_nothing_more() {
    // 84
    for (limit, status) in [("timeout_seconds", "pending"), ("deadline_at", "failed")] {
        let app = TestApp::new();
        let time = if limit == "deadline_at" { at(20.0) } else { json!(20) };
        app.create(&json!({"title": "a", "kind": "job", "lease_seconds": 60, limit: time})).await;
        let task = app.claim(1).await.pop().expect("it is ready");
        app.clock.advance(20.0);
        app.tick().await;
        assert_eq!(app.task(&task["id"]).await["status"], status, "{limit}");
        let attempts = app.get(&path(&task["id"], "/attempts")).await.ok(200);
        assert_eq!(attempts[0]["outcome"], "timed_out", "{limit}");
        let before = app.everything().await;
        for (how, body) in ends().into_iter().chain([("/heartbeat", json!({}))]) {
            report(&app, &task, how, body).await.refused(409, "lease-lost");
        }
        let (id, token) = (&task["id"], &task["lease_token"]);
        let end = json!({"id": id, "lease_token": token, "outcome": "completed"});
        let beat = json!({"id": id, "lease_token": token});
        let said = json!({"finished": [end], "heartbeats": [beat]});
        let synced = app.post("/api/v1/workers/w1/sync", &said).await.ok(200);
        for part in ["finished", "heartbeats"] {
            let item = &synced[part][0];
            assert_eq!((&item["status"], &item["code"]), (&json!(409), &json!("lease-lost")));
        }
        assert_eq!(app.everything().await, before, "{limit}");
    }
}

#[tokio::test]
async fn a_person_who_takes_a_task_back_fences_its_worker() {
    for status in ["pending", "completed", "failed", "cancelled"] {
        let app = TestApp::new();
        let task = app.running("a").await;
        app.set(&task["id"], status).await.ok(200);
        let before = app.everything().await;
        for (how, body) in ends() {
            report(&app, &task, how, body).await.refused(409, "lease-lost");
        }
        assert_eq!(app.everything().await, before, "{status}");
    }
}

#[tokio::test]
async fn a_token_must_be_that_of_the_task() {
    // 81
    let app = TestApp::new();
    let (one, two) = (app.running("a").await, app.running("b").await);
    let before = app.everything().await;
    for (how, body) in ends().into_iter().chain([("/heartbeat", json!({}))]) {
        let at = path(&one["id"], how);
        app.post(&at, &body).await.blames("/lease_token", "missing");
        let with = |token: Value| {
            let mut body = body.clone();
            body["lease_token"] = token;
            body
        };
        for no_token in ["", "x", &"g".repeat(32), &"0".repeat(31), &"0".repeat(33), "✓"] {
            app.post(&at, &with(json!(no_token))).await.blames("/lease_token", "not-a-token");
        }
        for not_text in [json!(null), json!(1), json!([])] {
            app.post(&at, &with(not_text)).await.blames("/lease_token", "type");
        }
        for other in [two["lease_token"].clone(), json!("0".repeat(32))] {
            app.post(&at, &with(other)).await.refused(409, "lease-lost");
        }
    }
    assert_eq!(app.everything().await, before);
}
