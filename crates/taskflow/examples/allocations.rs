//! Allocations per request, from the parsed request to the last byte of the answer, with everything that the
//! store does for it: `cargo run --release -p taskflow --example allocations`. On a SQLite file of its own.
//! HTTP itself is left out: hyper reuses its buffers.

use anyhow::{Context, ensure};
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use taskflow::config::{Config, Sources};
use taskflow::wire;
use tower::ServiceExt;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Requests that come first: caches, prepared statements and pools settle.
const WARM_UP: u32 = 200;
/// Requests that are counted.
const COUNTED: u32 = 1_000;
/// Tasks of a bulk request and of a sync.
const BATCH: usize = 100;

const TASK: &str =
    r#"{"title": "a task of the benchmark", "kind": "bench.noop", "payload": {"n": 1}}"#;

fn post(path: &str, body: String) -> anyhow::Result<Request<Body>> {
    let request = Request::post(path).header("content-type", "application/json");
    Ok(request.body(Body::from(body))?)
}

async fn answer(app: &axum::Router, request: Request<Body>) -> anyhow::Result<bytes::Bytes> {
    let answer = app.clone().oneshot(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}

/// Blocks and bytes that one of many equal requests allocates.
async fn counted(app: &axum::Router, path: &str, body: &str) -> anyhow::Result<(f64, f64)> {
    let mut before = dhat::HeapStats::get();
    for number in 0..WARM_UP + COUNTED {
        let request = post(path, body.to_owned())?;
        if number == WARM_UP {
            before = dhat::HeapStats::get();
        }
        answer(app, request).await?;
    }
    Ok(each(&before, f64::from(COUNTED)))
}

fn each(before: &dhat::HeapStats, requests: f64) -> (f64, f64) {
    let after = dhat::HeapStats::get();
    let blocks = (after.total_blocks - before.total_blocks) as f64;
    (blocks / requests, (after.total_bytes - before.total_bytes) as f64 / requests)
}

/// The same for rounds of sync, which complete a batch and claim the next.
async fn synced(app: &axum::Router) -> anyhow::Result<(f64, f64)> {
    const ROUNDS: u32 = 50;
    let path = "/api/v1/workers/w/sync";
    let claim = serde_json::json!({"limit": BATCH, "kinds": ["bench.noop"]});
    let mut finished = Vec::new();
    let mut spent = (0.0, 0.0);
    for _ in 0..ROUNDS {
        let body = serde_json::json!({"finished": finished, "claim": claim}).to_string();
        let request = post(path, body)?;
        let before = dhat::HeapStats::get();
        let told = answer(app, request).await?;
        let (blocks, bytes) = each(&before, f64::from(ROUNDS));
        spent = (spent.0 + blocks, spent.1 + bytes);
        let told: serde_json::Value = serde_json::from_slice(&told)?;
        let tasks = told["tasks"].as_array().context("no tasks")?;
        ensure!(tasks.len() == BATCH, "only {} tasks", tasks.len());
        let done = |task: &serde_json::Value| serde_json::json!({"id": task["id"], "lease_token": task["lease_token"], "outcome": "completed"});
        finished = tasks.iter().map(done).collect();
    }
    Ok(spent)
}

#[expect(clippy::print_stdout, reason = "it is a program for people")]
fn show(what: &str, (blocks, bytes): (f64, f64), tasks: usize) {
    let tasks = tasks as f64;
    println!("{what:42} {:7.1} blocks {:9.0} bytes", blocks / tasks, bytes / tasks);
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _profiler = dhat::Profiler::builder().testing().build();
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:///{}", folder.path().join("t.db").display());
    let config = Config::load(Sources::default().flag("DATABASE_URL", &url))?;
    let services = wire::services(&config, wire::open(&config).await?);
    let app = taskflow_api::router(wire::api(&config, services));

    show("the bare route, per request", counted(&app, "/api/v1/bench/bare", TASK).await?, 1);
    show("create, per request", counted(&app, "/api/v1/tasks", TASK).await?, 1);
    let bulk = format!(r#"{{"tasks": [{}]}}"#, [TASK; BATCH].join(","));
    show("bulk of 100, per task", counted(&app, "/api/v1/tasks/bulk", &bulk).await?, BATCH);
    show("sync of 100 (claim, complete), per task", synced(&app).await?, BATCH);
    Ok(())
}
