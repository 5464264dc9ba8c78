//! A key across deaths and nodes: what a client repeats because it heard nothing is done once.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::postgres::Database;
use crate::server::{Server, client, taskflow};

/// Status, body to the byte, headers.
type Said = (u16, String, HeaderMap);

async fn keyed(server: &Server, key: &str, path: &str, body: &Value) -> Said {
    let request = client().post(format!("{}/api/v1{path}", server.url));
    let request = request.header("Idempotency-Key", key).json(body);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, response.text().await.unwrap(), headers)
}

#[track_caller]
fn same(first: &Said, again: &Said) {
    assert_eq!((first.0, &first.1), (again.0, &again.1));
    assert!(!first.2.contains_key("idempotency-replayed"), "{}", first.1);
    assert_eq!(again.2["idempotency-replayed"], "true");
}

async fn total(server: &Server) -> u64 {
    let counts = server.get("/api/v1/tasks/stats/summary").await.is(200);
    counts.as_object().unwrap().values().filter_map(Value::as_u64).sum()
}

#[tokio::test]
async fn a_create_repeated_after_kill_9_is_the_task_that_was_there_before() {
    let settings = [("WORKER_ENABLED", "false")];
    let server = Server::start(&settings).await;
    let body = json!({"title": "Once", "payload": {"n": 1.50}});
    let bulk = json!({"tasks": [{"title": "a"}, {"title": "b"}]});
    let one = keyed(&server, "8f14e45f", "/tasks", &body).await;
    let many = keyed(&server, "8f14e45f", "/tasks/bulk", &bulk).await;
    assert_eq!((one.0, many.0), (201, 200));
    let server = server.kill_and_restart(&settings).await;
    same(&one, &keyed(&server, "8f14e45f", "/tasks", &body).await);
    same(&many, &keyed(&server, "8f14e45f", "/tasks/bulk", &bulk).await);
    assert_eq!(total(&server).await, 3);
}

#[tokio::test]
async fn a_move_takes_the_keys_along() {
    let settings = [("WORKER_ENABLED", "false")];
    let mut file = Server::start(&settings).await;
    let body = json!({"title": "Once"});
    let first = keyed(&file, "k", "/tasks", &body).await;
    file.kill();
    let from = format!("sqlite:///{}", file.folder().join("taskflow.db").display());
    let database = Database::create().await;
    let (folder, to) = (tempfile::TempDir::new().unwrap(), database.url());
    let arguments = ["move", "--from", &from, "--to", &to];
    let moved = taskflow(folder.path(), &[], &arguments).output().unwrap();
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    let there = database.server(&settings).await;
    same(&first, &keyed(&there, "k", "/tasks", &body).await);
    assert_eq!(total(&there).await, 1);
    drop(there);
    database.drop().await;
}

/// Either node answers the same, also when both are asked at once.
#[tokio::test]
async fn two_nodes_on_one_database_know_each_other_s_keys() {
    let database = Database::create().await;
    let settings = [("WORKER_ENABLED", "false")];
    let (a, b) = (database.server(&settings).await, database.server(&settings).await);
    for n in 0..20 {
        let (key, body) = (format!("key-{n}"), json!({"title": format!("Task {n}")}));
        let ask = |node| keyed(node, &key, "/tasks", &body);
        let (first, second) = tokio::join!(ask(&a), ask(&b));
        let again = [ask(&a).await, ask(&b).await];
        for said in [first, second] {
            // Whoever comes while the other is at work is told so, and repeats.
            let (status, text, _) = &said;
            assert!(
                *status == 201 || (*status == 409 && said.2.contains_key("retry-after")),
                "{text}"
            );
            assert!(*status == 409 || *text == again[0].1, "{text}");
        }
        assert_eq!((again[0].0, &again[0].1), (again[1].0, &again[1].1));
    }
    assert_eq!(total(&a).await, 20);
    drop((a, b));
    database.drop().await;
}
