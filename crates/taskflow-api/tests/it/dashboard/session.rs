//! Who is let in: the key for a session, the session for pages, and nothing for other sites (bad inputs 79, 145, 148).

use serde_json::json;

use super::{FORM, OWN, encoded};
use crate::app::{Answer, TestApp};

const KEY: &str = "s3cret-key";

/// Signs in; the cookie as a browser sends it.
async fn sign_in(app: &TestApp, next: &str) -> (String, Answer) {
    let body = format!("key={}&next={}", encoded(KEY), encoded(next));
    let answer = app.call("POST", "/sign-in", &[OWN, FORM], body).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let cookie = answer.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    (cookie, answer)
}

async fn with(app: &TestApp, cookie: &str, path: &str) -> Answer {
    app.call("GET", path, &[("cookie", cookie)], "").await
}

#[tokio::test]
async fn without_a_session_pages_lead_to_the_sign_in() {
    let app = TestApp::with_key(KEY);
    for path in
        ["/", "/tasks?status=failed", "/tasks/new", "/queues", "/workers", "/failed", "/tasks/1"]
    {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 303, "{path}");
        let place = answer.header("location");
        assert!(place.starts_with("/sign-in?next="), "{path}: {place}");
    }
    let open = app.get("/sign-in").await;
    assert!(open.status == 200 && open.text.contains("type=\"password\""));
    assert!(!open.text.contains(KEY));
    // A script is told, so that it can go there.
    let asked = [("sec-fetch-dest", "empty")];
    app.call("GET", "/live", &asked, "").await.refused(401, "unauthorized");
    app.call("GET", "/tasks", &asked, "").await.refused(401, "unauthorized");
}

#[tokio::test]
async fn the_key_is_exchanged_for_a_session() {
    let app = TestApp::with_key(KEY);
    let (cookie, answer) = sign_in(&app, "/tasks?status=failed").await;
    let line = answer.header("set-cookie");
    for part in
        ["__Host-", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=604800"]
    {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("Domain"), "{line}");
    assert!(
        !app.holds(cookie.split('=').nth(1).expect("a token").as_bytes()),
        "only its hash is kept"
    );
    let back = with(&app, &cookie, answer.header("location")).await;
    assert_eq!((back.status, back.header("location")), (303, "/tasks?status=failed"));
    assert_eq!(with(&app, &cookie, "/tasks?status=failed").await.status, 200);
    let live = with(&app, &cookie, "/live").await;
    assert_eq!((live.status, live.header("content-type")), (200, "text/event-stream"));
    assert!(live.text.contains("event: ready"), "{}", live.text);
    let others = format!("name=Z\u{fc}rich; {cookie}");
    assert_eq!(with(&app, &others, "/tasks").await.status, 200, "cookies of others on this host");
    // A browser that does not keep the cookie is told why it comes back.
    let again = app.get(answer.header("location")).await;
    assert!(again.text.contains("did not keep the session"), "{}", again.text);
}

#[tokio::test]
async fn a_wrong_key_opens_nothing() {
    let app = TestApp::with_key(KEY);
    for key in ["", "wrong", "s3cret-ke", "s3cret-key "] {
        let answer =
            app.call("POST", "/sign-in", &[OWN, FORM], format!("key={}", encoded(key))).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (401, ""), "{key:?}");
        assert!(answer.text.contains("That is not the key."), "{key:?}");
    }
    for cookie in
        ["__Host-taskflow=", "__Host-taskflow=abc", &format!("__Host-taskflow={}", "0".repeat(64))]
    {
        assert_eq!(with(&app, cookie, "/tasks").await.status, 303, "{cookie}");
    }
}

#[tokio::test]
async fn the_api_takes_no_cookie() {
    let app = TestApp::with_key(KEY);
    let (cookie, _) = sign_in(&app, "/").await;
    for path in ["/api/v1/tasks", "/api/v1/events", "/api/v1/queues"] {
        with(&app, &cookie, path).await.refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_sign_out_ends_the_session_on_the_server() {
    let app = TestApp::with_key(KEY);
    let ((cookie, _), (other, _)) = (sign_in(&app, "/").await, sign_in(&app, "/").await);
    assert_ne!(cookie, other);
    let out = app.call("POST", "/sign-out", &[OWN, ("cookie", &cookie)], "").await;
    assert_eq!((out.status, out.header("location")), (303, "/sign-in"));
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(with(&app, &cookie, "/tasks").await.status, 303);
    assert_eq!(with(&app, &other, "/tasks").await.status, 200, "another session goes on");
}

#[tokio::test]
async fn a_sign_in_ends_the_session_that_was_there() {
    let app = TestApp::with_key(KEY);
    let (first, _) = sign_in(&app, "/").await;
    let body = format!("key={}", encoded(KEY));
    let answer = app.call("POST", "/sign-in", &[OWN, FORM, ("cookie", &first)], body).await;
    assert_eq!(answer.status, 303);
    assert_eq!(with(&app, &first, "/tasks").await.status, 303, "its token is of no use any more");
}

#[tokio::test]
async fn a_session_ends_when_nobody_uses_it_and_after_a_week_at_all_events() {
    let app = TestApp::with_key(KEY);
    let (idle, _) = sign_in(&app, "/").await;
    let (busy, _) = sign_in(&app, "/").await;
    const HOUR: f64 = 3600.0;
    for _ in 0..16 {
        app.clock.advance(10.0 * HOUR);
        assert_eq!(with(&app, &busy, "/queues").await.status, 200);
    }
    assert_eq!(with(&app, &idle, "/queues").await.status, 303);
    app.clock.advance(9.0 * HOUR);
    assert_eq!(with(&app, &busy, "/queues").await.status, 303, "a week is over");
}

#[tokio::test]
async fn without_a_key_there_is_nothing_to_sign_in_to() {
    let app = TestApp::new();
    assert_eq!(app.get("/sign-in?next=/tasks").await.header("location"), "/tasks");
    assert!(!app.get("/").await.text.contains("Sign out"));
}

#[tokio::test]
async fn a_sign_in_leads_to_no_other_host() {
    let app = TestApp::with_key(KEY);
    for next in ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]
    {
        let (cookie, answer) = sign_in(&app, next).await;
        let back = with(&app, &cookie, answer.header("location")).await;
        assert_eq!(back.header("location"), "/", "{next}");
    }
}

#[tokio::test]
async fn another_site_cannot_act_through_somebody_s_browser() {
    for app in [TestApp::new(), TestApp::with_key(KEY)] {
        let key = [("x-api-key", KEY), ("content-type", "application/json")];
        let task = app
            .call("POST", "/api/v1/tasks", &key, json!({"title": "t"}).to_string())
            .await
            .ok(201);
        let id = &task["id"];
        let (cookie, _) = if app.get("/").await.status == 303 {
            sign_in(&app, "/").await
        } else {
            (String::new(), app.get("/").await)
        };
        let acts = [
            "/tasks/new".to_owned(),
            format!("/tasks/{id}/cancel"),
            format!("/tasks/{id}/delete"),
            format!("/tasks/{id}/edit"),
            "/tasks/many".into(),
            "/queues/default/pause".into(),
            "/queues/default".into(),
            "/workers/w/drain".into(),
            "/failed/redrive".into(),
            "/sign-out".into(),
            "/sign-in".into(),
        ];
        let foreign: &[&[(&str, &str)]] = &[
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://evil.example"), ("host", "127.0.0.1:8000")],
            &[("origin", "null"), ("host", "127.0.0.1:8000")],
            &[],
        ];
        for act in &acts {
            for from in foreign {
                let headers = [*from, &[("cookie", &cookie), FORM]].concat();
                let body =
                    "do=delete&sure=1&status=pending&title=x&kind=job&error=e&key=s3cret-key";
                let answer = app.call("POST", act, &headers, body).await;
                assert_eq!(answer.status, 403, "{act} {from:?}: {}", answer.text);
            }
        }
        let after = app.call("GET", &format!("/api/v1/tasks/{id}"), &key, "").await.ok(200);
        assert_eq!(after, task, "nothing happened");
        let all = app.call("GET", "/api/v1/tasks", &key, "").await.ok(200);
        assert_eq!(all.as_array().map(Vec::len), Some(1));
    }
}
