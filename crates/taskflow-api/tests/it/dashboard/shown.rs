//! What pages show, and what they never hold.

use serde_json::json;
use taskflow_api::ApiOptions;

use super::page;
use crate::app::{TestApp, options};

/// Every page of a database with a task in each status.
async fn filled() -> (TestApp, Vec<String>) {
    let app = TestApp::new();
    app.titled("a plain one").await;
    let running = app.running("a running one").await;
    let token = &running["lease_token"];
    let beat = json!({"lease_token": token, "progress": {"percent": 40.0, "message": "halfway"}});
    app.post(&format!("/api/v1/tasks/{}/heartbeat", running["id"]), &beat).await.ok(200);
    let lost = app.running("a lost one").await;
    let body = json!({"lease_token": lost["lease_token"], "error": "no paper at 17\nmore", "retryable": false});
    app.post(&format!("/api/v1/tasks/{}/fail", lost["id"]), &body).await.ok(200);
    let paths = [
        "/",
        "/?span=day",
        "/tasks",
        "/tasks/new",
        "/tasks?status=failed",
        "/queues",
        "/queues/default",
        "/workers",
        "/workers/w1",
        "/failed",
        "/tasks/many?do=cancel&status=pending",
    ];
    let mut paths: Vec<String> = paths.map(str::to_owned).to_vec();
    for id in [&running["id"], &lost["id"]] {
        paths.extend([
            format!("/tasks/{id}"),
            format!("/tasks/{id}/edit"),
            format!("/tasks/new?from={id}"),
        ]);
    }
    (app, paths)
}

#[tokio::test]
async fn every_page_is_whole_and_runs_nothing_but_its_own_script() {
    let (app, paths) = filled().await;
    for path in paths {
        let answer = app.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let policy = answer.header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        let text = answer.text;
        assert!(text.starts_with("<!DOCTYPE html>") && text.ends_with("</html>"), "{path}");
        assert_eq!(text.matches("<h1").count(), 1, "{path}");
        for inline in [" style=", " onclick=", "<style", "javascript:", "src=\"http", "href=\"http"]
        {
            assert!(!text.contains(inline), "{path}: {inline}");
        }
        assert_eq!(text.matches("<script").count(), 1, "{path}");
    }
}

#[tokio::test]
async fn what_pages_load_is_there_and_stays() {
    let (app, _) = filled().await;
    let text = page(&app, "/").await;
    let places = text.split('"').filter(|part| part.starts_with("/static/"));
    let places: Vec<&str> = places.collect();
    assert_eq!(places.len(), 3, "{places:?}");
    for place in places {
        let answer = app.get(place).await;
        assert_eq!(answer.status, 200, "{place}");
        assert!(answer.header("cache-control").contains("immutable"), "{place}");
        // Another version's path gets what there is, and does not stay.
        let name = place.rsplit('/').next().expect("a name");
        let other = app.get(&format!("/static/0000000000000000/{name}")).await;
        assert_eq!((other.status, other.header("cache-control")), (200, "no-store"), "{place}");
    }
    assert_eq!(app.get("/static/0000000000000000/../../Cargo.toml").await.status, 404);
    assert_eq!(app.get("/static/0000000000000000/other.js").await.status, 404);
}

#[tokio::test]
async fn hostile_texts_are_texts_on_every_page() {
    let app = TestApp::new();
    let hostile =
        "</textarea></title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}";
    let body = json!({
        "title": hostile, "description": hostile, "tags": ["<script>"], "kind": "job",
        "payload": {"<script>alert(1)</script>": hostile}, "metadata": {"<b>": "<i>"},
        "unique_key": hostile, "concurrency_key": hostile,
    });
    app.create(&body).await;
    let running = app.claim(1).await.remove(0);
    let id = &running["id"];
    let failed =
        json!({"lease_token": running["lease_token"], "error": hostile, "retryable": false});
    app.post(&format!("/api/v1/tasks/{id}/fail"), &failed).await.ok(200);
    app.post("/api/v1/queues/default/pause", &json!({"reason": hostile})).await.ok(200);
    let search = "/tasks?q=%3Cscript%3Ealert(1)%3C/script%3E";
    for path in [
        "/",
        "/tasks",
        search,
        "/failed",
        "/queues",
        "/queues/default",
        &format!("/tasks/{id}"),
        &format!("/tasks/{id}/edit"),
        &format!("/tasks/new?from={id}"),
    ] {
        let text = page(&app, path).await;
        for broken in ["<script>alert", "<img src=x", "</textarea></title>", "<b>", "<i>:"] {
            assert!(!text.contains(broken), "{path} has {broken}");
        }
        if path != search {
            assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_task_is_shown_whole() {
    let app = TestApp::new();
    let body = json!({"title": "Label", "kind": "job", "payload": {"order": 1_970_670_598_291_982_290_i64}, "tags": ["vip"]});
    app.create(&body).await;
    let running = app.claim(1).await.remove(0);
    let (id, token) = (&running["id"], &running["lease_token"]);
    app.clock.advance(2.0);
    let body = json!({"lease_token": token, "error": "no paper\nat slot 17"});
    app.post(&format!("/api/v1/tasks/{id}/fail"), &body).await.ok(200);
    let text = page(&app, &format!("/tasks/{id}")).await;
    for part in [
        "1970670598291982290",
        ">vip<",
        "retrying",
        "no paper\nat slot 17",
        "attempt 1: failed, 2 s",
        "the back-off lasts until",
        "X POST",
        "/tasks/1/cancel",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("X-API-Key"), "no key is set");
    let raw = app.get(&format!("/tasks/{id}/payload")).await;
    assert_eq!(raw.text, r#"{"order":1970670598291982290}"#);
    assert_eq!(raw.header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(app.get(&format!("/tasks/{id}/result")).await.status, 404);
}

#[tokio::test]
async fn a_list_is_filtered_by_its_address_and_goes_on() {
    let app = TestApp::new();
    for n in 0..60 {
        app.create(&json!({"title": format!("mail {n}"), "queue": "mail", "kind": "job"})).await;
    }
    app.titled("another").await;
    let first = page(&app, "/tasks?queue=mail&status=&q=").await;
    assert!(first.contains("mail 59") && !first.contains("mail 9<") && !first.contains("another"));
    let next = first.split("href=\"").find(|part| part.contains("after=")).expect("a next page");
    let next = next.split('"').next().expect("an address").replace("&amp;", "&");
    assert!(next.contains("queue=mail"), "{next}");
    let second = page(&app, &next).await;
    assert!(
        second.contains("mail 9<") && second.contains("mail 0<") && !second.contains("mail 10<")
    );
    let none = page(&app, "/tasks?queue=none").await;
    assert!(none.contains("No task fits this filter."));
    let answer = app.get("/tasks?created_after=yesterday&queue=a%20b").await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.text.contains("value=\"yesterday\"")
            && answer.text.contains("must be an RFC 3339 instant"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn empty_pages_say_what_to_do_next() {
    let app = TestApp::new();
    for (path, words) in [
        ("/", "Create your first task"),
        ("/tasks", "No task is here."),
        ("/queues", "A queue begins with its first task"),
        ("/workers", "taskflow worker"),
        ("/failed", "Nothing has failed."),
    ] {
        assert!(page(&app, path).await.contains(words), "{path}");
    }
    for link in ["/docs", "/redoc", "/openapi.json", "/api/v1/health", "/errors"] {
        assert!(page(&app, "/").await.contains(&format!("href=\"{link}\"")), "{link}");
        assert_eq!(app.get(link).await.status, 200, "{link}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_warned_of() {
    let app = TestApp::with(ApiOptions { public: true, ..options() });
    assert!(page(&app, "/").await.contains("Anybody who reaches this address"));
    let app = TestApp::new();
    let text = page(&app, "/").await;
    assert!(
        !text.contains("Anybody who reaches") && !text.contains("class=\"warnings\""),
        "{text}"
    );
    app.job("nobody's").await;
    assert!(page(&app, "/").await.contains("Nobody works on"));
    app.claim(1).await;
    app.job("somebody's").await;
    assert!(!page(&app, "/").await.contains("Nobody works on"), "a worker claimed such a task");
    app.clock.advance(60.0);
    assert!(page(&app, "/").await.contains("hold leases that ended"), "nobody rescues here");
}

#[tokio::test]
async fn what_is_not_there_is_a_page_with_a_request_id() {
    let app = TestApp::new();
    for path in ["/tasks/7", "/queues/none", "/workers/none", "/tasks/many?do=explode"] {
        let answer = app.get(path).await;
        assert!(matches!(answer.status, 404 | 422), "{path}: {}", answer.status);
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
        assert!(answer.text.contains(answer.header("x-request-id")), "{path}");
    }
    let people = [("accept", "text/html,application/xhtml+xml")];
    let answer = app.call("GET", "/nope", &people, "").await;
    assert!(answer.status == 404 && answer.text.contains("<h1>Not found</h1>"), "{}", answer.text);
    app.get("/nope").await.refused(404, "not-found");
    app.call("GET", "/api/v1/nope", &people, "").await.refused(404, "not-found");
    let id = app.titled("t").await["id"].clone();
    let refused = super::send(&app, &format!("/tasks/{id}/retry"), &[("version", "7")]).await;
    assert!(
        refused.status == 412 && refused.text.contains(&format!("href=\"/tasks/{id}\"")),
        "a way back: {}",
        refused.text
    );
    let asked = [("sec-fetch-dest", "empty")];
    app.call("GET", "/tasks/7", &asked, "").await.refused(404, "not-found");
}

#[tokio::test]
async fn a_page_of_heavy_tasks_is_shorter_instead_of_refused() {
    let app = TestApp::new();
    let heavy = "x".repeat(1_000_000);
    for _ in 0..40 {
        app.create(&json!({"title": "heavy", "payload": heavy})).await;
    }
    let text = page(&app, "/tasks").await;
    assert_eq!(text.matches("<tr data-key=\"task-").count(), 10);
}
