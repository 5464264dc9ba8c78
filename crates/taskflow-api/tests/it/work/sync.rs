//! Everything a worker says at once: items are judged one by one, in one commit.

use serde_json::{Value, json};

use crate::app::{TestApp, at, soon};

const SYNC: &str = "/api/v1/workers/w1/sync";

async fn sync(app: &TestApp, body: &Value) -> Value {
    app.post(SYNC, body).await.ok(200)
}

/// `n` running tasks.
async fn running(app: &TestApp, n: u32) -> Vec<Value> {
    for i in 0..n {
        app.job(&format!("task {i}")).await;
    }
    app.claim(n).await
}

/// One item about `task`.
fn item(task: &Value, more: Value) -> Value {
    let mut item = more;
    item["id"] = task["id"].clone();
    item["lease_token"] = task["lease_token"].clone();
    item
}

/// The parts of an answered item that programs read.
fn statuses(items: &Value) -> Vec<(Value, u64, String)> {
    let items = items.as_array().expect("a list");
    let status = |item: &Value| item["status"].as_u64().expect("a status");
    let code = |item: &Value| item["code"].as_str().unwrap_or("").to_owned();
    items.iter().map(|item| (item["id"].clone(), status(item), code(item))).collect()
}

#[tokio::test]
async fn an_empty_sync_answers_empty_parts() {
    let app = TestApp::new();
    let nothing = json!({"finished": [], "heartbeats": [], "tasks": [], "command": null});
    for body in [json!({}), json!({"finished": [], "heartbeats": []}), json!({"claim": null})] {
        assert_eq!(sync(&app, &body).await, nothing);
    }
}

#[tokio::test]
async fn good_and_bad_ends_are_judged_one_by_one() {
    let app = TestApp::new();
    let tasks = running(&app, 6).await;
    app.set(&tasks[5]["id"], "cancelled").await.ok(200);
    let completed = |more: Value| {
        let mut body = more;
        body["outcome"] = json!("completed");
        body
    };
    let mut stranger = item(&tasks[0], completed(json!({})));
    stranger["id"] = json!(99);
    let mut no_token = item(&tasks[0], completed(json!({})));
    no_token["lease_token"] = json!("x");
    let mut no_id = item(&tasks[0], completed(json!({})));
    no_id["id"] = json!(0);
    let mut stale = item(&tasks[0], completed(json!({})));
    stale["lease_token"] = tasks[1]["lease_token"].clone();
    let ok = |id: &Value| (id.clone(), 200, String::new());
    let bad = |id: &Value| (id.clone(), 422, "invalid-input".to_owned());
    let id = |i: usize| &tasks[i]["id"];
    let cases = [
        (stranger, (json!(99), 404, "not-found".into())),
        (stale, (id(0).clone(), 409, "lease-lost".into())),
        (no_token, bad(id(0))),
        (no_id, bad(&json!(0))),
        (item(&tasks[0], completed(json!({"error": "x"}))), bad(id(0))),
        (item(&tasks[0], completed(json!({"delay_seconds": 1}))), bad(id(0))),
        (item(&tasks[0], completed(json!({"result": "\u{0}"}))), bad(id(0))),
        (item(&tasks[0], json!({"outcome": "failed"})), bad(id(0))),
        (item(&tasks[0], json!({"outcome": "failed", "error": "x", "result": 1})), bad(id(0))),
        (
            item(&tasks[0], json!({"outcome": "failed", "error": "x", "retry_after_seconds": -1})),
            bad(id(0)),
        ),
        (item(&tasks[0], json!({"outcome": "snoozed"})), bad(id(0))),
        (item(&tasks[0], json!({"outcome": "snoozed", "delay_seconds": -1})), bad(id(0))),
        (item(&tasks[0], json!({"outcome": "released", "retryable": true})), bad(id(0))),
        (item(&tasks[0], completed(json!({"result": [1]}))), ok(id(0))),
        (
            item(&tasks[1], json!({"outcome": "failed", "error": "x", "retryable": false})),
            ok(id(1)),
        ),
        (
            item(&tasks[2], json!({"outcome": "failed", "error": "x", "retry_after_seconds": 9})),
            ok(id(2)),
        ),
        (item(&tasks[3], json!({"outcome": "snoozed", "delay_seconds": 7})), ok(id(3))),
        (item(&tasks[4], json!({"outcome": "released"})), ok(id(4))),
        (item(&tasks[5], completed(json!({}))), (id(5).clone(), 409, "lease-lost".into())),
    ];
    let (items, expected): (Vec<Value>, Vec<_>) = cases.into_iter().unzip();
    let answer = sync(&app, &json!({"finished": items})).await;
    assert_eq!(statuses(&answer["finished"]), expected);
    for (i, status, run_at) in [
        (0, "completed", at(0.0)),
        (1, "failed", at(0.0)),
        (2, "pending", at(9.0)),
        (3, "pending", at(7.0)),
        (4, "pending", at(0.0)),
        (5, "cancelled", at(0.0)),
    ] {
        let task = app.task(id(i)).await;
        assert_eq!((&task["status"], &task["run_at"]), (&json!(status), &run_at), "task {i}");
    }
    assert_eq!(app.task(id(0)).await["result"], json!([1]));
}

#[tokio::test]
async fn a_result_that_is_too_large_leaves_its_attempt_open_and_its_neighbours_alone() {
    // 53
    let app = TestApp::new();
    let tasks = running(&app, 3).await;
    // With its quotes it has one byte more than a MiB.
    let most = "x".repeat(1024 * 1024 - 2);
    let end =
        |task: &Value, result: &str| item(task, json!({"outcome": "completed", "result": result}));
    let finished =
        [end(&tasks[0], &most), end(&tasks[1], &format!("{most}x")), end(&tasks[2], "little")];
    let answer = sync(&app, &json!({"finished": finished})).await;
    let id = |i: usize| tasks[i]["id"].clone();
    let expected = [
        (id(0), 200, String::new()),
        (id(1), 422, "invalid-input".to_owned()),
        (id(2), 200, String::new()),
    ];
    assert_eq!(statuses(&answer["finished"]), expected);
    let detail = answer["finished"][1]["detail"].as_str().expect("a sentence");
    assert!(detail.starts_with("/result ") && detail.contains("1048576"), "{detail}");
    for (i, status) in [(0, "completed"), (1, "in_progress"), (2, "completed")] {
        assert_eq!(app.task(&id(i)).await["status"], status, "task {i}");
    }
    let again = sync(&app, &json!({"finished": [end(&tasks[1], "less")]})).await;
    assert_eq!(again["finished"][0]["status"], 200);
    assert_eq!(app.task(&id(1)).await["result"], "less");
}

#[tokio::test]
async fn good_and_bad_heartbeats_are_judged_one_by_one() {
    let app = TestApp::new();
    let tasks = running(&app, 3).await;
    app.set(&tasks[1]["id"], "cancelled").await.ok(200);
    app.set(&tasks[2]["id"], "pending").await.ok(200);
    app.clock.advance(10.0);
    let mut stranger = item(&tasks[0], json!({}));
    stranger["id"] = json!(99);
    let mut no_token = item(&tasks[0], json!({}));
    no_token["lease_token"] = json!("x");
    let items = [
        item(&tasks[0], json!({"progress": {"percent": 40}, "checkpoint": [1]})),
        item(&tasks[1], json!({})),
        item(&tasks[2], json!({})),
        stranger,
        no_token,
        item(&tasks[0], json!({"progress": {"percent": 101}})),
    ];
    let answer = sync(&app, &json!({"heartbeats": items})).await;
    let beats = answer["heartbeats"].as_array().expect("a list");
    let (one, two) = (&tasks[0]["id"], &tasks[1]["id"]);
    let held = json!({"id": one, "status": 200, "lease_expires_at": at(40.0),
                      "cancel_requested": false});
    assert_eq!(beats[0], held);
    assert_eq!(beats[1], json!({"id": two, "status": 200, "cancel_requested": true}));
    let rest = [
        (tasks[2]["id"].clone(), 409, "lease-lost".to_owned()),
        (json!(99), 404, "not-found".into()),
        (one.clone(), 422, "invalid-input".into()),
        (one.clone(), 422, "invalid-input".into()),
    ];
    assert_eq!(statuses(&json!(beats[2..])), rest);
    assert_eq!(app.task(one).await["progress"]["percent"], 40.0);
}

#[tokio::test]
async fn a_sync_claims_after_it_has_finished() {
    let app = TestApp::new();
    let tasks = running(&app, 1).await;
    app.job("waits").await;
    let finished = [item(&tasks[0], json!({"outcome": "released"}))];
    let body = json!({"finished": finished, "claim": {"limit": 5, "lease_seconds": 90}});
    let answer = sync(&app, &body).await;
    let claimed = answer["tasks"].as_array().expect("a list");
    let ids: Vec<&Value> = claimed.iter().map(|task| &task["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2)]);
    for task in claimed {
        let held = (&task["worker"], &task["lease_expires_at"]);
        assert_eq!(held, (&json!("w1"), &at(90.0)));
        assert!(task["lease_token"].is_string());
    }
}

#[tokio::test]
async fn a_sync_repeated_gets_the_same_answer() {
    let app = TestApp::new();
    let tasks = running(&app, 1).await;
    let body = json!({"finished": [item(&tasks[0], json!({"outcome": "completed"}))]});
    let first = sync(&app, &body).await;
    let after = app.everything().await;
    assert_eq!(sync(&app, &body).await, first);
    assert_eq!(app.everything().await, after);
}

#[tokio::test]
async fn a_sync_that_waits_has_reported_before_it_waits() {
    let app = TestApp::new();
    let tasks = running(&app, 1).await;
    let finished = [item(&tasks[0], json!({"outcome": "completed"}))];
    let body = json!({"finished": finished, "claim": {"wait_seconds": 60}});
    let (answer, job) = tokio::join!(soon(sync(&app, &body)), async {
        app.until_waiting(1).await;
        while app.task(&tasks[0]["id"]).await["status"] != "completed" {
            tokio::task::yield_now().await;
        }
        app.job("new").await
    });
    assert_eq!(answer["finished"][0]["status"], 200);
    assert_eq!(answer["tasks"][0]["id"], job["id"]);
}

#[tokio::test]
async fn a_sync_whose_shape_is_wrong_does_nothing_at_all() {
    let app = TestApp::new();
    let tasks = running(&app, 1).await;
    let good = item(&tasks[0], json!({"outcome": "completed"}));
    let beat = item(&tasks[0], json!({}));
    let before = app.everything().await;
    let cases = [
        (json!({"claim": {"limit": 0}}), "/claim/limit", "out-of-range"),
        (json!({"claim": {"wait_seconds": 61}}), "/claim/wait_seconds", "out-of-range"),
        (json!({"claim": {"kinds": ["manual"]}}), "/claim/kinds", "not-claimable"),
        (json!({"claim": {"queues": ["a b"]}}), "/claim/queues/0", "name"),
        (json!({"claim": {"worker": "w1"}}), "/claim/worker", "unknown-field"),
        (json!({"claim": []}), "/claim", "type"),
        (json!({"finished": [good, {}]}), "/finished/1/id", "missing"),
        (json!({"finished": {}}), "/finished", "type"),
        (json!({"finished": null}), "/finished", "type"),
        (json!({"finished": [[1, "x", "released"]]}), "/finished/0", "type"),
        (json!({"heartbeats": [[1, "x", null, null]]}), "/heartbeats/0", "type"),
        (json!({"heartbeats": vec![beat; 1001]}), "/heartbeats", "too-many"),
        (json!({"finished": vec![good.clone(); 1001]}), "/finished", "too-many"),
        (json!({"done": []}), "/done", "unknown-field"),
    ];
    for (more, pointer, code) in cases {
        let mut body = json!({"finished": [good]});
        body.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
        app.post(SYNC, &body).await.blames(pointer, code);
    }
    for outcome in ["done", "interrupted", "Completed"] {
        let body = json!({"finished": [item(&tasks[0], json!({"outcome": outcome}))]});
        app.post(SYNC, &body).await.blames("/finished/0/outcome", "unknown-word");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_thousand_items_fit_into_one_sync() {
    let app = TestApp::new();
    let tasks = running(&app, 1).await;
    let beats = vec![item(&tasks[0], json!({})); 1000];
    let answer = sync(&app, &json!({"heartbeats": beats})).await;
    let beats = answer["heartbeats"].as_array().expect("a list");
    assert!(beats.len() == 1000 && beats.iter().all(|beat| beat["status"] == 200));
}

#[tokio::test]
async fn the_worker_s_name_stands_in_the_path() {
    let app = TestApp::new();
    app.job("a").await;
    let body = json!({"claim": {}});
    let answer = app.post("/api/v1/workers/host%3A1%2Fx@y/sync", &body).await.ok(200);
    assert_eq!(answer["tasks"][0]["worker"], "host:1/x@y");
    for bad in ["a%20b", "-a", "%00", "%E2%9C%93", &"w".repeat(201)] {
        let path = format!("/api/v1/workers/{bad}/sync");
        app.post(&path, &body).await.blames("/worker", "name");
    }
}
