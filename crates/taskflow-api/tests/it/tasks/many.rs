//! One decision about all tasks of a filter.

use serde_json::{Value, json};

use crate::app::{TestApp, at, path};

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
async fn a_search_in_a_filter_is_taken_letter_by_letter() {
    // 60
    let app = TestApp::new();
    for title in ["100% of \"a_b\\c\" & (x+)+$ NEAR(", "100 of axbc", "*"] {
        app.create(&json!({"title": title})).await;
    }
    let words = ["%", "_", "a_b", "\\", "*", "\"", "(x+)+$", "NEAR(", "a.b", "' OR 1=1", "1 OR c"];
    let matched = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0];
    for word in ["cancel", "retry", "delete"] {
        for (text, matched) in words.into_iter().zip(matched) {
            let body = json!({"filter": {"q": text}, "dry_run": true});
            assert_eq!(bulk(&app, word, &body).await["matched"], matched, "{word} {text}");
        }
    }
    let gone = bulk(&app, "delete", &json!({"filter": {"q": "%"}})).await;
    assert_eq!(gone["changed"], 1);
    assert_eq!(statuses(&app).await, ["pending"; 2]);
}

/// What a person gave stays; what the attempts left is as it was or begins anew.
#[tokio::test]
async fn a_retry_keeps_all_that_was_given() {
    const BEGINS_ANEW: [&str; 9] = [
        "status",
        "pending_reason",
        "run_at",
        "attempts_used",
        "progress",
        "error_message",
        "ended_at",
        "updated_at",
        "version",
    ];
    for way in ["bulk", "retry", "put"] {
        let app = TestApp::new();
        let parent = app.titled("parent").await["id"].clone();
        app.set(&parent, "completed").await.ok(200);
        let payload = r#""payload":{"n":12345678901234567890.10,"e":1E3,"a":["\u00e9"]}"#;
        let metadata = r#""metadata":{"m":-0.0,"n":9007199254740993}"#;
        let body = format!(
            r#"{{"title":"t","description":"d","priority":"urgent","queue":"q","kind":"job",
                {payload},{metadata},"run_at":{},"max_attempts":9,
                "retry":{{"strategy":"linear","base_seconds":2,"factor":3,"max_seconds":9,
                          "jitter":0.5}},
                "timeout_seconds":77,"deadline_at":{},"expires_at":{},"lease_seconds":44,
                "tags":["x","y"],"unique_key":"u","concurrency_key":"c","depends_on":[{parent}]}}"#,
            at(5.0),
            at(9000.0),
            at(8000.0),
        );
        let id = app.json("POST", "/api/v1/tasks", body).await.ok(201)["id"].clone();
        app.clock.advance(5.0);
        let held = app.claim(1).await.pop().expect("its time has come");
        let beat = json!({"lease_token": held["lease_token"], "progress": {"percent": 5},
                          "checkpoint": {"row": 7}});
        app.post(&path(&id, "/heartbeat"), &beat).await.ok(200);
        let fail = json!({"lease_token": held["lease_token"], "error": "x", "retryable": false});
        app.post(&path(&id, "/fail"), &fail).await.ok(200);
        let failed = app.task(&id).await;
        app.clock.advance(1.0);
        match way {
            "bulk" => {
                let done = bulk(&app, "retry", &json!({"filter": {"status": "failed"}})).await;
                assert_eq!(done["changed"], 1);
            }
            "retry" => drop(app.post(&path(&id, "/retry"), &json!({})).await.ok(200)),
            _ => drop(app.set(&id, "pending").await.ok(200)),
        }
        let again = app.get(&path(&id, "")).await;
        for text in [&again.text, &app.get("/api/v1/tasks").await.text] {
            assert!(text.contains(payload) && text.contains(metadata), "{way}: {text}");
        }
        let again = again.ok(200);
        assert_eq!((&again["status"], &again["attempts_used"]), (&json!("pending"), &json!(0)));
        for (field, value) in failed.as_object().expect("an object") {
            if !BEGINS_ANEW.contains(&field.as_str()) {
                assert_eq!(&again[field], value, "{way}: {field}");
                // It was given something, so that a loss would be seen.
                let unset = ["result", "cancel_reason", "completed_at", "lease_expires_at"];
                assert_eq!(value.is_null(), unset.contains(&field.as_str()), "{field}");
            }
        }
        let held = app.claim(1).await.pop().expect("it runs once more");
        assert_eq!(held["checkpoint"], json!({"row": 7}), "{way}");
    }
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
            (json!({"filter": {"q": ""}}), "/filter/q", "length"),
            (json!({"filter": {"q": "x".repeat(201)}}), "/filter/q", "length"),
            (json!({"filter": {"q": "x".repeat(8192)}}), "/filter/q", "length"),
            (json!({"filter": {"q": " \"\" "}}), "/filter/q", "too-short"),
            (json!({"filter": {"q": "t\u{0}"}}), "/filter/q", "control-character"),
            (json!({"filter": {"q": "a b c d e f g h i j k"}}), "/filter/q", "too-many"),
            (json!({"filter": {"q": null}}), "/filter/q", "type"),
            (json!({"filter": {"q": ["t"]}}), "/filter/q", "type"),
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
        for part in [r#""queue": "odd""#, r#""q": "t""#] {
            let twice = format!(r#"{{"filter": {{{part}, {part}}}}}"#);
            app.json("POST", &path, twice).await.refused(400, "duplicate-key");
        }
        let no_text: [&[u8]; 2] =
            [b"{\"filter\": {\"q\": \"\xFF\"}}", br#"{"filter": {"q": "\ud800"}}"#];
        for no_text in no_text {
            app.json("POST", &path, no_text).await.refused(400, "malformed-json");
        }
        app.get(&path).await.refused(405, "method-not-allowed");
    }
    app.post("/api/v1/tasks/bulk/pause", &json!({})).await.refused(404, "not-found");
    assert_eq!(app.everything().await, before);
}
