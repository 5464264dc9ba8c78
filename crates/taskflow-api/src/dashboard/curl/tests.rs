//! The command creates the same task, whatever its texts hold.

use taskflow_core::{NewTask, TaskId, Timestamp};

use super::*;

fn task(title: &str, payload: &str) -> Task {
    let now = Timestamp::from_micros(0);
    let new = NewTask {
        payload: Some(Json::parse(payload).expect("is JSON")),
        ..NewTask::titled(title, now)
    };
    Task::born(TaskId::new(7).expect("an id"), new, 0, now)
}

#[test]
fn numbers_stay_exact_and_quotes_do_not_end_the_text() {
    let made = create(
        &task("it's $(reboot) `x`", "{\"id\":1970670598291982290}"),
        "http://127.0.0.1:8000",
        false,
    );
    assert!(made.contains(r"it'\''s $(reboot) `x`"), "{made}");
    assert!(made.contains("1970670598291982290"), "{made}");
    assert!(!made.contains("API-Key"), "{made}");
}

#[test]
fn a_key_is_named_and_never_shown() {
    assert!(create(&task("a", "1"), "h", true).contains("-H \"X-API-Key: $API_KEY\""));
}

#[test]
fn a_long_payload_is_left_out_and_that_is_said() {
    let long = format!("\"{}\"", "x".repeat(PAYLOAD_BYTES_MAX));
    let made = create(&task("a", &long), "h", false);
    assert!(made.starts_with("# the payload is too long") && !made.contains("xxxx"), "{made}");
}
