//! The four ways to end an attempt, and what they leave of the task.

use serde_json::{Value, json};

use super::report;
use crate::app::{Answer, TestApp, at, path};

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

#[tokio::test]
async fn an_error_text_is_kept_whatever_it_holds() {
    let app = TestApp::new();
    for (text, kept) in [
        ("a\u{0}b\u{1b}[31m", "a\u{fffd}b\u{1b}[31m"),
        ("\u{0}", "\u{fffd}"),
        ("\u{202e}\u{ffff}\u{10ffff}\r\n", "\u{202e}\u{ffff}\u{10ffff}\r\n"),
        ("", ""),
    ] {
        for retryable in [true, false] {
            let (by_fail, by_sync) = (app.running("a").await, app.running("b").await);
            let failure = json!({"error": text, "retryable": retryable});
            report(&app, &by_fail, "/fail", failure.clone()).await.ok(200);
            let mut item = failure;
            item["id"] = by_sync["id"].clone();
            item["lease_token"] = by_sync["lease_token"].clone();
            item["outcome"] = json!("failed");
            let said = json!({"finished": [item]});
            let synced = app.post("/api/v1/workers/w1/sync", &said).await.ok(200);
            assert_eq!(synced["finished"][0]["status"], 200, "{synced}");
            for task in [by_fail, by_sync] {
                let now = app.task(&task["id"]).await;
                let status = if retryable { "pending" } else { "failed" };
                assert_eq!((&now["status"], &now["error_message"]), (&json!(status), &json!(kept)));
                let attempts = app.get(&path(&task["id"], "/attempts")).await.ok(200);
                assert_eq!(attempts[0]["error"], kept);
                app.delete(&path(&task["id"], "")).await.ok(204);
            }
        }
    }
}

/// A report with one more field, which is text, so that it may be as deep as it likes.
async fn said(app: &TestApp, task: &Value, how: &str, field: &str, text: &str) -> Answer {
    let body = format!(r#"{{"lease_token":{},"{field}":{text}}}"#, task["lease_token"]);
    app.json("POST", &path(&task["id"], how), body).await
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[tokio::test]
async fn a_result_and_a_checkpoint_nest_up_to_64_levels() {
    // 32, 53
    let app = TestApp::new();
    let task = app.running("a").await;
    let before = app.everything().await;
    for depth in [65, 129, 100_000] {
        let text = nested(depth);
        said(&app, &task, "/complete", "result", &text).await.blames("/result", "json");
        said(&app, &task, "/heartbeat", "checkpoint", &text).await.blames("/checkpoint", "json");
        let item = |more: &str| {
            let (id, token) = (&task["id"], &task["lease_token"]);
            format!(r#"[{{"id":{id},"lease_token":{token},{more}:{text}}}]"#)
        };
        let (end, beat) = (item(r#""outcome":"completed","result""#), item(r#""checkpoint""#));
        let body = format!(r#"{{"finished":{end},"heartbeats":{beat}}}"#);
        let synced = app.json("POST", "/api/v1/workers/w1/sync", body).await.ok(200);
        for (part, field) in [("finished", "/result "), ("heartbeats", "/checkpoint ")] {
            let item = &synced[part][0];
            assert_eq!((&item["status"], &item["code"]), (&json!(422), &json!("invalid-input")));
            assert!(item["detail"].as_str().is_some_and(|d| d.starts_with(field)), "{item}");
        }
        let metadata = format!(r#"{{"title":"b","metadata":{{"a":{text}}}}}"#);
        let code = if depth < 1000 { "json" } else { "too-large" };
        app.json("POST", "/api/v1/tasks", metadata).await.blames("/metadata", code);
        assert_eq!(app.everything().await, before);
    }
    let deepest = nested(64);
    said(&app, &task, "/heartbeat", "checkpoint", &deepest).await.ok(200);
    said(&app, &task, "/complete", "result", &deepest).await.ok(200);
    for read in [path(&task["id"], ""), "/api/v1/tasks".into()] {
        let text = app.get(&read).await.text;
        for field in ["checkpoint", "result"] {
            assert!(text.contains(&format!(r#""{field}":{deepest}"#)), "{field}: {text}");
        }
    }
    let metadata = format!(r#"{{"title":"b","metadata":{{"a":{}}}}}"#, nested(63));
    app.json("POST", "/api/v1/tasks", metadata).await.ok(201);
}

#[tokio::test]
async fn an_attempt_whose_result_was_refused_can_still_fail_or_run_out_of_time() {
    // 53
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    let results = [
        (r#""\u0000""#.to_owned(), 422, "invalid-input"),
        (nested(65), 422, "invalid-input"),
        (text(1024 * 1024 - 1), 422, "invalid-input"),
        (text(10_000_000), 413, "body-too-large"),
    ];
    for fails in [true, false] {
        let app = TestApp::new();
        let task = app.running("a").await;
        let before = app.everything().await;
        for (result, status, code) in &results {
            said(&app, &task, "/complete", "result", result).await.refused(*status, code);
            assert_eq!(app.everything().await, before);
        }
        if fails {
            report(&app, &task, "/fail", json!({"error": "too large"})).await.ok(200);
        } else {
            app.clock.advance(30.0);
            app.tick().await;
        }
        let attempts = app.get(&path(&task["id"], "/attempts")).await.ok(200);
        let outcome = if fails { "failed" } else { "lease_expired" };
        assert_eq!(attempts[0]["outcome"], outcome);
        let now = app.task(&task["id"]).await;
        assert_eq!((&now["status"], &now["result"]), (&json!("pending"), &json!(null)));
    }
}
