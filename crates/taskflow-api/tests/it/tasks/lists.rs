//! Lists with filters.

use serde_json::{Value, json};

use crate::app::TestApp;

async fn ids(app: &TestApp, query: &str) -> Vec<i64> {
    let list = app.get(&format!("/api/v1/tasks?{query}")).await.ok(200);
    let list = list.as_array().expect("a list");
    list.iter().map(|task| task["id"].as_i64().expect("an id")).collect()
}

/// Six tasks of two queues and two kinds; the last two wait.
async fn peopled() -> TestApp {
    let app = TestApp::new();
    for n in 0..6 {
        let (queue, kind) = (["mail", "a.b:c-d_e"][n % 2], ["send", "log"][n / 3]);
        let mut task = json!({
            "title": "t", "queue": queue, "kind": kind,
            "tags": if n < 2 { vec!["red & blue=+%", "é"] } else { vec![] },
        });
        if n == 4 {
            task["delay_seconds"] = json!(60);
        }
        if n == 5 {
            task["depends_on"] = json!([1]);
        }
        app.create(&task).await;
    }
    app
}

#[tokio::test]
async fn a_list_takes_every_filter_and_all_together() {
    let app = peopled().await;
    assert_eq!(ids(&app, "queue=mail").await, [5, 3, 1]);
    assert_eq!(ids(&app, "queue=a.b%3Ac-d_e&kind=log").await, [6, 4]);
    assert_eq!(ids(&app, "kind=send").await, [3, 2, 1]);
    assert_eq!(ids(&app, "tag=%C3%A9").await, [2, 1]);
    assert_eq!(ids(&app, "tag=red+%26+blue%3D%2B%25").await, [2, 1]);
    assert_eq!(ids(&app, "tag=red").await, [0; 0]);
    assert_eq!(ids(&app, "pending_reason=ready").await, [4, 3, 2, 1]);
    assert_eq!(ids(&app, "pending_reason=scheduled&status=pending").await, [5]);
    assert_eq!(ids(&app, "pending_reason=retrying").await, [0; 0]);
    assert_eq!(ids(&app, "pending_reason=blocked&queue=mail").await, [0; 0]);
    assert_eq!(ids(&app, "pending_reason=blocked").await, [6]);
    app.clock.advance(1.0);
    let mark = app.create(&json!({"title": "late"})).await["created_at"].clone();
    let mark = mark.as_str().expect("an instant");
    assert_eq!(ids(&app, &format!("created_after={mark}")).await, [0; 0]);
    let later = mark.replace('Z', "-00:01");
    assert_eq!(ids(&app, &format!("created_after={later}")).await, [0; 0]);
    let before = mark.replace('Z', "%2B00:01");
    assert_eq!(ids(&app, &format!("created_after={before}")).await, [7, 6, 5, 4, 3, 2, 1]);
    let all = format!(
        "status=pending&priority=medium&queue=mail&kind=send&tag=%C3%A9&pending_reason=ready\
         &created_after={before}&limit=1&skip=0&after=3"
    );
    assert_eq!(ids(&app, &all).await, [1]);
    app.clock.advance(60.0);
    assert_eq!(ids(&app, "pending_reason=ready&queue=mail").await, [5, 3, 1]);
}

#[tokio::test]
async fn the_next_page_has_the_same_filters() {
    let app = peopled().await;
    app.clock.advance(100.0);
    let queries = [
        "limit=1&queue=a.b:c-d_e&kind=send",
        "limit=1&tag=red+%26+blue%3D%2B%25",
        "limit=1&pending_reason=ready&status=pending&priority=medium",
        "limit=1&created_after=2020-01-01T00:00:00%2B02:00&kind=log",
    ];
    for query in queries {
        let rest = ids(&app, &query.replace("limit=1", "limit=9")).await;
        let mut walked = Vec::new();
        let mut next = Some(format!("/api/v1/tasks?{query}"));
        while let Some(path) = next {
            let answer = app.get(&path).await;
            next = answer.headers.get("link").map(|link| {
                let link = link.to_str().expect("text");
                let path = link.strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\""));
                path.expect("a link to the next page").to_owned()
            });
            let page = answer.ok(200);
            walked.extend(page.as_array().expect("a list").iter().map(|t| t["id"].clone()));
        }
        let rest: Vec<Value> = rest.into_iter().map(Value::from).collect();
        assert!(!rest.is_empty(), "{query}");
        assert_eq!(walked, rest, "{query}");
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_meant_is_refused() {
    let app = peopled().await;
    let long = format!("queue={}", "q".repeat(101));
    let long_tag = format!("tag={}", "t".repeat(101));
    for (query, pointer, code) in [
        ("queue=", "?queue", "name"),
        ("queue", "?queue", "name"),
        ("queue=a%20b", "?queue", "name"),
        ("queue=a%00", "?queue", "name"),
        (long.as_str(), "?queue", "name"),
        ("kind=", "?kind", "name"),
        ("kind=%C3%A9", "?kind", "name"),
        ("kind=-", "?kind", "name"),
        ("tag=", "?tag", "length"),
        (long_tag.as_str(), "?tag", "length"),
        ("tag=a,b", "?tag", "character"),
        ("tag=%00", "?tag", "character"),
        ("pending_reason=", "?pending_reason", "unknown-word"),
        ("pending_reason=Ready", "?pending_reason", "unknown-word"),
        ("pending_reason=waiting", "?pending_reason", "unknown-word"),
        ("pending_reason=ready&status=failed", "?pending_reason", "conflict"),
        ("created_after=", "?created_after", "not-an-instant"),
        ("created_after=yesterday", "?created_after", "not-an-instant"),
        ("created_after=2026-01-31", "?created_after", "not-an-instant"),
        ("created_after=2026-01-31T09:30:00", "?created_after", "not-an-instant"),
        ("created_after=2026-02-30T09:30:00Z", "?created_after", "not-an-instant"),
        ("created_after=1769851800", "?created_after", "not-an-instant"),
        ("queue=a&queue=b", "?queue", "repeated"),
        ("Queue=a", "?Queue", "unknown-parameter"),
        ("tags=a", "?tags", "unknown-parameter"),
        ("reason=ready", "?reason", "unknown-parameter"),
        ("created_before=2026-01-31T09:30:00Z", "?created_before", "unknown-parameter"),
    ] {
        app.get(&format!("/api/v1/tasks?{query}")).await.blames(pointer, code);
    }
    let both = app.get("/api/v1/tasks?queue=&kind=&limit=0").await.refused(422, "invalid-input");
    assert_eq!(both["errors"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_search_takes_words_and_phrases_and_goes_with_filters() {
    let app = TestApp::new();
    for (title, description) in [
        ("Send invoice INV-004711", Some("to Zoë, by mail")),
        ("Invoice of Zoë", None),
        ("100% of \"a_b\\c\" & (x+)+$ NEAR(", Some("-- ' OR 1=1")),
    ] {
        app.create(&json!({"title": title, "description": description})).await;
    }
    app.json("PUT", "/api/v1/tasks/2", r#"{"status":"completed"}"#).await.ok(200);
    for (text, expected) in [
        ("INVOICE", &[2, 1][..]),
        ("4711", &[1]),
        ("zo%C3%AB", &[2, 1]),
        ("zo%C3%AB+mail", &[1]),
        ("%22invoice+of%22", &[2]),
        ("%22of+invoice%22", &[]),
        ("invoice&status=completed", &[2]),
        ("invoice&status=failed", &[]),
        ("%25", &[3]),
        ("_", &[3]),
        ("a_b", &[3]),
        ("axb", &[]),
        ("%5C", &[3]),
        ("*", &[]),
        ("(x%2B)%2B$", &[3]),
        ("NEAR(", &[3]),
        ("'+or", &[3]),
        ("%26", &[3]),
    ] {
        assert_eq!(ids(&app, &format!("q={text}")).await, expected, "{text}");
    }
    for n in 0..3 {
        app.create(&json!({"title": format!("order \"{n} & co\"")})).await;
    }
    let first = app.get("/api/v1/tasks?q=order+%26&limit=2").await;
    let link = first.header("link").to_owned();
    assert_eq!(link, "</api/v1/tasks?after=5&limit=2&q=order%20%26>; rel=\"next\"");
    let next = &link[1..link.find('>').expect("a link")];
    let last = app.get(next).await;
    assert_eq!(last.ok(200)[0]["id"], 4);
}

#[tokio::test]
async fn a_search_that_no_one_can_mean_is_invalid_input() {
    let app = TestApp::new();
    let long = "x".repeat(201);
    for (text, code) in [
        ("", "length"),
        (long.as_str(), "length"),
        ("+", "too-short"),
        ("%22%22", "too-short"),
        ("a%00b", "control-character"),
        ("a%0Ab", "control-character"),
        ("a+b+c+d+e+f+g+h+i+j+k", "too-many"),
    ] {
        app.get(&format!("/api/v1/tasks?q={text}")).await.blames("?q", code);
    }
    app.get("/api/v1/tasks?q=a&skip=1").await.blames("?skip", "conflict");
    app.get("/api/v1/tasks?q=a&skip=0").await.ok(200);
    let body = r#"{"filter":{"q":""},"dry_run":true}"#;
    app.json("POST", "/api/v1/tasks/bulk/cancel", body).await.blames("/filter/q", "length");
}

#[tokio::test]
async fn many_tasks_are_cancelled_by_a_search() {
    let app = TestApp::new();
    for title in ["old import 1", "import of today", "old import 2"] {
        app.create(&json!({"title": title})).await;
    }
    let bulk = async |dry: bool| {
        let body = json!({"filter": {"q": "\"old import\""}, "dry_run": dry}).to_string();
        app.json("POST", "/api/v1/tasks/bulk/cancel", body).await.ok(200)
    };
    assert_eq!(bulk(true).await["matched"], 2);
    assert_eq!(bulk(false).await["changed"], 2);
    assert_eq!(ids(&app, "status=pending").await, [2]);
}
