//! What the server said, as text for people. Everything in it that somebody else wrote is made
//! harmless; scripts have `--json`. It prints nothing.

use jiff::Timestamp;
use serde_json::Value;

use super::document::Document;
use crate::commands::table::{Table, cut, harmless};

/// What is shown of one value of a task; `--json` has the whole.
const VALUE_MAX: usize = 2000;

/// A task's fields in the order in which a reader asks for them. What a later server adds follows.
const ORDER: [&str; 34] = [
    "id",
    "title",
    "description",
    "status",
    "pending_reason",
    "priority",
    "queue",
    "kind",
    "payload",
    "progress",
    "checkpoint",
    "result",
    "error_message",
    "cancel_reason",
    "attempt",
    "attempts_used",
    "max_attempts",
    "worker",
    "lease_expires_at",
    "run_at",
    "created_at",
    "started_at",
    "updated_at",
    "completed_at",
    "ended_at",
    "deadline_at",
    "expires_at",
    "timeout_seconds",
    "lease_seconds",
    "retry",
    "tags",
    "metadata",
    "unique_key",
    "depends_on",
];

/// A task, a line for each field that has something in it.
pub(super) fn task(task: &Document) -> String {
    let names = ORDER.into_iter().chain(task.others(&ORDER));
    let filled = names.map(|name| (name, task.text(name)));
    let filled = filled.filter(|(_, text)| !matches!(text.as_str(), "" | "[]" | "{}"));
    filled.map(|(name, text)| format!("{name:<17} {}\n", value(&text))).collect()
}

/// A text of several lines keeps them, set in.
fn value(text: &str) -> String {
    let lines: Vec<String> = cut(text, VALUE_MAX).lines().map(harmless).collect();
    lines.join(&format!("\n{:18}", ""))
}

/// A table of tasks, in the order of the server.
pub(super) fn list(tasks: &[Document], now: Option<Timestamp>, room: usize) -> String {
    let mut table =
        Table::new(&["ID", "STATUS", "PRIORITY", "QUEUE", "KIND", "ATTEMPT", "AGE", "TITLE"]);
    for task in tasks {
        let text = |name| task.text(name);
        let attempt = format!("{}/{}", text("attempts_used"), text("max_attempts"));
        let age = since(&text("created_at"), now);
        let (status, priority) = (text("status"), text("priority"));
        let (queue, kind, title) = (text("queue"), text("kind"), text("title"));
        table.row([&text("id"), &status, &priority, &queue, &kind, &attempt, &age, &title]);
    }
    table.render(room)
}

/// A table of a task's attempts.
pub(super) fn attempts(attempts: &[Document], room: usize) -> String {
    let mut table = Table::new(&["ATTEMPT", "OUTCOME", "STARTED", "TOOK", "WORKER", "ERROR"]);
    for attempt in attempts {
        let text = |name| attempt.text(name);
        let took = since(&text("started_at"), text("ended_at").parse().ok());
        let (started, worker, error) = (text("started_at"), text("worker"), text("error"));
        table.row([&text("attempt"), &text("outcome"), &started, &took, &worker, &error]);
    }
    table.render(room)
}

/// The number of tasks per status.
pub(super) fn stats(summary: &Document) -> String {
    let known = taskflow_core::Status::ALL.map(taskflow_core::Status::as_str);
    let names = known.into_iter().chain(summary.others(&known));
    names.map(|name| format!("{name:<12} {:>8}\n", summary.text(name))).collect()
}

/// A task on one line: where it stands.
pub(super) fn brief(task: &Document) -> String {
    let title = cut(&task.text("title"), 60);
    format!("task {}: {} ({})\n", task.text("id"), task.text("status"), harmless(&title))
}

/// A task on one line: where it stands, and what may have changed since the line before.
pub(super) fn change(task: &Document) -> String {
    let mut parts = vec![task.text("status")];
    let reason = task.text("pending_reason");
    if !matches!(reason.as_str(), "" | "ready") {
        parts.push(format!("({reason})"));
    }
    parts.push(format!("attempt {}", task.text("attempt")));
    if let Some(progress) = task.raw("progress").and_then(|raw| Document::parse(raw).ok()) {
        parts.push(format!("{}% {}", progress.text("percent"), progress.text("message")));
    }
    for name in ["cancel_reason", "error_message"] {
        if task.raw(name).is_some() {
            parts.push(format!("{}: {}", name.replace('_', " "), cut(&task.text(name), 200)));
        }
    }
    harmless(parts.join("  ").trim_end())
}

/// Any JSON without its brackets: names and values, what is inside set in by two.
pub(in crate::commands) fn indented(value: &Value) -> String {
    let mut text = String::new();
    set_in(value, 0, &mut text);
    text
}

fn set_in(value: &Value, depth: usize, text: &mut String) {
    let mut line = |before: &str, value: &Value| {
        let blanks = "  ".repeat(depth);
        match value {
            Value::Array(inside) if inside.is_empty() => {
                *text += &format!("{blanks}{before}none\n");
            }
            Value::Array(_) | Value::Object(_) => {
                *text += format!("{blanks}{before}").trim_end();
                *text += "\n";
                set_in(value, depth + 1, text);
            }
            Value::String(inside) => *text += &format!("{blanks}{before}{}\n", harmless(inside)),
            plain => *text += &format!("{blanks}{before}{plain}\n"),
        }
    };
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| line(&format!("{}: ", harmless(name)), value));
        }
        Value::Array(items) => items.iter().for_each(|item| line("- ", item)),
        plain => line("", plain),
    }
}

/// The time from an instant to `now` in its largest unit: `42s`, `5m`, `3h`, `12d`; `-` when either
/// is not known. A clock that is behind gives `0s`.
pub(in crate::commands) fn since(instant: &str, now: Option<Timestamp>) -> String {
    let instant: Option<Timestamp> = instant.parse().ok();
    let (Some(instant), Some(now)) = (instant, now) else { return "-".to_owned() };
    let seconds = now.as_second().saturating_sub(instant.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
