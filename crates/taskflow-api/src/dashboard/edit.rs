//! `/tasks/{id}/edit`: a task's fields changed by hand, and the task run once more with them when it has ended. A
//! payload that was not touched is not written again.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::StatusCode;
use maud::{Markup, html};
use sha2::{Digest, Sha256};
use taskflow_core::{Clock, Fault, Priority, Task, TaskId, TaskPatch, Timestamp};
use taskflow_service::tasks::Tasks;
use taskflow_service::{Actor, ServiceError};

use super::draft::{Draft, Sort};
use super::fields::{Fields, Sent};
use super::page::{Frame, Place};
use super::{forms, parts};
use crate::extract::TaskPath;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::v1::update::UpdateTask;

/// The route.
pub(super) fn router() -> Router<ApiState> {
    Router::new().route("/tasks/{task_id}/edit", get(form).post(save))
}

const NAMES: [&str; 8] = [
    "title",
    "priority",
    "payload",
    "description",
    "max_attempts",
    "timeout_seconds",
    "run_at",
    "tags",
];

/// The names of fields with what stands in them.
type Texts = Vec<(&'static str, String)>;

fn of(task: &Task) -> Texts {
    let terms = &task.terms;
    vec![
        ("title", task.title.clone()),
        ("priority", task.priority.as_str().to_owned()),
        ("payload", payload(task)),
        ("description", task.description.clone().unwrap_or_default()),
        ("max_attempts", terms.max_attempts.to_string()),
        ("timeout_seconds", terms.timeout_seconds.map(|n| n.to_string()).unwrap_or_default()),
        ("run_at", task.state.run_at.to_string()),
        ("tags", task.tags.join(", ")),
        ("version", task.state.version.to_string()),
    ]
}

fn payload(task: &Task) -> String {
    task.payload.as_ref().map(|json| json.as_str().to_owned()).unwrap_or_default()
}

async fn form(
    State(tasks): State<Tasks>,
    frame: Frame,
    TaskPath(id): TaskPath,
) -> Result<Response, Problem> {
    let task = tasks.get(Actor::DEFAULT, id).await?;
    Ok(show(&frame, &task, &of(&task), &[]))
}

fn show(
    frame: &Frame,
    task: &Task,
    values: &[(&'static str, String)],
    faults: &[Fault],
) -> Response {
    let ended = task.state.status.is_ended();
    let inside = html! {
        p.crumbs { a href="/tasks" { "Tasks" } " / " (parts::task_link(task.id)) }
        h1 { @if ended { "Edit and retry" } @else { "Edit" } }
        form.card.create method="post" action={ "/tasks/" (task.id) "/edit" } {
            input type="hidden" name="version" value=(forms::value(values, "version"));
            @for (name, text) in of(task) {
                @if name != "version" { input type="hidden" name={ "was-" (name) } value=(mark(name, &text)); }
            }
            (forms::other(faults, |place| NAMES.contains(&place)))
            (fields(task, values, faults))
            p.row {
                @if ended {
                    button.primary type="submit" name="then" value="retry" { "Save and retry" }
                    button type="submit" name="then" value="save" { "Save only" }
                } @else {
                    button.primary type="submit" name="then" value="save" { "Save" }
                }
                a.button.plain href={ "/tasks/" (task.id) } { "Leave it" }
            }
        }
    };
    frame.page(Place::Tasks, "Edit", &inside)
}

fn fields(task: &Task, values: &[(&'static str, String)], faults: &[Fault]) -> Markup {
    let value = |name: &str| forms::value(values, name);
    let priorities = Priority::ALL.map(|priority| (priority.as_str(), priority.as_str()));
    let pending = task.state.status == taskflow_core::Status::Pending;
    html! {
        (forms::needed("title", "Title", value("title"), "", faults))
        div.fields {
            (forms::choice("priority", "Priority", value("priority"), &priorities, faults))
            (forms::number("max_attempts", "Attempts", value("max_attempts"), "", faults))
            (forms::number("timeout_seconds", "Time limit of an attempt", value("timeout_seconds"), "in seconds; empty for none", faults))
            @if pending { (forms::line("run_at", "Not before", value("run_at"), "", faults)) }
            (forms::line("tags", "Tags", value("tags"), "with commas between", faults))
        }
        (forms::area("payload", ("Payload", value("payload"), "any JSON; empty for none"), true, faults))
        (forms::area("description", ("Description", value("description"), ""), false, faults))
    }
}

/// A text as a browser gives it back: fields of one line lose line ends, others have one sort of them.
fn as_typed(name: &str, text: &str) -> String {
    match name {
        "payload" | "description" => text.replace("\r\n", "\n").replace('\r', "\n"),
        _ => text.replace(['\r', '\n'], ""),
    }
}

/// What tells whether somebody touched a field since the form was shown: a hash of what stood in it.
fn mark(name: &str, text: &str) -> String {
    let hash = Sha256::digest(as_typed(name, text));
    hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// What somebody typed into a field, when it differs from what the form showed there.
fn touched(fields: &Fields, before: &Texts, name: &'static str) -> Option<String> {
    let new = as_typed(name, &fields.text(name)?);
    let shown = fields.word(&format!("was-{name}")).map(str::to_owned);
    let shown = shown.unwrap_or_else(|| mark(name, forms::value(before, name)));
    (mark(name, &new) != shown).then_some(new)
}

/// What was touched, as the API takes it.
fn patch(task: &Task, fields: &Fields, now: Timestamp) -> Result<TaskPatch, Vec<Fault>> {
    let before = of(task);
    let mut draft = Draft::default();
    for name in NAMES {
        let Some(new) = touched(fields, &before, name) else { continue };
        let sort = match name {
            "payload" => Sort::Json,
            "max_attempts" | "timeout_seconds" => Sort::Number,
            "tags" => Sort::Words,
            _ => Sort::Text,
        };
        let clears = matches!(name, "payload" | "description" | "timeout_seconds");
        match new.trim().is_empty() && clears {
            true => draft.add(name, Sort::Json, "null"),
            false => draft.add(name, sort, &new),
        }
    }
    let mut patch = draft.read::<UpdateTask>()?.check(now)?;
    patch.rerun = fields.word("then") == Some("retry");
    Ok(patch)
}

async fn save(
    State(state): State<ApiState>,
    frame: Frame,
    TaskPath(id): TaskPath,
    Sent(fields): Sent,
) -> Result<Response, Problem> {
    let tasks: Tasks = FromRef::from_ref(&state);
    let clock: Arc<dyn Clock> = FromRef::from_ref(&state);
    let task = tasks.get(Actor::DEFAULT, id).await?;
    let done = match patch(&task, &fields, clock.now()) {
        Ok(patch) => {
            let version = fields.version()?;
            tasks.edit(Actor::DEFAULT, id, version, patch).await
        }
        Err(faults) => Err(ServiceError::Invalid(faults)),
    };
    let (status, faults) = match done {
        Ok(_) => return Ok(back(id)),
        Err(ServiceError::Stale { .. }) => (StatusCode::PRECONDITION_FAILED, vec![forms::stale()]),
        Err(error) => forms::again(error)?,
    };
    // What was touched is kept. What was not is shown as it is now, and so is not written back over what
    // somebody else made of it.
    let before = of(&task);
    let stale = status == StatusCode::PRECONDITION_FAILED;
    let given = before.iter().map(|(name, text)| match *name {
        "version" if stale => ("version", text.clone()),
        "version" => ("version", fields.text("version").unwrap_or_default()),
        name => (name, touched(&fields, &before, name).unwrap_or_else(|| text.clone())),
    });
    Ok((status, show(&frame, &task, &given.collect::<Vec<_>>(), &faults)).into_response())
}

fn back(id: TaskId) -> Response {
    Redirect::to(&format!("/tasks/{id}")).into_response()
}
