//! `taskflow worker` as a process of its own: on the server's SQLite file and over HTTP. What a
//! worker does with one task is tested in the service.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{PATIENCE, Process, Server, say, taskflow};

const WORKER_OFF: (&str, &str) = ("WORKER_ENABLED", "false");

/// Tasks created one by one, each when the last one is done.
const TASKS: u32 = 30;

/// What a worker in another process may need on average to begin a new task.
const BEGIN: Duration = Duration::from_millis(100);

/// A worker on the server's file that has begun to look for work.
async fn on_file(server: &Server, name: &str, settings: &[(&str, &str)]) -> Process {
    let mut command = taskflow(server.folder(), settings, &["worker"]);
    command.env("WORKER_NAME", name);
    let mut worker = Process::start(command, server.folder().join(format!("{name}.log")));
    worker.logged("working on the database").await;
    worker
}

async fn over_http(server: &Server, folder: &TempDir, settings: &[(&str, &str)]) -> Process {
    let arguments = ["worker", "--server", &server.url];
    let mut command = taskflow(folder.path(), settings, &arguments);
    command.env("WORKER_NAME", "afar");
    let mut worker = Process::start(command, folder.path().join("afar.log"));
    worker.logged("working over HTTP").await;
    worker
}

/// Has tasks done one by one; answers how long a task waited for its start on average.
async fn pickup(server: &Server, worker: &str) -> Duration {
    let mut waited = Duration::ZERO;
    for n in 0..TASKS {
        let id = server.create(json!({"title": format!("Task {n}")})).await;
        let task = server.until(id, "completed").await;
        assert_eq!(task["worker"], worker);
        let time = |name: &str| task[name].as_str().unwrap().parse::<Timestamp>().unwrap();
        let wait = time("started_at").duration_since(time("created_at"));
        waited += Duration::try_from(wait).unwrap_or_default();
    }
    let average = waited / TASKS;
    say(format_args!("{worker}: a task waits {average:?} for its start on average"));
    average
}

#[tokio::test]
async fn plain_http_needs_no_root_certificates() {
    let server = Server::start(&[WORKER_OFF]).await;
    let folder = TempDir::new().unwrap();
    let nothing = folder.path().join("no-certificates");
    std::fs::write(&nothing, "").unwrap();
    let bare = [("SSL_CERT_FILE", nothing.to_str().unwrap())];
    let health = ["health", "--server", &server.url];
    let asked = taskflow(folder.path(), &bare, &health).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let worker = over_http(&server, &folder, &bare).await;
    let id = server.create(json!({"title": "t"})).await;
    server.until(id, "completed").await;
    drop(worker);
}

#[tokio::test]
async fn a_worker_on_the_same_file_begins_tasks_of_the_server_at_once() {
    let server = Server::start(&[WORKER_OFF]).await;
    // The poll interval is only the fall-back: it must not be what finds the tasks.
    let mut worker = on_file(&server, "beside", &[("WORKER_POLL_INTERVAL", "60")]).await;
    let average = pickup(&server, "beside").await;
    assert!(average <= BEGIN, "{average:?}");
    worker.signal(Signal::TERM);
    assert_eq!(worker.ended(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn a_worker_over_http_begins_tasks_of_the_server_at_once() {
    let key = ("API_KEY", "a-key-of-the-tests");
    let server = Server::start(&[WORKER_OFF, key]).await;
    let folder = TempDir::new().unwrap();
    let mut worker = over_http(&server, &folder, &[key]).await;
    let average = pickup(&server, "afar").await;
    assert!(average <= BEGIN, "{average:?}");
    assert!(!folder.path().join("taskflow.db").exists(), "it opened a database of its own");
    assert!(!worker.log().contains("a-key-of-the-tests"), "{}", worker.log());
    worker.signal(Signal::TERM);
    assert_eq!(worker.ended(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn results_and_failures_come_home_over_http() {
    let server = Server::start(&[WORKER_OFF]).await;
    let folder = TempDir::new().unwrap();
    let commands = r#"{"echo": {"argv": ["cat"]}}"#;
    let worker = over_http(&server, &folder, &[("WORKER_COMMANDS", commands)]).await;
    let payload = json!({"command": "echo", "number": 1.50, "text": "ünïcode \u{1F980}"});
    let task = json!({"title": "x", "kind": "command", "payload": payload});
    let id = server.create(task).await;
    assert_eq!(server.until(id, "completed").await["result"], payload);
    let task = json!({"title": "x", "kind": "sleep", "payload": {"seconds": "many"}});
    let id = server.create(task).await;
    let failed = server.until(id, "failed").await;
    assert!(failed["error_message"].as_str().unwrap().contains("payload.seconds"), "{failed:#}");
    drop(worker);
}

#[tokio::test]
async fn a_worker_with_a_wrong_key_says_so_and_goes_on_trying() {
    let server = Server::start(&[WORKER_OFF, ("API_KEY", "a-key-of-the-tests")]).await;
    let folder = TempDir::new().unwrap();
    let mut worker = over_http(&server, &folder, &[("API_KEY", "another-key-than-that")]).await;
    let line = worker.logged("a claim failed; trying again").await;
    assert!(line["error"].as_str().unwrap().contains("401"), "{line}");
    assert!(!worker.log().contains("another-key-than-that"), "{}", worker.log());
}

#[tokio::test]
async fn a_worker_over_http_outlives_its_server() {
    let server = Server::start(&[WORKER_OFF]).await;
    let folder = TempDir::new().unwrap();
    let mut worker = over_http(&server, &folder, &[]).await;
    let server = server.kill_and_restart(&[WORKER_OFF]).await;
    let id = server.create(json!({"title": "After the restart"})).await;
    assert_eq!(server.until(id, "completed").await["worker"], "afar");
    worker.logged("a claim failed; trying again").await;
}

#[tokio::test]
async fn killing_a_worker_loses_nothing() {
    let server = Server::start(&[WORKER_OFF]).await;
    let mut victim = on_file(&server, "victim", &[("WORKER_CONCURRENCY", "8")]).await;
    let mut tasks = Vec::new();
    for n in 0..24 {
        let task = json!({"title": format!("Nap {n}"), "kind": "sleep",
            "payload": {"seconds": 0.5}, "lease_seconds": 1});
        tasks.push(server.create(task).await);
    }
    let running = async || {
        let tasks = server.get("/api/v1/tasks?status=in_progress").await.is(200);
        tasks.as_array().unwrap().len()
    };
    let begin = Instant::now();
    while running().await < 8 {
        assert!(begin.elapsed() < PATIENCE, "the worker does not fill its places");
    }
    victim.kill();
    let other = on_file(&server, "other", &[("WORKER_CONCURRENCY", "8")]).await;
    let mut rescued = 0;
    for id in tasks {
        server.until(id, "completed").await;
        let outcomes = server.outcomes(id).await;
        match outcomes.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["completed"] => {}
            ["lease_expired", "completed"] => rescued += 1,
            _ => panic!("task {id} has the outcomes {outcomes:?}"),
        }
    }
    assert!((1..=8).contains(&rescued), "{rescued} tasks were rescued");
    drop(other);
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_gives_its_task_back_uncounted() {
    let server = Server::start(&[WORKER_OFF]).await;
    let folder = TempDir::new().unwrap();
    let nap = || json!({"title": "Nap", "kind": "sleep", "payload": {"seconds": 600}});
    let grace = ("SHUTDOWN_GRACE_SECONDS", "0.2");
    for afar in [false, true] {
        let mut worker = match afar {
            true => over_http(&server, &folder, &[grace]).await,
            false => on_file(&server, "beside", &[grace]).await,
        };
        let id = server.create(nap()).await;
        server.until(id, "in_progress").await;
        worker.signal(Signal::TERM);
        assert_eq!(worker.ended(PATIENCE).await.code(), Some(0));
        let task = server.task(id).await;
        let left: (&Value, &Value) = (&task["status"], &task["attempts_used"]);
        assert_eq!(left, (&json!("pending"), &json!(0)), "over HTTP: {afar}");
        server.delete(&format!("/api/v1/tasks/{id}")).await.is(204);
    }
}
