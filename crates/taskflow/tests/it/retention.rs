//! Ended tasks go by themselves when their time is over: the real program, with a retention of a second.

use serde_json::json;
use std::time::Instant;

use crate::server::{LOOK, PATIENCE, Server};

#[tokio::test]
async fn ended_tasks_are_deleted_when_their_retention_is_over() {
    let settings = [("RETENTION_COMPLETED_SECONDS", "1"), ("RETENTION_CANCELLED_SECONDS", "0")];
    let server = Server::start(&settings).await;
    let kept = server.create(json!({"title": "Kept", "kind": "manual"})).await;
    server.post(&format!("/api/v1/tasks/{kept}/cancel"), json!({})).await.is(200);
    let waits = server.create(json!({"title": "Waits", "kind": "of-mine"})).await;
    let goes = server.create(json!({"title": "Goes"})).await;
    let begun = Instant::now();
    while server.get(&format!("/api/v1/tasks/{goes}")).await.status != 404 {
        assert!(begun.elapsed() < PATIENCE, "it is still there");
        tokio::time::sleep(LOOK).await;
    }
    let counts = server.get("/api/v1/tasks/stats/summary").await.is(200);
    let wanted =
        json!({"pending": 1, "in_progress": 0, "completed": 0, "failed": 0, "cancelled": 1});
    assert_eq!(counts, wanted, "tasks {kept} and {waits} are there");
}
