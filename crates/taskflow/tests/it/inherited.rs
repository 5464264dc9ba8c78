//! The earlier service's own API tests, against a running server with the worker off: from here, and
//! from Python's `requests` as its clients did. What is new since then is tested elsewhere.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::readme::python_with_requests;
use crate::server::{Server, project};

const FIELDS: [&str; 10] = [
    "id",
    "title",
    "description",
    "priority",
    "status",
    "created_at",
    "updated_at",
    "completed_at",
    "result",
    "error_message",
];

async fn server() -> Server {
    Server::start(&[("WORKER_ENABLED", "false")]).await
}

#[tokio::test]
async fn health_says_healthy_with_version_and_time_and_asks_for_no_key() {
    let server =
        Server::start(&[("API_KEY", "a-key-of-the-tests"), ("API_VERSION", "9.8.7")]).await;
    let health: Value =
        reqwest::get(format!("{}/api/v1/health", server.url)).await.unwrap().json().await.unwrap();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["version"], "9.8.7");
    assert!(health["timestamp"].as_str().unwrap().ends_with('Z'), "{health}");
    let keyless = reqwest::get(format!("{}/api/v1/tasks", server.url)).await.unwrap();
    assert_eq!(keyless.status().as_u16(), 401);
}

#[tokio::test]
async fn a_created_task_is_pending_and_has_every_field() {
    let server = server().await;
    let new = json!({"title": "Write tests", "description": "All of them", "priority": "high"});
    let task = server.post("/api/v1/tasks", new).await.is(201);
    for field in FIELDS {
        assert!(task.get(field).is_some(), "{field} is missing: {task:#}");
    }
    assert!(task["id"].is_i64());
    assert_eq!(task["title"], "Write tests");
    assert_eq!(task["description"], "All of them");
    assert_eq!(task["priority"], "high");
    assert_eq!(task["status"], "pending");
    assert_eq!(task["completed_at"], Value::Null);
    let bare = server.post("/api/v1/tasks", json!({"title": "x"})).await.is(201);
    assert_eq!((&bare["priority"], &bare["description"]), (&json!("medium"), &Value::Null));
}

#[tokio::test]
async fn a_task_is_read_back_by_its_id() {
    let server = server().await;
    let task = server.post("/api/v1/tasks", json!({"title": "Read me"})).await.is(201);
    assert_eq!(server.task(task["id"].as_i64().unwrap()).await, task);
}

#[tokio::test]
async fn an_unknown_task_is_a_404_with_a_detail() {
    let problem = server().await.get("/api/v1/tasks/99999").await.is(404);
    assert!(problem["detail"].is_string(), "{problem}");
}

#[tokio::test]
async fn three_tasks_are_listed_newest_first_and_in_pages() {
    let server = server().await;
    for title in ["one", "two", "three"] {
        server.create(json!({"title": title})).await;
    }
    let titles = async |query: &str| {
        let tasks = server.get(&format!("/api/v1/tasks{query}")).await.is(200);
        let titles = tasks.as_array().unwrap().iter().map(|task| task["title"].clone());
        titles.collect::<Vec<Value>>()
    };
    assert_eq!(titles("").await, ["three", "two", "one"]);
    assert_eq!(titles("?skip=1&limit=1").await, ["two"]);
    assert_eq!(titles("?status=completed").await, Vec::<Value>::new());
    assert_eq!(titles("?status=pending&priority=medium&limit=1000").await.len(), 3);
    server.get("/api/v1/tasks?limit=0").await.is(422);
    server.get("/api/v1/tasks?skip=-1").await.is(422);
}

#[tokio::test]
async fn an_update_changes_the_given_fields_and_no_other() {
    let server = server().await;
    let new = json!({"title": "Old", "description": "Stays"});
    let id = server.create(new).await;
    let path = format!("/api/v1/tasks/{id}");
    let change = json!({"title": "New", "priority": "urgent", "status": "in_progress"});
    let task = server.put(&path, change).await.is(200);
    assert_eq!(task["title"], "New");
    assert_eq!(task["priority"], "urgent");
    assert_eq!(task["status"], "in_progress");
    assert_eq!(task["description"], "Stays");
    let done = server.put(&path, json!({"status": "completed"})).await.is(200);
    assert!(done["completed_at"].is_string(), "{done:#}");
    server.put("/api/v1/tasks/99999", json!({"title": "x"})).await.is(404);
}

#[tokio::test]
async fn a_deleted_task_is_gone() {
    let server = server().await;
    let path = format!("/api/v1/tasks/{}", server.create(json!({"title": "x"})).await);
    let answer = server.delete(&path).await;
    assert_eq!((answer.status, answer.body), (204, Value::Null));
    server.get(&path).await.is(404);
    server.delete(&path).await.is(404);
}

#[tokio::test]
async fn the_statistics_have_the_five_keys_and_count_right() {
    let server = server().await;
    for status in ["pending", "in_progress", "completed", "failed", "cancelled", "completed"] {
        let id = server.create(json!({"title": status})).await;
        if status != "pending" {
            let change = json!({"status": status});
            server.put(&format!("/api/v1/tasks/{id}"), change).await.is(200);
        }
    }
    let statistics = server.get("/api/v1/tasks/stats/summary").await.is(200);
    let expected =
        json!({"pending": 1, "in_progress": 1, "completed": 2, "failed": 1, "cancelled": 1});
    assert_eq!(statistics, expected);
}

#[tokio::test]
async fn a_client_of_the_earlier_service_works_unchanged() {
    let Some(python) = python_with_requests() else { return };
    let key = "a-key-of-the-tests";
    let server = Server::start(&[("WORKER_ENABLED", "false"), ("API_KEY", key)]).await;
    let script = project().join("crates/taskflow/tests/it/inherited.py");
    let mut command = Command::new(python);
    command.arg(script).arg(&server.url).arg(key).stdin(Stdio::null());
    command.env("NO_PROXY", "127.0.0.1");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("9 passed"), "{output:?}");
}
