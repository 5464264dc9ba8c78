//! `Idempotency-Key`: one effect and the same answer, however often a request comes.

use serde_json::{Value, json};

use crate::app::{Answer, DOCUMENT, TestApp, path};

const TASKS: &str = "/api/v1/tasks";
const CLAIM: &str = "/api/v1/tasks/claim";
const DAY: f64 = 24.0 * 3600.0;

async fn keyed(app: &TestApp, key: &str, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    app.call("POST", path, &headers, body.to_string()).await
}

/// The second answer is the first one, to the byte.
#[track_caller]
fn same(first: &Answer, again: &Answer) {
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    for name in ["content-type", "etag", "location"] {
        assert_eq!(first.header(name), again.header(name), "{name}");
    }
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(again.header("idempotency-replayed"), "true", "{}", again.text);
}

async fn pending(app: &TestApp) -> Value {
    app.get("/api/v1/tasks/stats/summary").await.ok(200)["pending"].clone()
}

#[tokio::test]
async fn a_create_with_a_key_is_done_once_and_answered_the_same_whatever_became_of_the_task() {
    let app = TestApp::new();
    let body = json!({"title": "größer\n\"", "delay_seconds": 5, "payload": {"a": [1, 2.50]}});
    let first = keyed(&app, "k-1", TASKS, &body).await;
    assert_eq!((first.status, first.header("location")), (201, "/api/v1/tasks/1"));
    same(&first, &keyed(&app, "k-1", TASKS, &body).await);
    // It would say `ready` now.
    app.clock.advance(10.0);
    same(&first, &keyed(&app, "k-1", TASKS, &body).await);
    app.set(&json!(1), "completed").await.ok(200);
    same(&first, &keyed(&app, "k-1", TASKS, &body).await);
    app.delete("/api/v1/tasks/1").await.ok(204);
    same(&first, &keyed(&app, "k-1", TASKS, &body).await);
    assert_eq!(pending(&app).await, 0);
    assert_eq!(app.titled("next").await["id"], 2);
}

#[tokio::test]
async fn what_is_answered_the_first_time_is_what_is_answered_without_a_key() {
    let body = json!({"title": "a", "tags": ["x"], "payload": {"n": 1}});
    let (with, without) = (TestApp::new(), TestApp::new());
    let (with, without) = (keyed(&with, "k", TASKS, &body).await, without.post(TASKS, &body).await);
    assert_eq!((with.status, &with.text), (without.status, &without.text));
    for name in ["content-type", "etag", "location"] {
        assert_eq!(with.header(name), without.header(name), "{name}");
    }
}

/// Every operation that may be sent with a key: its name and path.
fn posts() -> Vec<(&'static str, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let posts = paths.iter().filter_map(|(path, item)| {
        let operation = item.get("post")?;
        Some((operation["operationId"].as_str().expect("a name"), path.as_str(), operation))
    });
    // It has no effect that could be had twice.
    posts.filter(|(name, ..)| *name != "bench_bare").collect()
}

#[test]
fn every_post_documents_the_key() {
    for (name, _, operation) in posts() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let keys = parameters.filter(|p| p["name"] == "Idempotency-Key" && p["in"] == "header");
        assert_eq!(keys.count(), 1, "{name}");
        for status in ["400", "409", "422"] {
            assert!(operation["responses"].get(status).is_some(), "{name} may answer {status}");
        }
    }
}

/// A new route has to be told apart here, so that it is not forgotten.
#[tokio::test]
async fn every_post_is_done_once_for_its_key() {
    for (name, template, _) in posts() {
        let app = TestApp::new();
        let held = app.running("held").await;
        let (id, token) = (&held["id"], &held["lease_token"]);
        let one = json!({"title": "new"});
        let mut path = template.replace("{task_id}", &id.to_string()).replace("{worker}", "w1");
        path = path.replace("{queue}", "default");
        let body = match name {
            "create_task" => one,
            "create_tasks" => json!({"tasks": [one, {"title": "other"}]}),
            "claim_tasks" => {
                app.job("ready").await;
                app.job("left").await;
                json!({"worker": "w1", "limit": 1})
            }
            "heartbeat_task" => json!({"lease_token": token, "progress": {"percent": 5}}),
            "complete_task" => json!({"lease_token": token, "result": [1]}),
            "fail_task" => json!({"lease_token": token, "error": "no"}),
            "snooze_task" => json!({"lease_token": token, "delay_seconds": 5}),
            "release_task" => json!({"lease_token": token}),
            "cancel_task" => json!({}),
            "retry_task" => {
                let ended = app.titled("ended").await;
                app.set(&ended["id"], "failed").await.ok(200);
                path = template.replace("{task_id}", &ended["id"].to_string());
                json!({})
            }
            "sync_worker" => {
                app.job("ready").await;
                app.job("left").await;
                let done = json!({"id": id, "lease_token": token, "outcome": "completed"});
                json!({"finished": [done], "claim": {"limit": 1}})
            }
            "drain_worker" | "resume_worker" | "release_worker" => json!({}),
            "pause_queue" => json!({"reason": "why"}),
            "resume_queue" | "purge_queue" => json!({}),
            "cancel_tasks" | "retry_tasks" | "delete_tasks" => {
                app.titled("one of many").await;
                json!({"filter": {"kind": "log"}})
            }
            new => panic!("{new}: say here how it is called, and that its key works"),
        };
        let first = keyed(&app, "k", &path, &body).await;
        assert!(first.status < 300, "{name}: {}", first.text);
        let after = app.everything().await;
        same(&first, &keyed(&app, "k", &path, &body).await);
        let quoted = keyed(&app, "\"k\"", &path, &body).await;
        same(&first, &quoted);
        assert_eq!(app.everything().await, after, "{name}");
        let other = json!({"other": true});
        let refused = keyed(&app, "k", &path, &other).await;
        assert_eq!(refused.status, 422, "{name}");
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_and_leaves_nothing() {
    let app = TestApp::new();
    let body = json!({"title": "a"});
    let long = "k".repeat(256);
    let bad = [
        "",
        " ",
        "a b",
        "ä",
        &long,
        "\"",
        "\"\"",
        "\"a",
        "a\tb",
        r#""a"b""#,
        r#""a\b""#,
        "\"a\";x=1",
    ];
    for key in bad {
        let refused = keyed(&app, key, TASKS, &body).await.refused(400, "invalid-idempotency-key");
        assert!(refused["detail"].as_str().expect("text").starts_with("Idempotency-Key "), "{key}");
    }
    let twice =
        [("content-type", "application/json"), ("idempotency-key", "a"), ("idempotency-key", "a")];
    let refused = app.call("POST", TASKS, &twice, body.to_string()).await;
    refused.refused(400, "invalid-idempotency-key");
    assert_eq!(pending(&app).await, 0);
    for key in ["k", &long[1..], r#""a\"b""#, "!~", r#"a"b"#] {
        assert_eq!(keyed(&app, key, TASKS, &body).await.status, 201, "{key}");
    }
}

#[tokio::test]
async fn a_key_is_for_one_request_and_for_one_route() {
    let app = TestApp::new();
    let (a, b) = (app.titled("a").await, app.titled("b").await);
    let first = keyed(&app, "k", TASKS, &json!({"title": "c"})).await;
    let body = keyed(&app, "k", TASKS, &json!({"title": "d"})).await;
    body.refused(422, "idempotency-mismatch");
    // The same JSON in other bytes is another body.
    let spaced = [("content-type", "application/json"), ("idempotency-key", "k")];
    let spaced = app.call("POST", TASKS, &spaced, "{\"title\": \"c\"}").await;
    spaced.refused(422, "idempotency-mismatch");
    let bulk = json!({"tasks": [{"title": "e"}]});
    keyed(&app, "k", "/api/v1/tasks/bulk", &bulk).await.ok(200);
    let query = keyed(&app, "k", "/api/v1/tasks/bulk?mode=partial", &bulk).await;
    query.refused(422, "idempotency-mismatch");
    keyed(&app, "k", &path(&a["id"], "/cancel"), &json!({})).await.ok(200);
    let other = keyed(&app, "k", &path(&b["id"], "/cancel"), &json!({})).await;
    other.refused(422, "idempotency-mismatch");
    assert_eq!(app.task(&b["id"]).await["status"], "pending");
    same(&first, &keyed(&app, "k", TASKS, &json!({"title": "c"})).await);
    assert_eq!(pending(&app).await, 3);
}

#[tokio::test]
async fn a_refused_request_may_come_again_with_its_key() {
    let app = TestApp::new();
    let held = app.create(&json!({"title": "held", "unique_key": "u"})).await;
    let body = json!({"title": "a", "unique_key": "u", "on_conflict": "reject"});
    let bulk = json!({"tasks": [{"title": "b"}, {"title": "c", "depends_on": [99]}]});
    for _ in 0..2 {
        keyed(&app, "k", TASKS, &body).await.refused(409, "unique-key-held");
        keyed(&app, "k", TASKS, &json!({"title": ""})).await.blames("/title", "too-short");
        let answer = keyed(&app, "k", "/api/v1/tasks/bulk", &bulk).await;
        answer.blames("/tasks/1/depends_on", "no-such-task");
        keyed(&app, "k", "/api/v1/tasks/99/cancel", &json!({})).await.refused(404, "not-found");
    }
    assert_eq!(pending(&app).await, 1);
    app.set(&held["id"], "cancelled").await.ok(200);
    let first = keyed(&app, "k", TASKS, &body).await;
    assert_eq!(first.status, 201);
    same(&first, &keyed(&app, "k", TASKS, &body).await);
}

#[tokio::test]
async fn a_partial_bulk_keeps_what_was_refused_as_well() {
    let app = TestApp::new();
    let path = "/api/v1/tasks/bulk?mode=partial";
    let body = json!({"tasks": [
        {"title": "a"}, {"title": ""}, {"title": "b", "unique_key": "u"},
        {"title": "c", "unique_key": "u", "on_conflict": "reject"}
    ]});
    let first = keyed(&app, "k", path, &body).await;
    assert_eq!((&first.json["created"], &first.json["refused"]), (&json!(2), &json!(2)));
    same(&first, &keyed(&app, "k", path, &body).await);
    assert_eq!(pending(&app).await, 2);
    let none = json!({"tasks": [{"title": ""}]});
    assert_eq!(keyed(&app, "k2", path, &none).await.ok(200)["refused"], 1);
}

#[tokio::test]
async fn a_request_that_time_made_wrong_gets_its_first_answer_all_the_same() {
    let app = TestApp::new();
    let body = json!({"title": "a", "deadline_at": crate::app::at(60.0)});
    let bulk = json!({"tasks": [body]});
    let atomic = "/api/v1/tasks/bulk";
    let partial = "/api/v1/tasks/bulk?mode=partial";
    let one = keyed(&app, "k", TASKS, &body).await;
    let all = keyed(&app, "k", atomic, &bulk).await;
    let each = keyed(&app, "k2", partial, &bulk).await;
    app.clock.advance(3600.0);
    same(&one, &keyed(&app, "k", TASKS, &body).await);
    same(&all, &keyed(&app, "k", atomic, &bulk).await);
    same(&each, &keyed(&app, "k2", partial, &bulk).await);
    keyed(&app, "new", TASKS, &body).await.blames("/deadline_at", "too-early");
}

#[tokio::test]
async fn a_key_lasts_a_day_and_is_forgotten_then() {
    let app = TestApp::new();
    let body = json!({"title": "a"});
    let first = keyed(&app, "k", TASKS, &body).await;
    app.clock.advance(DAY - 1.0);
    app.tick().await;
    same(&first, &keyed(&app, "k", TASKS, &body).await);
    app.clock.advance(1.0);
    app.tick().await;
    let second = keyed(&app, "k", TASKS, &body).await;
    assert_eq!((second.status, &second.json["id"]), (201, &json!(2)));
    same(&second, &keyed(&app, "k", TASKS, &body).await);
}

#[tokio::test]
async fn a_claim_that_comes_again_gets_the_same_leases_and_their_tokens_are_nowhere_on_disk() {
    let app = TestApp::new();
    let body = json!({"worker": "w1", "limit": 2});
    // Nothing is kept of a claim that found nothing.
    let empty = keyed(&app, "k", CLAIM, &body).await.ok(200);
    assert_eq!(empty["tasks"], json!([]));
    for title in ["a", "b", "c"] {
        app.job(title).await;
    }
    let first = keyed(&app, "k", CLAIM, &body).await;
    same(&first, &keyed(&app, "k", CLAIM, &body).await);
    let tasks = first.json["tasks"].as_array().expect("a list");
    assert_eq!(tasks.len(), 2);
    for task in tasks {
        let token = task["lease_token"].as_str().expect("a token");
        assert!(!app.holds(token.as_bytes()), "a token is on disk");
        let report = json!({"lease_token": token});
        app.post(&path(&task["id"], "/complete"), &report).await.ok(200);
    }
    assert!(app.holds(b"\"t\"") || app.holds(b"job"), "the files are read");
    same(&first, &keyed(&app, "k", CLAIM, &body).await);
    assert_eq!(pending(&app).await, 1);
}

#[tokio::test]
async fn a_claim_with_a_key_waits_and_keeps_what_it_got() {
    let app = TestApp::new();
    let body = json!({"worker": "w1", "wait_seconds": 30});
    let waiting = keyed(&app, "k", CLAIM, &body);
    let create = async {
        app.until_waiting(1).await;
        app.job("a").await;
    };
    let (first, ()) = tokio::join!(waiting, create);
    assert_eq!(first.json["tasks"][0]["title"], "a");
    app.job("b").await;
    same(&first, &keyed(&app, "k", CLAIM, &body).await);
}

#[tokio::test]
async fn a_sync_with_a_key_does_not_hold_back_its_report_to_wait_for_work() {
    let app = TestApp::new();
    let held = app.running("a").await;
    let done =
        json!({"id": held["id"], "lease_token": held["lease_token"], "outcome": "completed"});
    let bad = json!({"id": 0, "lease_token": held["lease_token"], "outcome": "completed"});
    let body = json!({"finished": [bad, done], "claim": {"limit": 1, "wait_seconds": 30}});
    let first = crate::app::soon(keyed(&app, "k", "/api/v1/workers/w1/sync", &body)).await;
    assert_eq!(first.json["finished"][1]["status"], 200, "{}", first.text);
    assert_eq!(first.json["tasks"], json!([]));
    app.job("b").await;
    same(&first, &keyed(&app, "k", "/api/v1/workers/w1/sync", &body).await);
    assert_eq!(app.task(&held["id"]).await["status"], "completed");
}

/// A claim takes fewer; what cannot be less is refused, and nothing is done.
#[tokio::test]
async fn an_answer_too_large_to_keep_is_never_given() {
    let app = TestApp::new();
    let payload = "x".repeat(1_000_000);
    for _ in 0..8 {
        app.create(&json!({"title": "a", "kind": "job", "payload": payload})).await;
    }
    let body = json!({"worker": "w1", "limit": 8});
    let first = keyed(&app, "k", CLAIM, &body).await;
    assert_eq!(first.json["tasks"].as_array().map(Vec::len), Some(4));
    same(&first, &keyed(&app, "k", CLAIM, &body).await);
    assert_eq!(pending(&app).await, 4);
}

#[tokio::test]
async fn other_methods_do_not_look_at_the_header() {
    let app = TestApp::new();
    let task = app.titled("a").await;
    let headers = [("content-type", "application/json"), ("idempotency-key", "not a key")];
    let path = path(&task["id"], "");
    app.call("PUT", &path, &headers, r#"{"title": "b"}"#).await.ok(200);
    app.call("GET", &path, &headers, "").await.ok(200);
    app.call("DELETE", &path, &headers, "").await.ok(204);
}

#[tokio::test]
async fn a_body_left_out_is_a_body_of_its_own() {
    let app = TestApp::new();
    let task = app.titled("a").await;
    let path = path(&task["id"], "/cancel");
    let first = app.call("POST", &path, &[("idempotency-key", "k")], "").await;
    assert_eq!(first.json["status"], "cancelled");
    same(&first, &app.call("POST", &path, &[("idempotency-key", "k")], "").await);
    keyed(&app, "k", &path, &json!({})).await.refused(422, "idempotency-mismatch");
}
