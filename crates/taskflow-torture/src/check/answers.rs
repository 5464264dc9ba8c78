//! R24: no panic, no end without a kill, no 5xx while nothing is wrong, no answer outside the
//! contract, and no refusal of a call that was well formed.

use super::Violation;
use crate::evidence::Evidence;
use crate::history::Call;

pub(super) fn find(evidence: &Evidence) -> Vec<Violation> {
    let mut found: Vec<Violation> =
        evidence.panics.iter().map(|line| Violation::general(format!("panic: {line}"))).collect();
    for outage in &evidence.outages {
        if let Some(status) = &outage.by_itself {
            let text = format!("the server ended without being killed: {status}");
            found.push(Violation::general(text));
        }
    }
    for call in &evidence.calls {
        if let Some(text) = wrong(evidence, call) {
            let task = call.ids.first().copied();
            found.push(Violation { task, text: format!("{:?} by {}: {text}", call.op, call.proc) });
        }
    }
    found
}

fn wrong(evidence: &Evidence, call: &Call) -> Option<String> {
    if let Some(odd) = &call.odd {
        return Some(odd.clone());
    }
    match call.status? {
        200..=299 | 404 | 409 => None,
        status @ 400..=499 => {
            let code = call.note.as_deref().unwrap_or("no code");
            Some(format!("a well-formed call was refused with {status} ({code})"))
        }
        status if in_an_outage(evidence, call) => {
            (status < 500).then(|| format!("status {status}"))
        }
        status => Some(format!("status {status} while nothing was wrong")),
    }
}

fn in_an_outage(evidence: &Evidence, call: &Call) -> bool {
    evidence.outages.iter().any(|outage| {
        call.t1.is_none_or(|t1| t1 >= outage.killed_at)
            && outage.ready_at.is_none_or(|ready| call.t0 <= ready)
    })
}
