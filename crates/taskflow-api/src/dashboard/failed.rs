//! `/failed`: the tasks that were given up, grouped by kind and sort of error, and a group run once more.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use maud::{Markup, html};
use sha2::{Digest, Sha256};
use taskflow_core::failures::cut;
use taskflow_core::{Kind, Timestamp};
use taskflow_service::Actor;
use taskflow_service::failures::{Failures, Group};

use super::fields::{Asked, Fields, Sent, query};
use super::page::{Frame, Place};
use super::parts;
use crate::problem::Problem;
use crate::state::ApiState;

/// So many of the newest failed tasks are grouped: the page is read anew while tasks fail. A redrive looks
/// further back.
const LOOKED: u32 = 1000;

/// So many groups are shown, the largest.
const SHOWN: usize = 50;
/// So much of an example, in characters.
const EXAMPLE_CHARS: usize = 200;

/// The routes.
pub(super) fn router() -> Router<ApiState> {
    Router::new().route("/failed", get(page)).route("/failed/redrive", get(preview).post(redrive))
}

/// What stands where nothing failed.
pub(super) fn none() -> Markup {
    parts::empty(
        "Nothing has failed.",
        &html! { p { "A task fails for good when its attempts are used up, or when its worker says so. It then waits here until somebody retries or deletes it." } },
    )
}

/// A table of groups; with buttons on their own page.
pub(super) fn table(groups: &[Group], now: Timestamp, acts: bool) -> Markup {
    let columns = [
        ("num", "Tasks"),
        ("", "Kind"),
        ("", "Error"),
        ("less", "Queues"),
        ("", "Latest"),
        ("num less", "First"),
        ("num", "Last"),
    ];
    let rows = html! { @for group in groups { (row(group, now, acts)) } };
    parts::table("Failures by kind and error", &columns, acts, &rows)
}

/// What tells a group's row from others.
fn mark(group: &Group) -> String {
    let hash = Sha256::digest(format!("{} {}", group.kind.as_str(), group.error));
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn row(group: &Group, now: Timestamp, acts: bool) -> Markup {
    let kind = group.kind.as_str();
    let names: Vec<&str> = group.queues.iter().map(taskflow_core::QueueName::as_str).collect();
    html! {
        tr data-key={ "group-" (mark(group)) } {
            td.num { (parts::number(group.count)) }
            td { (kind) }
            th.title scope="row" {
                (group.error)
                @if let Some(example) = group.example.as_deref().filter(|example| *example != group.error) {
                    span.error { (cut(example, EXAMPLE_CHARS)) }
                }
            }
            td.less { (names.join(", ")) }
            td { (parts::task_link(group.newest)) }
            td.num.less { (parts::ago(group.first, now)) }
            td.num { (parts::ago(group.last, now)) }
            @if acts {
                td.acts {
                    a.button href={ "/failed/redrive?" (query([("kind", kind), ("error", &group.error)].into_iter())) } { "Redrive…" }
                }
            }
        }
    }
}

async fn page(
    State(failures): State<Failures>,
    frame: Frame,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let found = failures.recent(Actor::DEFAULT, LOOKED).await?;
    let number = |name| fields.word(name).and_then(|n| n.parse::<u64>().ok());
    let inside = html! {
        h1 { "Failed" }
        @if let Some(n) = number("redriven") {
            p.notice.good role="status" data-flash {
                (parts::tasks(n)) (if n == 1 { " runs" } else { " run" }) " once more."
                @if fields.ticked("more") { " Time ran out before all were through: do it once more." }
            }
        }
        div id="failed" {
            @if found.groups.is_empty() { (none()) }
            @else {
                p.quiet {
                    "By kind and error, digits aside."
                    @if found.more { " Only the newest " (parts::number(u64::from(found.looked))) " failed tasks are looked at here; a redrive looks at ten times as many." }
                    " " a href="/tasks?status=failed" { "All failed tasks" }
                }
                (table(&found.groups[..found.groups.len().min(SHOWN)], frame.now, true))
                @if found.groups.len() > SHOWN { p.quiet { "and " (found.groups.len() - SHOWN) " smaller groups" } }
            }
        }
    };
    Ok(frame.live("type=task.failed,task.retried,task.deleted").page(
        Place::Failed,
        "Failed",
        &inside,
    ))
}

fn group(fields: &Fields) -> Result<(Kind, String), Problem> {
    let kind = fields.word("kind").unwrap_or_default();
    let kind =
        Kind::parse(kind).map_err(|error| Problem::field("/kind", "name", error.to_string()))?;
    let error = fields
        .get("error")
        .ok_or_else(|| Problem::field("/error", "missing", "must name the error of the group"))?;
    Ok((kind, error.to_owned()))
}

async fn preview(
    State(failures): State<Failures>,
    frame: Frame,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let (kind, error) = group(&fields)?;
    let (n, more) = failures.count(Actor::DEFAULT, &kind, &error).await?;
    let inside = html! {
        section.card.narrow {
            h1 { "Redrive a group" }
            dl.pairs { dt { "kind" } dd { code { (kind.as_str()) } } dt { "error" } dd { (error) } }
            @if n == 0 {
                p { "No failed task of this group is left." }
                p.row { a.button href="/failed" { "Back" } }
            } @else {
                p.big { (parts::tasks(n)) }
                @if more { p.quiet { "Only the newest failed tasks were looked at; there may be more." } }
                p.quiet { "Each runs once more with all its attempts. Its history stays. Mend the cause before: what fails again comes back here." }
                form method="post" action="/failed/redrive" {
                    input type="hidden" name="kind" value=(kind.as_str());
                    input type="hidden" name="error" value=(error);
                    p.row {
                        button.primary type="submit" { "Run them once more" }
                        a.button.plain href="/failed" { "Leave them" }
                    }
                }
            }
        }
    };
    Ok(frame.page(Place::Failed, "Redrive", &inside))
}

async fn redrive(
    State(failures): State<Failures>,
    Sent(fields): Sent,
) -> Result<Response, Problem> {
    let (kind, error) = group(&fields)?;
    let done = failures.redrive(Actor::DEFAULT, &kind, &error).await?;
    let more = if done.more { "&more=1" } else { "" };
    Ok(Redirect::to(&format!("/failed?redriven={}{more}", done.changed)).into_response())
}
