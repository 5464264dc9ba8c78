//! R6: at most one outcome is accepted per attempt, the repeat of an accepted call is accepted again,
//! and what is stored is what was accepted.

use serde_json::Value;

use super::Violation;
use crate::evidence::Evidence;
use crate::history::{Call, Kind, Op};
use crate::view::Status;

pub(super) fn find(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for id in evidence.tasks() {
        let finishes = evidence.about(id).filter(|call| matches!(call.op, Op::Complete | Op::Fail));
        let accepted: Vec<&Call> = finishes.clone().filter(|c| c.kind == Kind::Ok).collect();
        found.extend(two_outcomes(id, &accepted));
        found.extend(accepted.iter().filter_map(|call| refused_repeat(evidence, id, call)));
        found.extend(accepted.iter().filter_map(|call| not_stored(evidence, id, call)));
        found.extend(wrong_result(evidence, id));
    }
    found
}

fn same(a: &Call, b: &Call) -> bool {
    a.op == b.op && a.attempt == b.attempt && a.token_hash == b.token_hash && a.args == b.args
}

fn two_outcomes(id: i64, accepted: &[&Call]) -> Option<Violation> {
    let (first, second) = accepted.iter().enumerate().find_map(|(n, a)| {
        let differs = |b: &&&Call| a.attempt == b.attempt && !same(a, b);
        accepted[n + 1..].iter().find(differs).map(|b| (a, b))
    })?;
    let text = format!(
        "attempt {} of task {id} was ended twice: {:?} {} and {:?} {}",
        first.attempt.unwrap_or(0),
        first.op,
        first.args,
        second.op,
        second.args
    );
    Some(Violation::of(id, text))
}

/// Only for completions: after a failure the next attempt may have begun, and then the token is dead.
fn refused_repeat(evidence: &Evidence, id: i64, accepted: &Call) -> Option<Violation> {
    if accepted.op != Op::Complete || evidence.maybe_deleted(id) {
        return None;
    }
    let repeat = evidence.about(id).find(|call| {
        same(accepted, call)
            && call.kind == Kind::Fail
            && call.status.is_some()
            && accepted.precedes(call)
    })?;
    let text = format!(
        "task {id} was completed, but the same call again was refused ({:?})",
        repeat.status.unwrap_or(0)
    );
    Some(Violation::of(id, text))
}

fn not_stored(evidence: &Evidence, id: i64, call: &Call) -> Option<Violation> {
    let (task, remains) = evidence.left(id)?;
    let row = remains.attempts.iter().find(|a| Some(a.attempt) == call.attempt);
    let stored = row.map_or("nothing", |row| row.outcome.as_str());
    let wanted = if call.op == Op::Complete { "completed" } else { "failed" };
    let attempt = call.attempt.unwrap_or(0);
    let text = if stored != wanted {
        format!("attempt {attempt} of task {id} was accepted as {wanted} and stored as {stored}")
    } else if call.op == Op::Complete && task.status != Status::Completed {
        format!("task {id} was completed by attempt {attempt} and is {:?}", task.status)
    } else if call.op == Op::Complete && task.result != call.args["result"] {
        format!("task {id} was completed with {} and has {}", call.args["result"], task.result)
    } else {
        return None;
    };
    Some(Violation::of(id, text))
}

/// The result is one that the last attempt tried to store, and a task without a completion has none.
fn wrong_result(evidence: &Evidence, id: i64) -> Option<Violation> {
    let (task, _) = evidence.left(id)?;
    let tried = |call: &Call| {
        call.op == Op::Complete && call.may_have_happened() && call.args["result"] == task.result
    };
    let explained = match task.status {
        Status::Completed => evidence.finishes(id, task.attempt).any(tried),
        _ => task.result == Value::Null,
    };
    (!explained).then(|| {
        let text = format!(
            "task {id} is {:?} with result {}, which attempt {} did not give",
            task.status, task.result, task.attempt
        );
        Violation::of(id, text)
    })
}
