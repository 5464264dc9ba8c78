//! Work over HTTP, one file per part of it.

mod claims;
mod ends;
mod fences;
mod heartbeats;
mod sync;
mod waits;

use serde_json::{Value, json};

use crate::app::{Answer, TestApp, path};

const CLAIM: &str = "/api/v1/tasks/claim";

async fn claim(app: &TestApp, body: &Value) -> Vec<Value> {
    let mut body = body.clone();
    body["worker"] = json!("w1");
    let answer = app.post(CLAIM, &body).await.ok(200);
    assert_eq!(answer.as_object().map(serde_json::Map::len), Some(2), "{answer}");
    assert_eq!(answer["command"], Value::Null);
    answer["tasks"].as_array().expect("a list").clone()
}

async fn claimed_titles(app: &TestApp, body: &Value) -> Vec<Value> {
    claim(app, body).await.iter().map(|task| task["title"].clone()).collect()
}

/// Reports about the attempt of a claimed task.
async fn report(app: &TestApp, task: &Value, how: &str, more: Value) -> Answer {
    let mut body = more;
    body["lease_token"] = task["lease_token"].clone();
    app.post(&path(&task["id"], how), &body).await
}
