//! A route that panics: its request gets a document, and the next one is served.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{RequestIds, edge};

async fn explode() -> StatusCode {
    panic!("the secret of this route")
}

#[tokio::test]
async fn a_panic_is_an_internal_error_of_its_request_alone() {
    let ids = RequestIds::new(7);
    let router = Router::new()
        .route("/bad", get(explode))
        .route("/good", get(|| async { "fine" }))
        .layer(axum::middleware::from_fn_with_state(ids, edge));
    let ask = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (parts, String::from_utf8(body.to_vec()).expect("text"))
    };
    let (parts, body) = ask("/bad").await;
    assert_eq!(parts.status, 500);
    assert_eq!(parts.headers["content-type"], "application/problem+json");
    let body: serde_json::Value = serde_json::from_str(&body).expect("a document");
    assert_eq!(body["code"], "internal-error");
    assert_eq!(body["request_id"], parts.headers["x-request-id"].to_str().expect("text"));
    assert!(!body.to_string().contains("secret"), "{body}");
    let (parts, body) = ask("/good").await;
    assert_eq!((parts.status.as_u16(), body.as_str()), (200, "fine"));
}
