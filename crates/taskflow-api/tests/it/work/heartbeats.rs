//! Heartbeats: how long a lease goes on, and what an attempt says meanwhile.

use serde_json::json;

use super::report;
use crate::app::{TestApp, at};

#[tokio::test]
async fn a_heartbeat_extends_the_lease() {
    let app = TestApp::new();
    let task = app.running("a").await;
    app.clock.advance(20.0);
    let beat = report(&app, &task, "/heartbeat", json!({})).await.ok(200);
    let expected =
        json!({"lease_expires_at": at(50.0), "cancel_requested": false, "command": null});
    assert_eq!(beat, expected);
    app.clock.advance(20.0);
    app.tick().await;
    let now = app.task(&task["id"]).await;
    assert_eq!((&now["status"], &now["lease_expires_at"]), (&json!("in_progress"), &at(50.0)));
    assert_eq!(now["version"], 2, "a heartbeat is no edit");
}

#[tokio::test]
async fn a_heartbeat_leaves_progress_and_a_checkpoint() {
    let app = TestApp::new();
    let task = app.running("a").await;
    for (percent, message) in [(50.0, json!("half")), (100.0, json!(null)), (0.5, json!("back"))] {
        // 87: going back is allowed.
        let progress = json!({"percent": percent, "message": message});
        report(&app, &task, "/heartbeat", json!({"progress": progress})).await.ok(200);
        assert_eq!(app.task(&task["id"]).await["progress"], progress);
    }
    let checkpoint = json!({"row": 7});
    report(&app, &task, "/heartbeat", json!({"checkpoint": checkpoint})).await.ok(200);
    report(&app, &task, "/heartbeat", json!({})).await.ok(200);
    let now = app.task(&task["id"]).await;
    assert_eq!((&now["checkpoint"], &now["progress"]["percent"]), (&checkpoint, &json!(0.5)));
    report(&app, &task, "/fail", json!({"error": "x", "retry_after_seconds": 0})).await.ok(200);
    let again = app.claim(1).await.pop().expect("it is tried again");
    assert_eq!(again["checkpoint"], checkpoint, "the next attempt goes on from there");
    assert_eq!(again["progress"], json!(null), "and begins anew");
}

#[tokio::test]
async fn a_heartbeat_is_refused_field_by_field() {
    let app = TestApp::new();
    let task = app.running("a").await;
    let before = app.everything().await;
    let deep = (0..65).fold(json!(1), |inner, _| json!([inner]));
    let cases = [
        // 87
        (json!({"progress": {"percent": -1}}), "/progress/percent", "out-of-range"),
        (json!({"progress": {"percent": 100.01}}), "/progress/percent", "out-of-range"),
        (json!({"progress": {"percent": "5"}}), "/progress/percent", "type"),
        (json!({"progress": {}}), "/progress/percent", "missing"),
        (json!({"progress": {"percent": 1, "note": ""}}), "/progress/note", "unknown-field"),
        (json!({"progress": 5}), "/progress", "type"),
        (json!({"progress": [5, null]}), "/progress", "type"),
        (
            json!({"progress": {"percent": 1, "message": "x".repeat(501)}}),
            "/progress/message",
            "too-long",
        ),
        (json!({"progress": {"percent": 1, "message": "\u{0}"}}), "/progress/message", "nul"),
        (json!({"checkpoint": deep}), "/checkpoint", "json"),
        // 85: a heartbeat does not choose its length.
        (json!({"lease_seconds": 1e9}), "/lease_seconds", "unknown-field"),
        (json!({"extend_seconds": 0}), "/extend_seconds", "unknown-field"),
    ];
    for (body, pointer, code) in cases {
        report(&app, &task, "/heartbeat", body).await.blames(pointer, code);
    }
    assert_eq!(app.everything().await, before);
    let longest = json!({"progress": {"percent": 1, "message": "é".repeat(500)}});
    report(&app, &task, "/heartbeat", longest).await.ok(200);
}

#[tokio::test]
async fn no_heartbeat_goes_beyond_timeout_and_deadline() {
    // 85
    let app = TestApp::new();
    for limit in [json!({"timeout_seconds": 40}), json!({"deadline_at": at(40.0)})] {
        let mut new = json!({"title": "a", "kind": "job", "max_attempts": 1});
        new.as_object_mut().expect("an object").extend(limit.as_object().expect("one").clone());
        app.create(&new).await;
    }
    let tasks = app.claim(2).await;
    app.clock.advance(25.0);
    for task in &tasks {
        let beat = report(&app, task, "/heartbeat", json!({})).await.ok(200);
        assert_eq!(beat["lease_expires_at"], at(40.0), "{}", task["title"]);
    }
    app.clock.advance(15.0);
    app.tick().await;
    for task in &tasks {
        assert_eq!(app.task(&task["id"]).await["status"], "failed");
    }
}

#[tokio::test]
async fn a_cancelled_task_tells_its_worker_at_the_next_heartbeat() {
    let app = TestApp::new();
    let task = app.running("a").await;
    app.set(&task["id"], "cancelled").await.ok(200);
    let before = app.everything().await;
    let beat = report(&app, &task, "/heartbeat", json!({"progress": {"percent": 5}})).await;
    let expected = json!({"lease_expires_at": null, "cancel_requested": true, "command": null});
    assert_eq!(beat.ok(200), expected);
    // 84
    report(&app, &task, "/complete", json!({})).await.refused(409, "lease-lost");
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_lease_is_extended_until_it_is_taken_back_and_never_after() {
    // 86
    let app = TestApp::new();
    for late in [-0.001, 0.0, 0.001] {
        let task = app.running("a").await;
        app.clock.advance(30.0 + late);
        app.tick().await;
        let beat = report(&app, &task, "/heartbeat", json!({})).await;
        if late < 0.0 {
            beat.ok(200);
            report(&app, &task, "/complete", json!({})).await.ok(200);
        } else {
            beat.refused(409, "lease-lost");
            let next = app.claim(5).await;
            assert_eq!(next.len(), 1, "one holder");
            report(&app, &next[0], "/complete", json!({})).await.ok(200);
        }
    }
}
