//! `/queues` and the page of one: what waits, what runs, pause and resume. Its settings are in `settings.rs`.

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use taskflow_core::queue::{Pause, RateLimit};
use taskflow_core::series::Counter;
use taskflow_core::{QueueName, QueuePatch, Status, Timestamp};
use taskflow_service::Actor;
use taskflow_service::queues::Queues;
use taskflow_service::stats::Stats;
use taskflow_service::words::{Counts, QueueView};

use super::fields::{Asked, Sent, encoded, query};
use super::page::{Frame, Place};
use super::{charts, parts, places, settings};
use crate::extract::QueuePath;
use crate::problem::Problem;
use crate::state::ApiState;

/// Queues on one page.
const PAGE: u32 = 50;
/// Over so many minutes, the present one aside, a rate is taken.
const RATE_MINUTES: u32 = 5;

/// The routes.
pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/queues", get(list))
        .route("/queues/{queue}", get(one).post(settings::save))
        .route("/queues/{queue}/pause", post(pause))
        .route("/queues/{queue}/resume", post(resume))
}

/// A queue in a table.
pub(super) struct Line {
    pub(super) view: QueueView,
    /// The start of the ready task that waits longest.
    oldest: Option<Timestamp>,
    /// Tasks that completed in a minute, lately.
    rate: f64,
}

/// What tables show of queues that are known by their counts.
pub(super) async fn lines(
    state: &ApiState,
    queues: Vec<(QueueName, Counts)>,
    now: Timestamp,
) -> Result<Vec<Line>, Problem> {
    let service: Queues = FromRef::from_ref(state);
    let names = queues.into_iter().map(|(name, _)| name).collect();
    let views = service.named(Actor::DEFAULT, names).await?;
    with_rates(state, views, now).await
}

async fn with_rates(
    state: &ApiState,
    views: Vec<QueueView>,
    now: Timestamp,
) -> Result<Vec<Line>, Problem> {
    let stats: Stats = FromRef::from_ref(state);
    let names: Vec<QueueName> = views.iter().map(|view| view.queue.name.clone()).collect();
    let oldest = stats.oldest(Actor::DEFAULT, names.clone()).await?;
    let (first, tallies) = stats.lately(Actor::DEFAULT, names, RATE_MINUTES + 1).await?;
    // The present minute is as long as it is.
    let minutes = (now.seconds_since(first.start()) / 60.0).max(1.0);
    let rates = tallies.iter().map(|tally| tally.of(Counter::Completed) as f64 / minutes);
    let lines = views.into_iter().zip(oldest).zip(rates);
    Ok(lines.map(|((view, oldest), rate)| Line { view, oldest, rate }).collect())
}

/// A table of queues; with buttons where they are the page's own business.
pub(super) fn table(lines: &[Line], now: Timestamp, acts: bool) -> Markup {
    let columns = [
        ("", "Queue"),
        ("num", "Pending"),
        ("num", "In progress"),
        ("num", "Oldest ready"),
        ("num", "Completed / min"),
        ("num", "Failed"),
        ("less", "Limits"),
    ];
    let rows = html! { @for line in lines { (row(line, now, acts)) } };
    parts::table("Queues", &columns, acts, &rows)
}

fn row(line: &Line, now: Timestamp, acts: bool) -> Markup {
    let Line { view: QueueView { queue, counts }, oldest, rate } = line;
    let name = queue.name.as_str();
    let of = |status: Status| {
        let link = query([("status", status.as_str()), ("queue", name)].into_iter());
        html! { a href={ "/tasks?" (link) } { (parts::number(counts.of(status))) } }
    };
    html! {
        tr data-key={ "queue-" (name) } {
            th.title scope="row" {
                a href=(places::queue(name)) { (name) }
                @if let Some(pause) = &queue.pause { " " (paused(pause, now)) }
            }
            td.num { (of(Status::Pending)) }
            td.num { (of(Status::InProgress)) }
            td.num { (parts::maybe_ago(*oldest, now)) }
            td.num { (per_minute(*rate)) }
            td.num { (of(Status::Failed)) }
            td.less { (limits(queue)) }
            @if acts {
                td.acts {
                    @if queue.pause.is_some() { (parts::button(&format!("{}/resume", places::queue(name)), "Resume", "")) }
                    @else { (parts::button(&format!("{}/pause", places::queue(name)), "Pause", "")) }
                }
            }
        }
    }
}

fn paused(pause: &Pause, now: Timestamp) -> Markup {
    html! {
        (parts::label("paused", "warn"))
        span.quiet.aside { " " (parts::ago(pause.since, now)) @if let Some(reason) = &pause.reason { ": " (reason) } }
    }
}

fn per_minute(rate: f64) -> String {
    if rate > 0.0 && rate < 10.0 {
        format!("{rate:.1}")
    } else {
        parts::number(rate.round() as u64)
    }
}

fn limits(queue: &taskflow_core::Queue) -> Markup {
    let settings = &queue.settings;
    let mut words: Vec<String> = Vec::new();
    words.extend(settings.concurrency_limit.map(|n| format!("{n} at once")));
    words.extend(settings.concurrency_key_limit.map(|n| format!("{n} a key")));
    words.extend(
        settings
            .rate_limit
            .map(|RateLimit { tasks, per_seconds }| format!("{tasks} in {per_seconds} s")),
    );
    html! { @if words.is_empty() { (parts::nothing()) } @else { (words.join(", ")) } }
}

async fn list(
    State(state): State<ApiState>,
    frame: Frame,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let after = fields.word("after").and_then(|name| QueueName::parse(name).ok());
    let views = Queues::from_ref(&state).list(Actor::DEFAULT, after.clone(), PAGE).await?;
    let full = views.len() == PAGE as usize;
    let next = views.last().filter(|_| full).map(|view| view.queue.name.as_str().to_owned());
    let lines = with_rates(&state, views, frame.now).await?;
    let inside = html! {
        h1 { "Queues" }
        @if lines.is_empty() {
            (parts::empty("No queue has tasks or settings.", &html! {
                p { "A queue begins with its first task." }
                a.button.primary href="/tasks/new" { "New task" }
            }))
        } @else {
            div id="queues" { (table(&lines, frame.now, true)) }
        }
        (parts::pages(
            after.map(|_| ("/queues".to_owned(), "First page")),
            next.map(|next| (format!("/queues?after={}", encoded(&next)), "Next page")),
        ))
    };
    Ok(frame.live("").page(Place::Queues, "Queues", &inside))
}

async fn one(
    State(state): State<ApiState>,
    frame: Frame,
    QueuePath(name): QueuePath,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let view = Queues::from_ref(&state).get(Actor::DEFAULT, name).await?;
    let form = settings::form(&settings::of(&view.queue), &[]);
    show(&state, frame, view, fields.word("span") == Some("day"), &form, fields.ticked("saved"))
        .await
}

/// The page of a queue with its form.
pub(super) async fn show(
    state: &ApiState,
    frame: Frame,
    view: QueueView,
    day: bool,
    form: &Markup,
    saved: bool,
) -> Result<Response, Problem> {
    let name = view.queue.name.clone();
    let stats: Stats = FromRef::from_ref(state);
    let charts = charts::charts(&stats, Some(name.clone()), day).await?;
    let lines = with_rates(state, vec![view], frame.now).await?;
    let paused = lines.first().and_then(|line| line.view.queue.pause.clone());
    let at = places::queue(name.as_str());
    let inside = html! {
        p.crumbs { a href="/queues" { "Queues" } }
        h1 { (name.as_str()) }
        @if saved { p.notice.good role="status" data-flash { "Saved." } }
        div id="queue" { (table(&lines, frame.now, false)) }
        (turn(&at, paused.as_ref()))
        p.row {
            a href={ "/tasks?queue=" (encoded(name.as_str())) } { "Its tasks" }
            a href={ "/tasks/new?queue=" (encoded(name.as_str())) } { "New task here" }
            a href={ "/tasks/many?do=delete&status=pending&queue=" (encoded(name.as_str())) } { "Delete what waits" }
        }
        div.row.spread { h2 { "What happened" } (charts::spans(&at, day)) }
        (charts)
        section.card { h2 { "Settings" } form method="post" action=(at) data-keep id="settings" { (form) } }
    };
    let live = format!("queue={}", encoded(name.as_str()));
    Ok(frame.live(live).page(Place::Queues, name.as_str(), &inside))
}

/// Pause, with a reason for whoever asks, or resume.
fn turn(at: &str, paused: Option<&Pause>) -> Markup {
    html! {
        div id="turn" {
            @if paused.is_some() { (parts::button(&format!("{at}/resume"), "Resume", "primary")) }
            @else {
                form.inline method="post" action={ (at) "/pause" } {
                    label.field { span { "Why (optional)" } input name="reason" maxlength="500"; }
                    button type="submit" { "Pause" }
                }
            }
        }
    }
}

async fn pause(
    State(queues): State<Queues>,
    QueuePath(name): QueuePath,
    headers: http::HeaderMap,
    Sent(fields): Sent,
) -> Result<Response, Problem> {
    let reason = fields.word("reason").map(str::to_owned);
    let paused = queues.get(Actor::DEFAULT, name.clone()).await.map(|view| view.queue.pause);
    if reason.is_none() && matches!(paused, Ok(Some(_))) {
        // Somebody did so meanwhile; their reason stays.
        return Ok(places::back(&headers, &places::queue(name.as_str())));
    }
    let patch = QueuePatch { pause: Some(Some(reason)), ..QueuePatch::default() };
    queues.set(Actor::DEFAULT, name.clone(), None, patch).await?;
    Ok(places::back(&headers, &places::queue(name.as_str())))
}

async fn resume(
    State(queues): State<Queues>,
    QueuePath(name): QueuePath,
    headers: http::HeaderMap,
) -> Result<Response, Problem> {
    let patch = QueuePatch { pause: Some(None), ..QueuePatch::default() };
    queues.set(Actor::DEFAULT, name.clone(), None, patch).await?;
    Ok(places::back(&headers, &places::queue(name.as_str())))
}
