//! `/tasks`: a filter in the address, pages by a cursor, rows that follow the events. What is done to all of a filter
//! is in `many.rs`.

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use maud::{Markup, html};
use taskflow_core::{Fault, PendingReason, Priority, Status, Task, TaskId, Timestamp};
use taskflow_service::stats::Stats;
use taskflow_service::tasks::Tasks;
use taskflow_service::words::{Filter, Narrow, Page};
use taskflow_service::{Actor, ServiceError};

use super::fields::{Asked, Fields, query};
use super::page::{Frame, Place};
use super::{forms, parts, places};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::v1::filter::FilterWords;

/// Tasks on one page, and on one of heavy tasks.
const PAGE: [u32; 3] = [50, 10, 1];

/// The route.
pub(super) fn router() -> Router<ApiState> {
    Router::new().route("/tasks", get(page))
}

/// What stands beside a filter in addresses and forms of tasks.
const BESIDE: [&str; 8] = ["after", "did", "changed", "skipped", "more", "do", "sure", "count"];

/// The filter that an address holds.
pub(super) fn filter(fields: &Fields) -> (FilterWords, Result<Filter, Vec<Fault>>) {
    let mut words = FilterWords::default();
    for name in FilterWords::NAMES {
        if let Some(text) = fields.word(name) {
            words.take(name, text);
        }
    }
    let known = [&FilterWords::NAMES[..], &BESIDE].concat();
    let strange = fields.strange(&known);
    let filter = match (words.check("?"), strange.is_empty()) {
        (filter, true) => filter,
        (Ok(_), false) => Err(strange),
        (Err(faults), false) => Err([faults, strange].concat()),
    };
    (words, filter)
}

async fn page(
    State(state): State<ApiState>,
    frame: Frame,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let (words, filter) = filter(&fields);
    let names = Stats::from_ref(&state).overview(Actor::DEFAULT, Narrow::default()).await?;
    let suggested = forms::known(&names, &[]);
    let asked = fields.query(&FilterWords::NAMES);
    let live = fields.query(&["queue", "kind", "tag"]);
    let filter = match filter {
        Ok(filter) => filter,
        Err(faults) => {
            let inside = html! {
                h1 { "Tasks" }
                (form(&words, &faults)) (suggested)
            };
            let page = frame.page(Place::Tasks, "Tasks", &inside);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let before = fields.word("after").and_then(|id| id.parse().ok()).and_then(TaskId::new);
    let searches = filter.search.is_some();
    let (tasks, rest) = listed(&state, filter, before, frame.now).await?;
    let inside = html! {
        h1 { "Tasks" }
        (done(&fields))
        (form(&words, &[])) (suggested)
        div id="tasks" {
            @if tasks.is_empty() && rest.is_none() { (nothing(&words, before.is_some())) }
            @else if tasks.is_empty() { p.card { "Nothing found so far; older tasks are on the next page." } }
            @else { (table(&tasks, frame.now)) }
            (pages(&asked, before, rest, searches))
        }
        (acts(&words, &asked))
    };
    Ok(frame.live(live).page(Place::Tasks, "Tasks", &inside))
}

/// A page; of heavy tasks a smaller one.
async fn listed(
    state: &ApiState,
    filter: Filter,
    before: Option<TaskId>,
    now: Timestamp,
) -> Result<(Vec<Task>, Option<TaskId>), Problem> {
    let service: Tasks = FromRef::from_ref(state);
    let mut last = ServiceError::PageTooLarge;
    for limit in PAGE {
        let page = Page { filter: filter.clone(), before, skip: 0, limit, now };
        match service.list(Actor::DEFAULT, page).await {
            Ok(page) => return Ok((page.items, page.rest)),
            Err(ServiceError::PageTooLarge) => last = ServiceError::PageTooLarge,
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.into())
}

fn form(words: &FilterWords, faults: &[Fault]) -> Markup {
    let value = |name: &str| words.get(name).unwrap_or_default();
    let any = [("", "any")];
    let statuses = Status::ALL.map(|status| (status.as_str(), parts::words(status)));
    let priorities = Priority::ALL.map(|priority| (priority.as_str(), priority.as_str()));
    let reasons = PendingReason::ALL.map(|reason| (reason.as_str(), reason.as_str()));
    let all = |words: &[(&'static str, &'static str)]| [&any[..], words].concat();
    html! {
        form.filter.card method="get" action="/tasks" role="search" aria-label="Filter" data-keep id="filter" {
            div.fields {
                (forms::line("q", "Search", value("q"), "", faults))
                (forms::choice("status", "Status", value("status"), &all(&statuses), faults))
                (forms::listed("queue", "Queue", value("queue"), "queues-known", "", faults))
                (forms::listed("kind", "Kind", value("kind"), "kinds-known", "", faults))
            }
            details.more open[["priority", "tag", "pending_reason", "created_after"].iter().any(|name| words.get(name).is_some())] {
                summary { "More" }
                div.fields {
                    (forms::choice("priority", "Priority", value("priority"), &all(&priorities), faults))
                    (forms::choice("pending_reason", "Pending because", value("pending_reason"), &all(&reasons), faults))
                    (forms::line("tag", "Tag", value("tag"), "", faults))
                    (forms::line("created_after", "Created after", value("created_after"), "2026-01-31T09:30:00Z", faults))
                }
            }
            (forms::other(faults, |place| FilterWords::NAMES.contains(&place)))
            p.row {
                button.primary type="submit" { "Filter" }
                @if !words.is_empty() { a.button.plain href="/tasks" { "Clear" } }
            }
        }
    }
}

/// Rows of tasks.
pub(super) fn table(tasks: &[Task], now: Timestamp) -> Markup {
    let columns = [
        ("num", "Id"),
        ("", "Title"),
        ("", "Status"),
        ("", "Queue"),
        ("less", "Kind"),
        ("less", "Priority"),
        ("num less", "Attempts"),
        ("num less", "Created"),
        ("num", "Changed"),
    ];
    parts::table("Tasks", &columns, false, &html! { @for task in tasks { (row(task, now)) } })
}

fn row(task: &Task, now: Timestamp) -> Markup {
    let state = &task.state;
    html! {
        tr data-key={ "task-" (task.id) } {
            td.num { (parts::task_link(task.id)) }
            th.title scope="row" {
                a href={ "/tasks/" (task.id) } { (task.title) }
                @if let Some(error) = state.error_message.as_deref().filter(|_| state.status == Status::Failed) {
                    span.error { (parts::said(error)) }
                }
            }
            td {
                (parts::chip(state.status, state.pending_reason(now)))
                @if let Some(progress) = state.progress.as_ref().filter(|_| state.status == Status::InProgress) {
                    (parts::progress(progress))
                }
            }
            td { a href=(places::queue(task.queue.as_str())) { (task.queue.as_str()) } }
            td.less { (task.kind.as_str()) }
            td.less { (parts::priority(task.priority)) }
            td.num.less { (state.attempts_used()) "/" (task.terms.max_attempts) }
            td.num.less { (parts::ago(task.created_at, now)) }
            td.num { (parts::ago(state.updated_at, now)) }
        }
    }
}

fn nothing(words: &FilterWords, further: bool) -> Markup {
    if further {
        return parts::empty("No more tasks.", &html! { p { "This was the last page." } });
    }
    if words.is_empty() {
        return parts::empty(
            "No task is here.",
            &html! {
                p { "Create one, or send it with the API." }
                a.button.primary href="/tasks/new" { "New task" }
            },
        );
    }
    parts::empty(
        "No task fits this filter.",
        &html! { p { "Take a part of it away, or " a href="/tasks" { "see all tasks" } "." } },
    )
}

fn pages(asked: &str, before: Option<TaskId>, rest: Option<TaskId>, searches: bool) -> Markup {
    let first = format!("/tasks?{asked}");
    let and = if asked.is_empty() { "" } else { "&" };
    let older = if searches { "Search further back" } else { "Older" };
    parts::pages(
        before.map(|_| (first, "Newest")),
        rest.map(|rest| (format!("/tasks?{asked}{and}after={rest}"), older)),
    )
}

/// What can be done to all tasks of the filter; how many those are is told before.
fn acts(words: &FilterWords, asked: &str) -> Markup {
    let which = if words.is_empty() { "all tasks" } else { "all tasks of this filter" };
    let and = if asked.is_empty() { "" } else { "&" };
    html! {
        section.card.acts id="many" {
            h2 { "With " (which) }
            p.row {
                a.button href={ "/tasks/many?do=cancel" (and) (asked) } { "Cancel…" }
                a.button href={ "/tasks/many?do=retry" (and) (asked) } { "Retry…" }
                a.button.danger href={ "/tasks/many?do=delete" (and) (asked) } { "Delete…" }
                span.quiet { "You see the count before anything happens." }
            }
        }
    }
}

/// What was done a moment ago to many tasks.
fn done(fields: &Fields) -> Markup {
    let number = |name| fields.word(name).and_then(|n| n.parse::<u64>().ok());
    let word = match fields.word("did") {
        Some("cancel") => "cancelled",
        Some("retry") => "put back to be run once more",
        Some("delete") => "deleted",
        _ => return html! {},
    };
    let (changed, skipped) = (number("changed").unwrap_or(0), number("skipped").unwrap_or(0));
    html! {
        p.notice.good role="status" data-flash {
            (parts::tasks(changed)) " " (if changed == 1 { "was " } else { "were " }) (word) "."
            @if skipped > 0 { " " (parts::tasks(skipped)) " of the filter " (if skipped == 1 { "was" } else { "were" }) " left as " (if skipped == 1 { "it is" } else { "they are" }) ": that cannot be done to them, or they changed meanwhile." }
            @if fields.ticked("more") { " Time ran out before all were looked at: do it once more." }
        }
    }
}

/// The address of a list with the words of what was done.
pub(super) fn after_many(asked: &str, said: &[(&str, &str)]) -> String {
    let said = query(said.iter().copied());
    let and = if asked.is_empty() { "" } else { "&" };
    format!("/tasks?{asked}{and}{said}")
}
