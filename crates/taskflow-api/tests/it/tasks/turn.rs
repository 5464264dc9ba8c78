//! Cancel and retry, and waiting for a task's end.

use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};

use super::{STATUSES, in_status};
use crate::app::{TestApp, at, path, soon};

async fn act(app: &TestApp, id: &Value, act: &str) -> crate::app::Answer {
    app.call("POST", &path(id, act), &[], "").await
}

#[tokio::test]
async fn a_cancel_ends_what_has_not_ended_and_says_so_again() {
    let app = TestApp::new();
    for from in ["pending", "in_progress"] {
        let task = in_status(&app, from).await;
        app.clock.advance(1.0);
        let cancelled = act(&app, &task["id"], "/cancel").await.ok(200);
        assert_eq!(cancelled["status"], "cancelled");
        assert_eq!(cancelled["cancel_reason"], "requested");
        assert_eq!(act(&app, &task["id"], "/cancel").await.ok(200), cancelled, "again");
    }
    for from in ["completed", "failed"] {
        let task = in_status(&app, from).await;
        let body = act(&app, &task["id"], "/cancel").await.refused(409, "illegal-transition");
        assert_eq!(body["allowed"], json!(["pending"]));
        assert_eq!(app.task(&task["id"]).await, task);
    }
}

#[tokio::test]
async fn a_cancel_fences_the_attempt_and_the_worker_is_told() {
    let app = TestApp::new();
    let held = app.running("a").await;
    act(&app, &held["id"], "/cancel").await.ok(200);
    let token = json!({"lease_token": held["lease_token"]});
    let told = app.post(&path(&held["id"], "/heartbeat"), &token).await.ok(200);
    assert_eq!(told["cancel_requested"], true);
    app.post(&path(&held["id"], "/complete"), &token).await.refused(409, "lease-lost");
    assert_eq!(app.task(&held["id"]).await["status"], "cancelled");
    let attempts = app.get(&path(&held["id"], "/attempts")).await.ok(200);
    assert_eq!(attempts[0]["outcome"], "cancelled");
}

#[tokio::test]
async fn a_retry_runs_what_has_ended_once_more() {
    let app = TestApp::new();
    for from in STATUSES {
        let task = in_status(&app, from).await;
        app.clock.advance(1.0);
        let answer = act(&app, &task["id"], "/retry").await;
        match from {
            "in_progress" => drop(answer.refused(409, "not-ended")),
            "pending" => assert_eq!(answer.ok(200), task),
            _ => {
                let again = answer.ok(200);
                assert_eq!(again["status"], "pending", "{from}");
                assert_eq!(again["run_at"], app.task(&task["id"]).await["updated_at"]);
                assert_eq!(again["ended_at"], json!(null));
            }
        }
    }
}

#[tokio::test]
async fn a_retry_does_not_take_a_unique_key_from_a_live_task() {
    let app = TestApp::new();
    let keyed = json!({"title": "a", "unique_key": "k"});
    let first = app.create(&keyed).await;
    act(&app, &first["id"], "/cancel").await.ok(200);
    let second = app.create(&keyed).await;
    let body = act(&app, &first["id"], "/retry").await.refused(409, "unique-key-held");
    assert_eq!(body["task_id"], second["id"]);
}

#[tokio::test]
async fn cancel_and_retry_take_a_version_and_no_fields() {
    let app = TestApp::new();
    let task = app.titled("a").await;
    for verb in ["/cancel", "/retry"] {
        let path = path(&task["id"], verb);
        let stale = app.call("POST", &path, &[("if-match", "\"7\"")], "").await;
        stale.refused(412, "stale-version");
        app.post(&path, &json!({"reason": "x"})).await.blames("/reason", "unknown-field");
        app.post(&path, &json!([])).await.refused(422, "invalid-input");
        app.json("POST", &path, "{").await.refused(400, "malformed-json");
        app.call("POST", &path, &[], "{}").await.refused(415, "unsupported-media-type");
        app.call("POST", &format!("/api/v1/tasks/99{verb}"), &[], "")
            .await
            .refused(404, "not-found");
    }
    assert_eq!(app.task(&task["id"]).await, task);
    app.post(&path(&task["id"], "/cancel"), &json!({})).await.ok(200);
}

#[tokio::test]
async fn a_read_may_wait_until_the_task_has_ended() {
    let app = TestApp::new();
    let held = app.running("a").await;
    let waiting = path(&held["id"], "?wait=60");
    let end = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let body = json!({"lease_token": held["lease_token"], "result": 1});
        app.post(&path(&held["id"], "/complete"), &body).await.ok(200);
    };
    let (read, ()) = soon(async { tokio::join!(app.get(&waiting), end) }).await;
    let task = read.ok(200);
    assert_eq!((&task["status"], &task["result"]), (&json!("completed"), &json!(1)));
    assert_eq!(soon(app.get(&waiting)).await.ok(200), task, "it has ended already");
}

#[tokio::test]
async fn a_read_that_waited_long_enough_answers_the_task_as_it_is() {
    let app = TestApp::new();
    let task = app.titled("a").await;
    for wait in ["0", "0.05"] {
        assert_eq!(app.get(&path(&task["id"], &format!("?wait={wait}"))).await.ok(200), task);
    }
    for wait in ["", "-1", "61", "NaN", "inf", "soon"] {
        let answer = app.get(&path(&task["id"], &format!("?wait={wait}"))).await;
        answer.blames("?wait", "out-of-range");
    }
    app.get(&path(&task["id"], "?wait=1&wait=1")).await.blames("?wait", "repeated");
    app.get("/api/v1/tasks/99?wait=60").await.refused(404, "not-found");
    assert_eq!(task["created_at"], at(0.0));
}

#[tokio::test]
async fn a_task_that_is_deleted_meanwhile_is_waited_for_no_longer() {
    let app = TestApp::new();
    let task = app.titled("a").await;
    let waiting = path(&task["id"], "?wait=60");
    let delete = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        app.delete(&path(&task["id"], "")).await.ok(204);
    };
    let (read, ()) = soon(async { tokio::join!(app.get(&waiting), delete) }).await;
    read.refused(404, "not-found");
}

#[tokio::test]
async fn more_waiting_reads_than_there_is_room_for_are_refused() {
    // 88
    let app = TestApp::new();
    let task = app.titled("a").await;
    let (waiting, short) = (path(&task["id"], "?wait=60"), path(&task["id"], "?wait=0.01"));
    // Each takes its place before its first look.
    let mut parked = FuturesUnordered::new();
    for n in 1..taskflow_core::limits::WAITERS_MAX {
        let mut read = Box::pin(app.get(&waiting));
        assert!(read.as_mut().now_or_never().is_none(), "{n}");
        parked.push(read);
    }
    let mut last = Box::pin(app.get(&waiting));
    let full = async {
        assert!(last.as_mut().now_or_never().is_none());
        let answer = app.get(&short).await;
        assert_eq!(answer.header("retry-after"), "1");
        answer.refused(429, "too-many-waiters");
        // Whoever leaves makes room.
        drop(last);
        assert_eq!(app.get(&short).await.ok(200), task);
    };
    tokio::select! {
        _ = parked.next() => panic!("nothing ends"),
        () = soon(full) => {}
    }
}
