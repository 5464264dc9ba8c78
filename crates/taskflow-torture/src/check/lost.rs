//! R1: what was acknowledged is there at the end, is what it was, and has ended; an acknowledged
//! edit is not forgotten. A task whose delete was tried may be gone.

use std::collections::BTreeMap;

use super::Violation;
use crate::evidence::{Evidence, mark};
use crate::history::{Call, Kind, Op};
use crate::readback::Remains;

pub(super) fn find(evidence: &Evidence) -> Vec<Violation> {
    let Some(end) = &evidence.end else {
        return Vec::new();
    };
    let nothing = Remains::default();
    let mut found = Vec::new();
    for id in evidence.tasks() {
        let remains = end.get(&id).unwrap_or(&nothing);
        if remains.listed != remains.task.is_some() {
            let text = format!(
                "task {id}: listed {}, readable {}",
                remains.listed,
                remains.task.is_some()
            );
            found.push(Violation::of(id, text));
            continue;
        }
        let deleted = evidence.maybe_deleted(id);
        for birth in evidence.births(id) {
            match &remains.task {
                None if deleted => {}
                None => {
                    let text = format!("task {id} was acknowledged and is gone");
                    found.push(Violation::of(id, text));
                }
                Some(task) if task.mark() != mark(&birth.args) => {
                    let text = format!(
                        "task {id} was acknowledged with payload {} and has {}",
                        mark(&birth.args),
                        task.payload
                    );
                    found.push(Violation::of(id, text));
                }
                Some(task) if !task.status.is_ended() => {
                    let text = format!("task {id} has not ended: {:?}", task.status);
                    found.push(Violation::of(id, text));
                }
                Some(_) => {}
            }
        }
        found.extend(hidden(evidence, id));
        found.extend(forgotten_edit(evidence, id));
    }
    found
}

/// A read that did not find a task which was acknowledged before it and which nobody had deleted.
fn hidden(evidence: &Evidence, id: i64) -> Option<Violation> {
    let birth = evidence.births(id).next()?;
    let reads = evidence.about(id).filter(|call| {
        matches!(call.op, Op::Get | Op::Edit) && call.status == Some(404) && birth.precedes(call)
    });
    let deletes = |read: &Call| {
        evidence.about(id).any(|call| {
            call.op == Op::Delete
                && call.may_have_happened()
                && read.t1.is_none_or(|t1| call.t0 < t1)
        })
    };
    let read = reads.into_iter().find(|read| !deletes(read))?;
    let text = format!("task {id} was acknowledged and {:?} did not find it", read.op);
    Some(Violation::of(id, text))
}

/// The title is that of the birth or of an edit, and no acknowledged edit came wholly after that one.
fn forgotten_edit(evidence: &Evidence, id: i64) -> Option<Violation> {
    let (task, _) = evidence.left(id)?;
    let title = |call: &Call| call.args["title"].as_str().unwrap_or("").to_owned();
    let writes = evidence
        .about(id)
        .filter(|call| matches!(call.op, Op::Create | Op::Edit) && call.may_have_happened());
    let source = writes.clone().find(|call| title(call) == task.title)?;
    let later = writes.clone().find(|call| call.kind == Kind::Ok && source.precedes(call))?;
    let text = format!(
        "task {id} has title {:?}, but the later {:?} was acknowledged",
        task.title,
        title(later)
    );
    Some(Violation::of(id, text))
}

/// Where in the order of each producer the lost tasks lie: (before everything that was kept, between,
/// after). Losing the end points at acknowledgements before the commit, losing the beginning at a
/// database that began anew.
pub(crate) fn split(evidence: &Evidence) -> (usize, usize, usize) {
    let mut orders: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    let births = evidence.calls.iter().filter(|c| c.op == Op::Create && c.kind == Kind::Ok);
    for birth in births {
        for &id in &birth.ids {
            if evidence.end.is_some() && !evidence.maybe_deleted(id) {
                let kept = evidence.left(id).is_some();
                orders.entry(&birth.proc).or_default().push(kept);
            }
        }
    }
    let mut split = (0, 0, 0);
    for order in orders.values() {
        let first = order.iter().position(|&kept| kept).unwrap_or(order.len());
        let last = order.iter().rposition(|&kept| kept).map_or(0, |at| at + 1);
        split.0 += first;
        split.1 +=
            order.iter().enumerate().filter(|&(at, k)| !k && at > first && at < last).count();
        split.2 += order.len() - last.max(first);
    }
    split
}
