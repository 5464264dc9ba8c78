//! `/tasks/{id}`: everything of one task, why it stands where it stands, and what can be done about it.

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, header};
use maud::{Markup, html};
use taskflow_core::explain::Reason;
use taskflow_core::{Attempt, Json, Kind, Status, Task, TaskPatch, Timestamp};
use taskflow_service::Actor;
use taskflow_service::tasks::Tasks;

use super::fields::{Sent, query};
use super::page::{Frame, Place};
use super::{curl, json, parts, places, timeline};
use crate::extract::TaskPath;
use crate::problem::{Problem, of_status};
use crate::state::ApiState;

/// The routes.
pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/tasks/{task_id}", get(page))
        .route("/tasks/{task_id}/cancel", post(cancel))
        .route("/tasks/{task_id}/retry", post(retry))
        .route("/tasks/{task_id}/delete", post(delete))
        .route("/tasks/{task_id}/status", post(status))
        .route("/tasks/{task_id}/payload", get(payload))
        .route("/tasks/{task_id}/result", get(result))
}

async fn page(
    State(state): State<ApiState>,
    frame: Frame,
    headers: HeaderMap,
    TaskPath(id): TaskPath,
) -> Result<Response, Problem> {
    let tasks: Tasks = FromRef::from_ref(&state);
    let (task, reasons) = tasks.explain(Actor::DEFAULT, id).await?;
    let attempts = tasks.attempts(Actor::DEFAULT, id).await?;
    let now = frame.now.max(task.state.updated_at);
    let key = frame.options.key.is_some();
    let command = curl::create(&task, &places::server(&headers, key), key);
    let inside = html! {
        p.crumbs {
            a href="/tasks" { "Tasks" } " / "
            a href={ "/tasks?" (query([("queue", task.queue.as_str())].into_iter())) } { (task.queue.as_str()) }
        }
        div.head id="head" {
            h1 { span.quiet { "#" (id) " " } (task.title) }
            div.row {
                span role="status" { (parts::chip(task.state.status, task.state.pending_reason(now))) }
                @if let Some(progress) = task.state.progress.as_ref().filter(|_| task.state.status == Status::InProgress) {
                    (parts::progress(progress))
                }
            }
        }
        (acts(&task))
        section.card.why id="why" { h2 { "Why it stands here" } (why(&reasons, now)) }
        div.columns {
            section.card { h2 { "Task" } (facts(&task, now)) }
            section.card { h2 { "Attempts" } (history(&task, &attempts, now)) }
        }
        (data(&task))
        section.card {
            h2 { "Create one like it with curl" }
            (parts::command("curl", &command))
        }
    };
    Ok(frame.live(format!("task={id}")).page(
        Place::Tasks,
        &format!("#{id} {}", task.title),
        &inside,
    ))
}

/// What can be done to it as it stands.
fn acts(task: &Task) -> Markup {
    let (id, status) = (task.id, task.state.status);
    let at = |act: &str| format!("/tasks/{id}/{act}");
    html! {
        div.row.turn id="acts" {
            @if status.is_ended() {
                (parts::versioned(&at("retry"), "Retry", task.state.version))
                a.button href=(at("edit")) { "Edit and retry" }
            } @else {
                (parts::button(&at("cancel"), "Cancel", "danger"))
                a.button href=(at("edit")) { "Edit" }
            }
            a.button href={ "/tasks/new?from=" (id) } { "New one like it" }
            @if task.kind.as_str() == Kind::MANUAL && !status.is_ended() { (by_hand(task)) }
            details.confirm {
                summary.button.danger { "Delete…" }
                p { "With its payload, result and history, for good." }
                (parts::button(&at("delete"), "Delete it", "danger"))
            }
        }
    }
}

/// People move a task of kind `manual`.
fn by_hand(task: &Task) -> Markup {
    let word = |status: Status| match status {
        Status::Pending => "Give back",
        Status::InProgress => "Start",
        Status::Completed => "Complete",
        Status::Failed => "Fail",
        Status::Cancelled => "Cancel",
    };
    html! {
        form.act method="post" action={ "/tasks/" (task.id) "/status" } data-key={ "by-hand-" (task.state.status.as_str()) } {
            @for status in task.state.status.allowed() {
                @if status != Status::Cancelled {
                    button type="submit" name="status" value=(status.as_str()) { (word(status)) }
                }
            }
        }
    }
}

fn why(reasons: &[Reason], now: Timestamp) -> Markup {
    html! {
        ul.reasons {
            @for reason in reasons {
                li {
                    p { strong { (parts::sentence(&reason.detail)) } " " (parts::label(reason.code, "quiet")) }
                    @if let Some(ends) = &reason.ends { p.quiet { "What ends that: " (ends) "." } }
                    @if let Some(until) = reason.until { p.quiet { "Until " (parts::exact(until)) ", " (parts::ago(until, now)) "." } }
                    @if !reason.tasks.is_empty() {
                        p { "See " @for id in &reason.tasks { (parts::task_link(*id)) " " } }
                    }
                }
            }
        }
    }
}

fn facts(task: &Task, now: Timestamp) -> Markup {
    let (state, terms) = (&task.state, &task.terms);
    let ids =
        |ids: &[taskflow_core::TaskId]| html! { @for id in ids { (parts::task_link(*id)) " " } };
    let seconds = |n: u32| parts::length(f64::from(n));
    let retry = &terms.retry;
    let back_off = format!(
        "{}, {} to {}",
        retry.strategy.as_str(),
        parts::length(retry.base_seconds),
        parts::length(retry.max_seconds)
    );
    let rows: Vec<(&str, Option<Markup>)> = vec![
        ("Queue", Some(html! { a href=(places::queue(task.queue.as_str())) { (task.queue.as_str()) } })),
        ("Kind", Some(html! { code { (task.kind.as_str()) } })),
        ("Priority", Some(parts::priority(task.priority))),
        ("Description", task.description.as_ref().map(|text| html! { span.prose { (text) } })),
        ("Tags", (!task.tags.is_empty()).then(|| html! {
            @for tag in &task.tags { a.tag href={ "/tasks?" (query([("tag", tag.as_str())].into_iter())) } { (tag) } " " }
        })),
        ("Created", Some(parts::ago(task.created_at, now))),
        ("Not before", Some(parts::ago(state.run_at, now))),
        ("Started", state.started_at.map(|at| parts::ago(at, now))),
        ("Ended", state.ended_at.map(|at| parts::ago(at, now))),
        ("Changed", Some(parts::ago(state.updated_at, now))),
        ("Worker", state.worker.as_ref().map(|worker| html! { a href={ (places::worker(worker)) } { (worker) } })),
        ("Lease ends", state.lease.as_ref().map(|lease| parts::ago(lease.until, now))),
        ("Attempts", Some(html! { (state.attempts_used()) " of " (terms.max_attempts) " used" })),
        ("Back-off", Some(html! { (back_off) })),
        ("Lease", Some(html! { (seconds(terms.lease_seconds)) })),
        ("Time limit", terms.timeout_seconds.map(|n| html! { (seconds(n)) " an attempt" })),
        ("Deadline", terms.deadline_at.map(|at| parts::ago(at, now))),
        ("Expires", terms.expires_at.map(|at| parts::ago(at, now))),
        ("Unique key", task.unique_key.as_ref().map(|key| html! { code { (key) } })),
        ("Concurrency key", task.concurrency_key.as_ref().map(|key| html! { code { (key) } })),
        ("Waits for", (!task.depends_on.is_empty()).then(|| ids(&task.depends_on))),
        ("Cancelled because", state.cancel_reason.as_ref().map(|why| html! { (why) })),
        ("Version", Some(html! { (state.version) })),
    ];
    html! {
        dl.pairs id="facts" {
            @for (name, value) in &rows { @if let Some(value) = value { dt { (name) } dd { (value) } } }
        }
    }
}

fn history(task: &Task, attempts: &[Attempt], now: Timestamp) -> Markup {
    let columns =
        [("num", "No."), ("", "Outcome"), ("", "Worker"), ("num", "Started"), ("num", "Ran")];
    let rows = html! { @for attempt in attempts.iter().rev() { (attempt_row(attempt, now)) } };
    html! {
        div id="attempts" {
            (timeline::timeline(task, attempts, now))
            @if attempts.is_empty() { p.quiet { "No attempt has ended yet." } } @else {
                (parts::table("Attempts", &columns, false, &rows))
            }
            @if let Some(error) = &task.state.error_message {
                h3 { "Latest error" }
                pre.error tabindex="0" role="region" aria-label="Latest error" { (error) }
            }
        }
    }
}

fn attempt_row(attempt: &Attempt, now: Timestamp) -> Markup {
    let word = attempt.outcome.as_str().replace('_', " ");
    html! {
        tr data-key={ "attempt-" (attempt.attempt) } {
            th.num scope="row" { (attempt.attempt) }
            td {
                span class={ "label " (timeline::class(attempt)) } { (word) }
                @if let Some(error) = &attempt.error { span.error { (parts::said(error)) } }
            }
            td { (attempt.worker.as_deref().unwrap_or("–")) }
            td.num { (parts::ago(attempt.started_at, now)) }
            td.num { (parts::length(attempt.ended_at.seconds_since(attempt.started_at).max(0.0))) }
        }
    }
}

/// What went in and what came out.
fn data(task: &Task) -> Markup {
    let state = &task.state;
    let part = |name: &str, word: &str, json: Option<&Json>, raw: bool| {
        html! {
            section.card {
                div.row.spread {
                    h2 { (word) }
                    @if raw && json.is_some() { a href={ "/tasks/" (task.id) "/" (name) } { "As text" } }
                }
                div id=(name) {
                    @match json {
                        Some(json) => (json::tree(json.as_str(), name)),
                        None => p.quiet { "None." },
                    }
                }
            }
        }
    };
    html! {
        div.columns {
            (part("payload", "Payload", task.payload.as_ref(), true))
            (part("result", "Result", state.result.as_ref(), true))
            @if state.checkpoint.is_some() { (part("checkpoint", "Checkpoint", state.checkpoint.as_ref(), false)) }
            @if task.metadata.is_some() { (part("metadata", "Metadata", task.metadata.as_ref(), false)) }
        }
    }
}

async fn edited(
    tasks: &Tasks,
    id: taskflow_core::TaskId,
    version: Option<u64>,
    patch: TaskPatch,
) -> Result<Response, Problem> {
    tasks.edit(Actor::DEFAULT, id, version, patch).await?;
    Ok(Redirect::to(&format!("/tasks/{id}")).into_response())
}

async fn cancel(State(tasks): State<Tasks>, TaskPath(id): TaskPath) -> Result<Response, Problem> {
    let patch = TaskPatch { status: Some(Status::Cancelled), ..TaskPatch::default() };
    edited(&tasks, id, None, patch).await
}

/// Only as it was seen: what ran once more already is not run a third time by the same click.
async fn retry(
    State(tasks): State<Tasks>,
    TaskPath(id): TaskPath,
    Sent(fields): Sent,
) -> Result<Response, Problem> {
    let version = fields.version()?;
    edited(&tasks, id, version, TaskPatch { rerun: true, ..TaskPatch::default() }).await
}

async fn delete(State(tasks): State<Tasks>, TaskPath(id): TaskPath) -> Result<Response, Problem> {
    tasks.delete(Actor::DEFAULT, id, None).await?;
    let said = [("did", "delete"), ("changed", "1")];
    Ok(Redirect::to(&super::tasks::after_many("", &said)).into_response())
}

async fn status(
    State(tasks): State<Tasks>,
    TaskPath(id): TaskPath,
    Sent(fields): Sent,
) -> Result<Response, Problem> {
    let status = fields
        .word("status")
        .and_then(Status::parse)
        .ok_or_else(|| Problem::field("/status", "unknown-word", "must be a status"))?;
    edited(&tasks, id, None, TaskPatch { status: Some(status), ..TaskPatch::default() }).await
}

async fn payload(State(tasks): State<Tasks>, TaskPath(id): TaskPath) -> Result<Response, Problem> {
    text(tasks.get(Actor::DEFAULT, id).await?.payload)
}

async fn result(State(tasks): State<Tasks>, TaskPath(id): TaskPath) -> Result<Response, Problem> {
    text(tasks.get(Actor::DEFAULT, id).await?.state.result)
}

/// JSON as it is stored. A browser shows it as text and never as a page.
fn text(json: Option<Json>) -> Result<Response, Problem> {
    let json = json.ok_or_else(|| of_status(http::StatusCode::NOT_FOUND))?;
    let mut response = json.as_str().to_owned().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}
