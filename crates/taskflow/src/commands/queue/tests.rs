//! What is sent for a queue's settings, and how lists are shown. Requests are tested end to end.

use clap::{Command, FromArgMatches};
use serde_json::{Value, json};

use super::{Document, QueueOptions, Verb, arguments, body, list};

fn read(line: &[&str]) -> Result<QueueOptions, String> {
    let line = [&["queue"], line].concat();
    let matches = arguments(Command::new("queue")).try_get_matches_from(line);
    let matches = matches.map_err(|error| error.to_string())?;
    QueueOptions::from_arg_matches(&matches).map_err(|error| error.to_string())
}

fn sent(line: &[&str]) -> Value {
    match read(&[&["set", "mail"], line].concat()).expect("it is understood").verb {
        Verb::Set(set) => body(&set.settings),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_settings_that_are_given_are_sent() {
    for (line, expected) in [
        (&["--concurrency-limit", "3"][..], json!({"concurrency_limit": 3})),
        (&["--concurrency-limit", "none"], json!({"concurrency_limit": null})),
        (&["--rate-limit", "100/60"], json!({"rate_limit": {"tasks": 100, "per_seconds": 60}})),
        (&["--rate-limit", "1/0.5"], json!({"rate_limit": {"tasks": 1, "per_seconds": 0.5}})),
        (&["--rate-limit", "none"], json!({"rate_limit": null})),
        (
            &["--starvation-guard", "10", "--field", "retention={\"completed\":1}"],
            json!({"starvation_guard": 10, "retention": {"completed": 1}}),
        ),
    ] {
        assert_eq!(sent(line), expected, "{line:?}");
    }
}

#[test]
fn settings_that_cannot_be_meant_are_told() {
    for line in [
        &["set", "mail"][..],
        &["set", "mail", "--concurrency-limit", "many"],
        &["set", "mail", "--concurrency-limit=-1"],
        &["set", "mail", "--rate-limit", "100"],
        &["set", "mail", "--rate-limit", "a/b"],
        &["set", "mail", "--rate-limit", "1/inf"],
        &["set", "mail", "--field", "x"],
        &["set", "mail", "--field", "x={"],
        &["get"],
    ] {
        assert!(read(line).is_err(), "{line:?}");
    }
}

#[test]
fn queues_are_a_table_wherever_the_counts_stand() {
    let queues = json!([
        {"queue": "mail", "paused": true, "concurrency_limit": 3, "counts": {"pending": 7,
            "in_progress": 2, "failed": 1}, "rate_limit": {"tasks": 5, "per_seconds": 60}},
        {"name": "x\u{1b}[2J", "paused": false, "pending": 1, "in_progress": 0, "failed": 0},
    ]);
    let shown = list(&Document::parse_all(&queues.to_string()).expect("a list"), 120);
    let lines: Vec<Vec<&str>> = shown.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["paused", "7", "2", "1", "3", "5/60s", "mail"]);
    assert_eq!(lines[2], ["open", "1", "0", "0", "-", "-", r"x\u{1b}[2J"]);
}
