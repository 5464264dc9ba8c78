//! Why a task is not running, over the router; every reason's words are tested in core.

use serde_json::{Value, json};

use crate::app::{TestApp, at, path};

async fn explained(app: &TestApp, id: &Value) -> Value {
    app.get(&path(id, "/explain")).await.ok(200)
}

fn codes(explanation: &Value) -> Vec<&str> {
    let reasons = explanation["reasons"].as_array().expect("a list");
    reasons.iter().map(|reason| reason["code"].as_str().expect("text")).collect()
}

#[tokio::test]
async fn a_task_explains_what_it_waits_for_from_birth_to_end() {
    let app = TestApp::new();
    let first = app.job("first").await;
    let second = app.job("second").await;
    let depends = json!({"title": "c", "kind": "job", "depends_on": [first["id"], second["id"]],
                         "delay_seconds": 60});
    let child = app.create(&depends).await;

    assert_eq!(codes(&explained(&app, &first["id"]).await), ["no-worker"]);
    let line = explained(&app, &second["id"]).await;
    assert_eq!((codes(&line), &line["pending_reason"]), (vec!["in-line"], &json!("ready")));
    assert!(line["reasons"][0]["detail"].as_str().expect("text").starts_with("1 ready"), "{line}");
    let blocked = explained(&app, &child["id"]).await;
    assert_eq!(codes(&blocked), ["blocked", "scheduled"]);
    assert_eq!(blocked["reasons"][0]["task_ids"], json!([first["id"], second["id"]]));
    assert_eq!(blocked["reasons"][1]["until"], at(60.0));

    let held = app.claim(1).await.pop().expect("it waits");
    let running = explained(&app, &first["id"]).await;
    assert_eq!((codes(&running), &running["reasons"][0]["until"]), (vec!["running"], &at(30.0)));
    let fail = json!({"lease_token": held["lease_token"], "error": "disk full"});
    app.post(&path(&first["id"], "/fail"), &fail).await.ok(200);
    assert_eq!(codes(&explained(&app, &first["id"]).await), ["retrying"]);
    app.set(&second["id"], "completed").await.ok(200);
    assert_eq!(codes(&explained(&app, &second["id"]).await), ["completed"]);
    let blocked = explained(&app, &child["id"]).await;
    assert_eq!(blocked["reasons"][0]["task_ids"], json!([first["id"]]));
    app.set(&first["id"], "failed").await.ok(200);
    let lost = explained(&app, &child["id"]).await;
    assert_eq!(codes(&lost), ["cancelled"]);
    assert!(lost["reasons"][0]["detail"].as_str().expect("text").contains("task 1"), "{lost}");
}

#[tokio::test]
async fn a_worker_that_waits_is_no_reason_to_wait() {
    let app = TestApp::new();
    let wish = json!({"worker": "w", "kinds": ["other"], "wait_seconds": 0.5});
    let look = async {
        app.until_waiting(1).await;
        let task = app.job("a").await;
        explained(&app, &task["id"]).await
    };
    let (_, explanation) = tokio::join!(app.post("/api/v1/tasks/claim", &wish), look);
    assert_eq!(codes(&explanation), ["no-worker"], "it takes another kind");
}

#[tokio::test]
async fn an_explanation_of_what_is_not_there_is_404() {
    let app = TestApp::new();
    app.get("/api/v1/tasks/9/explain").await.refused(404, "not-found");
    app.get("/api/v1/tasks/x/explain").await.refused(422, "invalid-input");
}
