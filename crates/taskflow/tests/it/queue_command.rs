//! `taskflow queue …` at a server that notes what it is asked.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::taskflow;

/// What was asked: method, path and body.
type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A server that answers every call with the next of `answers`.
async fn stub(answers: Vec<(u16, Value)>) -> (String, Asked) {
    let asked = Asked::default();
    let (noted, answers) = (Arc::clone(&asked), Arc::new(Mutex::new(answers.into_iter())));
    let answer = move |method: Method, uri: Uri, body: Bytes| {
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        noted.lock().unwrap().push((method.to_string(), uri.to_string(), body));
        let (status, json) = answers.lock().unwrap().next().unwrap();
        async move { (StatusCode::from_u16(status).unwrap(), axum::Json(json)) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

async fn queue(url: &str, arguments: &[&str]) -> (i32, String) {
    let folder = TempDir::new().unwrap();
    let arguments = [&["queue", "--server", url], arguments].concat();
    let mut command = taskflow(Path::new(folder.path()), &[], &arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn queues_are_read_set_paused_resumed_and_purged() {
    let mail = json!({"queue": "mail", "paused": false, "concurrency_limit": 3,
        "counts": {"pending": 2, "in_progress": 1, "failed": 0}});
    let (url, asked) = stub(vec![
        (200, json!([mail])),
        (200, mail.clone()),
        (200, mail.clone()),
        (200, mail.clone()),
        (200, mail.clone()),
        (200, json!({"deleted": 1000, "more": true})),
        (200, json!({"deleted": 7, "more": false})),
    ])
    .await;
    let list = queue(&url, &["list"]).await;
    assert!(list.0 == 0 && list.1.lines().count() == 2 && list.1.contains("mail"), "{list:?}");
    let shown = queue(&url, &["get", "mail", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&shown.1).unwrap(), mail);
    let settings = ["--concurrency-limit", "none", "--rate-limit", "100/60"];
    let set = queue(&url, &[&["set", "mail"][..], &settings].concat()).await;
    assert!(set.0 == 0 && set.1.contains("concurrency_limit: 3\n"), "{set:?}");
    let paused = queue(&url, &["pause", "mail", "--reason", "night"]).await;
    assert_eq!(paused, (0, "queue mail is paused\n".to_owned()));
    let resumed = queue(&url, &["resume", "mail"]).await;
    assert_eq!(resumed, (0, "queue mail is resumed\n".to_owned()));
    let purged = queue(&url, &["purge", "mail", "--status", "failed"]).await;
    assert_eq!(purged, (0, "queue mail: tasks deleted: 1007\n".to_owned()));
    let settings =
        json!({"concurrency_limit": null, "rate_limit": {"tasks": 100, "per_seconds": 60}});
    let at = |path: &str| format!("/api/v1/queues{path}");
    let failed = json!({"status": "failed"});
    let expected = [
        ("GET", at("?limit=1000"), Value::Null),
        ("GET", at("/mail"), Value::Null),
        ("PUT", at("/mail"), settings),
        ("POST", at("/mail/pause"), json!({"reason": "night"})),
        ("POST", at("/mail/resume"), json!({})),
        ("POST", at("/mail/purge"), failed.clone()),
        ("POST", at("/mail/purge"), failed),
    ];
    let expected = expected.map(|(method, path, body)| (method.to_owned(), path, body));
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_refusal_and_wrong_usage_have_their_exit_codes() {
    let problem = json!({"detail": "/rate_limit/tasks must be 1 to 1000000"});
    let (url, asked) = stub(vec![(422, problem)]).await;
    let (code, text) = queue(&url, &["set", "mail", "--rate-limit", "0/1"]).await;
    assert!(code == 1 && text.contains("/rate_limit/tasks must be"), "{text}");
    assert_eq!(queue(&url, &["set", "mail"]).await.0, 2);
    assert_eq!(queue(&url, &["set", "mail", "--rate-limit", "fast"]).await.0, 2);
    assert_eq!(queue("http://127.0.0.1:1", &["list"]).await.0, 3);
    assert_eq!(asked.lock().unwrap().len(), 1);
}
