//! Who gets which task, under which lease.

use serde_json::json;

use super::{CLAIM, claim, claimed_titles, report};
use crate::app::{TestApp, at};

#[tokio::test]
async fn a_claim_hands_out_a_task_with_its_token() {
    let app = TestApp::new();
    app.clock.advance(1.0);
    let waiting = app.job("a").await;
    let task = claim(&app, &json!({"limit": 5})).await.pop().expect("it waits");
    let mut expected = waiting;
    expected["status"] = json!("in_progress");
    expected["pending_reason"] = json!(null);
    expected["attempt"] = json!(1);
    expected["attempts_used"] = json!(1);
    expected["worker"] = json!("w1");
    expected["started_at"] = at(1.0);
    expected["updated_at"] = at(1.0);
    expected["lease_expires_at"] = at(31.0);
    expected["version"] = json!(2);
    assert_eq!(app.task(&task["id"]).await, expected, "the token is the holder's secret");
    expected["lease_token"] = task["lease_token"].clone();
    assert_eq!(task, expected);
    let token = task["lease_token"].as_str().expect("text");
    assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
    assert!(app.claim(5).await.is_empty(), "it is handed out once");
}

#[tokio::test]
async fn work_is_handed_out_by_priority_then_start_then_age() {
    let app = TestApp::new();
    for (title, priority, delay) in [
        ("low", "low", 0),
        ("medium late", "medium", 2),
        ("medium early", "medium", 1),
        ("medium early, younger", "medium", 1),
        ("urgent", "urgent", 5),
        ("high", "high", 3),
        ("not yet", "urgent", 6),
    ] {
        let new =
            json!({"title": title, "kind": "job", "priority": priority, "delay_seconds": delay});
        app.create(&new).await;
    }
    app.clock.advance(5.0);
    let one = claimed_titles(&app, &json!({})).await;
    assert_eq!(one, ["urgent"], "one when nobody says how many");
    let rest = claimed_titles(&app, &json!({"limit": 1000})).await;
    let order = ["high", "medium early", "medium early, younger", "medium late", "low"];
    assert_eq!(json!(rest), json!(order));
}

#[tokio::test]
async fn a_claim_takes_only_the_kinds_and_queues_that_it_names() {
    let app = TestApp::new();
    for (title, kind, queue) in [
        ("mail q1", "mail", "q1"),
        ("mail q2", "mail", "q2"),
        ("thumb q1", "thumb", "q1"),
        ("log q1", "log", "q1"),
    ] {
        app.create(&json!({"title": title, "kind": kind, "queue": queue})).await;
    }
    let none = claimed_titles(&app, &json!({"queues": ["q3"], "limit": 9})).await;
    assert!(none.is_empty(), "{none:?}");
    let none = claimed_titles(&app, &json!({"kinds": ["other"], "limit": 9})).await;
    assert!(none.is_empty(), "{none:?}");
    let wish = json!({"queues": ["q2", "q3"], "kinds": ["mail", "log"], "limit": 9});
    assert_eq!(claimed_titles(&app, &wish).await, ["mail q2"]);
    assert_eq!(claimed_titles(&app, &json!({"kinds": ["thumb"], "limit": 9})).await, ["thumb q1"]);
    assert_eq!(claimed_titles(&app, &json!({"queues": ["q1"], "limit": 9})).await, ["mail q1"]);
    assert_eq!(claimed_titles(&app, &json!({"kinds": ["log"]})).await, ["log q1"]);
}

#[tokio::test]
async fn built_in_kinds_are_only_handed_out_by_name_and_manual_never() {
    let app = TestApp::new();
    for kind in ["log", "http", "command", "sleep", "manual"] {
        app.create(&json!({"title": kind, "kind": kind})).await;
    }
    assert!(app.claim(10).await.is_empty());
    let wish = json!({"kinds": ["log", "http", "command", "sleep"], "limit": 10});
    let order = ["log", "http", "command", "sleep"];
    assert_eq!(claimed_titles(&app, &wish).await, order);
    let manual = json!({"worker": "w1", "kinds": ["manual", "log"]});
    app.post(CLAIM, &manual).await.blames("/kinds", "not-claimable");
}

#[tokio::test]
async fn the_lease_is_the_task_s_own_or_the_claim_s() {
    let app = TestApp::new();
    let own = json!({"title": "a", "kind": "job", "lease_seconds": 7});
    app.create(&own).await;
    app.create(&own).await;
    assert_eq!(claim(&app, &json!({})).await[0]["lease_expires_at"], at(7.0));
    let longer = claim(&app, &json!({"lease_seconds": 90})).await.pop().expect("it waits");
    assert_eq!(longer["lease_expires_at"], at(90.0));
    app.clock.advance(1.0);
    let beat = report(&app, &longer, "/heartbeat", json!({})).await.ok(200);
    assert_eq!(beat["lease_expires_at"], at(91.0), "heartbeats extend by the same length");
}

#[tokio::test]
async fn a_claim_is_refused_field_by_field() {
    let app = TestApp::new();
    app.job("a").await;
    let before = app.everything().await;
    let many: Vec<String> = (0..101).map(|i| format!("n{i}")).collect();
    let cases = [
        // 88
        ("limit", json!(0), "/limit", "out-of-range"),
        ("limit", json!(1001), "/limit", "out-of-range"),
        ("limit", json!(1_000_000), "/limit", "out-of-range"),
        ("limit", json!(-1), "/limit", "type"),
        ("limit", json!(null), "/limit", "type"),
        ("wait_seconds", json!(-1), "/wait_seconds", "out-of-range"),
        ("wait_seconds", json!(60.1), "/wait_seconds", "out-of-range"),
        ("wait_seconds", json!(3600), "/wait_seconds", "out-of-range"),
        ("wait_seconds", json!("5"), "/wait_seconds", "type"),
        ("lease_seconds", json!(0), "/lease_seconds", "out-of-range"),
        ("lease_seconds", json!(86_401), "/lease_seconds", "out-of-range"),
        ("queues", json!([]), "/queues", "length"),
        ("queues", json!(many), "/queues", "length"),
        ("queues", json!(["ok", "a b"]), "/queues/1", "name"),
        ("queues", json!("q"), "/queues", "type"),
        ("kinds", json!([]), "/kinds", "length"),
        ("kinds", json!(many), "/kinds", "length"),
        ("kinds", json!([""]), "/kinds/0", "name"),
        ("worker", json!(""), "/worker", "name"),
        ("worker", json!("a b"), "/worker", "name"),
        ("worker", json!("w".repeat(201)), "/worker", "name"),
        ("worker", json!(null), "/worker", "type"),
        ("max", json!(5), "/max", "unknown-field"),
    ];
    for (field, value, pointer, code) in cases {
        let mut body = json!({"worker": "w1"});
        body[field] = value;
        app.post(CLAIM, &body).await.blames(pointer, code);
    }
    app.post(CLAIM, &json!({})).await.blames("/worker", "missing");
    assert_eq!(app.everything().await, before);
    let longest = json!({"worker": "w".repeat(200), "limit": 1000, "lease_seconds": 86_400});
    assert_eq!(app.post(CLAIM, &longest).await.ok(200)["tasks"][0]["id"], 1);
}
