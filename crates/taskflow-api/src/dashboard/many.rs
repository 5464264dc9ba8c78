//! One decision about all tasks of a filter: first how many it would change, then, when somebody says so, the act.

use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use maud::{Markup, html};
use taskflow_core::Status;
use taskflow_core::limits::MANY_COUNTED_MAX;
use taskflow_core::many::Verdict;
use taskflow_service::Actor;
use taskflow_service::many::Many;
use taskflow_service::stats::Stats;
use taskflow_service::words::{Counts, Filter, Narrow};

use super::fields::{Asked, Fields, Sent};
use super::page::{Frame, Place};
use super::{parts, tasks};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::v1::filter::FilterWords;

/// Where no count is kept, so many tasks are counted at once, and no look begins after so long: one look finds
/// that many, but for those of a text many looks may be needed.
const GLANCE: (u64, Duration) = (2_000, Duration::from_millis(20));
/// The same for somebody who asked for the whole count and waits.
const COUNTING: (u64, Duration) = (MANY_COUNTED_MAX, Duration::from_secs(2));

/// The route.
pub(super) fn router() -> Router<ApiState> {
    Router::new().route("/tasks/many", get(preview).post(act))
}

struct Wish {
    verdict: Verdict,
    words: FilterWords,
    filter: Filter,
    asked: String,
    /// Up to how many tasks are counted, and for how long.
    count: (u64, Duration),
}

fn wish(fields: &Fields) -> Result<Wish, Problem> {
    let verdict = match fields.word("do") {
        Some("cancel") => Verdict::Cancel,
        Some("retry") => Verdict::Retry,
        Some("delete") => Verdict::Delete,
        _ => return Err(Problem::field("?do", "unknown-word", "must be cancel, retry or delete")),
    };
    let (words, filter) = tasks::filter(fields);
    let filter = filter.map_err(Problem::invalid)?;
    let count = if fields.ticked("count") { COUNTING } else { GLANCE };
    Ok(Wish { verdict, words, filter, asked: fields.query(&FilterWords::NAMES), count })
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Cancel => "cancel",
        Verdict::Retry => "retry",
        Verdict::Delete => "delete",
    }
}

const fn title(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Cancel => "Cancel tasks",
        Verdict::Retry => "Retry tasks",
        Verdict::Delete => "Delete tasks",
    }
}

/// The counts that are kept anyway, where the filter has no other part than queue and kind.
async fn kept(state: &ApiState, filter: &Filter) -> Result<Option<Counts>, Problem> {
    let Filter { status, queue, kind, .. } = filter.clone();
    if *filter != (Filter { status, queue: queue.clone(), kind: kind.clone(), ..Filter::default() })
    {
        return Ok(None);
    }
    let narrow = Narrow { queue, kind, ..Narrow::default() };
    Ok(Some(Stats::from_ref(state).overview(Actor::DEFAULT, narrow).await?.total))
}

/// How many tasks of the filter it can be done to, by status, and whether more were not counted.
async fn fitting(state: &ApiState, wish: &Wish) -> Result<(Vec<(Status, u64)>, bool), Problem> {
    let (counts, more) = match kept(state, &wish.filter).await? {
        Some(counts) => (counts, false),
        None => {
            let many: Many = FromRef::from_ref(state);
            let (most, time) = wish.count;
            many.tally(Actor::DEFAULT, wish.filter.clone(), most, time).await?
        }
    };
    let fits = |status: &Status| {
        wish.verdict.fits(*status) && wish.filter.status.is_none_or(|only| only == *status)
    };
    let counted = Status::ALL.into_iter().filter(fits).map(|status| (status, counts.of(status)));
    Ok((counted.filter(|(_, n)| *n > 0).collect(), more))
}

async fn preview(
    State(state): State<ApiState>,
    frame: Frame,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let wish = wish(&fields)?;
    let (counted, more) = fitting(&state, &wish).await?;
    let total: u64 = counted.iter().map(|(_, n)| n).sum();
    let list = format!("/tasks?{}", wish.asked);
    let inside = html! {
        section.card.narrow {
            h1 { (title(wish.verdict)) }
            (which(&wish))
            @if total == 0 && !more {
                p { "There is no task of this filter to which that can be done." }
                p.row { a.button href=(list) { "Back" } }
            } @else {
                @if total > 0 { p.big { @if more { "At least " } (parts::tasks(total)) } }
                @else { p { "Among the first tasks of this filter there is none to which that can be done." } }
                ul.counts {
                    @for (status, n) in &counted {
                        li { (parts::chip(*status, None)) " " (parts::number(*n)) }
                    }
                }
                @if more && wish.count == GLANCE { (count_on(&wish)) }
                (consequences(wish.verdict))
                (confirm(&wish, &fields, &list))
            }
        }
    };
    Ok(frame.page(Place::Tasks, title(wish.verdict), &inside))
}

/// A way to the same page with a longer count.
fn count_on(wish: &Wish) -> Markup {
    let here = format!("/tasks/many?do={}&{}&count=on", word(wish.verdict), wish.asked);
    html! { p { a href=(here) { "Count them all" } } }
}

fn which(wish: &Wish) -> Markup {
    html! {
        @if wish.words.is_empty() { p { strong { "All tasks" } ": there is no filter." } }
        @else {
            dl.pairs {
                @for name in FilterWords::NAMES {
                    @if let Some(text) = wish.words.get(name) { dt { (name) } dd { code { (text) } } }
                }
            }
        }
    }
}

fn consequences(verdict: Verdict) -> Markup {
    html! {
        p.quiet {
            @match verdict {
                Verdict::Cancel => "Pending ones never start. Workers of running ones are told at their next heartbeat, and what they report no longer counts. Tasks that wait for one of these are cancelled too.",
                Verdict::Retry => "Each runs once more with all its attempts. Its history stays.",
                Verdict::Delete => "With their payloads, results and histories, for good. Those that others wait for are passed over.",
            }
        }
    }
}

fn confirm(wish: &Wish, fields: &Fields, list: &str) -> Markup {
    let tone = if wish.verdict == Verdict::Delete { "danger" } else { "primary" };
    html! {
        form method="post" action="/tasks/many" {
            input type="hidden" name="do" value=(word(wish.verdict));
            @for name in FilterWords::NAMES {
                @if let Some(text) = fields.word(name) { input type="hidden" name=(name) value=(text); }
            }
            @if wish.verdict == Verdict::Delete || wish.words.is_empty() {
                label.tick { input type="checkbox" name="sure" value="yes" required; "I mean it" }
            }
            p.row {
                button class=(tone) type="submit" { (title(wish.verdict)) }
                a.button.plain href=(list) { "Leave them" }
            }
        }
    }
}

async fn act(State(many): State<Many>, Sent(fields): Sent) -> Result<Response, Problem> {
    let wish = wish(&fields)?;
    let grave = wish.verdict == Verdict::Delete || wish.words.is_empty();
    if grave && !fields.ticked("sure") {
        return Err(Problem::field("/sure", "missing", "must be ticked"));
    }
    let done = many.act(Actor::DEFAULT, wish.verdict, wish.filter).await?;
    let (changed, skipped) = (done.changed.to_string(), done.skipped.to_string());
    let mut said = vec![("did", word(wish.verdict)), ("changed", &changed), ("skipped", &skipped)];
    if done.more {
        said.push(("more", "1"));
    }
    Ok(Redirect::to(&tasks::after_many(&wish.asked, &said)).into_response())
}
