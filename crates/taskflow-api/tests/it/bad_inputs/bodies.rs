//! What is no JSON, or not said to be.

use serde_json::{Value, json};

use super::peopled;
use crate::app::{TestApp, path};
use crate::operations::that_read;

#[tokio::test]
async fn an_empty_body_is_not_json() {
    // 28
    let (app, before) = peopled().await;
    for (operation, optional, _) in that_read() {
        for body in ["", " ", "\n"].into_iter().skip(usize::from(optional)) {
            let answer = app.json(&operation.method, &operation.path(), body).await;
            answer.refused(400, "malformed-json");
        }
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_body_that_may_be_left_out_is_an_empty_object() {
    for (operation, _, _) in that_read().into_iter().filter(|(_, optional, _)| *optional) {
        let (app, again) = (peopled().await.0, peopled().await.0);
        let without = app.call(&operation.method, &operation.path(), &[], "").await;
        let with = again.json(&operation.method, &operation.path(), "{}").await;
        assert_eq!(without.status, 200, "{}: {}", operation.name, without.text);
        assert_eq!(without.text, with.text, "{}", operation.name);
        assert_eq!(app.everything().await, again.everything().await, "{}", operation.name);
    }
}

#[tokio::test]
async fn another_value_is_no_object() {
    // 28
    let (app, before) = peopled().await;
    for (operation, ..) in that_read() {
        let good: Value = serde_json::from_str(&operation.good()).expect("JSON");
        let fields: Vec<&Value> = good.as_object().expect("an object").values().collect();
        let spread = json!(fields);
        for body in
            [json!(null), json!([]), json!("x"), json!(42), json!(true), spread, json!([good])]
        {
            let answer = app.json(&operation.method, &operation.path(), body.to_string()).await;
            answer.blames("", "type");
        }
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn an_array_of_all_the_fields_is_no_object_either() {
    // 28
    let (app, before) = peopled().await;
    for n in 1..40 {
        let mut fields = vec![Value::Null; n];
        fields[0] = json!("a");
        app.post("/api/v1/tasks", &json!(fields)).await.blames("", "type");
        app.put("/api/v1/tasks/1", &json!(fields)).await.blames("", "type");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn text_that_only_looks_like_json_is_not_json() {
    // 29
    let (app, before) = peopled().await;
    for body in [
        r#"{"title":"a""#,
        r#"{"title":"a",}"#,
        r#"{"title":}"#,
        r#"{"title" "a"}"#,
        r#"{"title":"a"}}"#,
        r#"{"title":"a"}x"#,
        r#"{"title":"a"}{"title":"b"}"#,
        "{}x",
        "{} {}",
        "[1,2",
        r#"{"title":"a"/*c*/}"#,
        "{\"title\":\"a\"}//c",
        "# c\n{\"title\":\"a\"}",
        "{'title':'a'}",
        "{title:\"a\"}",
        "{\"title\":\"a\nb\"}",
        r#"{"title":"a\x41"}"#,
        r#"{"title":"a\u12"}"#,
        r#"{"title":"a"#,
        r#"{"payload":tru}"#,
        r#"{"statsu":1"#,
        r#"{"title":5}x"#,
        "title=a",
        "<task/>",
    ] {
        for (operation, ..) in that_read() {
            let answer = app.json(&operation.method, &operation.path(), body).await;
            answer.refused(400, "malformed-json");
        }
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn only_json_in_utf_8_is_read() {
    // 30, and 15: nothing is unpacked.
    let (app, before) = peopled().await;
    let json_type = ("content-type", "application/json");
    let refused: &[&[(&str, &str)]] = &[
        &[],
        &[("content-type", "")],
        &[("content-type", "text/plain")],
        &[("content-type", "text/json")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "multipart/form-data; boundary=x")],
        &[("content-type", "application/json; charset=utf-16")],
        &[("content-type", "application/json; charset=latin1")],
        &[("content-type", "application/json; boundary=x")],
        &[("content-type", "application/json, text/plain")],
        &[("content-type", "application/jsonx")],
        &[("content-type", "application/json-patch+json")],
        &[("content-type", "application/merge-patch+json")],
        &[("content-type", "application")],
        &[json_type, json_type],
        &[json_type, ("content-encoding", "gzip")],
        &[json_type, ("content-encoding", "gzip, gzip")],
        &[json_type, ("content-encoding", "identity"), ("content-encoding", "gzip")],
    ];
    for headers in refused {
        for (operation, ..) in that_read() {
            let (method, path) = (&operation.method, operation.path());
            let answer = app.call(method, &path, headers, operation.good()).await;
            let body = answer.refused(415, "unsupported-media-type");
            let detail = body["detail"].as_str().expect("a sentence");
            assert!(detail.contains("-H 'Content-Type: application/json'"), "{detail}");
        }
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn the_usual_spellings_of_the_type_are_read() {
    let app = TestApp::new();
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json;",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=\"utf-8\"",
    ] {
        let headers = [("content-type", kind)];
        app.call("POST", "/api/v1/tasks", &headers, r#"{"title":"a"}"#).await.ok(201);
    }
    let headers = [("content-type", "application/json"), ("content-encoding", "identity")];
    app.call("POST", "/api/v1/tasks", &headers, r#"{"title":"a"}"#).await.ok(201);
}

#[tokio::test]
async fn text_in_another_encoding_is_not_json() {
    // 31
    let (app, before) = peopled().await;
    let utf_16: Vec<u8> = r#"{"title":"a"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let around = |bytes: &[u8]| [br#"{"title":""#, bytes, br#""}"#].concat();
    let in_payload = |bytes: &[u8]| [br#"{"title":"a","payload":[""#, bytes, br#""]}"#].concat();
    let in_ignored = |bytes: &[u8]| [br#"{"result":{"a":""#, bytes, br#""}}"#].concat();
    let mut bodies = vec![
        utf_16.clone(),
        [&b"\xFF\xFE"[..], &utf_16].concat(),
        [&b"\xEF\xBB\xBF"[..], br#"{"title":"a"}"#].concat(),
    ];
    // Overlong forms, surrogates, beyond the last character, stray and missing continuations.
    for bad in [
        &b"\xC0\xAF"[..],
        b"\xE0\x80\xAF",
        b"\xC0\x80",
        b"\xED\xA0\x80",
        b"\xED\xB0\x80",
        b"\xF4\x90\x80\x80",
        b"\x80",
        b"\xC3",
        b"\xFF",
    ] {
        bodies.extend([around(bad), in_payload(bad), in_ignored(bad)]);
    }
    for body in bodies {
        for (operation, ..) in that_read() {
            let answer = app.json(&operation.method, &operation.path(), body.clone()).await;
            answer.refused(400, "malformed-json");
        }
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn no_nesting_exhausts_the_stack() {
    // 32: JSON, but deeper than a payload may be.
    let (app, before) = peopled().await;
    for depth in [65, 129, 10_000, 500_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let body = |field: &str| format!(r#"{{"title":"a","{field}":{open}{close}}}"#);
        app.json("POST", "/api/v1/tasks", body("payload")).await.blames("/payload", "json");
        app.json("PUT", "/api/v1/tasks/1", body("payload")).await.blames("/payload", "json");
        app.json("POST", "/api/v1/tasks", body("tags")).await.blames("/tags/0", "type");
        app.json("POST", "/api/v1/tasks", body("run_at")).await.blames("/run_at", "type");
        let whole = format!("{open}{close}");
        app.json("POST", "/api/v1/tasks", whole).await.blames("", "type");
        app.json("POST", "/api/v1/tasks", open).await.refused(400, "malformed-json");
        let objects =
            format!(r#"{{"payload":{}1{}}}"#, r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let refused = app.json("PUT", "/api/v1/tasks/1", objects).await;
        assert!([413, 422].contains(&refused.status), "{}", refused.text);
        // A field that is ignored may be as deep as it likes.
        app.json("PUT", "/api/v1/tasks/1", format!(r#"{{"result":{}}}"#, "[".repeat(depth)))
            .await
            .refused(400, "malformed-json");
    }
    let million = "[".repeat(1_500_000);
    app.json("POST", "/api/v1/tasks", million).await.refused(413, "body-too-large");
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn a_field_that_stands_twice_is_refused() {
    // 35
    let (app, before) = peopled().await;
    for (method, path, body) in [
        ("POST", "/api/v1/tasks", r#"{"title":"a","title":"b"}"#),
        ("POST", "/api/v1/tasks", r#"{"title":"a","title":"a"}"#),
        ("POST", "/api/v1/tasks", r#"{"title":"a","\u0074itle":"b"}"#),
        ("POST", "/api/v1/tasks", r#"{"title":"a","payload":1,"payload":2}"#),
        ("POST", "/api/v1/tasks", r#"{"title":"a","retry":{"jitter":0,"jitter":1}}"#),
        ("PUT", "/api/v1/tasks/1", r#"{"status":"failed","status":"completed"}"#),
        ("PUT", "/api/v1/tasks/1", r#"{"version":1,"version":2}"#),
        ("POST", "/api/v1/tasks/claim", r#"{"worker":"a","worker":"b"}"#),
        ("POST", "/api/v1/workers/w1/sync", r#"{"claim":{"limit":1,"limit":2}}"#),
        ("POST", "/api/v1/workers/w1/sync", r#"{"finished":[{"id":1,"id":2}]}"#),
        (
            "POST",
            "/api/v1/workers/w1/sync",
            r#"{"heartbeats":[{"progress":{"percent":1,"percent":2}}]}"#,
        ),
        ("POST", "/api/v1/tasks/bulk", r#"{"tasks":[{"title":"a"},{"title":"b","title":"c"}]}"#),
        ("POST", "/api/v1/tasks/bulk/cancel", r#"{"filter":{"kind":"log","kind":"job"}}"#),
        ("PUT", "/api/v1/queues/mail", r#"{"rate_limit":{"tasks":1,"tasks":2}}"#),
        ("PUT", "/api/v1/queues/mail", r#"{"defaults":{"retry":{"jitter":0,"jitter":1}}}"#),
        ("PUT", "/api/v1/queues/mail", r#"{"paused":true,"paused":false}"#),
    ] {
        app.json(method, path, body).await.refused(400, "duplicate-key");
    }
    for (operation, ..) in that_read() {
        let good: Value = serde_json::from_str(&operation.good()).expect("JSON");
        for (name, value) in good.as_object().expect("an object") {
            let twice = format!(r#"{{"{name}":{value},"{name}":{value}}}"#);
            let answer = app.json(&operation.method, &operation.path(), twice).await;
            answer.refused(400, "duplicate-key");
        }
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn of_keys_that_stand_twice_in_a_payload_the_last_one_counts() {
    // 36
    let app = TestApp::new();
    let doubled = r#"{"a":1,"b":{"c":1,"c":2},"a":3,"\u0061":4}"#;
    let body = format!(r#"{{"title":"a","payload":{doubled},"metadata":{doubled}}}"#);
    let created = app.json("POST", "/api/v1/tasks", body).await.ok(201);
    let once = r#"{"a":4,"b":{"c":2}}"#;
    let read = app.get(&path(&created["id"], "")).await.text;
    assert!(read.contains(&format!(r#""payload":{once}"#)), "{read}");
    assert!(read.contains(&format!(r#""metadata":{once}"#)), "{read}");
}

#[tokio::test]
async fn a_lone_half_of_a_surrogate_pair_is_refused() {
    // 38: the parser refuses it in a text; in a value that is kept as it is the check of that value does.
    let (app, before) = peopled().await;
    for half in [r"\ud800", r"\udc00", r"\ud800\ud800", r"\ud83dx"] {
        let body = format!(r#"{{"title":"{half}"}}"#);
        app.json("POST", "/api/v1/tasks", body).await.refused(400, "malformed-json");
        for value in [format!(r#""{half}""#), format!(r#"{{"{half}":1}}"#)] {
            let body = format!(r#"{{"title":"a","payload":{value}}}"#);
            app.json("POST", "/api/v1/tasks", body).await.blames("/payload", "json");
        }
    }
    assert_eq!(app.everything().await, before);
    let whole = app.json("POST", "/api/v1/tasks", r#"{"title":"\ud83e\udd80"}"#).await;
    assert_eq!(whole.ok(201)["title"], "🦀");
}
