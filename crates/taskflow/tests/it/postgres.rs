//! The program on PostgreSQL: the same answers as on a file, moving there, and nodes that share work.
//! `scripts/test` starts the server that `TEST_DATABASE_URL` names.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::server::{Process, Server, taskflow};

/// A database of one test; dropped with it.
pub(crate) struct Database {
    name: String,
}

#[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
fn url() -> String {
    std::env::var("TEST_DATABASE_URL").expect("these tests need PostgreSQL: run scripts/test")
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

impl Database {
    pub(crate) async fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("tf_test_{}_it_{number}", std::process::id());
        let server = connect(&url()).await;
        server.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await.unwrap();
        Self { name }
    }

    pub(crate) fn url(&self) -> String {
        let url = url();
        let (server, _) = url.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    pub(crate) async fn server(&self, settings: &[(&str, &str)]) -> Server {
        let url = self.url();
        Server::start(&[&[("DATABASE_URL", url.as_str())], settings].concat()).await
    }

    pub(crate) async fn drop(self) {
        let sql = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        connect(&url()).await.batch_execute(&sql).await.unwrap();
    }
}

/// Times, tokens and request ids are of one run; everything else must be the same.
fn comparable(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let of_one_run = name.ends_with("_at")
                    || matches!(name.as_str(), "lease_token" | "request_id" | "timestamp");
                if of_one_run && !value.is_null() {
                    *value = json!("…");
                } else {
                    comparable(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(comparable),
        _ => {}
    }
}

/// One session with everything in it; every answer in order.
async fn session(server: &Server) -> Vec<(String, u16, Value)> {
    let mut said = Vec::new();
    let mut note = |answer: crate::server::Answer| {
        let (what, status, body) = answer.parts();
        let mut shown = body.clone();
        comparable(&mut shown);
        said.push((what, status, shown));
        body
    };
    let tasks = "/api/v1/tasks";
    let payload = json!({"n": 1.50, "text": "ä\u{1F600}", "deep": [[[{}]]]});
    note(server.post(tasks, json!({"title": "one", "payload": payload, "tags": ["a", "b"]})).await);
    note(server.post(tasks, json!({"title": "two", "kind": "k", "priority": "urgent"})).await);
    note(server.post(tasks, json!({"title": "later", "kind": "k", "delay_seconds": 3600})).await);
    note(server.post(tasks, json!({"title": "child", "kind": "k", "depends_on": [2]})).await);
    note(server.post(tasks, json!({"title": "orphan", "depends_on": [99]})).await);
    note(server.post(tasks, json!({"title": "key", "kind": "k", "unique_key": "u"})).await);
    note(server.post(tasks, json!({"title": "key", "kind": "k", "unique_key": "u"})).await);
    let reject = json!({"title": "key", "kind": "k", "unique_key": "u", "on_conflict": "reject"});
    note(server.post(tasks, reject).await);
    let replace = json!({"title": "new", "kind": "k", "unique_key": "u", "on_conflict": "replace"});
    note(server.post(tasks, replace).await);
    note(server.post(tasks, json!({"title": "", "priority": "top", "queue": "a b"})).await);
    note(server.get(&format!("{tasks}/1")).await);
    note(server.get(&format!("{tasks}/99")).await);
    note(server.get(&format!("{tasks}?limit=3&skip=1")).await);
    note(server.get(&format!("{tasks}?status=pending&priority=urgent")).await);
    note(server.put(&format!("{tasks}/1"), json!({"title": "changed", "priority": "low"})).await);
    note(server.put(&format!("{tasks}/1"), json!({"status": "in_progress"})).await);
    note(server.put(&format!("{tasks}/1"), json!({"status": "completed"})).await);
    note(server.put(&format!("{tasks}/1"), json!({"status": "in_progress"})).await);
    note(server.delete(&format!("{tasks}/2")).await);
    let wish = json!({"worker": "w", "kinds": ["k"], "limit": 5});
    let claimed = note(server.post(&format!("{tasks}/claim"), wish.clone()).await);
    let token = |n: usize| claimed["tasks"][n]["lease_token"].clone();
    let call = |id: i64, verb: &str| format!("{tasks}/{id}/{verb}");
    let first = claimed["tasks"][0]["id"].as_i64().unwrap();
    let second = claimed["tasks"][1]["id"].as_i64().unwrap();
    let beat = json!({"lease_token": token(0), "progress": {"percent": 40, "message": "m"},
                      "checkpoint": {"page": 3}});
    note(server.post(&call(first, "heartbeat"), beat).await);
    let done = json!({"lease_token": token(0), "result": {"x": [1, 2]}});
    note(server.post(&call(first, "complete"), done.clone()).await);
    note(server.post(&call(first, "complete"), done).await);
    let other = json!({"lease_token": token(0), "result": "another"});
    note(server.post(&call(first, "complete"), other).await);
    let fail = json!({"lease_token": token(1), "error": "no luck", "retry_after_seconds": 60});
    note(server.post(&call(second, "fail"), fail).await);
    note(server.get(&call(second, "attempts")).await);
    note(server.get(&call(first, "attempts")).await);
    let sync = json!({"finished": [{"id": 77, "lease_token": token(0), "outcome": "completed"}],
                      "claim": {"kinds": ["k"], "limit": 5}});
    note(server.post("/api/v1/workers/w/sync", sync).await);
    note(server.delete(&format!("{tasks}/{second}")).await);
    note(server.delete(&format!("{tasks}/{second}")).await);
    note(server.get(&format!("{tasks}/stats/summary")).await);
    note(server.get("/api/v1/health").await);
    said
}

#[tokio::test]
async fn the_same_session_gets_the_same_answers_on_both_databases() {
    let off = [("WORKER_ENABLED", "false")];
    let on_file = session(&Server::start(&off).await).await;
    let database = Database::create().await;
    let on_postgres = session(&database.server(&off).await).await;
    for (file, postgres) in on_file.iter().zip(&on_postgres) {
        assert_eq!(file, postgres);
    }
    assert_eq!(on_file.len(), on_postgres.len());
    database.drop().await;
}

#[tokio::test]
async fn a_move_takes_everything_along_and_needs_an_empty_target() {
    let off = [("WORKER_ENABLED", "false")];
    let mut file = Server::start(&off).await;
    session(&file).await;
    // A key that was used twice: one has ended, one lives.
    for _ in 0..2 {
        let id = file.create(json!({"title": "t", "unique_key": "twice"})).await;
        file.put(&format!("/api/v1/tasks/{id}"), json!({"status": "completed"})).await.is(200);
    }
    file.create(json!({"title": "t", "unique_key": "twice"})).await;
    let settings = json!({"concurrency_limit": 3, "rate_limit": {"tasks": 9, "per_seconds": 60}});
    file.put("/api/v1/queues/mail", settings).await.is(200);
    let queues = file.get("/api/v1/queues").await.is(200);
    let before = file.get("/api/v1/tasks?limit=100").await.is(200);
    let history = file.get("/api/v1/tasks/4/attempts").await.is(200);
    let summary = file.get("/api/v1/tasks/stats/summary").await.is(200);
    let from = format!("sqlite:///{}", file.folder().join("taskflow.db").display());
    let database = Database::create().await;
    let (folder, to) = (TempDir::new().unwrap(), database.url());
    let moved = || {
        let arguments = ["move", "--from", &from, "--to", &to];
        taskflow(folder.path(), &[], &arguments).output().unwrap()
    };
    let in_use = moved();
    let said = String::from_utf8_lossy(&in_use.stderr).into_owned();
    assert!(said.contains("another process holds the database"), "{said}");
    file.kill();
    let output = moved();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{failed}");
    let count = before.as_array().unwrap().len();
    assert!(said.starts_with(&format!("{count} tasks were moved")), "{said}");
    let there = database.server(&[("WORKER_ENABLED", "false")]).await;
    assert_eq!(there.get("/api/v1/tasks?limit=100").await.is(200), before);
    assert_eq!(there.get("/api/v1/tasks/4/attempts").await.is(200), history);
    assert_eq!(there.get("/api/v1/queues").await.is(200), queues);
    assert_eq!(there.get("/api/v1/tasks/stats/summary").await.is(200), summary);
    // Ids go on where the file was, and what waited still waits.
    let mut file = file.kill_and_restart(&off).await;
    let next = file.create(json!({"title": "next"})).await;
    assert_eq!(there.create(json!({"title": "next"})).await, next);
    file.kill();
    let again = moved();
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains("not empty"), "{said}");
    drop(there);
    database.drop().await;
}

#[tokio::test]
async fn health_of_the_command_line_says_whether_a_server_is_ready() {
    let database = Database::create().await;
    let server = database.server(&[]).await;
    let folder = TempDir::new().unwrap();
    let url = server.url.as_str();
    let asked = taskflow(folder.path(), &[], &["health", "--server", url]).output().unwrap();
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert_eq!(asked.status.code(), Some(0), "{said}");
    assert!(said.contains("\"ready\""), "{said}");
    let nobody = ["health", "--server", "http://127.0.0.1:1"];
    let asked = taskflow(folder.path(), &[], &nobody).output().unwrap();
    assert_eq!(asked.status.code(), Some(1));
    drop(server);
    database.drop().await;
}

#[tokio::test]
async fn a_node_whose_database_is_gone_is_alive_but_not_ready_and_says_why() {
    let database = Database::create().await;
    let server = database.server(&[("WORKER_ENABLED", "false")]).await;
    let ready = server.get("/api/v1/health/ready").await.is(200);
    assert_eq!(ready["status"], "ready");
    // The server is this machine: the two clocks are one.
    assert!(ready["clock_lead_ms"].as_i64().unwrap().abs() < 1000, "{ready}");
    database.drop().await;
    let refusal = server.get("/api/v1/health/ready").await.problem(503, "not-ready");
    assert!(refusal["detail"].as_str().unwrap().contains("database"), "{refusal}");
    server.get("/api/v1/health/live").await.is(200);
    let folder = TempDir::new().unwrap();
    let asked = said_by(taskflow(folder.path(), &[], &["health", "--server", &server.url]));
    assert_eq!(asked.0, Some(1));
    assert!(asked.1.contains("\"not-ready\""), "{asked:?}");
}

#[tokio::test]
async fn a_database_that_is_away_for_a_while_makes_everything_unavailable_and_nothing_lost() {
    let database = Database::create().await;
    let server = database.server(&[]).await;
    let kept = server.create(json!({"title": "Kept", "kind": "of-mine"})).await;
    let admin = connect(&url()).await;
    let away = |away: bool| {
        let sql = format!("ALTER DATABASE \"{}\" ALLOW_CONNECTIONS {}", database.name, !away);
        let cut = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            database.name
        );
        [sql, cut]
    };
    for sql in away(true) {
        admin.batch_execute(&sql).await.unwrap();
    }
    let (tasks, task) = ("/api/v1/tasks", format!("/api/v1/tasks/{kept}"));
    // What was under way when the connections broke may be in doubt; then all is known.
    let begin = Instant::now();
    while server.post(tasks, json!({"title": "Doubt"})).await.body["code"] != "unavailable" {
        assert!(begin.elapsed() < Duration::from_secs(10), "it still writes");
    }
    let wish = json!({"worker": "w", "kinds": ["of-mine"]});
    server.post(tasks, json!({"title": "Lost"})).await.problem(503, "unavailable");
    server.post(&format!("{tasks}/claim"), wish.clone()).await.problem(503, "unavailable");
    server.put(&task, json!({"title": "Lost"})).await.problem(503, "unavailable");
    server.get(&task).await.problem(503, "unavailable");
    server.get("/api/v1/stats").await.problem(503, "unavailable");
    server.get("/api/v1/health/live").await.is(200);
    admin.batch_execute(&away(false)[0]).await.unwrap();
    let begin = Instant::now();
    let back = loop {
        let answer = server.post(tasks, json!({"title": "Back"})).await;
        if answer.status == 201 {
            break answer.body["id"].as_i64().unwrap();
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "it does not come back: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    server.until(back, "completed").await;
    assert_eq!(server.task(kept).await["title"], "Kept");
    assert_eq!(server.get(&format!("{tasks}?q=lost")).await.is(200), json!([]));
    drop(server);
    database.drop().await;
}

#[test]
fn a_database_that_does_not_exist_is_named_at_the_start() {
    let server = url();
    let url = format!("{}/tf_test_nowhere", server.rsplit_once('/').unwrap().0);
    let settings = [("DATABASE_URL", url.as_str()), ("PORT", "0")];
    for command in ["serve", "worker", "migrate", "seed"] {
        let folder = TempDir::new().unwrap();
        let (code, _, said) = said_by(taskflow(folder.path(), &settings, &[command]));
        assert_eq!(code, Some(1), "{command}: {said}");
        assert!(said.contains("\"tf_test_nowhere\" does not exist"), "{command}: {said}");
    }
}

/// The exit code of a program, and what it said on both outputs.
fn said_by(mut program: std::process::Command) -> (Option<i32>, String, String) {
    let output = program.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn a_node_hears_of_another_node_s_task_and_starts_it_at_once() {
    let database = Database::create().await;
    let slow = ("WORKER_POLL_INTERVAL", "60");
    let one = database.server(&[("WORKER_ENABLED", "false"), slow]).await;
    let two = database.server(&[slow]).await;
    // The first task of a kind is a lane that the other node hears of, the second one is not.
    for title in ["first", "second", "third"] {
        let begin = Instant::now();
        let id = one.create(json!({"title": title, "kind": "log"})).await;
        two.until(id, "completed").await;
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(10), "{title}: nobody was woken for {took:?}");
    }
    drop((one, two));
    database.drop().await;
}

#[tokio::test]
async fn what_a_killed_node_held_is_rescued_by_another_when_its_lease_ends() {
    let database = Database::create().await;
    let lease =
        json!({"title": "t", "kind": "sleep", "payload": {"seconds": 600}, "lease_seconds": 1});
    let mut one = Some(database.server(&[("WORKER_NAME", "one")]).await);
    let id = one.as_ref().unwrap().create(lease).await;
    one.as_ref().unwrap().until(id, "in_progress").await;
    let two = database.server(&[("WORKER_NAME", "two")]).await;
    // Dropped servers are killed with SIGKILL.
    drop(one.take());
    let begin = Instant::now();
    loop {
        let task = two.task(id).await;
        if task["worker"] == "two" {
            assert_eq!(task["attempt"], 2);
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{task:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(two.outcomes(id).await, ["lease_expired"]);
    drop(two);
    database.drop().await;
}

/// A worker process on the database, with room for four tasks.
fn worker(database: &Database, folder: &TempDir, name: &str) -> Process {
    let url = database.url();
    let settings =
        [("DATABASE_URL", url.as_str()), ("WORKER_NAME", name), ("WORKER_CONCURRENCY", "4")];
    let command = taskflow(folder.path(), &settings, &["worker"]);
    Process::start(command, folder.path().join(format!("{name}.log")))
}

/// Waits until `worker` has something in hand.
async fn busy(server: &Server, worker: &str) {
    let begin = Instant::now();
    loop {
        let page = server.get("/api/v1/tasks?status=in_progress&limit=100").await.is(200);
        if page.as_array().unwrap().iter().any(|task| task["worker"] == worker) {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{worker} takes nothing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn worker_processes_that_are_killed_or_stopped_longer_than_a_lease_lose_nothing() {
    let database = Database::create().await;
    let folder = TempDir::new().unwrap();
    let server = database.server(&[("WORKER_ENABLED", "false")]).await;
    let lease =
        json!({"title": "t", "kind": "sleep", "payload": {"seconds": 0.1}, "lease_seconds": 1});
    let mut tasks = Vec::new();
    for _ in 0..200 {
        tasks.push(server.create(lease.clone()).await);
    }
    let killed = worker(&database, &folder, "killed");
    let stopped = worker(&database, &folder, "stopped");
    busy(&server, "killed").await;
    killed.signal(Signal::KILL);
    busy(&server, "stopped").await;
    stopped.signal(Signal::STOP);
    let other = worker(&database, &folder, "other");
    // What the two held is given to the third when the leases end; then the stopped one comes back.
    let (mut retried, mut histories) = (0, Vec::new());
    for id in tasks {
        let task = server.until(id, "completed").await;
        let mut outcomes = server.outcomes(id).await;
        assert_eq!(outcomes.pop().as_deref(), Some("completed"), "{task:#}");
        assert!(outcomes.iter().all(|outcome| outcome == "lease_expired"), "{outcomes:?}");
        retried += usize::from(!outcomes.is_empty());
        histories.push((id, server.get(&format!("/api/v1/tasks/{id}/attempts")).await.is(200)));
    }
    assert!((2..=8).contains(&retried), "{retried} tasks ran again, of at most 8 in two hands");
    // It finishes nothing that it does not hold any more, and goes on.
    drop(other);
    stopped.signal(Signal::CONT);
    let next =
        server.create(json!({"title": "t", "kind": "sleep", "payload": {"seconds": 0}})).await;
    assert_eq!(server.until(next, "completed").await["worker"], "stopped");
    for (id, before) in histories {
        assert_eq!(server.get(&format!("/api/v1/tasks/{id}/attempts")).await.is(200), before);
    }
    drop(killed);
    drop(stopped);
    drop(server);
    database.drop().await;
}
