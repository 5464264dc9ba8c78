//! A server with something of everything: tasks in every status, a queue that is paused, workers, failures.

use serde_json::{Value, json};

use crate::server::Server;

/// The kind that the server's own worker does not take.
pub(crate) const KIND: &str = "of-mine";

/// How the error of the failed task begins.
const ERROR: &str = "no such file: cat-7.jpg";

/// The server and what is on it.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) completed: i64,
    pub(crate) failed: i64,
    pub(crate) running: i64,
    pub(crate) waiting: i64,
    pub(crate) manual: i64,
}

/// Reports something of a task that was claimed: `complete`, `fail`, `heartbeat`, with the rest of its body.
pub(crate) async fn report(
    server: &Server,
    id: i64,
    act: &str,
    token: &Value,
    rest: Value,
) -> Value {
    let mut body = rest;
    body["lease_token"] = token.clone();
    server.post(&format!("/api/v1/tasks/{id}/{act}"), body).await.is(200)
}

/// Has the next task of the kind fail for good; answers its id.
pub(crate) async fn fail_next(server: &Server, error: &str) -> i64 {
    let claimed = server.claim(KIND, 60).await;
    let id = claimed["id"].as_i64().unwrap();
    let fault = json!({"error": error, "retryable": false});
    report(server, id, "fail", &claimed["lease_token"], fault).await;
    id
}

impl Scene {
    /// Sets everything up.
    pub(crate) async fn set() -> Self {
        let server = Server::start(&[]).await;
        let mine = |title: &str| json!({"title": title, "kind": KIND});
        let completed = server.create(mine("Resize a picture")).await;
        let claimed = server.claim(KIND, 60).await;
        let result =
            json!({"result": {"width": 200, "sizes": [1, 2.50, null, true], "path": "a/b.jpg"}});
        report(&server, completed, "complete", &claimed["lease_token"], result).await;

        let mut broken = mine("Resize a picture that is not there");
        broken["payload"] = json!({"file": "cat-7.jpg", "deep": {"list": [[], {}, [1, [2]]]}});
        broken["retry"] = json!({"strategy": "fixed", "base_seconds": 0, "jitter": 0});
        let failed = server.create(broken).await;
        let claimed = server.claim(KIND, 60).await;
        let fault = json!({"error": "the disk is full\nsecond line", "retry_after_seconds": 0});
        report(&server, failed, "fail", &claimed["lease_token"], fault).await;
        fail_next(&server, &format!("{ERROR}\n  at line 3\n  at line 9")).await;

        let running = server.create(mine("Import the books")).await;
        let claimed = server.claim(KIND, 3600).await;
        let news = json!({"progress": {"percent": 40, "message": "book 40 of 100"}, "checkpoint": {"at": 40}});
        report(&server, running, "heartbeat", &claimed["lease_token"], news).await;

        let waiting = server.create(json!({
            "title": "Write to everybody", "description": "Once a year,\nin January.", "kind": "mail.send",
            "queue": "mail", "priority": "urgent", "payload": {"to": ["a", "b"]}, "delay_seconds": 3600,
            "max_attempts": 3, "timeout_seconds": 600, "tags": ["yearly", "mail"],
            "metadata": {"team": "office"}, "unique_key": "yearly", "concurrency_key": "office",
            "deadline_at": "2100-01-01T00:00:00Z", "expires_at": "2099-01-01T00:00:00Z",
        })).await;
        server.create(json!({"title": "After it", "kind": KIND, "depends_on": [waiting]})).await;
        server.create(json!({"title": "Nobody does it", "kind": "of-nobody"})).await;
        let cancelled = server.create(json!({"title": "Not any more", "kind": "manual"})).await;
        let path = format!("/api/v1/tasks/{cancelled}");
        server.put(&path, json!({"status": "cancelled"})).await.is(200);
        let manual = server.create(json!({"title": "Sign the papers", "kind": "manual"})).await;
        let done = server.create(json!({"title": "Say something"})).await;
        server.until(done, "completed").await;
        let pause = json!({"reason": "the mail server moves"});
        server.post("/api/v1/queues/mail/pause", pause).await.is(200);
        Self { server, completed, failed, running, waiting, manual }
    }
}
