//! `/tasks/new`: a form for a task of any kind. The rules are the API's.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use maud::{Markup, html};
use taskflow_core::{Clock, Fault, Kind, Task, TaskId};
use taskflow_service::queues::Queues;
use taskflow_service::stats::Stats;
use taskflow_service::tasks::Tasks;
use taskflow_service::words::Narrow;
use taskflow_service::{Actor, ServiceError};

use super::draft::{Draft, Sort};
use super::fields::{Asked, Fields, Sent};
use super::forms;
use super::page::{Frame, Place};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::v1::create::CreateTask;
use crate::v1::words::Retry;

/// The route.
pub(super) fn router() -> Router<ApiState> {
    Router::new().route("/tasks/new", get(form).post(create))
}

const SORTS: [(&str, Sort); 19] = [
    ("title", Sort::Text),
    ("kind", Sort::Text),
    ("queue", Sort::Text),
    ("priority", Sort::Text),
    ("payload", Sort::Json),
    ("description", Sort::Text),
    ("run_at", Sort::Text),
    ("delay_seconds", Sort::Number),
    ("max_attempts", Sort::Number),
    ("timeout_seconds", Sort::Number),
    ("lease_seconds", Sort::Number),
    ("deadline_at", Sort::Text),
    ("expires_at", Sort::Text),
    ("tags", Sort::Words),
    ("metadata", Sort::Json),
    ("unique_key", Sort::Text),
    ("concurrency_key", Sort::Text),
    ("depends_on", Sort::Numbers),
    ("retry", Sort::Json),
];

/// A field beside the first ones: name, words, what stands below it.
const FURTHER: [(&str, &str, &str); 11] = [
    ("run_at", "Not before", "2026-01-31T09:30:00Z"),
    ("delay_seconds", "Or in so many seconds", ""),
    ("max_attempts", "Attempts", "1 to 100; 5, unless the queue says otherwise"),
    ("timeout_seconds", "Time limit of an attempt", "in seconds"),
    ("lease_seconds", "Lease", "in seconds; 30, unless the queue says otherwise"),
    ("deadline_at", "Deadline", "no attempt goes on beyond it"),
    ("expires_at", "Expires", "cancelled when not started by then"),
    ("tags", "Tags", "with commas between"),
    ("unique_key", "Unique key", "one live task of the queue holds it"),
    ("concurrency_key", "Concurrency key", "groups tasks under one limit"),
    ("depends_on", "Waits for", "ids of tasks, with commas between"),
];

/// Kinds that the worker of this program knows, with a payload each.
const KINDS: [(&str, &str); 5] = [
    ("log", r#"{"any": "thing"}"#),
    ("sleep", r#"{"seconds": 5}"#),
    ("http", r#"{"method": "POST", "url": "https://example.com/hook"}"#),
    ("command", r#"{"command": "name"}"#),
    (Kind::MANUAL, "null"),
];

async fn form(
    State(state): State<ApiState>,
    frame: Frame,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let from = fields.word("from").and_then(|id| id.parse().ok()).and_then(TaskId::new);
    let values = match from {
        Some(id) => of(&Tasks::from_ref(&state).get(Actor::DEFAULT, id).await?),
        None => texts(&fields),
    };
    show(&state, &frame, &values, &[], from).await
}

/// The texts of the form's fields.
fn texts(fields: &Fields) -> Vec<(&'static str, String)> {
    SORTS.iter().map(|(name, _)| (*name, fields.text(name).unwrap_or_default())).collect()
}

/// A new task like another one, apart from its times and what it waits for.
fn of(task: &Task) -> Vec<(&'static str, String)> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let terms = &task.terms;
    vec![
        ("title", task.title.clone()),
        ("kind", task.kind.as_str().to_owned()),
        ("queue", task.queue.as_str().to_owned()),
        ("priority", task.priority.as_str().to_owned()),
        ("payload", text(task.payload.as_ref().map(taskflow_core::Json::as_str))),
        ("description", text(task.description.as_deref())),
        ("max_attempts", terms.max_attempts.to_string()),
        ("timeout_seconds", terms.timeout_seconds.map(|n| n.to_string()).unwrap_or_default()),
        ("lease_seconds", terms.lease_seconds.to_string()),
        ("tags", task.tags.join(", ")),
        ("metadata", text(task.metadata.as_ref().map(taskflow_core::Json::as_str))),
        ("unique_key", text(task.unique_key.as_deref())),
        ("concurrency_key", text(task.concurrency_key.as_deref())),
        ("retry", serde_json::to_string(&Retry::from(terms.retry)).unwrap_or_default()),
    ]
}

async fn show(
    state: &ApiState,
    frame: &Frame,
    values: &[(&'static str, String)],
    faults: &[Fault],
    from: Option<TaskId>,
) -> Result<Response, Problem> {
    let known = Stats::from_ref(state).overview(Actor::DEFAULT, Narrow::default()).await?;
    let built_in = KINDS.map(|(kind, _)| kind);
    let inside = html! {
        h1 { "New task" }
        @if let Some(from) = from { p.quiet { "Like " (super::parts::task_link(from)) "." } }
        form.card.create method="post" action="/tasks/new" {
            (forms::other(faults, |place| SORTS.iter().any(|(name, _)| *name == place)))
            (fields(values, faults))
            p.row {
                button.primary type="submit" { "Create" }
                a.button.plain href="/tasks" { "Leave it" }
            }
        }
        (forms::known(&known, &built_in))
        (hints())
    };
    Ok(frame.page(Place::Create, "New task", &inside))
}

fn fields(values: &[(&'static str, String)], faults: &[Fault]) -> Markup {
    let value = |name: &str| forms::value(values, name);
    let further = FURTHER.iter().any(|(name, ..)| !value(name).is_empty())
        || !value("metadata").is_empty()
        || !value("retry").is_empty()
        || !value("description").is_empty();
    html! {
        (forms::needed("title", "Title", value("title"), "", faults))
        div.fields {
            (forms::listed("kind", "Kind", value("kind"), "kinds-known", "what sort of work; log when empty", faults))
            (forms::listed("queue", "Queue", value("queue"), "queues-known", "default when empty", faults))
            (forms::choice("priority", "Priority", value("priority"),
                &[("", "as the queue says"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("urgent", "urgent")], faults))
        }
        (forms::area("payload", ("Payload", value("payload"), "any JSON, 1 MiB at most"), true, faults))
        details.more open[further] {
            summary { "More" }
            (forms::area("description", ("Description", value("description"), ""), false, faults))
            div.fields {
                @for (name, words, hint) in FURTHER { (forms::line(name, words, value(name), hint, faults)) }
            }
            (forms::area("retry", ("Back-off", value("retry"), "{\"strategy\": \"exponential\", \"base_seconds\": 1, \"factor\": 2, \"max_seconds\": 3600, \"jitter\": 0.2}, unless the queue says otherwise"), true, faults))
            (forms::area("metadata", ("Metadata", value("metadata"), "a JSON object of labels"), true, faults))
        }
    }
}

fn hints() -> Markup {
    html! {
        details.card {
            summary { "Kinds that the built-in worker knows" }
            dl.pairs {
                @for (kind, payload) in KINDS { dt { (kind) } dd { code { (payload) } } }
            }
            p.quiet { "Any other kind waits for a worker that names it when it claims." }
        }
    }
}

async fn create(
    State(state): State<ApiState>,
    frame: Frame,
    Sent(fields): Sent,
) -> Result<Response, Problem> {
    let (status, faults) = match attempt(&state, &fields).await? {
        Ok(id) => return Ok(Redirect::to(&format!("/tasks/{id}")).into_response()),
        Err(error) => forms::again(error)?,
    };
    let page = show(&state, &frame, &texts(&fields), &faults, None).await?;
    Ok((status, page).into_response())
}

/// The new task, or what is wrong with it.
async fn attempt(
    state: &ApiState,
    fields: &Fields,
) -> Result<Result<TaskId, ServiceError>, Problem> {
    let clock: Arc<dyn Clock> = FromRef::from_ref(state);
    let book = Queues::from_ref(state).book(Actor::DEFAULT).await?;
    let strange = fields.strange(&SORTS.map(|(name, _)| name));
    if !strange.is_empty() {
        return Ok(Err(ServiceError::Invalid(strange)));
    }
    let mut draft = Draft::of(fields, &SORTS);
    if fields.text("title").is_none_or(|title| title.is_empty()) {
        draft.add("title", Sort::Text, "");
    }
    let new = draft.read::<CreateTask>().and_then(|task| task.check(clock.now(), &book));
    let new = match new {
        Ok(new) => new,
        Err(faults) => return Ok(Err(ServiceError::Invalid(faults))),
    };
    let created = Tasks::from_ref(state).create(Actor::DEFAULT, new).await;
    Ok(created.and_then(|created| match created.new {
        true => Ok(created.task.id),
        false => {
            let message = format!("task {} holds it, so nothing was created", created.task.id);
            Err(ServiceError::Invalid(vec![Fault::new("/unique_key", "unique-key-held", message)]))
        }
    }))
}
