//! Queues over the router: settings, pause and resume, what they do to creates, claims and explanations.

use serde_json::{Value, json};

use crate::app::{Answer, TestApp, at, path, soon};

fn queue(rest: &str) -> String {
    format!("/api/v1/queues/{rest}")
}

async fn job(app: &TestApp, more: Value) -> Value {
    let mut body = json!({"title": "t", "kind": "job", "queue": "mail"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    app.create(&body).await
}

async fn set(app: &TestApp, settings: Value) -> Value {
    app.put(&queue("mail"), &settings).await.ok(200)
}

async fn act(app: &TestApp, act: &str) -> Answer {
    app.call("POST", &queue(&format!("mail/{act}")), &[], "").await
}

async fn explained(app: &TestApp, task: &Value) -> Value {
    app.get(&path(&task["id"], "/explain")).await.ok(200)["reasons"][0].take()
}

#[tokio::test]
async fn a_queue_tells_its_settings_and_counts_and_can_be_sent_back() {
    let app = TestApp::new();
    app.get(&queue("mail")).await.refused(404, "not-found");
    job(&app, json!({})).await;
    let plain = app.get(&queue("mail")).await.ok(200);
    assert_eq!(
        plain,
        json!({
            "name": "mail", "paused": false, "paused_at": null, "pause_reason": null,
            "concurrency_limit": null, "concurrency_key_limit": null, "rate_limit": null,
            "starvation_guard": 16,
            "defaults": {"priority": null, "max_attempts": null, "retry": null,
                         "timeout_seconds": null, "lease_seconds": null},
            "retention": {"completed_seconds": null, "failed_seconds": null,
                          "cancelled_seconds": null},
            "counts": {"pending": 1, "in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0},
            "version": 0, "updated_at": null,
        })
    );
    assert_eq!(app.put(&queue("mail"), &plain).await.ok(200), plain, "nothing changes");
    let settings = json!({
        "concurrency_limit": 3, "concurrency_key_limit": 2,
        "rate_limit": {"tasks": 10, "per_seconds": 60}, "starvation_guard": 0,
        "defaults": {"priority": "high", "max_attempts": 2, "lease_seconds": 5,
                     "timeout_seconds": 7, "retry": {"strategy": "fixed"}},
        "retention": {"completed_seconds": 0, "failed_seconds": 60},
    });
    let answer = app.put(&queue("mail"), &settings).await;
    assert_eq!(answer.header("etag"), "\"1\"");
    let is = answer.ok(200);
    for field in ["concurrency_limit", "concurrency_key_limit", "rate_limit", "starvation_guard"] {
        assert_eq!(is[field], settings[field], "{field}");
    }
    assert_eq!(is["defaults"]["retry"]["strategy"], "fixed");
    assert_eq!((&is["version"], &is["updated_at"]), (&json!(1), &at(0.0)));
    assert_eq!(app.put(&queue("mail"), &is).await.ok(200), is, "a whole queue sent back");
    let cleared =
        set(&app, json!({"rate_limit": null, "starvation_guard": null, "defaults": null})).await;
    assert_eq!((&cleared["rate_limit"], &cleared["starvation_guard"]), (&json!(null), &json!(16)));
    assert_eq!(cleared["concurrency_limit"], 3, "what is not named stays");
    let list = app.get("/api/v1/queues").await.ok(200);
    assert_eq!(list, json!([cleared]));
}

#[tokio::test]
async fn queues_are_listed_in_pages_by_name() {
    let app = TestApp::new();
    for name in ["b", "a", "c"] {
        job(&app, json!({"queue": name})).await;
    }
    let first = app.get("/api/v1/queues?limit=2").await;
    let link = first.header("link").to_owned();
    let names = |list: &Value| -> Vec<String> {
        let queues = list.as_array().unwrap();
        queues.iter().map(|queue| queue["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first.ok(200)), ["a", "b"]);
    let next = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    let last = app.get(next).await;
    assert_eq!(last.header("link"), "");
    assert_eq!(names(&last.ok(200)), ["c"]);
    app.get("/api/v1/queues?limit=0").await.blames("?limit", "out-of-range");
    app.get("/api/v1/queues?after=%20").await.blames("?after", "name");
    app.get("/api/v1/queues?before=a").await.blames("?before", "unknown-parameter");
}

#[tokio::test]
async fn a_paused_queue_says_why_and_a_resume_wakes_those_who_wait() {
    let app = TestApp::new();
    let reason = json!({"reason": "the mail server moves"});
    let paused = app.post(&queue("mail/pause"), &reason).await.ok(200);
    assert_eq!((&paused["paused"], &paused["paused_at"]), (&json!(true), &at(0.0)));
    let task = job(&app, json!({})).await;
    assert_eq!(app.claim(1).await, Vec::<Value>::new());
    let why = explained(&app, &task).await;
    assert_eq!(why["code"], "paused");
    assert!(why["detail"].as_str().unwrap().contains("the mail server moves"), "{why}");
    let claim = json!({"worker": "w", "limit": 1, "wait_seconds": 60});
    let (claimed, resumed) = tokio::join!(soon(app.post("/api/v1/tasks/claim", &claim)), async {
        app.until_waiting(1).await;
        act(&app, "resume").await.ok(200)
    });
    assert_eq!(claimed.ok(200)["tasks"][0]["id"], task["id"]);
    assert_eq!((&resumed["paused"], &resumed["pause_reason"]), (&json!(false), &json!(null)));
    let again = act(&app, "resume").await.ok(200);
    assert_eq!(again["version"], 0, "a plain queue keeps no settings, and again changes nothing");
}

#[tokio::test]
async fn a_claim_that_waited_before_the_pause_gets_nothing_of_the_queue() {
    let app = TestApp::new();
    let claim = json!({"worker": "w", "limit": 10, "wait_seconds": 60});
    let (claimed, (held, other)) =
        tokio::join!(soon(app.post("/api/v1/tasks/claim", &claim)), async {
            app.until_waiting(1).await;
            act(&app, "pause").await.ok(200);
            let held = job(&app, json!({"priority": "urgent"})).await;
            app.tick().await;
            (held, job(&app, json!({"queue": "other"})).await)
        });
    let claimed = claimed.ok(200)["tasks"].take();
    let ids: Vec<&Value> = claimed.as_array().expect("a list").iter().map(|t| &t["id"]).collect();
    assert_eq!(ids, [&other["id"]]);
    assert_eq!(app.task(&held["id"]).await, held);
    assert_eq!(app.get(&path(&held["id"], "/attempts")).await.ok(200), json!([]));
}

#[tokio::test]
async fn a_hundred_pauses_and_resumes_lose_no_wake_up() {
    let app = TestApp::new();
    let claim = json!({"worker": "w", "limit": 10, "wait_seconds": 60});
    for n in 0..100 {
        act(&app, "pause").await.ok(200);
        let task = job(&app, json!({})).await;
        let (claimed, ()) = tokio::join!(soon(app.post("/api/v1/tasks/claim", &claim)), async {
            app.until_waiting(1).await;
            act(&app, "resume").await.ok(200);
        });
        let claimed = claimed.ok(200)["tasks"].take();
        assert_eq!(claimed.as_array().map(Vec::len), Some(1), "{n}");
        assert_eq!(claimed[0]["id"], task["id"], "{n}");
        let done = json!({"lease_token": claimed[0]["lease_token"]});
        app.post(&path(&task["id"], "/complete"), &done).await.ok(200);
    }
}

#[tokio::test]
async fn a_full_queue_names_the_holders_and_the_end_of_one_wakes_the_next() {
    let app = TestApp::new();
    set(&app, json!({"concurrency_limit": 1})).await;
    let (first, second) = (job(&app, json!({})).await, job(&app, json!({})).await);
    let held = app.claim(5).await;
    assert_eq!(held.len(), 1);
    let why = explained(&app, &second).await;
    assert_eq!((&why["code"], &why["task_ids"]), (&json!("queue-limit"), &json!([first["id"]])));
    let claim = json!({"worker": "w", "limit": 1, "wait_seconds": 60});
    let (claimed, _) = tokio::join!(soon(app.post("/api/v1/tasks/claim", &claim)), async {
        app.until_waiting(1).await;
        let done = json!({"lease_token": held[0]["lease_token"]});
        app.post(&path(&first["id"], "/complete"), &done).await.ok(200);
    });
    assert_eq!(claimed.ok(200)["tasks"][0]["id"], second["id"]);
}

#[tokio::test]
async fn a_full_key_names_its_holder() {
    let app = TestApp::new();
    set(&app, json!({"concurrency_key_limit": 1})).await;
    let first = job(&app, json!({"concurrency_key": "acme"})).await;
    let second = job(&app, json!({"concurrency_key": "acme"})).await;
    let other = job(&app, json!({"concurrency_key": "other"})).await;
    let claimed: Vec<Value> = app.claim(5).await.iter().map(|t| t["id"].clone()).collect();
    assert_eq!(claimed, [first["id"].clone(), other["id"].clone()]);
    let why = explained(&app, &second).await;
    assert_eq!((&why["code"], &why["task_ids"]), (&json!("key-limit"), &json!([first["id"]])));
}

#[tokio::test]
async fn a_rate_says_until_when_and_the_next_span_wakes_those_who_wait() {
    let app = TestApp::new();
    set(&app, json!({"rate_limit": {"tasks": 2, "per_seconds": 64}})).await;
    for _ in 0..3 {
        job(&app, json!({"lease_seconds": 3600})).await;
    }
    assert_eq!(app.claim(5).await.len(), 2);
    let waits = app.get("/api/v1/tasks?status=pending").await.ok(200)[0].take();
    let why = explained(&app, &waits).await;
    assert_eq!((&why["code"], &why["until"]), (&json!("rate-limit"), &at(65.0)));
    let claim = json!({"worker": "w", "limit": 1, "wait_seconds": 60});
    let (claimed, _) = tokio::join!(soon(app.post("/api/v1/tasks/claim", &claim)), async {
        app.until_waiting(1).await;
        app.clock.advance(64.9);
        app.tick().await;
        assert_eq!(app.services.bus.waiting(), 1);
        app.clock.advance(0.1);
        app.tick().await;
    });
    assert_eq!(claimed.ok(200)["tasks"][0]["id"], waits["id"]);
}

#[tokio::test]
async fn new_tasks_have_what_their_queue_says_and_they_do_not() {
    let app = TestApp::new();
    let defaults = json!({"priority": "urgent", "max_attempts": 2, "lease_seconds": 9,
        "timeout_seconds": 8, "retry": {"strategy": "fixed", "base_seconds": 3}});
    set(&app, json!({"defaults": defaults})).await;
    let task = job(&app, json!({})).await;
    let own = job(
        &app,
        json!({"priority": "low", "max_attempts": 9, "lease_seconds": 1,
        "timeout_seconds": 2, "retry": {"strategy": "linear"}}),
    )
    .await;
    let bulk = json!({"tasks": [{"title": "b", "queue": "mail"}, {"title": "c"}]});
    let created = app.post("/api/v1/tasks/bulk", &bulk).await.ok(200);
    for (task, priority, attempts, lease, timeout, strategy) in [
        (&task, "urgent", 2, 9, json!(8), "fixed"),
        (&own, "low", 9, 1, json!(2), "linear"),
        (&app.task(&created["tasks"][0]["id"]).await, "urgent", 2, 9, json!(8), "fixed"),
        (&app.task(&created["tasks"][1]["id"]).await, "medium", 5, 30, json!(null), "exponential"),
    ] {
        assert_eq!(task["priority"], priority);
        assert_eq!(
            (&task["max_attempts"], &task["lease_seconds"]),
            (&json!(attempts), &json!(lease))
        );
        assert_eq!(
            (&task["timeout_seconds"], &task["retry"]["strategy"]),
            (&timeout, &json!(strategy))
        );
    }
}

#[tokio::test]
async fn a_change_of_another_version_is_refused() {
    let app = TestApp::new();
    let headers = [("content-type", "application/json"), ("if-match", "\"1\"")];
    let body = r#"{"concurrency_limit":1}"#;
    app.call("PUT", &queue("mail"), &headers, body).await.refused(412, "stale-version");
    set(&app, json!({"concurrency_limit": 4})).await;
    app.call("PUT", &queue("mail"), &headers, body).await.ok(200);
    app.call("POST", &queue("mail/pause"), &[("if-match", "\"1\"")], "")
        .await
        .refused(412, "stale-version");
}

#[tokio::test]
async fn wrong_settings_are_named_and_leave_nothing() {
    let app = TestApp::new();
    let rate =
        |tasks: Value, per: Value| json!({"rate_limit": {"tasks": tasks, "per_seconds": per}});
    for (body, pointer, code) in [
        (json!({"concurrency_limit": 0}), "/concurrency_limit", "out-of-range"),
        (json!({"concurrency_limit": 100_001}), "/concurrency_limit", "out-of-range"),
        (json!({"concurrency_key_limit": 0}), "/concurrency_key_limit", "out-of-range"),
        (rate(json!(0), json!(1)), "/rate_limit/tasks", "out-of-range"),
        (rate(json!(1), json!(86_401)), "/rate_limit/per_seconds", "out-of-range"),
        (json!({"starvation_guard": 10_001}), "/starvation_guard", "out-of-range"),
        (json!({"defaults": {"max_attempts": 101}}), "/defaults/max_attempts", "out-of-range"),
        (json!({"defaults": {"lease_seconds": 0}}), "/defaults/lease_seconds", "out-of-range"),
        (json!({"defaults": {"retry": {"factor": 0.5}}}), "/defaults/retry/factor", "out-of-range"),
        (
            json!({"retention": {"failed_seconds": 315_360_001}}),
            "/retention/failed_seconds",
            "out-of-range",
        ),
    ] {
        app.put(&queue("mail"), &body).await.blames(pointer, code);
    }
    for body in [
        json!({"concurency_limit": 1}),
        json!({"concurrency_limit": "1"}),
        json!({"concurrency_limit": -1}),
        json!({"concurrency_limit": 1.5}),
        json!({"rate_limit": {"tasks": 1}}),
        json!({"rate_limit": [1, 2]}),
        json!({"defaults": {"queue": "x"}}),
        json!({"defaults": []}),
        json!({"retention": {"pending_seconds": 1}}),
        json!([]),
        json!(null),
    ] {
        app.put(&queue("mail"), &body).await.refused(422, "invalid-input");
    }
    let long = json!({"reason": "x".repeat(501)});
    app.post(&queue("mail/pause"), &long).await.blames("/reason", "out-of-range");
    app.post(&queue("mail/pause"), &json!({"reason": "a\u{7}b"}))
        .await
        .blames("/reason", "out-of-range");
    app.post(&queue("mail/pause"), &json!({"until": 5})).await.refused(422, "invalid-input");
    app.post(&queue("mail/resume"), &json!({"reason": "x"})).await.refused(422, "invalid-input");
    for name in ["%20", "a%2Fb", "-a", "%00", &"x".repeat(101)] {
        app.get(&queue(name)).await.blames("/queue", "name");
        app.put(&queue(name), &json!({})).await.blames("/queue", "name");
    }
    app.get(&queue("mail")).await.refused(404, "not-found");
    assert_eq!(app.get("/api/v1/queues").await.ok(200), json!([]));
}
