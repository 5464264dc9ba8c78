//! A task's attempts on a line, to scale from its creation to its end or now. The table beside it has the numbers.

use maud::{Markup, html};
use taskflow_core::{Attempt, Task, Timestamp};

use super::parts;

/// The width of the drawing in its own units.
const WIDTH: f64 = 1000.0;

/// No attempt is drawn thinner, in the same units: a short one among long waits is still seen.
const LEAST: f64 = 4.0;

/// One bar.
struct Bar {
    class: &'static str,
    from: Timestamp,
    to: Timestamp,
    words: String,
}

/// The line; nothing before the first attempt.
pub(super) fn timeline(task: &Task, attempts: &[Attempt], now: Timestamp) -> Markup {
    let state = &task.state;
    let running = state.lease.is_some() || state.status == taskflow_core::Status::InProgress;
    let mut bars: Vec<Bar> = attempts.iter().map(bar).collect();
    if let Some(from) = state.started_at.filter(|_| running) {
        let words = format!("attempt {}: running", state.attempt);
        bars.push(Bar { class: "running", from, to: now, words });
    }
    if bars.is_empty() {
        return html! {};
    }
    let first = attempts.first().map_or(task.created_at, |attempt| attempt.started_at);
    let begin = task.created_at.min(first);
    let last = bars.iter().map(|bar| bar.to).max().unwrap_or(now);
    let end = state.ended_at.unwrap_or(now).max(last);
    let whole = end.seconds_since(begin).max(1e-6);
    let x = |at: Timestamp| (at.seconds_since(begin) / whole * WIDTH).clamp(0.0, WIDTH);
    html! {
        figure.timeline {
            svg viewBox={ "0 0 " (WIDTH) " 28" } preserveAspectRatio="none" role="img"
                aria-label={ (bars.len()) " attempts between " (parts::exact(begin)) " and " (parts::exact(end)) } {
                path.base d={ "M0 14H" (WIDTH) } {}
                @for bar in &bars {
                    @let width = (x(bar.to) - x(bar.from)).max(LEAST);
                    @let left = x(bar.from).min(WIDTH - width);
                    rect class={ "bar " (bar.class) } x=(format!("{left:.1}")) y="3"
                        width=(format!("{width:.1}")) height="22" { title { (bar.words) } }
                }
            }
            figcaption {
                span { "created " time datetime=(begin) { (parts::exact(begin)) } }
                span.quiet { (parts::length(whole)) }
                span {
                    @if state.ended_at.is_some() { "ended " time datetime=(end) { (parts::exact(end)) } }
                    @else { "now" }
                }
            }
        }
    }
}

fn bar(attempt: &Attempt) -> Bar {
    let length = parts::length(attempt.ended_at.seconds_since(attempt.started_at).max(0.0));
    let words = format!("attempt {}: {}, {length}", attempt.attempt, attempt.outcome.as_str());
    Bar { class: class(attempt), from: attempt.started_at, to: attempt.ended_at, words }
}

/// How an outcome is coloured; its words stand beside it always.
pub(super) fn class(attempt: &Attempt) -> &'static str {
    use taskflow_core::attempt::Outcome;
    match attempt.outcome {
        Outcome::Completed => "completed",
        Outcome::Failed | Outcome::TimedOut | Outcome::LeaseExpired => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Released | Outcome::Snoozed | Outcome::Interrupted => "pending",
    }
}
