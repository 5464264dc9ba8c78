//! What an answer and a list in a body may grow to.

use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn a_list_that_is_too_long_is_refused_before_its_rest_is_looked_at() {
    let app = TestApp::new();
    // The last item is no task: whoever reads all of them would say so.
    let many = |n: usize, item: &str, last: &str| {
        let mut items = vec![item; n];
        items.push(last);
        items.join(",")
    };
    let bulk = format!(r#"{{"tasks":[{}]}}"#, many(10_001, r#"{"title":"t"}"#, r#"{"title":5}"#));
    app.json("POST", "/api/v1/tasks/bulk", bulk).await.blames("/tasks", "too-many");
    let end = r#"{"id":1,"lease_token":"x","outcome":"completed"}"#;
    let sync = format!(r#"{{"finished":[{}]}}"#, many(1_001, end, "7"));
    app.json("POST", "/api/v1/workers/w/sync", sync).await.blames("/finished", "too-many");
    let tags = format!(r#"{{"title":"t","tags":[{}]}}"#, many(51, r#""a""#, "1"));
    app.json("POST", "/api/v1/tasks", tags).await.blames("/tags", "too-many");
    let parents = format!(r#"{{"title":"t","depends_on":[{}]}}"#, many(101, "1", "{}"));
    app.json("POST", "/api/v1/tasks", parents).await.blames("/depends_on", "too-many");
    for part in ["queues", "kinds"] {
        let names = many(101, r#""q""#, "null");
        let claim = format!(r#"{{"worker":"w","{part}":[{names}]}}"#);
        app.json("POST", "/api/v1/tasks/claim", claim).await.blames(&format!("/{part}"), "length");
    }
    assert_eq!(app.get("/api/v1/tasks").await.ok(200), json!([]));
}

#[tokio::test]
async fn a_query_of_thousands_of_faults_is_told_a_hundred() {
    let app = TestApp::new();
    let answer = app.get(&format!("/api/v1/tasks?{}", "a&".repeat(4_000))).await;
    let problem = answer.refused(422, "invalid-input");
    assert_eq!(problem["errors"].as_array().expect("a list").len(), 100);
    assert!(problem["detail"].as_str().expect("a text").starts_with("4000 fields"));
}

#[tokio::test]
async fn a_page_that_is_too_heavy_blames_its_limit() {
    let app = TestApp::new();
    let payload = "x".repeat(1024 * 1024 - 2);
    for _ in 0..33 {
        app.create(&json!({"title": "t", "payload": payload})).await;
    }
    let problem = app.get("/api/v1/tasks?limit=33").await.refused(422, "page-too-large");
    assert_eq!(problem["errors"][0]["pointer"], "?limit");
    let page = app.get("/api/v1/tasks?limit=20").await.ok(200);
    assert_eq!(page.as_array().expect("a list").len(), 20);
    // Descriptions weigh too.
    let described = json!({"title": "t", "queue": "long", "description": "x".repeat(64 * 1024)});
    let batch = json!({"tasks": vec![described; 200]}).to_string();
    for _ in 0..3 {
        app.json("POST", "/api/v1/tasks/bulk", batch.clone()).await.ok(200);
    }
    let problem = app.get("/api/v1/tasks?queue=long&limit=600").await;
    problem.refused(422, "page-too-large");
    app.get("/api/v1/tasks?queue=long&limit=500").await.ok(200);
}

#[tokio::test]
async fn a_number_in_a_query_has_digits_only() {
    let app = TestApp::new();
    for (path, name) in [
        ("/api/v1/tasks", "skip"),
        ("/api/v1/tasks", "limit"),
        ("/api/v1/queues", "limit"),
        ("/api/v1/workers", "limit"),
        ("/api/v1/stats/timeseries", "minutes"),
    ] {
        for bad in ["%2B5", "", "-1", "1.5", "1e3", "99999999999999999999", "%D9%A1", "+5"] {
            let answer = app.get(&format!("{path}?{name}={bad}")).await;
            answer.blames(&format!("?{name}"), "out-of-range");
        }
        app.get(&format!("{path}?{name}=5")).await.ok(200);
    }
}
