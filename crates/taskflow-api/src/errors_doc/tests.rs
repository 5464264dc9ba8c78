//! The page says what the table says, and every `type` of a problem document leads to an explanation.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Request, StatusCode, header};
use taskflow_service::Services;
use taskflow_service::clock::{SystemClock, SystemIds};
use taskflow_sqlite::SqliteStore;
use tower::ServiceExt;

use super::{errors_markdown, html};
use crate::problem::CODES;
use crate::{ApiKey, ApiOptions, ApiState, Cors};

#[test]
fn the_page_is_printed_from_the_table() {
    let page = include_str!("../../../../docs/errors.md").replace("\r\n", "\n");
    assert!(
        page == errors_markdown(),
        "docs/errors.md is stale; print it anew: \
         cargo run -p taskflow-api --example errors > docs/errors.md"
    );
}

#[test]
fn no_code_stands_twice_and_each_is_kebab_case() {
    let mut seen = HashSet::new();
    for (code, ..) in CODES {
        assert!(seen.insert(code), "{code} stands twice");
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
    }
}

#[test]
fn a_meaning_becomes_html_that_is_escaped() {
    assert_eq!(html("`\"3\"` < 4 & `x`"), "<code>&quot;3&quot;</code> &lt; 4 &amp; <code>x</code>");
}

/// The whole surface with a key set, on a database in `folder`.
fn surface(folder: &tempfile::TempDir) -> Router {
    let store = SqliteStore::open(&folder.path().join("tasks.db")).unwrap();
    let (clock, ids) = (Arc::new(SystemClock::default()), Arc::new(SystemIds));
    let services = Services::new(Arc::new(store), clock, ids, Duration::from_secs(5));
    let options = ApiOptions {
        title: "TaskFlow API".into(),
        version: "0".into(),
        key: Some(ApiKey::new("a key that nobody sends")),
        cors: Cors::Any,
        public: false,
        request_seed: 0,
    };
    crate::router(ApiState::new(services, options))
}

/// Status, content type and text of the answer to `GET path`.
async fn get(surface: &Router, path: &str) -> (StatusCode, String, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = surface.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, kind, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn the_type_of_a_refusal_leads_to_its_explanation_without_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let surface = surface(&folder);
    let (status, _, text) = get(&surface, "/api/v1/tasks").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (status, kind, page) = get(&surface, problem["type"].as_str().unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(kind.starts_with("text/html"), "{kind}");
    assert!(page.contains("<h1>Unauthorized</h1>"), "{page}");
}

#[tokio::test]
async fn every_code_is_listed_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let surface = surface(&folder);
    let (_, _, list) = get(&surface, "/errors").await;
    for (code, _, title, meaning) in CODES {
        let path = format!("/errors/{code}");
        assert!(list.contains(&format!("href=\"{path}\"")), "{code} is not listed");
        let (status, _, page) = get(&surface, &path).await;
        assert_eq!(status, StatusCode::OK, "{code}");
        assert!(page.contains(title) && page.contains(&html(meaning)), "{page}");
        assert!(!page.contains("<script"), "{page}");
    }
}

#[tokio::test]
async fn an_unknown_code_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let (status, kind, text) = get(&surface(&folder), "/errors/no-such-code").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(kind, "application/problem+json");
    assert!(text.contains("no such error code"), "{text}");
}
