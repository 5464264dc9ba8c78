//! Claims that wait for work.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{CLAIM, claim, report};
use crate::app::{PATIENCE, TestApp, soon};

/// A claim that waits for a minute, and longer than any test does.
async fn waiting_claim(app: &TestApp) -> Vec<Value> {
    soon(claim(app, &json!({"wait_seconds": 60}))).await
}

#[tokio::test]
async fn a_claim_that_waits_is_woken_by_a_create() {
    let app = TestApp::new();
    let (claimed, created) = tokio::join!(waiting_claim(&app), async {
        app.until_waiting(1).await;
        // Nothing that it takes.
        app.titled("log").await;
        assert_eq!(app.services.bus.waiting(), 1);
        app.job("a").await
    });
    assert_eq!(claimed[0]["id"], created["id"]);
}

#[tokio::test]
async fn a_claim_that_waits_is_woken_by_a_release_and_by_a_retry() {
    let app = TestApp::new();
    let task = app.running("a").await;
    let (claimed, _) = tokio::join!(waiting_claim(&app), async {
        app.until_waiting(1).await;
        report(&app, &task, "/release", json!({})).await.ok(200);
    });
    assert_eq!(claimed[0]["attempt"], 2);
    app.set(&task["id"], "failed").await.ok(200);
    let (claimed, _) = tokio::join!(waiting_claim(&app), async {
        app.until_waiting(1).await;
        app.set(&task["id"], "pending").await.ok(200);
    });
    assert_eq!(claimed[0]["attempt"], 3);
}

#[tokio::test]
async fn a_claim_that_waits_in_vain_answers_nothing_when_its_time_is_over() {
    let app = TestApp::new();
    let started = Instant::now();
    let claimed = soon(claim(&app, &json!({"wait_seconds": 0.2}))).await;
    assert!(claimed.is_empty());
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
    assert!(started.elapsed() < PATIENCE / 2, "{:?}", started.elapsed());
    assert_eq!(app.services.bus.waiting(), 0);
}

#[tokio::test]
async fn a_claim_does_not_wait_when_there_is_work() {
    let app = TestApp::new();
    app.job("a").await;
    let claimed = soon(claim(&app, &json!({"wait_seconds": 60, "limit": 10}))).await;
    assert_eq!(claimed.len(), 1);
}

#[tokio::test]
async fn a_claimer_that_hangs_up_takes_nothing_with_it() {
    // 89
    let app = TestApp::new();
    tokio::select! {
        _ = waiting_claim(&app) => panic!("there is no work"),
        () = app.until_waiting(1) => {}
    }
    assert_eq!(app.services.bus.waiting(), 0);
    app.job("a").await;
    // Its last look may still have taken the task; then it gives it back.
    let task = waiting_claim(&app).await.pop().expect("it waits");
    assert_eq!((&task["id"], &task["attempts_used"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn two_waiting_claims_get_two_tasks() {
    let app = TestApp::new();
    let (one, two, _) = tokio::join!(waiting_claim(&app), waiting_claim(&app), async {
        app.until_waiting(2).await;
        app.job("a").await;
        app.job("b").await;
    });
    let mut ids = [one[0]["id"].as_i64(), two[0]["id"].as_i64()];
    ids.sort_unstable();
    assert_eq!(ids, [Some(1), Some(2)]);
}

#[tokio::test]
async fn more_waiting_claims_than_there_is_room_for_are_refused() {
    // 88
    let app = TestApp::new();
    let kinds = taskflow_service::words::Kinds::AllButBuiltIn;
    let wish = std::sync::Arc::new(taskflow_service::bus::Wish { queues: None, kinds });
    let mut parked: Vec<_> = std::iter::from_fn(|| app.services.bus.park(&wish)).collect();
    let body = json!({"worker": "w1", "wait_seconds": 60});
    let answer = soon(app.post(CLAIM, &body)).await;
    assert_eq!(answer.header("retry-after"), "1");
    answer.refused(429, "too-many-waiters");
    // Whoever does not wait needs no room.
    assert!(app.claim(1).await.is_empty());
    drop(parked.pop());
    let (claimed, _) = tokio::join!(waiting_claim(&app), async {
        app.until_waiting(parked.len() + 1).await;
        parked.clear();
        app.job("a").await;
    });
    assert_eq!(claimed.len(), 1);
}
