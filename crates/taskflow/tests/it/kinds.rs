//! The built-in kinds from end to end: created over HTTP, run by the server's own worker. Every rule
//! of a payload is tested beside its handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::server::Server;

#[tokio::test]
async fn a_task_without_a_kind_is_logged_and_completed() {
    let mut server = Server::start(&[]).await;
    let id = server.create(json!({"title": "Just a title"})).await;
    let task = server.until(id, "completed").await;
    assert_eq!((&task["kind"], &task["attempt"]), (&json!("log"), &json!(1)));
    assert!(task["worker"].is_string() && task["started_at"].is_string(), "{task:#}");
    let line = server.process.logged("task done").await;
    assert_eq!(line["task.title"], "Just a title");
}

#[tokio::test]
async fn a_sleep_that_overruns_its_timeout_ends_timed_out() {
    let server = Server::start(&[]).await;
    let task = json!({"title": "Too long", "kind": "sleep", "payload": {"seconds": 600},
        "timeout_seconds": 1, "max_attempts": 1});
    let id = server.create(task).await;
    let task = server.until(id, "failed").await;
    assert_eq!(server.outcomes(id).await, ["timed_out"]);
    assert!(task["error_message"].as_str().unwrap().contains("timed out"), "{task:#}");
}

#[tokio::test]
async fn a_failing_task_is_tried_again_until_its_attempts_are_used_up() {
    let server = Server::start(&[]).await;
    let task = json!({"title": "Broken", "kind": "sleep", "payload": {"fail": true},
        "max_attempts": 3, "retry": {"strategy": "fixed", "base_seconds": 0.1, "jitter": 0}});
    let id = server.create(task).await;
    let task = server.until(id, "failed").await;
    assert_eq!(task["attempt"], 3);
    assert_eq!(server.outcomes(id).await, ["failed"; 3]);
}

#[tokio::test]
async fn a_manual_task_is_never_claimed() {
    let server = Server::start(&[]).await;
    let id = server.create(json!({"title": "Mine", "kind": "manual", "priority": "urgent"})).await;
    for n in 0..5 {
        let other = server.create(json!({"title": format!("Behind it {n}")})).await;
        server.until(other, "completed").await;
    }
    let task = server.task(id).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("pending"), &json!(0)));
    let wish = json!({"worker": "me", "kinds": ["manual"]});
    server.post("/api/v1/tasks/claim", wish).await.is(422);
    let path = format!("/api/v1/tasks/{id}");
    server.put(&path, json!({"status": "completed"})).await.is(200);
}

#[tokio::test]
async fn an_unknown_kind_waits_for_a_worker_that_names_it() {
    let server = Server::start(&[]).await;
    let id = server.create(json!({"title": "x", "kind": "of-mine"})).await;
    let other = server.create(json!({"title": "behind it"})).await;
    server.until(other, "completed").await;
    assert_eq!(server.task(id).await["pending_reason"], "ready");
    assert_eq!(server.claim("of-mine", 30).await["id"], id);
}

#[tokio::test]
async fn a_command_reads_the_payload_and_its_output_is_the_result() {
    let commands = json!({
        "echo": {"argv": ["cat"]},
        "variables": {"argv": ["env"], "env": {"MINE": "yes"}},
        "broken": {"argv": ["sh", "-c", "echo out of paper >&2; exit 3"]},
    });
    let commands = commands.to_string();
    let key = "a-key-of-the-tests";
    let server = Server::start(&[("WORKER_COMMANDS", &commands), ("API_KEY", key)]).await;
    let run = async |payload: Value| {
        let task = json!({"title": "x", "kind": "command", "payload": payload});
        server.create(task).await
    };
    let payload = json!({"command": "echo", "image": "cat.jpg", "sizes": [1, 2.50]});
    let id = run(payload.clone()).await;
    assert_eq!(server.until(id, "completed").await["result"], payload);

    let id = run(json!({"command": "variables"})).await;
    let variables = server.until(id, "completed").await["result"].as_str().unwrap().to_owned();
    assert!(variables.contains("MINE=yes"), "{variables}");
    assert!(variables.contains(&format!("TASKFLOW_TASK_ID={id}")), "{variables}");
    assert!(!variables.contains(key), "the server's key reaches commands");

    let id = run(json!({"command": "broken"})).await;
    let error = server.until(id, "failed").await["error_message"].as_str().unwrap().to_owned();
    assert!(error.contains("exit code 3") && error.contains("out of paper"), "{error}");

    let id = run(json!({"command": "rm"})).await;
    let error = server.until(id, "failed").await["error_message"].as_str().unwrap().to_owned();
    assert!(error.contains("not configured"), "{error}");
}

/// A listener that answers every request with 200 and JSON, and counts connections.
async fn endpoint() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let mut request = Vec::new();
            // The body of this test's requests is the last thing in them.
            while !request.ends_with(br#"{"order":17}"#) {
                let mut piece = [0; 1024];
                match stream.read(&mut piece).await.unwrap() {
                    0 => break,
                    n => request.extend_from_slice(&piece[..n]),
                }
            }
            let body = r#"{"paid": true}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, calls)
}

#[tokio::test]
async fn an_http_task_calls_its_url_when_the_operator_allows_the_address() {
    let (url, calls) = endpoint().await;
    let server = Server::start(&[("HTTP_ALLOW_PRIVATE", "127.0.0.0/8")]).await;
    let payload = json!({"url": url, "body": {"order": 17}});
    let task = json!({"title": "Tell the shop", "kind": "http", "payload": payload});
    let id = server.create(task).await;
    let done = server.until(id, "completed").await;
    assert_eq!(done["result"], json!({"status": 200, "body": {"paid": true}}));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_http_task_never_reaches_a_private_address_otherwise() {
    let (url, calls) = endpoint().await;
    let server = Server::start(&[]).await;
    for url in
        [url.clone(), url.replace("127.0.0.1", "localhost"), url.replace("127.0.0.1", "0x7f.1")]
    {
        let payload = json!({"url": url, "body": {"order": 17}});
        let task = json!({"title": "Reach inside", "kind": "http", "payload": payload});
        let id = server.create(task).await;
        let task = server.until(id, "failed").await;
        assert_eq!(task["attempt"], 1, "refused for good: {task:#}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0, "something was connected to");
}
