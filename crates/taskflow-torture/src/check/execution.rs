//! R5: attempts of a task are 1, 2, 3 … without gap or repeat, each handed out once, and each but the
//! last has a recorded end that lets the task run again.

use std::collections::BTreeMap;

use super::Violation;
use crate::evidence::Evidence;

/// Ends after which a task may run again without anybody asking for it.
const GO_ON: [&str; 6] =
    ["failed", "timed_out", "lease_expired", "released", "snoozed", "interrupted"];

pub(super) fn find(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for id in evidence.tasks() {
        found.extend(handed_out_twice(evidence, id));
        found.extend(unexplained(evidence, id));
    }
    found
}

fn handed_out_twice(evidence: &Evidence, id: i64) -> Vec<Violation> {
    let mut holders: BTreeMap<u32, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (call, task) in evidence.grants(id) {
        if let Some(other) = holders.insert(task.attempt, &call.proc) {
            let text = format!(
                "attempt {} of task {id} was handed out twice, to {other} and to {}",
                task.attempt, call.proc
            );
            found.push(Violation::of(id, text));
        }
    }
    found
}

fn unexplained(evidence: &Evidence, id: i64) -> Option<Violation> {
    let (task, remains) = evidence.left(id)?;
    let granted = evidence.grants(id).map(|(_, task)| task.attempt).max().unwrap_or(0);
    if granted > task.attempt {
        let text = format!(
            "attempt {granted} of task {id} was handed out, but it counts {} attempts",
            task.attempt
        );
        return Some(Violation::of(id, text));
    }
    let numbers: Vec<u32> = remains.attempts.iter().map(|a| a.attempt).collect();
    let ended = if task.status.is_ended() { task.attempt } else { task.attempt.saturating_sub(1) };
    if !numbers.iter().copied().eq(1..=ended) {
        let text = format!("task {id} has recorded attempts {numbers:?}, not 1 to {ended}");
        return Some(Violation::of(id, text));
    }
    let last = task.attempt;
    let bad = remains
        .attempts
        .iter()
        .find(|a| a.attempt < last && !GO_ON.contains(&a.outcome.as_str()))?;
    let text = format!(
        "attempt {} of task {id} was started although attempt {} had {}",
        bad.attempt + 1,
        bad.attempt,
        bad.outcome
    );
    Some(Violation::of(id, text))
}
