//! One decision about all tasks of a filter.

use serde_json::{Value, json};

use crate::app::TestApp;

async fn bulk(app: &TestApp, word: &str, body: &Value) -> Value {
    app.post(&format!("/api/v1/tasks/bulk/{word}"), body).await.ok(200)
}

async fn statuses(app: &TestApp) -> Vec<String> {
    let list = app.get("/api/v1/tasks?limit=1000").await.ok(200);
    let list = list.as_array().expect("a list").iter().rev();
    list.map(|task| task["status"].as_str().expect("a word").to_owned()).collect()
}

/// Ten tasks, the odd ones in another queue; 3 is completed, 4 failed, 5 cancelled, 6 in progress.
async fn peopled() -> TestApp {
    let app = TestApp::new();
    for n in 1..=10 {
        let queue = if n % 2 == 0 { "even" } else { "odd" };
        app.create(&json!({"title": "t", "queue": queue, "tags": ["t"]})).await;
    }
    let moves =
        [(3, "completed"), (4, "in_progress"), (4, "failed"), (5, "cancelled"), (6, "in_progress")];
    for (n, status) in moves {
        let body = json!({"status": status}).to_string();
        app.json("PUT", &format!("/api/v1/tasks/{n}"), body).await.ok(200);
    }
    app
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let app = peopled().await;
    let before = app.everything().await;
    for word in ["cancel", "retry", "delete"] {
        for (filter, matched) in [
            (json!({"queue": "odd"}), 5),
            (json!({"queue": "odd", "status": "pending"}), 3),
            (json!({"tag": "t", "pending_reason": "ready"}), 6),
            (json!({"kind": "nobody"}), 0),
            (json!({"created_after": "2020-01-01T00:00:00Z", "priority": "medium"}), 10),
        ] {
            let answer = bulk(&app, word, &json!({"filter": filter, "dry_run": true})).await;
            assert_eq!(answer, json!({"matched": matched, "more": false}), "{filter}");
        }
        let all = bulk(&app, word, &json!({"filter": {}, "all": true, "dry_run": true})).await;
        assert_eq!(all["matched"], 10);
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_cancel_ends_what_lives_and_skips_what_has_ended() {
    let app = peopled().await;
    let answer = bulk(&app, "cancel", &json!({"filter": {"queue": "odd"}})).await;
    assert_eq!(answer, json!({"matched": 5, "changed": 3, "skipped": 2, "more": false}));
    let running = bulk(&app, "cancel", &json!({"filter": {"status": "in_progress"}})).await;
    assert_eq!(running, json!({"matched": 1, "changed": 1, "skipped": 0, "more": false}));
    let (off, waits) = ("cancelled", "pending");
    let expected = [off, waits, "completed", "failed", off, off, off, waits, off, waits];
    assert_eq!(statuses(&app).await, expected);
    let again = bulk(&app, "cancel", &json!({"filter": {"queue": "odd"}, "dry_run": false})).await;
    assert_eq!(again, json!({"matched": 5, "changed": 0, "skipped": 5, "more": false}));
    let rest = bulk(&app, "cancel", &json!({"all": true})).await;
    assert_eq!(rest, json!({"matched": 10, "changed": 3, "skipped": 7, "more": false}));
    let summary = app.get("/api/v1/tasks/stats/summary").await.ok(200);
    assert_eq!((&summary["cancelled"], &summary["pending"]), (&json!(8), &json!(0)));
}

#[tokio::test]
async fn a_retry_runs_ended_tasks_once_more_and_skips_those_whose_key_is_taken() {
    let app = peopled().await;
    let keyed = json!({"title": "k", "unique_key": "k", "queue": "keys"});
    let first = app.create(&keyed).await;
    let path = format!("/api/v1/tasks/{}/cancel", first["id"]);
    app.post(&path, &json!({})).await.ok(200);
    app.create(&keyed).await;
    let answer = bulk(&app, "retry", &json!({"filter": {"status": "failed"}})).await;
    assert_eq!(answer, json!({"matched": 1, "changed": 1, "skipped": 0, "more": false}));
    assert_eq!(app.task(&json!(4)).await["status"], "pending");
    let answer = bulk(&app, "retry", &json!({"filter": {"queue": "keys"}})).await;
    assert_eq!(answer, json!({"matched": 2, "changed": 0, "skipped": 2, "more": false}));
    let answer = bulk(&app, "retry", &json!({"filter": {}, "all": true})).await;
    assert_eq!(answer, json!({"matched": 12, "changed": 2, "skipped": 10, "more": false}));
    assert_eq!(app.task(&json!(6)).await["status"], "in_progress");
}

#[tokio::test]
async fn a_delete_takes_children_before_parents_and_skips_parents_of_others() {
    let app = TestApp::new();
    let parent = app.create(&json!({"title": "p", "tags": ["old"]})).await;
    for tag in ["old", "new"] {
        app.create(&json!({"title": "c", "tags": [tag], "depends_on": [parent["id"]]})).await;
    }
    let answer = bulk(&app, "delete", &json!({"filter": {"tag": "old"}})).await;
    assert_eq!(answer, json!({"matched": 2, "changed": 1, "skipped": 1, "more": false}));
    let answer = bulk(&app, "delete", &json!({"filter": {}, "all": true})).await;
    assert_eq!(answer, json!({"matched": 2, "changed": 2, "skipped": 0, "more": false}));
    assert_eq!(app.get("/api/v1/tasks").await.ok(200), json!([]));
}

#[tokio::test]
async fn thousands_are_changed_in_steps() {
    let app = TestApp::new();
    let tasks: Vec<Value> = (0..6_000).map(|n| json!({"title": format!("t{n}")})).collect();
    app.post("/api/v1/tasks/bulk", &json!({"tasks": tasks})).await.ok(200);
    let filter = json!({"filter": {"queue": "default"}});
    let answer = bulk(&app, "cancel", &filter).await;
    assert_eq!(answer, json!({"matched": 6_000, "changed": 6_000, "skipped": 0, "more": false}));
    let answer = bulk(&app, "retry", &filter).await;
    assert_eq!(answer["changed"], 6_000);
    let answer = bulk(&app, "delete", &filter).await;
    assert_eq!(answer["changed"], 6_000);
    let summary = app.get("/api/v1/tasks/stats/summary").await.ok(200);
    assert_eq!((&summary["cancelled"], &summary["pending"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_retry_of_many_wakes_those_who_wait() {
    let app = TestApp::new();
    app.create(&json!({"title": "t", "kind": "job"})).await;
    app.post("/api/v1/tasks/1/cancel", &json!({})).await.ok(200);
    let claim = async {
        let wish = json!({"worker": "w", "wait_seconds": 60});
        app.post("/api/v1/tasks/claim", &wish).await.ok(200)
    };
    let retry = async {
        app.until_waiting(1).await;
        bulk(&app, "retry", &json!({"filter": {"kind": "job"}})).await;
    };
    let (claimed, ()) = crate::app::soon(async { tokio::join!(claim, retry) }).await;
    assert_eq!(claimed["tasks"][0]["id"], 1);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_changes_nothing() {
    let app = peopled().await;
    let before = app.everything().await;
    for word in ["cancel", "retry", "delete"] {
        let path = format!("/api/v1/tasks/bulk/{word}");
        let late = json!({"status": "failed", "pending_reason": "ready"});
        for (body, pointer, code) in [
            (json!({}), "/filter", "missing"),
            (json!({"filter": {}}), "/filter", "missing"),
            (json!({"filter": {}, "all": false, "dry_run": true}), "/filter", "missing"),
            (json!({"filter": null}), "/filter", "type"),
            (json!({"filter": []}), "/filter", "type"),
            (json!({"filter": "all"}), "/filter", "type"),
            (json!({"filter": {"queue": null}}), "/filter/queue", "type"),
            (json!({"filter": {"queue": 1}}), "/filter/queue", "type"),
            (json!({"filter": {"queue": ""}}), "/filter/queue", "name"),
            (json!({"filter": {"status": "done"}}), "/filter/status", "unknown-word"),
            (json!({"filter": {"status": ""}}), "/filter/status", "unknown-word"),
            (json!({"filter": {"priority": 1}}), "/filter/priority", "type"),
            (json!({"filter": {"tag": "a,b"}}), "/filter/tag", "character"),
            (json!({"filter": {"tag": "\u{0}"}}), "/filter/tag", "character"),
            (
                json!({"filter": {"created_after": "2026-01-31"}}),
                "/filter/created_after",
                "not-an-instant",
            ),
            (json!({"filter": late}), "/filter/pending_reason", "conflict"),
            (json!({"filter": {"ids": [1]}}), "/filter/ids", "unknown-field"),
            (json!({"filter": {"queue": "odd"}, "limit": 1}), "/limit", "unknown-field"),
            (json!({"filter": {"queue": "odd"}, "dry_run": "yes"}), "/dry_run", "type"),
            (json!({"filter": {"queue": "odd"}, "dry_run": null}), "/dry_run", "type"),
            (json!({"all": 1}), "/all", "type"),
        ] {
            app.post(&path, &body).await.blames(pointer, code);
        }
        app.json("POST", &path, "[]").await.refused(422, "invalid-input");
        app.json("POST", &path, "").await.refused(400, "malformed-json");
        let twice = r#"{"filter": {"queue": "odd", "queue": "even"}}"#;
        app.json("POST", &path, twice).await.refused(400, "duplicate-key");
        app.get(&path).await.refused(405, "method-not-allowed");
    }
    app.post("/api/v1/tasks/bulk/pause", &json!({})).await.refused(404, "not-found");
    assert_eq!(app.everything().await, before);
}
