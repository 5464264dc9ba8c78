//! The contract that was taken over: a client of the earlier service works on.

mod bulk;
mod editing;
mod explain;
mod lists;
mod many;
mod status;
mod turn;

use serde_json::{Value, json};

use crate::app::{TestApp, at, path};

const STATUSES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "cancelled"];

async fn in_status(app: &TestApp, status: &str) -> Value {
    let task = app.titled("a").await;
    app.set(&task["id"], status).await.ok(200)
}

async fn ids(app: &TestApp, query: &str) -> Vec<i64> {
    let tasks = app.get(&format!("/api/v1/tasks{query}")).await.ok(200);
    let id = |task: &Value| task["id"].as_i64().expect("an integer");
    tasks.as_array().expect("an array").iter().map(id).collect()
}

async fn summary(app: &TestApp) -> Value {
    app.get("/api/v1/tasks/stats/summary").await.ok(200)
}

#[tokio::test]
async fn a_create_answers_the_whole_task() {
    let app = TestApp::new();
    let new = json!({"title": "Write", "description": "a test", "priority": "high"});
    let answer = app.post("/api/v1/tasks", &new).await;
    assert_eq!(answer.header("location"), "/api/v1/tasks/1");
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(answer.header("content-type"), "application/json");
    let expected = json!({
        "id": 1, "title": "Write", "description": "a test", "priority": "high",
        "status": "pending", "pending_reason": "ready", "queue": "default", "kind": "log",
        "payload": null, "run_at": at(0.0), "attempt": 0, "attempts_used": 0, "max_attempts": 5,
        "retry": {"strategy": "exponential", "base_seconds": 1.0, "factor": 2.0,
                  "max_seconds": 3600.0, "jitter": 0.2},
        "timeout_seconds": null, "deadline_at": null, "expires_at": null, "lease_seconds": 30,
        "tags": [], "metadata": {}, "unique_key": null, "concurrency_key": null,
        "depends_on": [], "worker": null, "lease_expires_at": null, "progress": null,
        "checkpoint": null, "result": null, "error_message": null, "cancel_reason": null,
        "created_at": at(0.0), "updated_at": at(0.0), "started_at": null, "completed_at": null,
        "ended_at": null, "version": 1,
    });
    assert_eq!(answer.ok(201), expected);
    assert_eq!(app.task(&json!(1)).await, expected);
}

#[tokio::test]
async fn a_create_needs_only_a_title() {
    let app = TestApp::new();
    let task = app.titled("a").await;
    let fields = (&task["description"], &task["priority"], &task["status"]);
    assert_eq!(fields, (&json!(null), &json!("medium"), &json!("pending")));
    app.create(&json!({"title": "a", "description": null})).await;
}

#[tokio::test]
async fn every_priority_comes_back() {
    let app = TestApp::new();
    for priority in ["low", "medium", "high", "urgent"] {
        let task = app.create(&json!({"title": "a", "priority": priority})).await;
        assert_eq!(task["priority"], priority);
    }
}

#[tokio::test]
async fn a_task_that_does_not_exist_is_not_found() {
    let app = TestApp::new();
    let with_body = async |method: &str, rest: &str, body: Value| {
        let path = path(&json!(7), rest);
        app.json(method, &path, body.to_string()).await.refused(404, "not-found");
    };
    app.get("/api/v1/tasks/7").await.refused(404, "not-found");
    app.get("/api/v1/tasks/9223372036854775807").await.refused(404, "not-found");
    app.delete("/api/v1/tasks/7").await.refused(404, "not-found");
    with_body("PUT", "", json!({"title": "b"})).await;
    let token = "0".repeat(32);
    with_body("POST", "/heartbeat", json!({"lease_token": token})).await;
    with_body("POST", "/complete", json!({"lease_token": token})).await;
    with_body("POST", "/fail", json!({"lease_token": token, "error": "x"})).await;
    with_body("POST", "/snooze", json!({"lease_token": token, "delay_seconds": 1})).await;
    with_body("POST", "/release", json!({"lease_token": token})).await;
}

#[tokio::test]
async fn a_list_is_an_array_with_the_newest_first() {
    let app = TestApp::new();
    assert_eq!(app.get("/api/v1/tasks").await.ok(200), json!([]));
    for i in 0..5 {
        app.titled(&format!("task {i}")).await;
    }
    assert_eq!(ids(&app, "").await, [5, 4, 3, 2, 1]);
    assert_eq!(ids(&app, "?limit=2").await, [5, 4]);
    assert_eq!(ids(&app, "?skip=1&limit=2").await, [4, 3]);
    assert_eq!(ids(&app, "?skip=4").await, [1]);
    assert_eq!(ids(&app, "?skip=5").await, [0; 0]);
    let listed = app.get("/api/v1/tasks?limit=1").await.ok(200);
    assert_eq!(listed[0], app.task(&json!(5)).await);
}

#[tokio::test]
async fn a_list_gives_a_hundred_when_nobody_says_how_many() {
    let app = TestApp::new();
    for _ in 0..101 {
        app.titled("a").await;
    }
    assert_eq!(ids(&app, "").await.len(), 100);
    assert_eq!(ids(&app, "?limit=1000").await.len(), 101);
}

#[tokio::test]
async fn a_list_is_filtered_by_status_and_priority() {
    let app = TestApp::new();
    for priority in ["low", "high", "high"] {
        app.create(&json!({"title": "a", "priority": priority})).await;
    }
    app.set(&json!(2), "completed").await.ok(200);
    assert_eq!(ids(&app, "?status=completed").await, [2]);
    assert_eq!(ids(&app, "?status=pending").await, [3, 1]);
    assert_eq!(ids(&app, "?priority=high").await, [3, 2]);
    assert_eq!(ids(&app, "?status=pending&priority=high").await, [3]);
    assert_eq!(ids(&app, "?status=failed").await, [0; 0]);
    // The earlier service's clients send empty filters.
    assert_eq!(ids(&app, "?skip=0&limit=100&status=&priority=").await, [3, 2, 1]);
}

#[tokio::test]
async fn a_deleted_task_is_gone_for_good() {
    let app = TestApp::new();
    app.titled("a").await;
    let gone = app.delete("/api/v1/tasks/1").await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    app.delete("/api/v1/tasks/1").await.refused(404, "not-found");
    app.get("/api/v1/tasks/1").await.refused(404, "not-found");
    assert_eq!(app.get("/api/v1/tasks").await.ok(200), json!([]));
    assert_eq!(app.titled("b").await["id"], 2, "an id is never used twice");
}

#[tokio::test]
async fn a_running_task_can_be_deleted_and_its_worker_is_fenced() {
    let app = TestApp::new();
    let task = app.running("a").await;
    assert_eq!(app.delete("/api/v1/tasks/1").await.status, 204);
    let done = json!({"lease_token": task["lease_token"]});
    app.post("/api/v1/tasks/1/complete", &done).await.refused(404, "not-found");
}

#[tokio::test]
async fn the_summary_counts_every_status() {
    let app = TestApp::new();
    let none = json!({"pending": 0, "in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0});
    assert_eq!(summary(&app).await, none);
    for (n, status) in STATUSES.into_iter().enumerate() {
        for _ in 0..=n {
            in_status(&app, status).await;
        }
    }
    let each = json!({"pending": 1, "in_progress": 2, "completed": 3, "failed": 4, "cancelled": 5});
    assert_eq!(summary(&app).await, each);
    let failed = ids(&app, "?status=failed").await;
    app.delete(&path(&json!(failed[0]), "")).await;
    assert_eq!(summary(&app).await["failed"], 3);
}

#[tokio::test]
async fn a_full_page_names_the_next_one_until_there_is_none() {
    let app = TestApp::new();
    for n in 0..7 {
        let task = app.titled(&format!("t{n}")).await;
        if n % 2 == 0 {
            app.set(&task["id"], "completed").await.ok(200);
        }
    }
    for (query, expected) in [
        ("?limit=3", vec![7, 6, 5, 4, 3, 2, 1]),
        ("?limit=3&status=completed&priority=medium", vec![7, 5, 3, 1]),
        ("?limit=7", vec![7, 6, 5, 4, 3, 2, 1]),
    ] {
        let mut next = Some(format!("/api/v1/tasks{query}"));
        let mut found = Vec::new();
        while let Some(path) = next {
            let answer = app.get(&path).await;
            next = answer.headers.get("link").map(|link| {
                let link = link.to_str().expect("text");
                let path = link.strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\""));
                path.expect("a link to the next page").to_owned()
            });
            let page = answer.ok(200);
            found.extend(
                page.as_array().expect("an array").iter().map(|t| t["id"].as_i64().unwrap()),
            );
            // New tasks do not shift what follows.
            app.titled("later").await;
        }
        let found: Vec<i64> = found.into_iter().filter(|id| *id <= 7).collect();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn a_cursor_that_no_page_gave_is_refused() {
    let app = TestApp::new();
    for cursor in ["", "0", "-1", "x", "+1", "99999999999999999999"] {
        let answer = app.get(&format!("/api/v1/tasks?after={cursor}")).await;
        answer.blames("?after", "not-a-cursor");
    }
}
