//! Workers that an operator sends away or robs, as real processes, by `taskflow worker drain` and its
//! neighbours. What each answer says is tested beside the API.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{PATIENCE, Process, Server, taskflow};

const WORKER_OFF: (&str, &str) = ("WORKER_ENABLED", "false");

/// A worker of two places that has begun to look for work: over HTTP at `url`, or on the file in `folder`.
async fn worker(folder: &std::path::Path, name: &str, url: Option<&str>) -> Process {
    let arguments = url.map_or(vec!["worker"], |url| vec!["worker", "--server", url]);
    let hold = ["sh", "-c", "until test -e go; do sleep 0.02; done"];
    let commands = json!({"hold": {"argv": hold, "cwd": folder}}).to_string();
    let settings = [("WORKER_CONCURRENCY", "2"), ("WORKER_COMMANDS", commands.as_str())];
    let mut command = taskflow(folder, &settings, &arguments);
    command.env("WORKER_NAME", name);
    let mut worker =
        Process::start(command, folder.join(format!("{}.log", name.replace('/', "_"))));
    let begun = url.map_or("working on the database", |_| "working over HTTP");
    worker.logged(begun).await;
    worker
}

/// `taskflow worker …` at a server; its exit code and both its outputs.
fn said(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["worker"], arguments, &["--server", &server.url]].concat();
    let output = taskflow(server.folder(), &[], &arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[track_caller]
fn done(server: &Server, arguments: &[&str]) -> String {
    let (code, text) = said(server, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {text}");
    text
}

/// A task that runs until [`let_go`], however slow the machine is.
async fn holding(server: &Server) -> i64 {
    let task = json!({"title": "Hold", "kind": "command", "payload": {"command": "hold"}});
    server.create(task).await
}

fn let_go(server: &Server) {
    std::fs::write(server.folder().join("go"), "").unwrap();
}

async fn nap(server: &Server, seconds: f64) -> i64 {
    let task = json!({"title": "Nap", "kind": "sleep", "payload": {"seconds": seconds}});
    server.create(task).await
}

/// Waits until a worker is listed that fits.
async fn listed(server: &Server, name: &str, so: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let found = server.get("/api/v1/workers").await.is(200);
        let workers = found.as_array().unwrap();
        if let Some(worker) = workers.iter().find(|worker| worker["worker"] == name && so(worker)) {
            return worker.clone();
        }
        assert!(begin.elapsed() < PATIENCE, "{name} is not as it should be: {found:#}");
        tokio::time::sleep(crate::server::LOOK).await;
    }
}

#[tokio::test]
async fn one_of_two_workers_that_is_drained_finishes_and_exits_and_the_other_takes_the_rest() {
    for afar in [true, false] {
        let server = Server::start(&[WORKER_OFF]).await;
        let url = afar.then_some(server.url.as_str());
        let mut leaves = worker(server.folder(), "leaves", url).await;
        let held = holding(&server).await;
        assert_eq!(server.until(held, "in_progress").await["worker"], "leaves");
        let seen = listed(&server, "leaves", |worker| worker["holds"] == 1).await;
        let version = concat!("taskflow/", env!("CARGO_PKG_VERSION"));
        assert_eq!((&seen["version"], &seen["tasks"][0]["id"]), (&json!(version), &json!(held)));
        assert!(seen["instance"].is_string() && seen["node"].is_string(), "{seen}");
        let _stays = worker(server.folder(), "stays", url).await;
        listed(&server, "stays", |_| true).await;
        let text = done(&server, &["drain", "leaves"]);
        assert_eq!(text, "worker leaves: draining, holds 1 tasks\n");
        // A worker on the file is another node, which hears of it within a second.
        tokio::time::sleep(Duration::from_secs(if afar { 0 } else { 1 })).await;
        for _ in 0..10 {
            let id = nap(&server, 0.01).await;
            assert_eq!(server.until(id, "completed").await["worker"], "stays");
        }
        let_go(&server);
        assert_eq!(leaves.ended(PATIENCE).await.code(), Some(0));
        let held = server.task(held).await;
        assert_eq!((&held["status"], &held["worker"]), (&json!("completed"), &json!("leaves")));
        // The next process of that name works.
        let mut again = worker(server.folder(), "leaves", url).await;
        let id = nap(&server, 0.01).await;
        server.until(id, "completed").await;
        listed(&server, "leaves", |worker| worker["draining"] == false).await;
        again.signal(Signal::TERM);
        assert_eq!(again.ended(PATIENCE).await.code(), Some(0));
    }
}

#[tokio::test]
async fn what_a_killed_worker_held_runs_elsewhere_at_once_when_it_is_released() {
    let server = Server::start(&[WORKER_OFF]).await;
    let mut victim = worker(server.folder(), "victim", Some(&server.url)).await;
    let tasks = [holding(&server).await, holding(&server).await];
    for id in tasks {
        server.until(id, "in_progress").await;
    }
    victim.kill();
    let _other = worker(server.folder(), "other", Some(&server.url)).await;
    let released = Instant::now();
    assert_eq!(done(&server, &["release", "victim"]), "worker victim: 2 tasks were released\n");
    let_go(&server);
    for id in tasks {
        let task = server.until(id, "completed").await;
        assert_eq!((&task["worker"], &task["attempts_used"]), (&json!("other"), &json!(1)));
        assert_eq!(server.outcomes(id).await, ["released", "completed"]);
    }
    assert!(released.elapsed() < Duration::from_secs(10), "the leases were thirty seconds");
}

#[tokio::test]
async fn the_worker_of_a_server_is_idle_from_drain_to_resume() {
    let server = Server::start(&[("WORKER_NAME", "inside")]).await;
    let first = nap(&server, 0.01).await;
    server.until(first, "completed").await;
    done(&server, &["drain", "inside"]);
    let waits = nap(&server, 0.01).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(server.task(waits).await["status"], "pending");
    let resumed = Instant::now();
    assert_eq!(done(&server, &["resume", "inside"]), "worker inside: working, holds 0 tasks\n");
    server.until(waits, "completed").await;
    assert!(resumed.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn workers_are_listed_and_shown_for_people_and_scripts() {
    let server = Server::start(&[WORKER_OFF]).await;
    assert_eq!(done(&server, &["list"]).lines().count(), 1, "headings only");
    let _afar = worker(server.folder(), "host:1/a", Some(&server.url)).await;
    listed(&server, "host:1/a", |_| true).await;
    let table = done(&server, &["list", "--limit", "5"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..4], ["WORKER", "STATE", "HOLDS", "SEEN"]);
    assert_eq!(lines[1][..3], ["host:1/a", "working", "0"]);
    let text = done(&server, &["get", "host:1/a"]);
    assert!(text.contains("worker: host:1/a\n") && text.contains("draining: false\n"), "{text}");
    let shown: Value =
        serde_json::from_str(&done(&server, &["get", "host:1/a", "--json"])).unwrap();
    assert_eq!(shown["kinds"], json!(["command", "http", "log", "sleep"]));
    let (code, text) = said(&server, &["drain", "nobody"]);
    assert!(code == Some(1) && text.contains("no worker nobody"), "{text}");
    assert_eq!(said(&server, &["drain"]).0, Some(2));
    let nobody = ["worker", "list", "--server", "http://127.0.0.1:1"];
    let mut nobody = taskflow(server.folder(), &[], &nobody);
    assert_eq!(nobody.output().unwrap().status.code(), Some(3));
}

#[tokio::test]
async fn a_worker_over_http_that_stops_has_its_parked_claim_answered_and_leaves_at_once() {
    let server = Server::start(&[WORKER_OFF]).await;
    // The fastest of three: a slow machine may delay one of them, listening delays each.
    let mut fastest = PATIENCE;
    for name in ["first", "second", "third"] {
        let mut stops = worker(server.folder(), name, Some(&server.url)).await;
        listed(&server, name, |_| true).await;
        let stopped = Instant::now();
        stops.signal(Signal::TERM);
        assert_eq!(stops.ended(PATIENCE).await.code(), Some(0));
        fastest = fastest.min(stopped.elapsed());
    }
    // Not the second for which it would listen at a server that cannot be asked.
    assert!(fastest < Duration::from_millis(900), "{fastest:?}");
}

#[tokio::test]
async fn a_worker_over_http_that_stops_listens_a_moment_at_a_server_that_knows_no_drain() {
    // Like an earlier version: claims wait, other paths are not there.
    let old = axum::Router::new().route(
        "/api/v1/workers/{worker}/sync",
        axum::routing::post(|| async {
            tokio::time::sleep(PATIENCE).await;
            axum::Json(json!({}))
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, old).await });
    let folder = TempDir::new().unwrap();
    let mut stops = worker(folder.path(), "stops", Some(&url)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stopped = Instant::now();
    stops.signal(Signal::TERM);
    assert_eq!(stops.ended(PATIENCE).await.code(), Some(0));
    let took = stopped.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(6), "{took:?}");
    serving.abort();
}
