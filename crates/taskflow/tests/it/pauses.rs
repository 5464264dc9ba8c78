//! A pause and a resume reach workers of other processes at once, whatever their poll interval.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::postgres::Database;
use crate::server::{Process, Server, taskflow};

/// What a resume may take until the work runs: the promise is a second, and the machine may be busy.
const SOON: Duration = Duration::from_secs(5);

/// Ten times: pauses through `server`, whose worker is another process.
async fn paused_and_resumed(server: &Server) {
    let queue = "/api/v1/queues/default";
    for round in 0..10 {
        server.post(&format!("{queue}/pause"), json!({"reason": "test"})).await.is(200);
        let id = server.create(json!({"title": format!("Round {round}")})).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let task = server.task(id).await;
        assert_eq!((&task["status"], &task["attempt"]), (&json!("pending"), &json!(0)));
        let begin = Instant::now();
        server.post(&format!("{queue}/resume"), json!({})).await.is(200);
        server.until(id, "completed").await;
        assert!(begin.elapsed() < SOON, "round {round}: {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_pause_on_one_node_holds_and_ends_on_another() {
    let database = Database::create().await;
    let one = database.server(&[("WORKER_ENABLED", "false")]).await;
    let two = database.server(&[("WORKER_POLL_INTERVAL", "60")]).await;
    paused_and_resumed(&one).await;
    drop((one, two));
    database.drop().await;
}

#[tokio::test]
async fn a_pause_holds_and_ends_for_a_worker_beside_the_server_on_one_file() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let settings = [("WORKER_POLL_INTERVAL", "60")];
    let command = taskflow(server.folder(), &settings, &["worker"]);
    let folder = TempDir::new().unwrap();
    let worker = Process::start(command, folder.path().join("worker.log"));
    let id = server.create(json!({"title": "First"})).await;
    server.until(id, "completed").await;
    paused_and_resumed(&server).await;
    drop(worker);
}
