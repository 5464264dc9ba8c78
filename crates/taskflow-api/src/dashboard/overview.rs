//! `/`: what the queue does at a glance. Each part is asked for by itself; what is wrong stands first.

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::Response;
use axum::routing::get;
use http::HeaderMap;
use maud::{Markup, html};
use taskflow_core::{Kind, Status, Timestamp};
use taskflow_service::Actor;
use taskflow_service::failures::{Failures, Group};
use taskflow_service::readiness::Probe;
use taskflow_service::stats::Stats;
use taskflow_service::words::{Counts, Narrow, Overview};
use taskflow_service::workers::{Present, Workers};

use super::fields::{Asked, query};
use super::page::{Frame, Place};
use super::queues::{Line, lines};
use super::{charts, curl, failed, parts, places, queues, workers};
use crate::problem::Problem;
use crate::state::ApiState;

/// So many queues are shown, the fullest.
const QUEUES_SHOWN: usize = 10;
/// So many workers are shown, the latest calls.
const WORKERS_SHOWN: u32 = 8;
/// So many failures are looked at.
const FAILURES_LOOKED: u32 = 200;
/// So many groups of them are shown.
const GROUPS_SHOWN: usize = 5;
/// From this lead of this machine's clock over the database's on it is told, in milliseconds.
const LEAD_TOLD_MS: i64 = 1000;
/// So many kinds that nobody serves are named.
const KINDS_NAMED: usize = 5;

/// The route.
pub(super) fn router() -> Router<ApiState> {
    Router::new().route("/", get(page))
}

async fn page(
    State(state): State<ApiState>,
    frame: Frame,
    headers: HeaderMap,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let actor = Actor::DEFAULT;
    let stats: Stats = FromRef::from_ref(&state);
    let now = frame.now;
    let day = fields.word("span") == Some("day");
    let overview = stats.overview(actor, Narrow::default()).await?;
    let warnings = warnings(&state, &frame, &overview).await?;
    let charts = charts::charts(&stats, None, day).await?;
    let fullest = fullest(&overview);
    let more = overview.queues.len() > fullest.len() || overview.more_queues;
    let lines = lines(&state, fullest, now).await?;
    let team = Workers::from_ref(&state).list(actor, None, WORKERS_SHOWN).await?;
    let failures = Failures::from_ref(&state).recent(actor, FAILURES_LOOKED).await?;
    let key = frame.options.key.is_some();
    let first = curl::first(&places::server(&headers, key), key);
    let inside = html! {
        h1.unseen { "Overview" }
        div id="warnings" { (warnings) }
        @if overview.total.0.iter().all(|n| *n == 0) { (first_steps(&first)) }
        (totals(&overview.total))
        div.row.spread {
            h2 { "What happened" }
            (charts::spans("/", day))
        }
        (charts)
        (queue_part(&lines, more, now))
        (worker_part(&team, now))
        (failure_part(&failures.groups, now))
    };
    Ok(frame.live("").page(Place::Overview, "Overview", &inside))
}

/// Tasks per status, each a way to their list.
fn totals(counts: &Counts) -> Markup {
    html! {
        ul.tiles aria-label="Tasks by status" {
            @for status in Status::ALL {
                li {
                    a.tile href={ "/tasks?status=" (status.as_str()) } {
                        span class={ "name " (status.as_str()) } { (parts::sign(status)) (parts::words(status)) }
                        span.count { (parts::number(counts.of(status))) }
                    }
                }
            }
        }
    }
}

/// What to do on an empty database.
fn first_steps(command: &str) -> Markup {
    html! {
        section.card {
            h2 { "Create your first task" }
            p { "Nothing is here yet. Send this, and watch the task run on this page:" }
            (parts::command("first", command))
            p.row {
                a.button.primary href="/tasks/new" { "Or use the form" }
                span.quiet { "For a livelier picture run " code { "taskflow seed" } "." }
            }
        }
    }
}

/// The queues with the most to do.
fn fullest(overview: &Overview) -> Vec<(taskflow_core::QueueName, Counts)> {
    let open = |counts: &Counts| counts.of(Status::Pending) + counts.of(Status::InProgress);
    let mut all: Vec<_> = overview.queues.clone();
    all.sort_by_key(|(_, counts)| std::cmp::Reverse(open(counts)));
    all.truncate(QUEUES_SHOWN);
    all
}

fn queue_part(lines: &[Line], more: bool, now: Timestamp) -> Markup {
    html! {
        section {
            div.row.spread { h2 { "Queues" } a href="/queues" { @if more { "All queues" } @else { "Settings" } } }
            @if lines.is_empty() {
                (parts::empty("No queue has tasks.", &html! { p { "A queue begins with its first task." } }))
            } @else { (queues::table(lines, now, false)) }
        }
    }
}

fn worker_part(team: &[Present], now: Timestamp) -> Markup {
    html! {
        section {
            div.row.spread { h2 { "Workers" } a href="/workers" { "All workers" } }
            @if team.is_empty() { (workers::nobody()) } @else { (workers::table(team, now, false)) }
        }
    }
}

fn failure_part(groups: &[Group], now: Timestamp) -> Markup {
    html! {
        section {
            div.row.spread { h2 { "Recent failures" } a href="/failed" { "All failures" } }
            @if groups.is_empty() { (failed::none()) }
            @else { (failed::table(&groups[..groups.len().min(GROUPS_SHOWN)], now, false)) }
        }
    }
}

/// What somebody should do something about.
async fn warnings(state: &ApiState, frame: &Frame, overview: &Overview) -> Result<Markup, Problem> {
    let actor = Actor::DEFAULT;
    let overdue = Stats::from_ref(state).overdue(actor).await?;
    let probe: Probe = FromRef::from_ref(state);
    let ready = probe.look().await;
    let lead = ready.database.and_then(|health| health.clock_lead_ms).unwrap_or(0);
    let stuck: Vec<&str> = ready.stuck().map(|(name, _)| name).collect();
    let unserved = unserved(state, overview).await?;
    let open = frame.options.key.is_none() && frame.options.public;
    let mut told: Vec<Markup> = Vec::new();
    if open {
        told.push(html! {
            strong { "Anybody who reaches this address may do everything." }
            " It is public and no key is set: set " code { "API_KEY" } "."
        });
    }
    if overdue > 0 {
        told.push(html! {
            strong { (parts::tasks(overdue)) " hold leases that ended and were not taken back." }
            " A lease is rescued within a second: no server looks after this database, or it is overloaded."
        });
    }
    if !stuck.is_empty() {
        told.push(html! {
            strong { "A background duty is stuck: " (stuck.join(", ")) "." }
            " The log says why."
        });
    }
    if lead.abs() > LEAD_TOLD_MS {
        told.push(html! {
            strong { "This machine's clock and the database's are " (parts::length(lead.abs() as f64 / 1000.0)) " apart." }
            " The database's counts; have both follow a time server."
        });
    }
    if !unserved.is_empty() {
        told.push(nobody_serves(&unserved));
    }
    Ok(html! {
        @if !told.is_empty() {
            ul.warnings aria-label="Warnings" {
                @for warning in &told { li.notice.warn { span.unseen { "Warning: " } (warning) } }
            }
        }
    })
}

fn nobody_serves(kinds: &[(Kind, u64)]) -> Markup {
    html! {
        strong { "Nobody works on " }
        @for (i, (kind, n)) in kinds.iter().take(KINDS_NAMED).enumerate() {
            @if i > 0 { ", " }
            @let name = kind.as_str();
            a href={ "/tasks?" (query([("status", "pending"), ("kind", name)].into_iter())) } { code { (name) } }
            " (" (parts::tasks(*n)) " waiting)"
        }
        @if kinds.len() > KINDS_NAMED { " and " (kinds.len() - KINDS_NAMED) " more kinds" }
        ". No worker that called lately takes such tasks: start one, or name the kind when it claims."
    }
}

/// Kinds with waiting tasks that no worker takes.
async fn unserved(state: &ApiState, overview: &Overview) -> Result<Vec<(Kind, u64)>, Problem> {
    let waits = |counts: &Counts| counts.of(Status::Pending);
    let waiting = overview
        .kinds
        .iter()
        .filter(|(kind, counts)| waits(counts) > 0 && kind.as_str() != Kind::MANUAL);
    let waiting: Vec<(Kind, u64)> =
        waiting.map(|(kind, counts)| (kind.clone(), waits(counts))).collect();
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let kinds = waiting.iter().map(|(kind, _)| kind.clone()).collect();
    let unserved = Workers::from_ref(state).unserved(Actor::DEFAULT, kinds).await?;
    Ok(waiting.into_iter().filter(|(kind, _)| unserved.contains(kind)).collect())
}
