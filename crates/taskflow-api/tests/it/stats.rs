//! Statistics: tasks by queue and kind, what happened minute by minute, and what is refused.

use serde_json::{Value, json};

use crate::app::{TestApp, at, path};

fn counts(name: Option<(&str, &str)>, numbers: [u64; 5]) -> Value {
    let [pending, in_progress, completed, failed, cancelled] = numbers;
    let mut counts = json!({"pending": pending, "in_progress": in_progress, "completed": completed,
                            "failed": failed, "cancelled": cancelled});
    if let Some((field, name)) = name {
        counts[field] = json!(name);
    }
    counts
}

async fn create(app: &TestApp, queue: &str, kind: &str) -> Value {
    app.create(&json!({"title": "t", "queue": queue, "kind": kind})).await
}

#[tokio::test]
async fn stats_count_tasks_by_queue_and_by_kind() {
    let app = TestApp::new();
    let none = json!({"status": counts(None, [0; 5]), "queues": [], "kinds": [],
                      "more_queues": false, "more_kinds": false});
    assert_eq!(app.get("/api/v1/stats").await.ok(200), none);
    create(&app, "mail", "send").await;
    create(&app, "mail", "send").await;
    let task = create(&app, "default", "job").await;
    app.set(&task["id"], "failed").await.ok(200);
    let stats = app.get("/api/v1/stats").await.ok(200);
    assert_eq!(
        stats,
        json!({
            "status": counts(None, [2, 0, 0, 1, 0]),
            "queues": [
                counts(Some(("queue", "default")), [0, 0, 0, 1, 0]),
                counts(Some(("queue", "mail")), [2, 0, 0, 0, 0]),
            ],
            "kinds": [
                counts(Some(("kind", "job")), [0, 0, 0, 1, 0]),
                counts(Some(("kind", "send")), [2, 0, 0, 0, 0]),
            ],
            "more_queues": false,
            "more_kinds": false,
        })
    );
    let summary = app.get("/api/v1/tasks/stats/summary").await.ok(200);
    assert_eq!(summary, stats["status"], "the earlier service's route says the same");
    let mail = app.get("/api/v1/stats?queue=mail&kind=send").await.ok(200);
    assert_eq!(mail["status"], counts(None, [2, 0, 0, 0, 0]));
    assert_eq!(mail["queues"].as_array().map(Vec::len), Some(1));
    let later = app.get("/api/v1/stats?after_queue=default&after_kind=send").await.ok(200);
    assert_eq!(later["queues"][0]["queue"], "mail");
    assert_eq!((&later["kinds"], &later["status"]), (&json!([]), &stats["status"]));
}

#[tokio::test]
async fn stats_list_at_most_a_thousand_queues_and_go_on_after_the_last() {
    let app = TestApp::new();
    let tasks: Vec<Value> =
        (0..1001).map(|n| json!({"title": "t", "queue": format!("q{n:04}")})).collect();
    app.post("/api/v1/tasks/bulk", &json!({"tasks": tasks})).await.ok(200);
    let first = app.get("/api/v1/stats").await.ok(200);
    let queues = first["queues"].as_array().expect("a list");
    assert_eq!((queues.len(), &first["more_queues"]), (1000, &json!(true)));
    assert_eq!((&first["more_kinds"], &first["status"]["pending"]), (&json!(false), &json!(1001)));
    let last = queues[999]["queue"].as_str().expect("text");
    let rest = app.get(&format!("/api/v1/stats?after_queue={last}")).await.ok(200);
    assert_eq!(
        (&rest["queues"][0]["queue"], &rest["more_queues"]),
        (&json!("q1000"), &json!(false))
    );
}

#[tokio::test]
async fn a_timeseries_has_every_minute_with_what_happened_in_it() {
    let app = TestApp::new();
    app.job("first").await;
    app.clock.advance(60.0);
    let held = app.claim(1).await.pop().expect("it waits");
    app.clock.advance(0.5);
    let fail = json!({"lease_token": held["lease_token"], "error": "disk full"});
    app.post(&path(&held["id"], "/fail"), &fail).await.ok(200);
    app.clock.advance(119.5);
    let answer = app.get("/api/v1/stats/timeseries?minutes=5").await.ok(200);
    let minutes = answer["minutes"].as_array().expect("a list");
    let nothing = json!({"created": 0, "started": 0, "completed": 0, "failed": 0, "attempts_failed": 0,
                         "retried": 0, "cancelled": 0, "waiting_ms": null, "running_ms": null});
    let with = |seconds: f64, fields: Value| {
        let mut minute = nothing.clone();
        minute["at"] = at(seconds);
        for (name, value) in fields.as_object().expect("an object") {
            minute[name] = value.clone();
        }
        minute
    };
    // Each the middle of its bucket.
    let (minute, half) = (60_817.408, 507.904);
    let waited = json!({"p50": minute, "p90": minute, "p99": minute});
    let ran = json!({"p50": half, "p90": half, "p99": half});
    let failed = json!({"started": 1, "attempts_failed": 1, "retried": 1, "waiting_ms": waited,
                        "running_ms": ran});
    let wanted = [
        with(-60.0, json!({})),
        with(0.0, json!({"created": 1})),
        with(60.0, failed),
        with(120.0, json!({})),
        with(180.0, json!({})),
    ];
    assert_eq!(minutes, &wanted);
    let total = &answer["total"];
    assert_eq!(
        (&total["created"], &total["started"], &total["waiting_ms"]),
        (&json!(1), &json!(1), &waited)
    );
}

#[tokio::test]
async fn a_timeseries_is_an_hour_or_as_many_minutes_as_asked_for_of_all_queues_or_one() {
    let app = TestApp::new();
    create(&app, "mail", "send").await;
    create(&app, "default", "job").await;
    for (query, minutes, created) in [
        ("", 60, 2),
        ("?minutes=1", 1, 2),
        ("?minutes=1440", 1440, 2),
        ("?queue=mail", 60, 1),
        ("?queue=nowhere&minutes=2", 2, 0),
    ] {
        let answer = app.get(&format!("/api/v1/stats/timeseries{query}")).await.ok(200);
        let listed = answer["minutes"].as_array().expect("a list");
        assert_eq!(
            (listed.len(), &answer["total"]["created"]),
            (minutes, &json!(created)),
            "{query}"
        );
        assert_eq!(listed[minutes - 1]["created"], created, "{query}");
    }
}

#[tokio::test]
async fn parameters_of_statistics_are_checked() {
    let app = TestApp::new();
    for bad in ["0", "1441", "-1", "1.5", "1e3", "", "x", "99999999999999999999", "%201"] {
        let path = format!("/api/v1/stats/timeseries?minutes={bad}");
        app.get(&path).await.blames("?minutes", "out-of-range");
    }
    for name in ["", "-x", "a%20b", "%00", &"x".repeat(101), "a/b"] {
        app.get(&format!("/api/v1/stats/timeseries?queue={name}")).await.blames("?queue", "name");
        for parameter in ["queue", "kind", "after_queue", "after_kind"] {
            let path = format!("/api/v1/stats?{parameter}={name}");
            app.get(&path).await.blames(&format!("?{parameter}"), "name");
        }
    }
    for path in ["/api/v1/stats?limit=5", "/api/v1/stats/timeseries?limit=5"] {
        app.get(path).await.blames("?limit", "unknown-parameter");
    }
    app.get("/api/v1/stats?queue=a&queue=b").await.blames("?queue", "repeated");
    app.get("/api/v1/stats?queue=%zz").await.refused(400, "invalid-url");
    let locked = TestApp::with_key("secret");
    for path in ["/api/v1/stats", "/api/v1/stats/timeseries"] {
        locked.get(path).await.refused(401, "unauthorized");
    }
}
