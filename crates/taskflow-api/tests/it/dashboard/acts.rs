//! What buttons do: the same as the API's calls.

use serde_json::{Value, json};

use super::{page, send, sent};
use crate::app::TestApp;

async fn status(app: &TestApp, id: &Value) -> String {
    app.task(id).await["status"].as_str().expect("a word").to_owned()
}

#[tokio::test]
async fn a_task_is_cancelled_retried_and_deleted() {
    let app = TestApp::new();
    let id = app.titled("t").await["id"].clone();
    let at = |act: &str| format!("/tasks/{id}/{act}");
    assert_eq!(sent(&app, &at("cancel"), &[]).await, format!("/tasks/{id}"));
    assert_eq!(status(&app, &id).await, "cancelled");
    let seen = app.task(&id).await["version"].to_string();
    sent(&app, &at("retry"), &[("version", &seen)]).await;
    assert_eq!(status(&app, &id).await, "pending");
    app.set(&id, "cancelled").await.ok(200);
    let again = send(&app, &at("retry"), &[("version", &seen)]).await;
    assert_eq!(again.status, 412, "another end than the one that was seen");
    let gone = sent(&app, &at("delete"), &[]).await;
    assert!(page(&app, &gone).await.contains("1 task was deleted."));
    assert_eq!(send(&app, &at("cancel"), &[]).await.status, 404);
}

#[tokio::test]
async fn a_person_moves_a_manual_task() {
    let app = TestApp::new();
    let id = app.create(&json!({"title": "t", "kind": "manual"})).await["id"].clone();
    assert!(page(&app, &format!("/tasks/{id}")).await.contains("value=\"in_progress\""));
    let at = format!("/tasks/{id}/status");
    sent(&app, &at, &[("status", "in_progress")]).await;
    sent(&app, &at, &[("status", "completed")]).await;
    assert_eq!(status(&app, &id).await, "completed");
    assert_eq!(send(&app, &at, &[("status", "in_progress")]).await.status, 409);
    assert_eq!(send(&app, &at, &[("status", "done")]).await.status, 422);
}

#[tokio::test]
async fn a_decision_about_many_is_counted_before_it_is_done() {
    let app = TestApp::new();
    for n in 0..3 {
        app.create(&json!({"title": format!("m{n}"), "queue": "mail"})).await;
    }
    let other = app.titled("other").await["id"].clone();
    let ended = app.create(&json!({"title": "ended", "queue": "mail"})).await["id"].clone();
    app.set(&ended, "cancelled").await.ok(200);
    let preview = page(&app, "/tasks/many?do=cancel&queue=mail").await;
    assert!(preview.contains("3 tasks"), "{preview}");
    assert_eq!(
        app.get("/api/v1/tasks?status=cancelled").await.ok(200).as_array().map(Vec::len),
        Some(1),
        "a look does nothing"
    );
    let done = sent(&app, "/tasks/many", &[("do", "cancel"), ("queue", "mail")]).await;
    let text = page(&app, &done).await;
    assert!(text.contains("3 tasks were cancelled."), "{text}");
    assert!(text.contains("value=\"mail\""), "the filter stays");
    assert_eq!(status(&app, &other).await, "pending");
    let nothing = page(&app, "/tasks/many?do=cancel&queue=mail").await;
    assert!(nothing.contains("There is no task of this filter"), "{nothing}");
    let retry = page(&app, "/tasks/many?do=retry&queue=mail").await;
    assert!(retry.contains("4 tasks"), "{retry}");
}

#[tokio::test]
async fn a_count_that_takes_longer_than_a_look_is_made_for_who_asks_for_it() {
    let app = TestApp::new();
    let many = |n: usize| {
        let tasks = (0..n).map(|n| json!({"title": format!("t{n}"), "tags": ["a&b"]}));
        json!({"tasks": tasks.collect::<Vec<_>>()})
    };
    app.post("/api/v1/tasks/bulk", &many(2_000)).await.ok(200);
    let full = page(&app, "/tasks/many?do=cancel&tag=a%26b").await;
    assert!(full.contains("At least 2,000 tasks"), "nobody looked further: {full}");
    app.post("/api/v1/tasks/bulk", &many(2)).await.ok(200);
    let glance = page(&app, "/tasks/many?do=cancel&tag=a%26b").await;
    assert!(glance.contains("At least 2,000 tasks"), "{glance}");
    let way = "/tasks/many?do=cancel&amp;tag=a%26b&amp;count=on";
    assert!(glance.contains(way), "{glance}");
    let counted = page(&app, &way.replace("&amp;", "&")).await;
    assert!(counted.contains("2,002 tasks") && !counted.contains("At least"), "{counted}");
    assert!(!counted.contains(way), "nothing more is to be counted");
    let none = page(&app, "/tasks/many?do=retry&tag=a%26b").await;
    assert!(none.contains("Among the first tasks") && !none.contains("0 tasks"), "{none}");
    assert!(none.contains("count=on"), "there may be some further on: {none}");
    let none = page(&app, "/tasks/many?do=retry&tag=a%26b&count=on").await;
    assert!(none.contains("There is no task of this filter"), "{none}");
}

#[tokio::test]
async fn to_delete_or_to_take_all_somebody_must_mean_it() {
    let app = TestApp::new();
    let id = app.titled("t").await["id"].clone();
    for fields in [&[("do", "delete"), ("queue", "default")][..], &[("do", "cancel")]] {
        assert_eq!(send(&app, "/tasks/many", fields).await.status, 422, "{fields:?}");
        assert_eq!(status(&app, &id).await, "pending");
    }
    for fields in [
        &[("do", "explode"), ("sure", "yes")][..],
        &[("do", "delete"), ("sure", "yes"), ("status", "lost")],
    ] {
        assert_eq!(send(&app, "/tasks/many", fields).await.status, 422, "{fields:?}");
    }
    sent(&app, "/tasks/many", &[("do", "delete"), ("sure", "yes")]).await;
    assert_eq!(app.get("/api/v1/tasks").await.ok(200), json!([]));
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed() {
    let app = TestApp::new();
    let id = app.job("t").await["id"].clone();
    assert_eq!(
        sent(&app, "/queues/default/pause", &[("reason", "flood")]).await,
        "/queues/default"
    );
    assert!(app.claim(1).await.is_empty());
    let text = page(&app, &format!("/tasks/{id}")).await;
    assert!(text.contains("is paused") && text.contains("flood"), "{text}");
    assert!(page(&app, "/queues").await.contains("/queues/default/resume"));
    sent(&app, "/queues/default/pause", &[]).await;
    let queue = app.get("/api/v1/queues/default").await.ok(200);
    assert_eq!(
        queue["pause_reason"], "flood",
        "a second pause without a reason leaves the first one's"
    );
    sent(&app, "/queues/default/resume", &[]).await;
    assert_eq!(app.claim(1).await.len(), 1);
}

#[tokio::test]
async fn a_worker_is_drained_resumed_and_released() {
    let app = TestApp::new();
    let running = app.running("t").await;
    assert!(page(&app, "/workers").await.contains(">working<"));
    assert_eq!(sent(&app, "/workers/w1/drain", &[]).await, "/workers/w1");
    assert!(page(&app, "/workers/w1").await.contains(">draining<"));
    app.job("more").await;
    assert!(app.claim(1).await.is_empty(), "a drained worker gets nothing");
    sent(&app, "/workers/w1/resume", &[]).await;
    assert_eq!(sent(&app, "/workers/w1/release", &[]).await, "/workers/w1?released=1");
    assert!(page(&app, "/workers/w1?released=1").await.contains("1 task taken back"));
    assert_eq!(status(&app, &running["id"]).await, "pending");
}

#[tokio::test]
async fn failures_are_grouped_and_a_group_is_redriven() {
    let app = TestApp::new();
    for (n, error) in ["slot 17 is empty", "slot 4 is empty", "no power"].iter().enumerate() {
        let running = app.running(&format!("t{n}")).await;
        let body =
            json!({"lease_token": running["lease_token"], "error": error, "retryable": false});
        app.post(&format!("/api/v1/tasks/{}/fail", running["id"]), &body).await.ok(200);
    }
    let text = page(&app, "/failed").await;
    assert!(text.contains("slot # is empty") && text.contains("no power"), "{text}");
    let group = [("kind", "job"), ("error", "slot # is empty")];
    let preview = page(&app, "/failed/redrive?kind=job&error=slot%20%23%20is%20empty").await;
    assert!(preview.contains("2 tasks"), "{preview}");
    let done = sent(&app, "/failed/redrive", &group).await;
    assert!(page(&app, &done).await.contains("2 tasks run once more."), "{done}");
    let failed = app.get("/api/v1/tasks?status=failed").await.ok(200);
    assert_eq!(failed.as_array().map(Vec::len), Some(1));
    assert_eq!(failed[0]["error_message"], "no power");
    assert_eq!(send(&app, "/failed/redrive", &[("kind", "a b"), ("error", "x")]).await.status, 422);
}

#[tokio::test]
async fn a_button_leads_back_to_the_page_on_which_it_stood() {
    let app = TestApp::new();
    app.titled("t").await;
    for (from, place) in [
        ("http://h:1/queues?after=a", "/queues?after=a"),
        ("http://evil/queues", "/queues/default"),
        ("http://h:1evil/x", "/queues/default"),
    ] {
        let headers = [super::OWN, ("host", "h:1"), ("referer", from)];
        let answer = app.call("POST", "/queues/default/pause", &headers, "").await;
        assert_eq!(answer.header("location"), place, "{from}");
    }
}
