//! The form of a queue's settings, and what it means. What the settings do is told in the guide.

use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};
use taskflow_core::limits::STARVATION_GUARD_DEFAULT;
use taskflow_core::queue::{Defaults, Keep, RateLimit};
use taskflow_core::{Fault, Priority, Queue, QueuePatch};
use taskflow_service::queues::Queues;
use taskflow_service::{Actor, ServiceError};

use super::fields::{Fields, Sent};
use super::page::Frame;
use super::{forms, places, queues};
use crate::extract::QueuePath;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::v1::create::check_terms;
use crate::v1::faults::Faults;

/// A field of numbers: name, words, what stands below it.
type Number = (&'static str, &'static str, &'static str);

const LIMITS: [Number; 5] = [
    (
        "concurrency_limit",
        "At once",
        "tasks of this queue that run together, on all nodes; empty for no limit",
    ),
    ("concurrency_key_limit", "At once per key", "the same for tasks of one concurrency_key"),
    ("rate_tasks", "Starts", "at most so many…"),
    ("rate_seconds", "in seconds", "…in so many seconds"),
    (
        "starvation_guard",
        "Starvation guard",
        "one start in so many is the oldest, whatever its priority; 0 for strict order",
    ),
];
const DEFAULTS: [Number; 3] = [
    ("max_attempts", "Attempts", "of new tasks that do not say; 1 to 100"),
    ("timeout_seconds", "Time limit", "of an attempt, in seconds"),
    ("lease_seconds", "Lease", "in seconds"),
];
const KEEP: [Number; 3] = [
    ("completed_seconds", "Completed", "kept for so many seconds; 0 for ever, empty as configured"),
    ("failed_seconds", "Failed", "the same"),
    ("cancelled_seconds", "Cancelled", "the same"),
];

/// The settings as texts of fields.
pub(super) fn of(queue: &Queue) -> Vec<(&'static str, String)> {
    let settings = &queue.settings;
    let (defaults, keep) = (&settings.defaults, &settings.retention);
    let text = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
    let rate = settings.rate_limit;
    vec![
        ("concurrency_limit", text(settings.concurrency_limit)),
        ("concurrency_key_limit", text(settings.concurrency_key_limit)),
        ("rate_tasks", text(rate.map(|rate| rate.tasks))),
        ("rate_seconds", text(rate.map(|rate| rate.per_seconds))),
        ("starvation_guard", settings.starvation_guard.to_string()),
        ("priority", defaults.priority.map(|p| p.as_str().to_owned()).unwrap_or_default()),
        ("max_attempts", text(defaults.max_attempts)),
        ("timeout_seconds", text(defaults.timeout_seconds)),
        ("lease_seconds", text(defaults.lease_seconds)),
        ("completed_seconds", text(keep.completed_seconds)),
        ("failed_seconds", text(keep.failed_seconds)),
        ("cancelled_seconds", text(keep.cancelled_seconds)),
        ("version", queue.version.to_string()),
    ]
}

/// The fields of the form.
pub(super) fn form(values: &[(&'static str, String)], faults: &[Fault]) -> Markup {
    let value = |name: &str| forms::value(values, name);
    let numbers = |fields: &[Number]| {
        html! {
            div.fields {
                @for (name, words, hint) in fields {
                    (forms::number(name, words, value(name), hint, faults))
                }
            }
        }
    };
    html! {
        input type="hidden" name="version" value=(value("version"));
        (forms::other(faults, |place| values.iter().any(|(name, _)| place.ends_with(name))))
        fieldset { legend { "Limits" } (numbers(&LIMITS)) }
        fieldset {
            legend { "New tasks" }
            div.fields {
                (forms::choice("priority", "Priority", value("priority"),
                    &[("", "medium (usual)"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("urgent", "urgent")], faults))
            }
            (numbers(&DEFAULTS))
        }
        fieldset { legend { "How long ended tasks are kept" } (numbers(&KEEP)) }
        button.primary type="submit" { "Save" }
    }
}

/// What the form says; what it does not show stays as it is.
fn patch(fields: &Fields, before: &Queue) -> Result<QueuePatch, Vec<Fault>> {
    let mut faults = Faults::default();
    let mut number = |name: &'static str| {
        let text = fields.word(name)?;
        let parsed = text.parse::<u32>();
        let rule = || Fault::new(format!("/{name}"), "type", "must be a whole number");
        faults.take(parsed.map_err(|_| rule()))
    };
    let (tasks, per_seconds) = (number("rate_tasks"), number("rate_seconds"));
    let priority = fields.word("priority").and_then(Priority::parse);
    let defaults = Defaults {
        priority,
        max_attempts: number("max_attempts"),
        retry: before.settings.defaults.retry,
        timeout_seconds: number("timeout_seconds"),
        lease_seconds: number("lease_seconds"),
    };
    let patch = QueuePatch {
        concurrency_limit: Some(number("concurrency_limit")),
        concurrency_key_limit: Some(number("concurrency_key_limit")),
        rate_limit: Some(
            tasks.zip(per_seconds).map(|(tasks, per_seconds)| RateLimit { tasks, per_seconds }),
        ),
        starvation_guard: Some(number("starvation_guard").unwrap_or(STARVATION_GUARD_DEFAULT)),
        defaults: Some(defaults),
        retention: Some(Keep {
            completed_seconds: number("completed_seconds"),
            failed_seconds: number("failed_seconds"),
            cancelled_seconds: number("cancelled_seconds"),
        }),
        pause: None,
    };
    let known = fields.word("priority").is_none() == priority.is_none();
    faults.check(known, "/priority", "unknown-word", "must be low, medium, high or urgent");
    let both = fields.word("rate_tasks").is_some() == fields.word("rate_seconds").is_some();
    faults.check(
        both,
        "/rate_tasks",
        "missing",
        "needs both numbers: starts, and in how many seconds",
    );
    check_terms(&mut faults, &defaults.terms());
    faults.0.extend(patch.faults().into_iter().map(renamed));
    if faults.0.is_empty() { Ok(patch) } else { Err(faults.0) }
}

/// The fields of a rate have names of their own in the form.
fn renamed(fault: Fault) -> Fault {
    let pointer = match fault.pointer.as_str() {
        "/rate_limit/tasks" => "/rate_tasks".to_owned(),
        "/rate_limit/per_seconds" => "/rate_seconds".to_owned(),
        other => other.strip_prefix("/retention").unwrap_or(other).to_owned(),
    };
    Fault { pointer, ..fault }
}

/// Saves them, unless somebody else did meanwhile.
pub(super) async fn save(
    State(state): State<ApiState>,
    frame: Frame,
    QueuePath(name): QueuePath,
    Sent(fields): Sent,
) -> Result<Response, Problem> {
    let service: Queues = FromRef::from_ref(&state);
    let view = service.get(Actor::DEFAULT, name.clone()).await?;
    let version = fields.version()?;
    let done = match patch(&fields, &view.queue) {
        Ok(patch) => service.set(Actor::DEFAULT, name.clone(), version, patch).await,
        Err(faults) => Err(ServiceError::Invalid(faults)),
    };
    let (status, faults) = match done {
        Ok(_) => {
            let saved = format!("{}?saved=1", places::queue(name.as_str()));
            return Ok(Redirect::to(&saved).into_response());
        }
        Err(ServiceError::StaleQueue { .. }) => {
            (StatusCode::PRECONDITION_FAILED, vec![forms::stale()])
        }
        Err(error) => forms::again(error)?,
    };
    let stale = status == StatusCode::PRECONDITION_FAILED;
    let given = of(&view.queue).into_iter().map(|(known, before)| match known {
        // Who saves once more knows.
        "version" if stale => (known, before),
        _ => (known, fields.text(known).unwrap_or(before)),
    });
    let form = form(&given.collect::<Vec<_>>(), &faults);
    let page = queues::show(&state, frame, view, false, &form, false).await?;
    Ok((status, page).into_response())
}
