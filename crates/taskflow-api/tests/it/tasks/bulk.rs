//! Many tasks in one request.

use serde_json::{Value, json};

use crate::app::TestApp;

const ATOMIC: &str = "/api/v1/tasks/bulk";
const PARTIAL: &str = "/api/v1/tasks/bulk?mode=partial";

fn statuses(answer: &Value) -> Vec<u64> {
    let items = answer["tasks"].as_array().expect("a list");
    items.iter().map(|item| item["status"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn a_bulk_create_makes_every_task_in_order() {
    let app = TestApp::new();
    let tasks: Vec<Value> = (0..10_000).map(|n| json!({"title": format!("t{n}")})).collect();
    let answer = app.post(ATOMIC, &json!({"tasks": tasks})).await.ok(200);
    assert_eq!((&answer["created"], &answer["existing"]), (&json!(10_000), &json!(0)));
    let ids: Vec<i64> = answer["tasks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["id"].as_i64().expect("an id"))
        .collect();
    assert!(ids.is_sorted());
    assert_eq!(app.task(&json!(ids[9_999])).await["title"], "t9999");
    let summary = app.get("/api/v1/tasks/stats/summary").await.ok(200);
    assert_eq!(summary["pending"], 10_000);
}

#[tokio::test]
async fn atomic_means_all_or_none_and_names_what_is_wrong() {
    let app = TestApp::new();
    let held = app.create(&json!({"title": "held", "unique_key": "k"})).await;
    let before = app.everything().await;
    let bad = json!({"tasks": [{"title": "a"}, {"title": ""}, {"title": "b", "max_attempts": 0}]});
    let body = app.post(ATOMIC, &bad).await.refused(422, "invalid-input");
    let pointers: Vec<&str> = body["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/tasks/1/title", "/tasks/2/max_attempts"]);
    let key = json!({"title": "b", "unique_key": "k", "on_conflict": "reject"});
    let body = app.post(ATOMIC, &json!({"tasks": [{"title": "a"}, key]})).await;
    let body = body.refused(409, "unique-key-held");
    assert_eq!(body["task_id"], held["id"]);
    assert!(body["detail"].as_str().expect("text").starts_with("/tasks/1: "), "{body}");
    let parent = json!({"tasks": [{"title": "a"}, {"title": "b", "depends_on": [99]}]});
    app.post(ATOMIC, &parent).await.blames("/tasks/1/depends_on", "no-such-task");
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn partial_creates_what_is_not_refused() {
    let app = TestApp::new();
    let held = app.create(&json!({"title": "held", "unique_key": "k"})).await;
    let answer = app
        .post(
            PARTIAL,
            &json!({"tasks": [
                {"title": "a"},
                {"title": ""},
                {"title": "b", "unique_key": "k"},
                {"title": "c", "unique_key": "k", "on_conflict": "reject"},
                {"title": "d", "depends_on": [99]},
                {"title": "e"},
            ]}),
        )
        .await
        .ok(200);
    assert_eq!(statuses(&answer), [201, 422, 200, 409, 422, 201]);
    let counts = (&answer["created"], &answer["existing"], &answer["refused"]);
    assert_eq!(counts, (&json!(2), &json!(1), &json!(3)));
    assert_eq!(answer["tasks"][1]["code"], "invalid-input");
    assert_eq!(answer["tasks"][2]["id"], held["id"]);
    assert_eq!(answer["tasks"][3]["task_id"], held["id"]);
    assert_eq!(app.task(&answer["tasks"][5]["id"]).await["title"], "e");
    let nothing = app.post(PARTIAL, &json!({"tasks": [{"title": ""}]})).await.ok(200);
    assert_eq!(statuses(&nothing), [422]);
}

#[tokio::test]
async fn a_bulk_create_that_cannot_be_read_does_nothing() {
    let app = TestApp::new();
    for mode in [ATOMIC, PARTIAL] {
        app.post(mode, &json!({"tasks": []})).await.blames("/tasks", "too-few");
        let many: Vec<Value> = (0..10_001).map(|_| json!({"title": "t"})).collect();
        app.post(mode, &json!({"tasks": many})).await.blames("/tasks", "too-many");
        app.post(mode, &json!({})).await.refused(422, "invalid-input");
        app.post(mode, &json!([{"title": "t"}])).await.refused(422, "invalid-input");
        let typo = json!({"tasks": [{"title": "t"}, {"titel": "t"}]});
        app.post(mode, &typo).await.refused(422, "invalid-input");
    }
    let task = json!({"tasks": [{"title": "t"}]});
    app.post("/api/v1/tasks/bulk?mode=some", &task).await.blames("?mode", "unknown-word");
    app.post("/api/v1/tasks/bulk?mod=atomic", &task).await.blames("?mod", "unknown-parameter");
    assert_eq!(app.get("/api/v1/tasks").await.ok(200), json!([]));
}

#[tokio::test]
async fn an_answer_lists_a_hundred_faults_at_most() {
    let app = TestApp::new();
    let bad: Vec<Value> = (0..500).map(|_| json!({"title": ""})).collect();
    let body = app.post(ATOMIC, &json!({"tasks": bad})).await.refused(422, "invalid-input");
    assert_eq!(body["errors"].as_array().expect("a list").len(), 100);
}

#[tokio::test]
async fn a_bulk_create_wakes_those_who_wait() {
    let app = TestApp::new();
    let claim = async {
        let wish = json!({"worker": "w", "wait_seconds": 60, "limit": 5});
        app.post("/api/v1/tasks/claim", &wish).await.ok(200)
    };
    let create = async {
        app.until_waiting(1).await;
        let tasks =
            json!({"tasks": [{"title": "a", "kind": "job"}, {"title": "b", "kind": "job"}]});
        app.post(ATOMIC, &tasks).await.ok(200);
    };
    let (claimed, ()) = crate::app::soon(async { tokio::join!(claim, create) }).await;
    assert_eq!(claimed["tasks"].as_array().expect("a list").len(), 2);
}
