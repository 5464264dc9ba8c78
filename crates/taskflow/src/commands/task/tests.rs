//! What the command line means, and how answers look; requests are tested end to end.

use clap::{Command, FromArgMatches};
use serde_json::{Value, json};

use super::document::Document;
use super::fault::Fault;
use super::options::{TaskOptions, Verb};
use super::{End, arguments, body, show};

mod server;

fn parse(line: &[&str]) -> Result<TaskOptions, clap::Error> {
    let matches = arguments(Command::new("task"))
        .try_get_matches_from(std::iter::once("task").chain(line.iter().copied()))?;
    TaskOptions::from_arg_matches(&matches)
}

fn read(line: &[&str], mut input: &[u8]) -> Result<String, Fault> {
    let Verb::Create(options) = parse(line).unwrap().verb else { panic!("{line:?}") };
    body::body(&options, &mut input)
}

fn sent(line: &[&str]) -> Value {
    serde_json::from_str(&read(line, b"").unwrap()).unwrap()
}

#[track_caller]
fn wrong(line: &[&str], part: &str) {
    match read(line, b"{") {
        Err(Fault::Usage(text)) => assert!(text.contains(part), "{part} is not in: {text}"),
        other => panic!("{line:?}: {other:?}"),
    }
}

fn document(value: &Value) -> Document {
    Document::parse(&value.to_string()).unwrap()
}

#[test]
fn only_what_was_given_is_sent() {
    assert_eq!(sent(&["create", "Hello"]), json!({"title": "Hello"}));
    let all = sent(&[
        "create",
        "T",
        "--kind",
        "k",
        "--queue",
        "q",
        "--payload",
        "[1, null]",
        "--priority",
        "high",
        "--run-at",
        "2026-01-31T09:30:00Z",
        "--max-attempts",
        "3",
        "--tag",
        "a",
        "--tag",
        "b",
        "--unique-key",
        "u",
        "--on-conflict",
        "reject",
        "--depends-on",
        "4",
        "--depends-on",
        "5",
        "--field",
        "metadata={\"a\": \"b=c\"}",
        "--field",
        "timeout_seconds=7",
    ]);
    assert_eq!(
        all,
        json!({
            "title": "T", "kind": "k", "queue": "q", "payload": [1, null], "priority": "high",
            "run_at": "2026-01-31T09:30:00Z", "max_attempts": 3, "tags": ["a", "b"],
            "unique_key": "u", "on_conflict": "reject", "depends_on": [4, 5],
            "metadata": {"a": "b=c"}, "timeout_seconds": 7,
        })
    );
    assert_eq!(sent(&["create", "T", "--delay", "1.5"])["delay_seconds"], 1.5);
    assert_eq!(sent(&["create", "T", "--delay", "-1"])["delay_seconds"], -1.0, "the server judges");
}

#[test]
fn a_payload_keeps_its_digits_and_comes_from_where_it_says() {
    let digits = "12345678901234567890123.000";
    let body = read(&["create", "T", "--payload", digits], b"").unwrap();
    assert!(body.contains(digits), "{body}");
    assert_eq!(sent(&["create", "T", "--payload", "-5"])["payload"], -5);
    let input = read(&["create", "T", "--payload", "-"], b" {\"a\": 1}\n").unwrap();
    assert!(input.contains(r#""payload":{"a": 1}"#), "{input}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "\"text\"\n").unwrap();
    let at = format!("@{}", file.path().display());
    assert_eq!(sent(&["create", "T", "--payload", &at])["payload"], "text");
}

#[test]
fn what_cannot_be_sent_is_wrong_usage() {
    wrong(&["create", "T", "--payload", "hello"], "needs quotes");
    wrong(&["create", "T", "--payload", "-"], "--payload is not JSON");
    wrong(&["create", "T", "--payload", "@/does/not/exist"], "cannot be read");
    wrong(&["create", "T", "--field", "retry"], "NAME=JSON");
    wrong(&["create", "T", "--field", "retry={"], "--field retry");
    wrong(&["create", "T", "--field", "title=1"], "title is given twice");
    wrong(&["create", "T", "--field", "a=1", "--field", "a=2"], "a is given twice");
}

#[test]
fn the_parser_refuses_what_no_server_could_understand() {
    let lines: [&[&str]; 12] = [
        &[],
        &["create"],
        &["create", "T", "--wait", "-1"],
        &["create", "T", "--wait", "soon"],
        &["create", "T", "--priority", "top"],
        &["create", "T", "--delay", "1", "--run-at", "2026-01-31T09:30:00Z"],
        &["create", "T", "--on-conflict", "wait"],
        &["get", "0"],
        &["get", "seven"],
        &["cancel"],
        &["list", "--status", "done"],
        &["list", "--limit", "-1"],
    ];
    for line in lines {
        assert!(parse(line).is_err(), "{line:?}");
    }
}

#[test]
fn common_options_stand_before_or_after_the_command() {
    for line in
        [["--server", "http://h", "--json", "stats"], ["stats", "--json", "--server", "http://h"]]
    {
        let options = parse(&line).unwrap();
        assert_eq!(options.site.server.as_deref(), Some("http://h"), "{line:?}");
        assert!(options.site.json, "{line:?}");
    }
}

#[test]
fn ids_and_filters_are_taken_as_given() {
    let Verb::Retry(many) = parse(&["retry", "3", "4"]).unwrap().verb else { panic!() };
    assert_eq!(many.ids, [3, 4]);
    let Verb::List(options) = parse(&["list"]).unwrap().verb else { panic!() };
    assert!(options.query().is_empty());
    let line = ["list", "--tag", "a b", "--limit", "5", "--status", "in_progress"];
    let Verb::List(options) = parse(&line).unwrap().verb else { panic!() };
    let query = options.query();
    let expected = [("status", "in_progress"), ("tag", "a b"), ("limit", "5")];
    assert_eq!(query, expected.map(|(name, text)| (name, text.to_owned())));
    let line = ["list", "--reason", "blocked", "--created-after", "yesterday"];
    let Verb::List(options) = parse(&line).unwrap().verb else { panic!() };
    let query = options.query();
    let expected = [("pending_reason", "blocked"), ("created_after", "yesterday")];
    assert_eq!(query, expected.map(|(name, text)| (name, text.to_owned())));
    let line = ["list", "-q", "invoice \"of may\"", "--after", "70"];
    let Verb::List(options) = parse(&line).unwrap().verb else { panic!() };
    let expected = [("q", "invoice \"of may\""), ("after", "70")];
    assert_eq!(options.query(), expected.map(|(name, text)| (name, text.to_owned())));
    assert!(parse(&["list", "--reason", "lazy"]).is_err());
}

#[test]
fn every_help_text_ends_with_the_exit_codes() {
    for line in [&["--help"][..], &["watch", "--help"], &["create", "--help"]] {
        let help = parse(line).unwrap_err().to_string();
        assert!(help.contains("Exit codes:") && help.contains("\n  4  "), "{help}");
    }
}

#[test]
fn a_task_shows_what_it_has_and_keeps_what_is_new() {
    let task = document(&json!({
        "id": 7, "title": "a\u{1b}b", "description": "one\ntwo\r", "tags": [], "metadata": {},
        "payload": {"n": 1}, "worker": null, "colour": "green",
    }));
    let text = "id                7\n\
                title             a\\u{1b}b\n\
                description       one\n                  two\\r\n\
                payload           {\"n\":1}\n\
                colour            green\n";
    assert_eq!(show::task(&task), text);
}

#[test]
fn a_list_shows_ages_by_the_clock_of_the_server() {
    let task = |created: &str| {
        document(&json!({
            "id": 1, "title": "T", "status": "pending", "priority": "low", "queue": "q",
            "kind": "k", "attempts_used": 1, "max_attempts": 5, "created_at": created,
        }))
    };
    let now = "2026-01-31T09:30:00Z".parse().ok();
    for (created, age) in [
        ("2026-01-31T09:29:18.000000Z", "42s"),
        ("2026-01-31T09:20:00.000000Z", "10m"),
        ("2026-01-31T06:20:00.000000Z", "3h"),
        ("2025-12-31T06:20:00.000000Z", "31d"),
        ("2026-01-31T09:31:00.000000Z", "0s"),
        ("yesterday", "-"),
    ] {
        let text = show::list(&[task(created)], now, 80);
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["1", "pending", "low", "q", "k", "1/5", age, "T"]);
    }
}

#[test]
fn a_change_is_one_harmless_line() {
    let mut task = json!({"status": "pending", "pending_reason": "ready", "attempt": 0});
    assert_eq!(show::change(&document(&task)), "pending  attempt 0");
    task["pending_reason"] = json!("retrying");
    task["error_message"] = json!("disk\nfull\u{9b}");
    let line = show::change(&document(&task));
    assert_eq!(line, r"pending  (retrying)  attempt 0  error message: disk\nfull\u{9b}");
    let task = json!({"status": "in_progress", "attempt": 1,
        "progress": {"percent": 40.0, "message": "half\u{1b}way"}});
    assert_eq!(show::change(&document(&task)), r"in_progress  attempt 1  40.0% half\u{1b}way");
}

#[test]
fn an_explanation_is_set_in() {
    let value = json!({"a": {"b": [1, {"c": null}], "d": []}, "e": "x\ny"});
    let text = "a:\n  b:\n    - 1\n    -\n      c: null\n  d: none\ne: x\\ny\n";
    assert_eq!(show::indented(&value), text);
}

#[test]
fn how_a_task_ended_is_an_exit_code() {
    let ends = ["completed", "failed", "cancelled", "pending"]
        .map(|status| End::of(&document(&json!({"status": status}))) as u8);
    assert_eq!(ends, [0, 4, 4, 5]);
}
