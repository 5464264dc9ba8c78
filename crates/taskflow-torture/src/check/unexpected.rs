//! R2: nothing is there that nobody asked for, that was refused, that was deleted, or that was asked
//! for once and is there twice. An unknown call may have happened, so it explains.

use std::collections::BTreeMap;

use super::Violation;
use crate::evidence::{Evidence, mark};
use crate::history::{Call, Kind, Op};
use crate::view::{AttemptView, TaskView};

pub(super) fn find(evidence: &Evidence) -> Vec<Violation> {
    let mut found: Vec<Violation> =
        evidence.tasks().filter_map(|id| two_births(evidence, id)).collect();
    let Some(end) = &evidence.end else {
        return found;
    };
    let creates = evidence.creates();
    let mut seen: BTreeMap<&str, i64> = BTreeMap::new();
    for (&id, remains) in end {
        let Some(task) = &remains.task else {
            continue;
        };
        let birth = creates.get(task.mark()).copied();
        found.extend(phantom(id, task, birth));
        if let Some(other) = seen.insert(task.mark(), id) {
            let text = format!("one create, {:?}, made tasks {other} and {id}", task.mark());
            found.push(Violation::of(id, text));
        }
        if evidence.about(id).any(|call| call.op == Op::Delete && call.kind == Kind::Ok) {
            found.push(Violation::of(id, format!("task {id} was deleted and is there")));
        }
        found.extend(unasked_title(evidence, id, task, birth));
        let unasked = |attempt: &AttemptView| unasked_end(evidence, id, attempt);
        found.extend(remains.attempts.iter().filter_map(unasked));
    }
    found
}

fn two_births(evidence: &Evidence, id: i64) -> Option<Violation> {
    let second = evidence.births(id).nth(1)?;
    let first = evidence.births(id).next()?;
    let text = format!(
        "task {id} is the answer to {:?} and to {:?}",
        mark(&first.args),
        mark(&second.args)
    );
    Some(Violation::of(id, text))
}

fn phantom(id: i64, task: &TaskView, create: Option<&Call>) -> Option<Violation> {
    let text = match create {
        None => format!("task {id} with payload {} was never created", task.payload),
        Some(create) if create.kind == Kind::Fail => {
            format!("task {id} is there, but its creation was refused ({:?})", create.status)
        }
        Some(_) => return None,
    };
    Some(Violation::of(id, text))
}

/// The title must come from the create or an edit that was not refused.
fn unasked_title(
    evidence: &Evidence,
    id: i64,
    task: &TaskView,
    birth: Option<&Call>,
) -> Option<Violation> {
    let edits = evidence.about(id).filter(|call| call.op == Op::Edit);
    let asked = edits
        .chain(birth)
        .any(|call| call.may_have_happened() && call.args["title"].as_str() == Some(&task.title));
    (!asked).then(|| {
        Violation::of(id, format!("task {id} has title {:?}, which nobody gave it", task.title))
    })
}

/// An attempt's end must have been asked for, save that a lease may run out.
fn unasked_end(evidence: &Evidence, id: i64, attempt: &AttemptView) -> Option<Violation> {
    let op = match attempt.outcome.as_str() {
        "lease_expired" => return None,
        "completed" => Some(Op::Complete),
        "failed" => Some(Op::Fail),
        _ => None,
    };
    let mut finishes = evidence.finishes(id, attempt.attempt);
    if finishes.any(|call| Some(call.op) == op && call.may_have_happened()) {
        return None;
    }
    let text = format!(
        "attempt {} of task {id} ended as {}, which nobody asked for",
        attempt.attempt, attempt.outcome
    );
    Some(Violation::of(id, text))
}
