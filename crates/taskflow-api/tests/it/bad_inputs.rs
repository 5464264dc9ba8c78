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

use serde_json::Value;

use crate::app::TestApp;

/// An app with some tasks in it, and what they are.
async fn peopled() -> (TestApp, Value) {
    let app = TestApp::new();
    app.titled("one").await;
    app.running("two").await;
    let everything = app.everything().await;
    (app, everything)
}
