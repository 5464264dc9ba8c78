//! The small parts that every page is made of: a status with its sign, an instant, a number, a progress bar, what
//! stands where nothing is. No colour stands alone, and no part knows a page.

use maud::{Markup, html};
use taskflow_core::failures::{cut, first_line};
use taskflow_core::limits::ERROR_EXAMPLE_CHARS_MAX;
use taskflow_core::task::Progress;
use taskflow_core::{Fault, PendingReason, Priority, Status, TaskId, Timestamp};

/// How a status is called on pages.
pub(super) const fn words(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::InProgress => "in progress",
        Status::Completed => "completed",
        Status::Failed => "failed",
        Status::Cancelled => "cancelled",
    }
}

/// The drawing that goes with a status, in a field of 16 by 16: a shape each, for who sees no colours.
const fn shape(status: Status) -> &'static str {
    match status {
        Status::Pending => "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2Zm0 2.6V8l2.4 1.6",
        Status::InProgress => "M5 3v10l8-5Z",
        Status::Completed => "M3 8.5 6.5 12 13 4.5",
        Status::Failed => "M4 4l8 8M12 4l-8 8",
        Status::Cancelled => "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM4 12 12 4",
    }
}

/// The sign of a status.
pub(super) fn sign(status: Status) -> Markup {
    html! {
        svg.sign viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" {
            path d=(shape(status)) {}
        }
    }
}

/// A status with its sign, and why it is pending when there is a reason.
pub(super) fn chip(status: Status, reason: Option<PendingReason>) -> Markup {
    html! {
        span class={ "chip " (status.as_str()) } {
            (sign(status)) (words(status))
            @if let Some(reason) = reason { span.reason { (reason.as_str()) } }
        }
    }
}

/// A word in a frame that is no status.
pub(super) fn label(word: &str, tone: &str) -> Markup {
    html! { span class={ "label " (tone) } { (word) } }
}

/// A priority; the usual one is said quietly.
pub(super) fn priority(priority: Priority) -> Markup {
    let tone = match priority {
        Priority::Urgent => "urgent",
        Priority::High => "high",
        Priority::Medium | Priority::Low => "quiet",
    };
    html! { span class={ "priority " (tone) } { (priority.as_str()) } }
}

/// An instant by its distance from now, with the exact one when somebody points at it.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    html! {
        time datetime=(at) title=(exact(at)) data-ago { (distance(at, now)) }
    }
}

/// The same where there may be none.
pub(super) fn maybe_ago(at: Option<Timestamp>, now: Timestamp) -> Markup {
    html! { @match at { Some(at) => (ago(at, now)), None => (nothing()) } }
}

/// Stands for a value that is not there.
pub(super) fn nothing() -> Markup {
    html! { span.none { span aria-hidden="true" { "–" } span.unseen { "none" } } }
}

/// `2026-01-31 09:30:00.123 UTC`.
pub(super) fn exact(at: Timestamp) -> String {
    let text = at.to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    let time = time.trim_end_matches('Z');
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    let millis: String = fraction.chars().take(3).collect();
    match millis.is_empty() || millis == "000" {
        true => format!("{date} {seconds} UTC"),
        false => format!("{date} {seconds}.{millis} UTC"),
    }
}

/// How far an instant lies from now, in one unit. The script says the same words.
pub(super) fn distance(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.seconds_since(at);
    let text = rough(seconds.abs());
    match seconds {
        s if s.abs() < 1.0 => "now".to_owned(),
        s if s < 0.0 => format!("in {text}"),
        _ => format!("{text} ago"),
    }
}

/// A length of time in its largest unit, rounded down.
pub(super) fn rough(seconds: f64) -> String {
    let (n, unit) = match seconds {
        s if s < 60.0 => (s, "s"),
        s if s < 3600.0 => (s / 60.0, "min"),
        s if s < 86_400.0 => (s / 3600.0, "h"),
        s => (s / 86_400.0, "d"),
    };
    format!("{} {unit}", n.floor())
}

/// A length of time as exactly as somebody wants to read it.
pub(super) fn length(seconds: f64) -> String {
    match seconds {
        0.0 => "0 s".to_owned(),
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 && (s - s.round()).abs() < 0.05 => format!("{s:.0} s"),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
        s if s < 86_400.0 => {
            format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), (s % 3600.0) / 60.0)
        }
        s => format!("{:.0} d {:02.0} h", (s / 86_400.0).floor(), (s % 86_400.0) / 3600.0),
    }
}

/// `3,000,000`.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 task`, `2 tasks`.
pub(super) fn tasks(n: u64) -> String {
    if n == 1 { "1 task".to_owned() } else { format!("{} tasks", number(n)) }
}

/// How far a task is.
pub(super) fn progress(progress: &Progress) -> Markup {
    let percent = progress.percent;
    html! {
        span.progress {
            progress max="100" value=(percent) aria-label={ "Progress: " (format!("{percent:.0}")) " %" } {}
            span.num { (format!("{percent:.0}")) " %" }
            @if let Some(message) = &progress.message { span.quiet { (message) } }
        }
    }
}

/// A link to a task.
pub(super) fn task_link(id: TaskId) -> Markup {
    html! { a.id href={ "/tasks/" (id) } { "#" (id) } }
}

/// What stands where nothing is: why, and what to do next.
pub(super) fn empty(title: &str, next: &Markup) -> Markup {
    html! {
        div.empty {
            svg.sign viewBox="0 0 24 24" width="40" height="40" aria-hidden="true" {
                path d="M4 7l8-4 8 4v10l-8 4-8-4ZM4 7l8 4 8-4M12 11v10" {}
            }
            p.title { (title) }
            div.next { (next) }
        }
    }
}

/// A number that stands for itself, with what it counts.
pub(super) fn figure(name: &str, value: &Markup) -> Markup {
    html! { div.figure { dt { (name) } dd { (value) } } }
}

/// A command to copy.
pub(super) fn command(id: &str, text: &str) -> Markup {
    html! {
        div.command {
            pre id=(id) tabindex="0" role="region" aria-label="Command" { code { (text) } }
            button.copy type="button" data-copy=(id) hidden { "Copy" }
        }
    }
}

/// A button that does one thing.
pub(super) fn button(action: &str, word: &str, tone: &str) -> Markup {
    html! {
        // Its key: when the page comes to offer another act in this place, it is another button, and a click
        // that was meant for the first does not do the second.
        form.act method="post" action=(action) data-key=(action) {
            button class=(tone) type="submit" { (word) }
        }
    }
}

/// A button for what is done only to the version that is shown.
pub(super) fn versioned(action: &str, word: &str, version: u64) -> Markup {
    html! {
        form.act method="post" action=(action) data-key=(action) {
            input type="hidden" name="version" value=(version);
            button.primary type="submit" { (word) }
        }
    }
}

/// An address and what its link says.
type Link = (String, &'static str);

/// Ways to the first page and to the next one; nothing where there is one page.
pub(super) fn pages(first: Option<Link>, next: Option<Link>) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            nav.pages aria-label="Pages" {
                @if let Some((at, word)) = first { a.button href=(at) { (word) } }
                @if let Some((at, word)) = next { a.button href=(at) rel="next" { (word) } }
            }
        }
    }
}

/// As much of an error as stands in a row.
pub(super) fn said(error: &str) -> &str {
    cut(first_line(error).unwrap_or_default(), ERROR_EXAMPLE_CHARS_MAX)
}

/// Every fault that no field shows.
pub(super) fn faults(faults: &[&Fault]) -> Markup {
    html! {
        @if !faults.is_empty() {
            div.notice.bad role="alert" {
                p { "This was not accepted:" }
                ul { @for fault in faults { li { (place(&fault.pointer)) " " (fault.message) } } }
            }
        }
    }
}

/// With a capital letter and an end.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// A pointer as people call the field.
pub(super) fn place(pointer: &str) -> &str {
    pointer.trim_start_matches(['/', '?'])
}

/// A table that scrolls by itself where the page is narrower. Each column has the classes of its head, `num` for
/// what is aligned as numbers are and `less` for what a phone leaves out; the last one, of buttons, has words for
/// those who hear it.
pub(super) fn table(label: &str, columns: &[(&str, &str)], acts: bool, rows: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table {
                thead { tr {
                    @for (class, words) in columns {
                        th class=[Some(class).filter(|class| !class.is_empty())] scope="col" { (words) }
                    }
                    @if acts { th scope="col" { span.unseen { "Acts" } } }
                } }
                tbody { (rows) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
