//! The state machine as a person sees it: `PUT status`.

use serde_json::json;

use super::{STATUSES, in_status};
use crate::app::TestApp;
use crate::app::at;

/// What a person may set: from each status to these.
fn may_become(status: &str) -> &'static [&'static str] {
    match status {
        "pending" => &["in_progress", "completed", "failed", "cancelled"],
        "in_progress" => &["pending", "completed", "failed", "cancelled"],
        _ => &["pending"],
    }
}

#[tokio::test]
async fn every_status_goes_where_the_table_says_and_nowhere_else() {
    let app = TestApp::new();
    for from in STATUSES {
        for to in STATUSES {
            let task = in_status(&app, from).await;
            let before = app.everything().await;
            let answer = app.set(&task["id"], to).await;
            if from == to {
                assert_eq!(answer.ok(200), task, "{from} to {to}");
            } else if may_become(from).contains(&to) {
                assert_eq!(answer.ok(200)["status"], to, "{from} to {to}");
            } else {
                let body = answer.refused(409, "illegal-transition");
                assert_eq!(body["allowed"], json!(may_become(from)), "{from} to {to}");
                let detail = body["detail"].as_str().expect("a sentence");
                assert!(may_become(from).iter().all(|word| detail.contains(word)), "{detail}");
                assert_eq!(app.everything().await, before, "{from} to {to}");
            }
        }
    }
}

#[tokio::test]
async fn an_illegal_status_takes_the_other_changes_with_it() {
    let app = TestApp::new();
    let task = in_status(&app, "completed").await;
    let edit = json!({"title": "b", "status": "in_progress"});
    app.put("/api/v1/tasks/1", &edit).await.refused(409, "illegal-transition");
    assert_eq!(app.task(&task["id"]).await, task);
}

#[tokio::test]
async fn completion_is_stamped_and_a_retry_clears_it() {
    let app = TestApp::new();
    for (status, completed_at) in
        [("completed", at(0.0)), ("failed", json!(null)), ("cancelled", json!(null))]
    {
        let task = in_status(&app, status).await;
        assert_eq!(task["completed_at"], completed_at, "{status}");
        assert_eq!(task["ended_at"], at(0.0), "{status}");
        let again = app.set(&task["id"], "pending").await.ok(200);
        let cleared = (&again["completed_at"], &again["ended_at"], &again["cancel_reason"]);
        assert_eq!(cleared, (&json!(null), &json!(null), &json!(null)), "{status}");
        assert_eq!(again["pending_reason"], "ready");
    }
}

#[tokio::test]
async fn a_person_who_works_on_a_task_is_never_timed_out() {
    let app = TestApp::new();
    let task = in_status(&app, "in_progress").await;
    assert_eq!((&task["lease_expires_at"], &task["worker"]), (&json!(null), &json!(null)));
    app.clock.advance(1e6);
    app.tick().await;
    assert_eq!(app.task(&task["id"]).await, task);
}
