//! The four ways to end an attempt, and what they leave of the task.

use serde_json::json;

use super::report;
use crate::app::{TestApp, at};

#[tokio::test]
async fn a_completed_task_has_its_result() {
    let app = TestApp::new();
    let task = app.running("a").await;
    app.clock.advance(2.0);
    let receipt = report(&app, &task, "/complete", json!({"result": {"n": 1}})).await.ok(200);
    let expected = json!({"id": task["id"], "status": "completed", "attempt": 1,
                          "outcome": "completed", "run_at": null});
    assert_eq!(receipt, expected);
    let done = app.task(&task["id"]).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("completed"), &json!({"n": 1})));
    assert_eq!((&done["completed_at"], &done["ended_at"]), (&at(2.0), &at(2.0)));
    assert_eq!((&done["lease_expires_at"], &done["worker"]), (&json!(null), &json!("w1")));
}

#[tokio::test]
async fn a_result_may_be_missing_or_null() {
    let app = TestApp::new();
    for body in [json!({}), json!({"result": null})] {
        let task = app.running("a").await;
        report(&app, &task, "/complete", body).await.ok(200);
        assert_eq!(app.task(&task["id"]).await["result"], json!(null));
    }
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_after_the_back_off() {
    let app = TestApp::new();
    let task = app.running("a").await;
    let receipt = report(&app, &task, "/fail", json!({"error": "no luck"})).await.ok(200);
    assert_eq!((&receipt["status"], &receipt["outcome"]), (&json!("pending"), &json!("failed")));
    let waiting = app.task(&task["id"]).await;
    assert_eq!(waiting["run_at"], receipt["run_at"]);
    assert_eq!(waiting["pending_reason"], "retrying");
    assert_eq!(waiting["error_message"], "no luck");
    let run_at = waiting["run_at"].as_str().expect("an instant").to_owned();
    let (least, most) = (at(0.8), at(1.2));
    let range = least.as_str().expect("text")..=most.as_str().expect("text");
    assert!(range.contains(&run_at.as_str()), "{run_at}");
    assert!(app.claim(1).await.is_empty());
    app.clock.advance(1.2);
    assert_eq!(app.claim(1).await[0]["attempt"], 2);
}

#[tokio::test]
async fn a_worker_may_say_when_and_whether_it_is_tried_again() {
    let app = TestApp::new();
    let task = app.running("a").await;
    let later = json!({"error": "x", "retry_after_seconds": 90.5, "retryable": true});
    assert_eq!(report(&app, &task, "/fail", later).await.ok(200)["run_at"], at(90.5));
    app.clock.advance(90.5);
    let task = app.claim(1).await.pop().expect("its time has come");
    let never = json!({"error": "x", "retryable": false});
    let receipt = report(&app, &task, "/fail", never).await.ok(200);
    assert_eq!((&receipt["status"], &receipt["run_at"]), (&json!("failed"), &json!(null)));
    assert_eq!(app.task(&task["id"]).await["ended_at"], at(90.5));
}

#[tokio::test]
async fn a_task_fails_when_its_attempts_are_used_up() {
    let app = TestApp::new();
    let new = json!({"title": "a", "kind": "job", "max_attempts": 2});
    let id = app.create(&new).await["id"].clone();
    for status in ["pending", "failed"] {
        let task = app.claim(1).await.pop().expect("it is ready");
        let now = json!({"error": "x", "retry_after_seconds": 0});
        assert_eq!(report(&app, &task, "/fail", now).await.ok(200)["status"], status);
    }
    let dead = app.task(&id).await;
    assert_eq!((&dead["attempt"], &dead["attempts_used"]), (&json!(2), &json!(2)));
    let again = app.set(&id, "pending").await.ok(200);
    assert_eq!((&again["attempt"], &again["attempts_used"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn a_long_error_is_cut_and_says_so() {
    let app = TestApp::new();
    let task = app.running("a").await;
    report(&app, &task, "/fail", json!({"error": "é".repeat(100_000)})).await.ok(200);
    let kept = app.task(&task["id"]).await["error_message"].as_str().expect("text").to_owned();
    assert!(kept.len() <= 16 * 1024 && kept.ends_with("… [cut]"), "{} bytes", kept.len());
    assert!(kept.starts_with("éé"));
}

#[tokio::test]
async fn a_back_off_never_exceeds_its_cap() {
    // 50
    let app = TestApp::new();
    let retry = json!({"base_seconds": 3600, "factor": 100, "max_seconds": 7200, "jitter": 1});
    let new = json!({"title": "a", "kind": "job", "max_attempts": 100, "retry": retry});
    app.create(&new).await;
    let mut now = 0.0;
    for attempt in 1..=60 {
        let task = app.claim(1).await.pop().expect("its time has come");
        assert_eq!(task["attempt"], attempt);
        let receipt = report(&app, &task, "/fail", json!({"error": "x"})).await.ok(200);
        let cap = at(now + 7200.0);
        assert!(receipt["run_at"].as_str() <= cap.as_str(), "{receipt}");
        assert!(receipt["run_at"].as_str() >= at(now).as_str(), "{receipt}");
        app.clock.advance(7200.0);
        now += 7200.0;
    }
}

#[tokio::test]
async fn a_snoozed_task_comes_back_later_and_keeps_its_attempts() {
    let app = TestApp::new();
    let task = app.running("a").await;
    let receipt = report(&app, &task, "/snooze", json!({"delay_seconds": 12.5})).await.ok(200);
    let expected = json!({"id": task["id"], "status": "pending", "attempt": 1,
                          "outcome": "snoozed", "run_at": at(12.5)});
    assert_eq!(receipt, expected);
    let waiting = app.task(&task["id"]).await;
    let counts = (&waiting["attempt"], &waiting["attempts_used"], &waiting["pending_reason"]);
    assert_eq!(counts, (&json!(1), &json!(0), &json!("scheduled")));
    app.clock.advance(12.5);
    assert_eq!(app.claim(1).await[0]["attempt"], 2);
}

#[tokio::test]
async fn a_released_task_is_ready_at_once_and_keeps_its_attempts() {
    let app = TestApp::new();
    let task = app.running("a").await;
    let receipt = report(&app, &task, "/release", json!({})).await.ok(200);
    let expected = json!({"id": task["id"], "status": "pending", "attempt": 1,
                          "outcome": "released", "run_at": at(0.0)});
    assert_eq!(receipt, expected);
    let ready = app.task(&task["id"]).await;
    let counts = (&ready["attempt"], &ready["attempts_used"], &ready["pending_reason"]);
    assert_eq!(counts, (&json!(1), &json!(0), &json!("ready")));
}

#[tokio::test]
async fn an_end_is_refused_field_by_field() {
    let app = TestApp::new();
    let task = app.running("a").await;
    let before = app.everything().await;
    let (snooze, fail, complete) = ("/snooze", "/fail", "/complete");
    let cases = [
        (snooze, json!({}), "/delay_seconds", "missing"),
        (snooze, json!({"delay_seconds": -1}), "/delay_seconds", "out-of-range"),
        (snooze, json!({"delay_seconds": 31_622_401}), "/delay_seconds", "out-of-range"),
        (snooze, json!({"delay_seconds": null}), "/delay_seconds", "type"),
        (fail, json!({}), "/error", "missing"),
        (fail, json!({"error": null}), "/error", "type"),
        (fail, json!({"error": "x", "retryable": "no"}), "/retryable", "type"),
        (
            fail,
            json!({"error": "x", "retry_after_seconds": -1}),
            "/retry_after_seconds",
            "out-of-range",
        ),
        (
            fail,
            json!({"error": "x", "retry_after_seconds": 31_622_401}),
            "/retry_after_seconds",
            "out-of-range",
        ),
        (complete, json!({"results": 1}), "/results", "unknown-field"),
        (complete, json!({"result": "\u{0}"}), "/result", "json"),
        ("/release", json!({"error": "x"}), "/error", "unknown-field"),
    ];
    for (how, body, pointer, code) in cases {
        report(&app, &task, how, body).await.blames(pointer, code);
    }
    assert_eq!(app.everything().await, before);
}
