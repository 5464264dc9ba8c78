//! R16: whoever looks twice never sees a task go back: its version and attempt do not fall, an ended
//! task stays as it ended (this test never retries one), a deleted one does not return, and one
//! version is one state. Reads that overlap in time may come in any order.

use super::Violation;
use crate::evidence::Evidence;
use crate::history::{Kind, Op};
use crate::view::TaskView;

/// A look at a task. The last read has no end, so nothing comes after it.
struct Look<'a> {
    t0: u64,
    t1: u64,
    task: &'a TaskView,
}

pub(super) fn find(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for id in evidence.tasks() {
        let looks = looks(evidence, id);
        found.extend(
            looks
                .iter()
                .enumerate()
                .find_map(|(n, b)| looks[..n].iter().find_map(|a| contradiction(id, a, b))),
        );
        let deleted = evidence
            .about(id)
            .filter(|call| call.op == Op::Delete && call.kind == Kind::Ok)
            .filter_map(|call| call.t1)
            .min();
        if let Some(deleted) = deleted
            && looks.iter().any(|look| look.t0 > deleted && look.t0 != u64::MAX)
        {
            found.push(Violation::of(id, format!("task {id} was seen after it was deleted")));
        }
    }
    found
}

/// Everything that was ever seen of a task, in order of the questions.
fn looks(evidence: &Evidence, id: i64) -> Vec<Look<'_>> {
    let mut looks: Vec<Look<'_>> = Vec::new();
    for call in evidence.about(id).filter(|call| call.kind == Kind::Ok) {
        let seen = call.tasks.iter().filter(|task| task.id == id);
        looks.extend(seen.map(|task| Look { t0: call.t0, t1: call.t1.unwrap_or(u64::MAX), task }));
    }
    looks.sort_by_key(|look| look.t0);
    if let Some((task, _)) = evidence.left(id) {
        looks.push(Look { t0: u64::MAX, t1: u64::MAX, task });
    }
    looks
}

fn contradiction(id: i64, a: &Look<'_>, b: &Look<'_>) -> Option<Violation> {
    let (old, new) = (a.task, b.task);
    let text = if old.version == new.version && old.status != new.status {
        format!("task {id} in version {} is {:?} and {:?}", old.version, old.status, new.status)
    } else if a.t1 >= b.t0 {
        return None;
    } else if new.version < old.version {
        format!("task {id} went from version {} back to {}", old.version, new.version)
    } else if new.attempt < old.attempt {
        format!("task {id} went from attempt {} back to {}", old.attempt, new.attempt)
    } else if old.status.is_ended() && new.status != old.status {
        format!("task {id} went from {:?} to {:?}", old.status, new.status)
    } else {
        return None;
    };
    Some(Violation::of(id, text))
}
