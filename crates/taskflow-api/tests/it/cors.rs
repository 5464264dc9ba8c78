//! Which pages may call the API from a browser.

use serde_json::json;
use taskflow_api::{ApiKey, ApiOptions, Cors};

use crate::app::{Answer, TestApp, listed, options};

const GOOD: &str = "https://good.example";
/// Bad input 146: none of these is [`GOOD`].
const EVIL: [&str; 6] = [
    "https://evil.example",
    "null",
    "https://good.example.evil.example",
    "https://evilgood.example",
    "http://good.example",
    "https://good.example:8443",
];

fn only_good() -> ApiOptions {
    ApiOptions { cors: Cors::Only(vec![GOOD.into()]), ..options() }
}

async fn preflight(app: &TestApp, origin: &str, method: &str) -> Answer {
    let asks = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", "content-type,x-api-key"),
    ];
    app.call("OPTIONS", "/api/v1/tasks/1", &asks, "").await
}

async fn asked_from(app: &TestApp, origin: &str) -> Answer {
    app.call("GET", "/api/v1/tasks", &[("origin", origin)], "").await
}

#[tokio::test]
async fn any_origin_may_call_without_credentials() {
    let app = TestApp::with(ApiOptions { cors: Cors::Any, ..options() });
    let answer = preflight(&app, GOOD, "PUT").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let answer = asked_from(&app, "null").await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn a_preflight_lists_the_methods_and_headers_of_the_api() {
    let app = TestApp::with(only_good());
    let answer = preflight(&app, GOOD, "DELETE").await;
    assert_eq!(answer.status, 200);
    let methods = listed(answer.header("access-control-allow-methods"));
    assert_eq!(methods, ["delete", "get", "post", "put"]);
    let headers = listed(answer.header("access-control-allow-headers"));
    let expected = [
        "authorization",
        "content-type",
        "idempotency-key",
        "if-match",
        "last-event-id",
        "x-api-key",
        "x-request-id",
    ];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn only_the_named_origins_may_call() {
    let app = TestApp::with(only_good());
    assert_eq!(asked_from(&app, GOOD).await.header("access-control-allow-origin"), GOOD);
    for origin in EVIL {
        for answer in [preflight(&app, origin, "PUT").await, asked_from(&app, origin).await] {
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
            assert_eq!(answer.header("access-control-allow-credentials"), "", "{origin}");
        }
    }
}

#[tokio::test]
async fn a_page_can_read_etag_link_location_and_request_id() {
    let app = TestApp::with(only_good());
    let exposed = asked_from(&app, GOOD).await;
    let exposed = listed(exposed.header("access-control-expose-headers"));
    assert_eq!(exposed, ["etag", "idempotency-replayed", "link", "location", "x-request-id"]);
}

#[tokio::test]
async fn a_page_can_read_why_it_was_refused() {
    let app = TestApp::with(ApiOptions { key: Some(ApiKey::new("k")), ..only_good() });
    let answer = asked_from(&app, GOOD).await;
    assert_eq!(answer.header("access-control-allow-origin"), GOOD);
    answer.refused(401, "unauthorized");
}

#[tokio::test]
async fn a_preflight_needs_no_key() {
    let app = TestApp::with(ApiOptions { key: Some(ApiKey::new("k")), ..only_good() });
    let answer = preflight(&app, GOOD, "PUT").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, GOOD));
}

#[tokio::test]
async fn an_answer_for_one_origin_is_not_reused_for_another() {
    let app = TestApp::with(only_good());
    let answer = asked_from(&app, GOOD).await;
    assert!(listed(answer.header("vary")).contains(&"origin".to_owned()), "{answer:?}");
}

#[tokio::test]
async fn without_origins_no_page_may_call() {
    let app = TestApp::new();
    assert_eq!(asked_from(&app, GOOD).await.header("access-control-allow-origin"), "");
    preflight(&app, GOOD, "PUT").await.refused(405, "method-not-allowed");
}

#[tokio::test]
async fn a_refused_origin_still_cannot_send_json_unasked() {
    // 145: a form cannot say application/json without a preflight.
    let app = TestApp::with(only_good());
    let body = json!({"title": "a"}).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let headers = [("origin", EVIL[0]), ("content-type", kind)];
        let answer = app.call("POST", "/api/v1/tasks", &headers, body.clone()).await;
        answer.refused(415, "unsupported-media-type");
    }
    assert_eq!(app.get("/api/v1/tasks").await.ok(200), json!([]));
}
