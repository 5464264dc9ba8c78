//! `/workers`: who called, what each holds, drain and release.

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use taskflow_core::limits::{HOLDS_SHOWN, WORKER_THERE_SECONDS};
use taskflow_core::{Timestamp, WorkerName};
use taskflow_service::Actor;
use taskflow_service::words::{Kinds, Takes};
use taskflow_service::workers::{Present, Workers};

use super::fields::{Asked, query};
use super::page::{Frame, Place};
use super::{parts, places};
use crate::extract::WorkerPath;
use crate::problem::Problem;
use crate::state::ApiState;

/// Workers on one page.
const PAGE: u32 = 50;
/// So many kinds or queues are named in a row.
const NAMED: usize = 4;

/// The routes.
pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/workers", get(list))
        .route("/workers/{worker}", get(one))
        .route("/workers/{worker}/drain", post(drain))
        .route("/workers/{worker}/resume", post(resume))
        .route("/workers/{worker}/release", post(release))
}

/// What to do when nobody works.
pub(super) fn nobody() -> Markup {
    parts::empty(
        "No worker called within the last day.",
        &html! {
            p { "The server works itself unless " code { "WORKER_ENABLED" } " is false. Others run " code { "taskflow worker" } ", or claim over HTTP in any language." }
        },
    )
}

/// A table of workers; with buttons on their own page.
pub(super) fn table(team: &[Present], now: Timestamp, acts: bool) -> Markup {
    let columns = [
        ("", "Worker"),
        ("", "State"),
        ("num", "Holds"),
        ("", "Takes"),
        ("num", "Last call"),
        ("less", "Program"),
        ("less", "Node"),
    ];
    let rows = html! { @for present in team { (row(present, now, acts)) } };
    parts::table("Workers", &columns, acts, &rows)
}

fn row(present: &Present, now: Timestamp, acts: bool) -> Markup {
    let Present { worker, holding } = present;
    html! {
        tr data-key={ "worker-" (worker.name.as_str()) } {
            th scope="row" { a href=(places::worker(worker.name.as_str())) { (worker.name.as_str()) } }
            td { (standing(present, now)) }
            td.num { (parts::number(holding.count)) }
            td { (takes(worker.takes.as_ref())) }
            td.num { (parts::ago(worker.last_seen, now)) }
            td.less { @match &worker.call.version { Some(version) => (version), None => (parts::nothing()) } }
            td.less { @match &worker.node { Some(node) => (node), None => (parts::nothing()) } }
            @if acts { td.acts { (turn(present)) } }
        }
    }
}

/// Whether it works, is to stop, or is not there any more.
fn standing(present: &Present, now: Timestamp) -> Markup {
    let there = now.seconds_since(present.worker.last_seen) <= WORKER_THERE_SECONDS;
    let (word, tone) = match (there, present.worker.drains(), present.holding.count) {
        (false, _, 0) => ("gone", "quiet"),
        (false, ..) => ("silent", "bad"),
        (true, true, 0) => ("drained", "warn"),
        (true, true, _) => ("draining", "warn"),
        (true, false, 0) => ("idle", "quiet"),
        (true, false, _) => ("working", "good"),
    };
    parts::label(word, tone)
}

fn takes(takes: Option<&Takes>) -> Markup {
    let Some(takes) = takes else { return parts::nothing() };
    let kinds = match &takes.kinds {
        Kinds::AllButBuiltIn => "every kind but the built-in ones".to_owned(),
        Kinds::Named(kinds) => some(kinds.iter().map(taskflow_core::Kind::as_str)),
    };
    let queues = takes
        .queues
        .as_ref()
        .map(|queues| some(queues.iter().map(taskflow_core::QueueName::as_str)));
    html! { (kinds) @if let Some(queues) = queues { span.quiet { " of " (queues) } } }
}

fn some<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first: Vec<&str> = names.take(NAMED).collect();
    let text = first.join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

fn turn(present: &Present) -> Markup {
    let at = places::worker(present.worker.name.as_str());
    html! {
        @if present.worker.drains() { (parts::button(&format!("{at}/resume"), "Resume", "")) }
        @else { (parts::button(&format!("{at}/drain"), "Drain", "")) }
    }
}

async fn list(
    State(workers): State<Workers>,
    frame: Frame,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let place = fields.word("seen").and_then(|text| Timestamp::parse(text).ok());
    let name = fields.word("after").and_then(|text| WorkerName::parse(text).ok());
    let after = place.zip(name);
    let further = after.is_some();
    let team = workers.list(Actor::DEFAULT, after, PAGE).await?;
    let next = team.last().filter(|_| team.len() == PAGE as usize).map(|last| {
        let seen = last.worker.last_seen.to_string();
        query([("seen", seen.as_str()), ("after", last.worker.name.as_str())].into_iter())
    });
    let inside = html! {
        h1 { "Workers" }
        div id="workers" { @if team.is_empty() { (nobody()) } @else { (table(&team, frame.now, true)) } }
        (parts::pages(
            further.then(|| ("/workers".to_owned(), "Latest calls")),
            next.map(|next| (format!("/workers?{next}"), "Earlier calls")),
        ))
    };
    Ok(frame.live("").page(Place::Workers, "Workers", &inside))
}

async fn one(
    State(workers): State<Workers>,
    frame: Frame,
    WorkerPath(name): WorkerPath,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let present = workers.get(Actor::DEFAULT, &name).await?;
    let (now, at) = (frame.now, places::worker(name.as_str()));
    let released = fields.word("released").and_then(|n| n.parse::<u64>().ok());
    let team = [present];
    let present = &team[0];
    let inside = html! {
        p.crumbs { a href="/workers" { "Workers" } }
        h1 { (name.as_str()) }
        @if let Some(n) = released { p.notice.good role="status" data-flash { (parts::tasks(n)) " taken back; they are pending again." } }
        div id="worker" { (table(&team, now, false)) }
        div.row id="turn" {
            (turn(present))
            @if present.holding.count > 0 {
                details.confirm {
                    summary.button.danger { "Release…" }
                    p { "Takes back what it holds at this moment: the tasks are pending again and the attempts do not count. What the worker reports of them no longer counts." }
                    (parts::button(&format!("{at}/release"), "Release what it holds", "danger"))
                }
            }
        }
        section {
            h2 { "Holds" }
            div id="holds" { (holds(present, now)) }
        }
    };
    // A worker is told of when it comes, drains or goes; what it holds is read anew by time.
    Ok(frame.live("type=worker.changed").page(Place::Workers, name.as_str(), &inside))
}

fn holds(present: &Present, now: Timestamp) -> Markup {
    let holding = &present.holding;
    if holding.count == 0 {
        return html! { p.quiet { "Nothing at present." } };
    }
    let columns = [("", "Task"), ("num", "Attempt"), ("num", "Lease ends")];
    let rows = html! {
        @for held in &holding.tasks {
            tr data-key={ "held-" (held.id) } {
                th scope="row" { (parts::task_link(held.id)) }
                td.num { (held.attempt) }
                td.num { (parts::ago(held.until, now)) }
            }
        }
    };
    html! {
        (parts::table("Tasks that it holds", &columns, false, &rows))
        @if holding.count > HOLDS_SHOWN as u64 {
            p.quiet { "and " (parts::number(holding.count - HOLDS_SHOWN as u64)) " more" }
        }
    }
}

async fn drain(
    State(state): State<ApiState>,
    headers: http::HeaderMap,
    WorkerPath(name): WorkerPath,
) -> Result<Response, Problem> {
    Workers::from_ref(&state).drain(Actor::DEFAULT, &name, None).await?;
    Ok(places::back(&headers, &places::worker(name.as_str())))
}

async fn resume(
    State(state): State<ApiState>,
    headers: http::HeaderMap,
    WorkerPath(name): WorkerPath,
) -> Result<Response, Problem> {
    Workers::from_ref(&state).resume(Actor::DEFAULT, &name).await?;
    Ok(places::back(&headers, &places::worker(name.as_str())))
}

async fn release(
    State(state): State<ApiState>,
    WorkerPath(name): WorkerPath,
) -> Result<Response, Problem> {
    let n = Workers::from_ref(&state).release(Actor::DEFAULT, &name).await?;
    Ok(Redirect::to(&format!("{}?released={n}", places::worker(name.as_str()))).into_response())
}
