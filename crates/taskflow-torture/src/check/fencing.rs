//! R7: once an attempt was handed out, the tokens of the attempts before it do nothing any more.
//! R8: an attempt is granted only when the lease before it has ended, by the server's own clock.

use super::Violation;
use crate::evidence::Evidence;
use crate::history::{Call, Kind, Op};
use crate::view::TaskView;

pub(super) fn find_zombies(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for id in evidence.tasks() {
        let obeyed = evidence.about(id).filter(|call| {
            matches!(call.op, Op::Complete | Op::Fail | Op::Heartbeat) && call.kind == Kind::Ok
        });
        let newer = |call: &Call| {
            evidence
                .grants(id)
                .map(|(grant, task)| (grant.clone(), task.attempt))
                .find(|(grant, attempt)| Some(*attempt) > call.attempt && grant.precedes(call))
        };
        for call in obeyed {
            if let Some((grant, attempt)) = newer(call) {
                let text = format!(
                    "{:?} with the token of attempt {} of task {id} was accepted after attempt \
                     {attempt} was handed to {}",
                    call.op,
                    call.attempt.unwrap_or(0),
                    grant.proc
                );
                found.push(Violation::of(id, text));
            }
        }
    }
    found
}

pub(super) fn find_overlaps(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for id in evidence.tasks() {
        for (_, next) in evidence.grants(id) {
            let before = evidence
                .grants(id)
                .map(|(_, task)| task)
                .find(|task| task.attempt + 1 == next.attempt);
            if let Some(before) = before {
                found.extend(overlap(evidence, id, before, next));
            }
        }
    }
    found
}

/// Known end of a lease: the claim's answer, or what an answered heartbeat made of it. The true end
/// may be later (an unanswered heartbeat), never earlier.
fn lease_end(evidence: &Evidence, id: i64, grant: &TaskView) -> Option<i64> {
    let beats = evidence.about(id).filter(|call| {
        call.op == Op::Heartbeat && call.kind == Kind::Ok && call.token_hash == grant.token_hash
    });
    beats.map(|call| call.lease_expires_at).chain([grant.lease_expires_at]).flatten().max()
}

fn overlap(evidence: &Evidence, id: i64, before: &TaskView, next: &TaskView) -> Option<Violation> {
    let end = lease_end(evidence, id, before)?;
    let start = next.started_at?;
    let row = evidence
        .left(id)
        .and_then(|(_, remains)| remains.attempts.iter().find(|a| a.attempt == before.attempt));
    let text = match row.map(|row| (row.outcome.as_str(), row.ended_at)) {
        Some(("lease_expired" | "timed_out", Some(ended))) if ended < end => format!(
            "the lease of attempt {} of task {id} was taken back {} µs before its end",
            before.attempt,
            end - ended
        ),
        Some((_, Some(ended))) if start >= ended => return None,
        Some((outcome, Some(ended))) => format!(
            "attempt {} of task {id} was granted {} µs before attempt {} had {outcome}",
            next.attempt,
            ended - start,
            before.attempt
        ),
        _ if start < end && !ended_by_holder(evidence, id, before) => format!(
            "attempt {} of task {id} was granted {} µs before the lease of attempt {} ended",
            next.attempt,
            end - start,
            before.attempt
        ),
        _ => return None,
    };
    Some(Violation::of(id, text))
}

/// Without a record (the task was deleted) the holder's own word must do.
fn ended_by_holder(evidence: &Evidence, id: i64, grant: &TaskView) -> bool {
    evidence.finishes(id, grant.attempt).any(Call::may_have_happened)
}
