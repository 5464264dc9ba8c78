//! The story of one task: every call about it and every outage meanwhile, in order of time, then
//! what is left of it. For people; nothing parses it.

use crate::evidence::Evidence;
use crate::history::Call;

/// Longest story in lines; the middle of a longer one is left out.
const LINES_MAX: usize = 80;

/// Tells the story of task `id`.
pub(crate) fn story(evidence: &Evidence, id: i64) -> Vec<String> {
    let mut lines: Vec<(u64, String)> = Vec::new();
    for call in evidence.about(id) {
        lines.push((call.t0, told(call, id)));
    }
    let first = lines.iter().map(|(at, _)| *at).min().unwrap_or(0);
    let last = lines.iter().map(|(at, _)| *at).max().unwrap_or(0);
    for outage in &evidence.outages {
        let meanwhile = outage.killed_at >= first && outage.killed_at <= last;
        if meanwhile {
            let ready = outage.ready_at.map_or("never".to_owned(), seconds);
            let at = outage.killed_at;
            lines.push((at, format!("{}  {}, back at {ready}", seconds(at), outage.fault)));
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    let mut lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    if lines.len() > LINES_MAX {
        let cut = lines.len() - LINES_MAX;
        let note = format!("… {cut} lines left out …");
        lines.splice(LINES_MAX / 2..LINES_MAX / 2 + cut, [note]);
    }
    lines.push(match evidence.left(id) {
        Some((task, remains)) => {
            let attempts: Vec<String> =
                remains.attempts.iter().map(|a| format!("{}:{}", a.attempt, a.outcome)).collect();
            format!(
                "at the end  {:?} v{} attempt {} title {:?} result {} attempts [{}]",
                task.status,
                task.version,
                task.attempt,
                task.title,
                task.result,
                attempts.join(" ")
            )
        }
        None => "at the end  not there".into(),
    });
    lines
}

fn told(call: &Call, id: i64) -> String {
    let end = call.t1.map_or("…".to_owned(), seconds);
    let mut text = format!("{}–{end}  {}  {:?}", seconds(call.t0), call.proc, call.op);
    if let Some(attempt) = call.attempt {
        text.push_str(&format!(" attempt {attempt}"));
    }
    if let Some(token) = &call.token_hash {
        text.push_str(&format!(" token {token}"));
    }
    if !call.args.is_null() {
        text.push_str(&format!(" {}", call.args));
    }
    let status = call.status.map_or(String::new(), |status| format!(" {status}"));
    text.push_str(&format!(" → {:?}{status}", call.kind));
    if let Some(task) = call.tasks.iter().find(|task| task.id == id) {
        text.push_str(&format!(", {:?} v{} attempt {}", task.status, task.version, task.attempt));
        if let Some(token) = &task.token_hash {
            text.push_str(&format!(" token {token}"));
        }
    }
    for note in [&call.note, &call.odd].into_iter().flatten() {
        text.push_str(&format!(" ({note})"));
    }
    text
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
