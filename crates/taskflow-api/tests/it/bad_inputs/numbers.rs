//! Numbers that are none, that nobody can hold, and that must come back as they were.

use super::peopled;
use crate::app::{TestApp, path};

#[tokio::test]
async fn what_is_no_json_number_is_not_json() {
    // 33
    let (app, before) = peopled().await;
    for number in ["NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "1e", "0x10", "1_000"] {
        for field in ["payload", "delay_seconds", "max_attempts"] {
            let body = format!(r#"{{"title":"a","{field}":{number}}}"#);
            app.json("POST", "/api/v1/tasks", body).await.refused(400, "malformed-json");
        }
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn numbers_that_nobody_can_hold_are_refused() {
    // 33
    let (app, before) = peopled().await;
    let megabyte = "9".repeat(1_000_000);
    for number in ["1e400", "-1e400", "1e99999999999", &megabyte] {
        for (field, pointer) in [("payload", "/payload"), ("metadata", "/metadata")] {
            let body = format!(r#"{{"title":"a","{field}":{{"n":{number}}}}}"#);
            let answer = app.json("POST", "/api/v1/tasks", body).await;
            let body = answer.refused(422, "invalid-input");
            assert_eq!(body["errors"][0]["pointer"], pointer);
        }
        for field in ["delay_seconds", "max_attempts", "timeout_seconds"] {
            let body = format!(r#"{{"title":"a","{field}":{number}}}"#);
            let answer = app.json("POST", "/api/v1/tasks", body).await;
            assert!([400, 422].contains(&answer.status), "{field}: {}", answer.text);
        }
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn numbers_come_back_digit_by_digit() {
    // 34
    let app = TestApp::new();
    for number in [
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551616",
        "-9223372036854775809",
        "0.1000000000000000055511151231257827",
        "1.50",
        "1E3",
        "-0",
        "-0.0",
        "1e-400",
    ] {
        let text = |field: &str| format!(r#""{field}":{{"n":{number}}}"#);
        let body = format!(r#"{{"title":"a",{},{}}}"#, text("payload"), text("metadata"));
        let created = app.json("POST", "/api/v1/tasks", body).await;
        assert!(created.text.contains(&text("payload")), "{}", created.text);
        let read = app.get(created.header("location")).await;
        assert!(read.text.contains(&text("payload")), "{}", read.text);
        assert!(read.text.contains(&text("metadata")), "{}", read.text);
        let task = app.running("a").await;
        let token = task["lease_token"].as_str().expect("text");
        let done = format!(r#"{{"lease_token":"{token}",{}}}"#, text("result"));
        app.json("POST", &path(&task["id"], "/complete"), done).await.ok(200);
        let read = app.get(&path(&task["id"], "")).await;
        assert!(read.text.contains(&text("result")), "{}", read.text);
    }
}
