//! What bad input gets: a clear error and no trace. The numbers are those of the project's list of
//! bad inputs; 1 to 20 are about connections and tested beside the server, 64 to 66 stand in
//! `auth.rs`, 81 to 89 with the work that they are about, 92 in `tasks/editing.rs`.

mod bodies;
mod bounds;
mod fields;
mod numbers;
mod queries;
mod requests;
mod sizes;

use serde_json::{Value, json};

use crate::app::TestApp;

/// An app with some tasks in it, and what they are.
async fn peopled() -> (TestApp, Value) {
    let app = TestApp::new();
    app.titled("one").await;
    app.running("two").await;
    let everything = app.everything().await;
    (app, everything)
}

/// The calls that take a body, and a good body for each.
fn calls() -> [(&'static str, &'static str, Value); 9] {
    let token = "0".repeat(32);
    [
        ("POST", "/api/v1/tasks", json!({"title": "a"})),
        ("PUT", "/api/v1/tasks/1", json!({"title": "b"})),
        ("POST", "/api/v1/tasks/claim", json!({"worker": "w1"})),
        ("POST", "/api/v1/tasks/1/heartbeat", json!({"lease_token": token})),
        ("POST", "/api/v1/tasks/1/complete", json!({"lease_token": token})),
        ("POST", "/api/v1/tasks/1/fail", json!({"lease_token": token, "error": "x"})),
        ("POST", "/api/v1/tasks/1/snooze", json!({"lease_token": token, "delay_seconds": 1})),
        ("POST", "/api/v1/tasks/1/release", json!({"lease_token": token})),
        ("POST", "/api/v1/workers/w1/sync", json!({"claim": {}})),
    ]
}
