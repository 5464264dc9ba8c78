//! R15: no task gets more attempts than it may have, and none is given up before it had them, unless
//! its last attempt said that no other makes sense. This test uses no attempt that does not count.

use serde_json::json;

use super::Violation;
use crate::evidence::Evidence;
use crate::history::{Call, Op};
use crate::view::Status;

pub(super) fn find(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for (id, create) in creates(evidence) {
        let max = create.args["max_attempts"].as_u64().unwrap_or(u64::MAX);
        let granted = evidence.grants(id).map(|(_, task)| task.attempt).max();
        let left = evidence.left(id);
        let counted = left.map(|(task, _)| task.attempt).max(granted).unwrap_or(0);
        if u64::from(counted) > max {
            let text = format!("task {id} had {counted} attempts of {max}");
            found.push(Violation::of(id, text));
        }
        let Some((task, _)) = left else {
            continue;
        };
        let for_good = |call: &Call| {
            call.op == Op::Fail
                && call.may_have_happened()
                && call.args["retryable"] == json!(false)
        };
        if task.status == Status::Failed
            && u64::from(task.attempt) < max
            && !evidence.finishes(id, task.attempt).any(for_good)
        {
            let text = format!("task {id} was given up after {} attempts of {max}", task.attempt);
            found.push(Violation::of(id, text));
        }
    }
    found
}

/// Every task with the call that made it, whether that was answered or not.
fn creates(evidence: &Evidence) -> Vec<(i64, &Call)> {
    let creates = evidence.creates();
    evidence
        .tasks()
        .filter_map(|id| {
            let mark = match evidence.left(id) {
                Some((task, _)) => task.mark(),
                None => evidence.grants(id).next()?.1.mark(),
            };
            Some((id, *creates.get(mark)?))
        })
        .collect()
}
