//! A task's own fields at creation: what they default to, how far they go, what they do.

mod parents;
mod unique;

use serde_json::{Value, json};

use crate::app::{Answer, TestApp, at};

async fn with(app: &TestApp, field: &str, value: Value) -> Answer {
    app.post("/api/v1/tasks", &json!({"title": "a", field: value})).await
}

/// The field takes each of these and shows it again.
async fn takes(app: &TestApp, field: &str, values: impl IntoIterator<Item = Value>) {
    for value in values {
        let shown = value.to_string();
        let task = with(app, field, value.clone()).await.ok(201);
        assert_eq!(task[field], value, "{field} {shown:.80}");
        assert_eq!(app.task(&task["id"]).await, task, "{field} {shown:.80}");
    }
}

/// The field takes none of these, at creation or later, and nothing is left behind.
async fn refuses(app: &TestApp, field: &str, code: &str, values: impl IntoIterator<Item = Value>) {
    app.titled("to be edited").await;
    let before = app.everything().await;
    for value in values {
        with(app, field, value.clone()).await.blames(&format!("/{field}"), code);
        // What is fixed at creation cannot be edited at all.
        if ["queue", "kind", "unique_key", "concurrency_key", "depends_on"].contains(&field) {
            continue;
        }
        let edit = app.put("/api/v1/tasks/1", &json!({field: value})).await;
        edit.blames(&format!("/{field}"), code);
    }
    assert_eq!(app.everything().await, before, "{field}");
}

fn numbers(numbers: &[i64]) -> Vec<Value> {
    numbers.iter().map(|n| json!(n)).collect()
}

#[tokio::test]
async fn a_title_has_1_to_255_characters_as_people_count() {
    let app = TestApp::new();
    let good = ["a".to_owned(), "x".repeat(255), "🦀".repeat(255), " a ".into()];
    takes(&app, "title", good.map(Value::from)).await;
    refuses(&app, "title", "too-short", ["", " ", "\t\n", "\u{2003}"].map(Value::from)).await;
    refuses(&app, "title", "too-long", [json!("x".repeat(256)), json!("🦀".repeat(256))]).await;
    refuses(&app, "title", "type", [json!(null), json!(5), json!(["a"]), json!({"a": 1})]).await;
}

#[tokio::test]
async fn a_description_has_up_to_64_kib() {
    let app = TestApp::new();
    let most = 64 * 1024;
    takes(&app, "description", [json!(null), json!(""), json!("x".repeat(most))]).await;
    refuses(&app, "description", "too-long", [json!("x".repeat(most + 1))]).await;
    refuses(&app, "description", "type", [json!(5), json!([])]).await;
}

#[tokio::test]
async fn queue_and_kind_have_names() {
    let app = TestApp::new();
    let longest = "q".repeat(100);
    let good = ["a", "0", "A-b_c.d:e", &longest];
    let too_long = "q".repeat(101);
    let bad = ["", "a b", "../x", "-a", ".a", "_a", "%", "*", "é", "🦀", "a/b", "a\n", &too_long];
    for field in ["queue", "kind"] {
        takes(&app, field, good.map(Value::from)).await;
        refuses(&app, field, "name", bad.map(Value::from)).await;
        refuses(&app, field, "type", [json!(null), json!(1)]).await;
    }
    // A kind that nobody knows waits for a worker that names it.
    takes(&app, "kind", [json!("nobody-knows"), json!("manual")]).await;
}

#[tokio::test]
async fn a_payload_is_any_json_up_to_1_mib() {
    let app = TestApp::new();
    let most = 1024 * 1024 - 2;
    let good = [
        json!(null),
        json!(false),
        json!(0),
        json!(""),
        json!([]),
        json!({}),
        json!({"a": [1, {"b": null}]}),
        json!("x".repeat(most)),
    ];
    takes(&app, "payload", good).await;
    refuses(&app, "payload", "too-large", [json!("x".repeat(most + 1))]).await;
}

#[tokio::test]
async fn a_payload_nests_up_to_64_levels() {
    let app = TestApp::new();
    let nested =
        |depth: usize| {
            (1..depth).fold(json!([]), |inner, i| {
                if i % 2 == 0 { json!([inner]) } else { json!({"k": inner}) }
            })
        };
    takes(&app, "payload", [nested(64)]).await;
    refuses(&app, "payload", "json", [nested(65), nested(100)]).await;
}

#[tokio::test]
async fn run_at_is_an_instant_and_the_past_is_now() {
    let app = TestApp::new();
    let task = with(&app, "run_at", at(60.0)).await.ok(201);
    assert_eq!((&task["run_at"], &task["pending_reason"]), (&at(60.0), &json!("scheduled")));
    app.clock.advance(60.0);
    assert_eq!(app.task(&task["id"]).await["pending_reason"], "ready");
    for past in ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59.999999999Z"] {
        let task = with(&app, "run_at", json!(past)).await.ok(201);
        assert_eq!((&task["run_at"], &task["pending_reason"]), (&at(60.0), &json!("ready")));
    }
    let task = with(&app, "run_at", json!("2027-01-01T02:30:00.5+02:30")).await.ok(201);
    assert_eq!(task["run_at"], "2027-01-01T00:00:00.500000Z");
    let task = with(&app, "run_at", json!("9998-12-31T23:59:59.999999Z")).await.ok(201);
    assert_eq!(task["run_at"], "9998-12-31T23:59:59.999999Z");
    let task = with(&app, "run_at", json!(null)).await.ok(201);
    assert_eq!(task["run_at"], at(60.0));
}

#[tokio::test]
async fn delay_seconds_counts_from_now() {
    let app = TestApp::new();
    app.clock.advance(5.0);
    for (delay, seconds) in [(json!(0), 0.0), (json!(1.5), 1.5), (json!(31_622_400), 31_622_400.0)]
    {
        let task = with(&app, "delay_seconds", delay).await.ok(201);
        assert_eq!(task["run_at"], at(5.0 + seconds));
    }
    let bad = [json!(-1), json!(-0.001), json!(31_622_400.5), json!(1e18)];
    refuses(&app, "delay_seconds", "out-of-range", bad).await;
    refuses(&app, "delay_seconds", "type", [json!("5"), json!(true)]).await;
}

#[tokio::test]
async fn run_at_and_delay_seconds_do_not_go_together() {
    let app = TestApp::new();
    let both = json!({"title": "a", "run_at": at(5.0), "delay_seconds": 5});
    app.post("/api/v1/tasks", &both).await.blames("/delay_seconds", "conflict");
}

#[tokio::test]
async fn whole_numbers_have_bounds() {
    let app = TestApp::new();
    for (field, least, most) in
        [("max_attempts", 1, 100), ("timeout_seconds", 1, 604_800), ("lease_seconds", 1, 86_400)]
    {
        takes(&app, field, numbers(&[least, 2, most])).await;
        refuses(&app, field, "out-of-range", numbers(&[least - 1, most + 1])).await;
        let odd = [json!(-1), json!(1.5), json!(1e18), json!("1"), json!(true), json!([1])];
        refuses(&app, field, "type", odd).await;
    }
    takes(&app, "timeout_seconds", [json!(null)]).await;
    refuses(&app, "max_attempts", "type", [json!(null)]).await;
    refuses(&app, "lease_seconds", "type", [json!(null)]).await;
}

#[tokio::test]
async fn a_part_of_retry_is_enough() {
    let app = TestApp::new();
    let default = app.titled("a").await["retry"].clone();
    for part in [
        json!({}),
        json!({"strategy": "linear"}),
        json!({"strategy": "fixed", "base_seconds": 0.0}),
        json!({"base_seconds": 2592000.0, "max_seconds": 2592000.0}),
        json!({"factor": 1.0}),
        json!({"factor": 100.0, "jitter": 0.0}),
        json!({"jitter": 1.0}),
    ] {
        let mut expected = default.clone();
        for (field, value) in part.as_object().expect("an object") {
            expected[field] = value.clone();
        }
        let task = with(&app, "retry", part).await.ok(201);
        assert_eq!(task["retry"], expected);
    }
}

#[tokio::test]
async fn retry_names_the_field_at_fault() {
    let app = TestApp::new();
    app.titled("a").await;
    let before = app.everything().await;
    let cases = [
        (json!({"base_seconds": -1}), "base_seconds", "out-of-range"),
        (json!({"base_seconds": 3601}), "base_seconds", "out-of-range"),
        (json!({"base_seconds": 10, "max_seconds": 5}), "base_seconds", "out-of-range"),
        (json!({"max_seconds": 2592001}), "max_seconds", "out-of-range"),
        (json!({"factor": 0.9}), "factor", "out-of-range"),
        (json!({"factor": 100.1}), "factor", "out-of-range"),
        (json!({"jitter": -0.1}), "jitter", "out-of-range"),
        (json!({"jitter": 1.1}), "jitter", "out-of-range"),
        (json!({"strategy": "random"}), "strategy", "unknown-word"),
        (json!({"strategy": null}), "strategy", "type"),
        (json!({"base_seconds": "1"}), "base_seconds", "type"),
        (json!({"base": 1}), "base", "unknown-field"),
    ];
    for (retry, field, code) in cases {
        let pointer = format!("/retry/{field}");
        with(&app, "retry", retry.clone()).await.blames(&pointer, code);
        let edit = app.put("/api/v1/tasks/1", &json!({"retry": retry})).await;
        edit.blames(&pointer, code);
    }
    refuses(&app, "retry", "type", [json!(null), json!("fixed"), json!(5), json!([])]).await;
    assert_eq!(app.everything().await[1][1], before[1][0]);
}

#[tokio::test]
async fn deadline_and_expiry_lie_after_the_start() {
    let app = TestApp::new();
    for field in ["deadline_at", "expires_at"] {
        takes(&app, field, [at(0.000_001), at(60.0), json!(null)]).await;
        let pointer = format!("/{field}");
        for early in [at(0.0), at(-1.0)] {
            with(&app, field, early).await.blames(&pointer, "too-early");
        }
        for end in [at(59.0), at(60.0)] {
            let new = json!({"title": "a", "run_at": at(60.0), field: end});
            app.post("/api/v1/tasks", &new).await.blames(&pointer, "too-early");
        }
        let new = json!({"title": "a", "delay_seconds": 60, field: at(61.0)});
        app.post("/api/v1/tasks", &new).await.ok(201);
    }
}

#[tokio::test]
async fn a_task_that_did_not_start_in_time_is_cancelled_as_expired() {
    let app = TestApp::new();
    let task = with(&app, "expires_at", at(10.0)).await.ok(201);
    app.clock.advance(10.0);
    app.tick().await;
    let task = app.task(&task["id"]).await;
    assert_eq!((&task["status"], &task["cancel_reason"]), (&json!("cancelled"), &json!("expired")));
}

#[tokio::test]
async fn a_task_beyond_its_deadline_fails() {
    let app = TestApp::new();
    let task = with(&app, "deadline_at", at(10.0)).await.ok(201);
    app.clock.advance(10.0);
    app.tick().await;
    assert_eq!(app.task(&task["id"]).await["status"], "failed");
}

#[tokio::test]
async fn tags_are_up_to_50_labels() {
    let app = TestApp::new();
    let many = |n: usize| json!((0..n).map(|i| format!("t{i}")).collect::<Vec<_>>());
    takes(&app, "tags", [json!([]), json!(["a", "B c", "é🦀", "x".repeat(100)]), many(50)]).await;
    refuses(&app, "tags", "too-many", [many(51), many(10_000)]).await;
    refuses(&app, "tags", "type", [json!(null), json!("a"), json!({})]).await;
    let twice = with(&app, "tags", json!(["a", "b", "a"])).await.ok(201);
    assert_eq!(twice["tags"], json!(["a", "b"]));
    for (tag, code) in [
        (json!(""), "length"),
        (json!("x".repeat(101)), "length"),
        (json!("a,b"), "character"),
        (json!("a\nb"), "character"),
        (json!(7), "type"),
    ] {
        with(&app, "tags", json!(["ok", tag])).await.blames("/tags/1", code);
    }
}

#[tokio::test]
async fn metadata_is_an_object_of_up_to_64_keys_and_16_kib() {
    let app = TestApp::new();
    let keys = |n: usize| Value::Object((0..n).map(|i| (format!("k{i}"), json!(i))).collect());
    let text = |n: usize| json!({"k": "x".repeat(n - r#"{"k":""}"#.len())});
    takes(&app, "metadata", [json!({}), json!({"a": {"b": [1]}}), keys(64), text(16384)]).await;
    refuses(&app, "metadata", "too-many", [keys(65), keys(1000)]).await;
    refuses(&app, "metadata", "too-large", [text(16385)]).await;
    refuses(&app, "metadata", "type", [json!([]), json!("a"), json!(1), json!(true)]).await;
    assert_eq!(with(&app, "metadata", json!(null)).await.ok(201)["metadata"], json!({}));
}

#[tokio::test]
async fn keys_have_1_to_255_characters() {
    let app = TestApp::new();
    for field in ["unique_key", "concurrency_key"] {
        let good = ["a".to_owned(), " ".into(), "é".repeat(255), "a,b/c?d%".into()];
        takes(&app, field, good.map(Value::from)).await;
        takes(&app, field, [json!(null)]).await;
        refuses(&app, field, "length", [json!(""), json!("é".repeat(256))]).await;
        refuses(&app, field, "control-character", [json!("a\nb"), json!("a\u{7f}")]).await;
        refuses(&app, field, "type", [json!(1)]).await;
    }
}

#[tokio::test]
async fn every_fault_is_told_at_once() {
    let app = TestApp::new();
    let new = json!({"title": "", "queue": "a b", "max_attempts": 0, "tags": ["a,b"],
                     "retry": {"jitter": 2}});
    let body = app.post("/api/v1/tasks", &new).await.refused(422, "invalid-input");
    let faults = body["errors"].as_array().expect("a list");
    let mut pointers: Vec<&str> =
        faults.iter().map(|f| f["pointer"].as_str().expect("a pointer")).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/max_attempts", "/queue", "/retry/jitter", "/tags/0", "/title"]);
}
