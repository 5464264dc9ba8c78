//! What the history keeps.

use serde_json::{Value, json};

use super::{Ask, Call, Kind, Op, Recorder, write};
use crate::view::{TaskView, token_hash};

fn lines(calls: &[Call]) -> Vec<Value> {
    let mut text = Vec::new();
    write(calls, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_call_is_two_lines_and_all_lines_are_in_order_of_time() {
    let call = |t0, t1| {
        let mut call = Call::sent(t0, "p", Ask::new(Op::Get, Value::Null, &[1]));
        call.t1 = t1;
        call
    };
    let lines = lines(&[call(1, Some(9)), call(2, Some(4)), call(3, None)]);
    let told: Vec<(u64, &str)> = lines
        .iter()
        .map(|line| (line["call"].as_u64().unwrap(), line["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(0, "invoke"), (1, "invoke"), (2, "invoke"), (1, "info"), (0, "info")]);
}

#[test]
fn a_call_without_an_answer_is_unknown_and_never_over() {
    let recorder = Recorder::new();
    recorder.invoke("p", Ask::new(Op::Get, Value::Null, &[1]));
    recorder.invoke("p", Ask::new(Op::Get, Value::Null, &[1]));
    let calls = recorder.calls();
    assert_eq!(calls[0].kind, Kind::Info);
    assert!(calls[0].may_have_happened());
    assert!(!calls[0].precedes(&calls[1]));
}

#[test]
fn a_token_is_kept_as_its_hash_only() {
    let task = json!({
        "id": 1, "status": "in_progress", "version": 2, "attempt": 1, "title": "t",
        "started_at": "2030-01-01T00:00:00.000001Z", "lease_token": "secret",
    });
    let task: TaskView = serde_json::from_value(task).unwrap();
    assert_eq!(task.token_hash.as_deref(), Some(token_hash("secret").as_str()));
    assert_eq!(task.started_at, Some(1_893_456_000_000_001));
    let mut call = Call::sent(1, "p", Ask::new(Op::Claim, Value::Null, &[1]));
    call.t1 = Some(2);
    call.tasks = vec![task];
    assert!(!lines(&[call]).iter().any(|line| line.to_string().contains("secret")));
}
