//! What a client is told of a failure that passes, and what it is not told.

use axum::body::to_bytes;
use serde_json::{Value, json};

use super::*;

async fn rendered(problem: Problem) -> (Option<String>, Value) {
    let response = problem.render("id-1");
    let retry = response.headers().get(header::RETRY_AFTER);
    let retry = retry.map(|value| value.to_str().expect("text").to_owned());
    let kind = response.headers()[header::CONTENT_TYPE].clone();
    assert_eq!(kind, "application/problem+json");
    let status = response.status().as_u16();
    let text = to_bytes(response.into_body(), usize::MAX).await.expect("a whole body");
    let document: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(document["status"], status, "{document}");
    (retry, document)
}

#[tokio::test]
async fn what_passes_says_when_to_come_again() {
    for (error, status, code, seconds) in [
        (ServiceError::Busy, 503, "busy", "1"),
        (ServiceError::Unavailable, 503, "unavailable", "1"),
        (ServiceError::StorageFull, 503, "storage-full", "5"),
        (ServiceError::TooManyWaiters, 429, "too-many-waiters", "1"),
        (ServiceError::KeyInProgress, 409, "idempotency-in-progress", "1"),
    ] {
        let detail = error.to_string();
        let (retry, document) = rendered(error.into()).await;
        assert_eq!(retry.as_deref(), Some(seconds), "{code}");
        let title = CODES.iter().find(|row| row.0 == code).expect("a known code").2;
        let expected = json!({
            "type": format!("/errors/{code}"), "title": title, "status": status,
            "detail": detail, "code": code, "request_id": "id-1",
        });
        assert_eq!(document, expected);
    }
}

#[tokio::test]
async fn what_does_not_pass_by_itself_says_no_time() {
    let id = taskflow_core::TaskId::new(7).expect("positive");
    for error in [
        ServiceError::NotFound(id),
        ServiceError::LeaseLost(id),
        ServiceError::KeyHeld(id),
        ServiceError::Stale { id, version: 2 },
        ServiceError::PageTooLarge,
        ServiceError::KeyReused,
        ServiceError::AnswerTooLarge,
        ServiceError::TooManyQueues,
    ] {
        let (retry, document) = rendered(error.into()).await;
        assert_eq!(retry, None, "{document}");
        assert_eq!(document["status"] == 422, document["errors"].is_array(), "{document}");
    }
}

#[tokio::test]
async fn a_cause_is_for_the_log_and_never_for_the_client() {
    let secret = "password=hunter2 in src/secret.rs";
    let problem = Problem::new("outcome-unknown", "the outcome is unknown")
        .with_source(std::io::Error::other(secret));
    assert_eq!(problem.chain(), format!("the outcome is unknown: {secret}"));
    let (_, document) = rendered(problem).await;
    assert!(!document.to_string().contains("hunter2"), "{document}");
}
