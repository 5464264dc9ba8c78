//! One event is one line, in text and in JSON, and the levels hold.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::subscriber::with_default;
use tracing::{Level, debug, error, info, trace, warn};

use super::{init, subscriber};
use crate::config::LogFormat;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What `events` writes to a log that is no terminal.
fn logged(level: Level, json: bool, events: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    with_default(subscriber(level, json, false, move || writer.clone()), events);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

const NASTY: &str = "a\nb\r\u{1b}[31mc\u{7}\u{2028}\u{9b}d";

#[test]
fn text_is_time_level_message_and_fields_on_one_line() {
    let text = logged(Level::INFO, false, || info!(task.id = 7, queue = "mail", "task created"));
    let (time, rest) = text.split_once(' ').unwrap();
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "00:00:00.000Z");
    assert_eq!(rest.trim_start(), "INFO task created task.id=7 queue=\"mail\"\n");
}

#[test]
fn control_characters_neither_break_a_line_nor_reach_a_terminal() {
    for json in [false, true] {
        let text = logged(Level::INFO, json, || {
            info!(display = %NASTY, debug = ?NASTY, plain = NASTY, "{NASTY}");
        });
        let line = text.strip_suffix('\n').unwrap();
        // JSON may carry the characters beyond ASCII as they are; they are inside its strings.
        let broken = line.chars().any(|c| if json { c < ' ' } else { c.is_control() });
        assert!(!broken && (json || !line.contains('\u{2028}')), "{line:?}");
    }
}

#[test]
fn json_is_one_object_a_line_with_the_fields_beside_the_message() {
    let text = logged(Level::INFO, true, || warn!(task.id = 7, title = NASTY, "odd title"));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["level"], "WARN");
    assert_eq!(json["message"], "odd title");
    assert_eq!(json["task.id"], 7);
    assert_eq!(json["title"], NASTY);
    assert!(json["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn others_may_only_warn_unless_somebody_is_looking_for_something() {
    let all = || {
        for_ours();
        error!(target: "hyper::proto", "theirs 1");
        warn!(target: "hyper::proto", "theirs 2");
        info!(target: "hyper::proto", "theirs 3");
        debug!(target: "hyper::proto", "theirs 4");
        trace!(target: "hyper::proto", "theirs 5");
    };
    for (level, ours, theirs) in [
        (Level::ERROR, 1, 1),
        (Level::WARN, 2, 2),
        (Level::INFO, 3, 2),
        (Level::DEBUG, 4, 4),
        (Level::TRACE, 5, 5),
    ] {
        let text = logged(level, false, all);
        assert_eq!(text.matches("ours").count(), ours, "{level}");
        assert_eq!(text.matches("theirs").count(), theirs, "{level}");
    }
}

fn for_ours() {
    error!(target: "taskflow_service::worker", "ours 1");
    warn!(target: "taskflow", "ours 2");
    info!(target: "taskflow_sqlite", "ours 3");
    debug!(target: "taskflow_api::v1", "ours 4");
    trace!(target: "taskflow_core", "ours 5");
}

#[test]
fn a_second_set_up_changes_nothing_and_does_not_panic() {
    init(Level::ERROR, LogFormat::Text);
    assert!(!init(Level::TRACE, LogFormat::Json));
}
