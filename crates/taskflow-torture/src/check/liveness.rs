//! R23: when the faults stop, everything goes on by itself and in time.

use super::Violation;
use crate::evidence::Evidence;

pub(super) fn find(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for (n, outage) in evidence.outages.iter().enumerate() {
        let kill = n + 1;
        match outage.recovery_ms() {
            None => {
                let error = outage.error.as_deref().unwrap_or("no reason known");
                let text = format!("the server did not come back after kill {kill}: {error}");
                found.push(Violation::general(text));
            }
            Some(ms) if ms > evidence.recovery_ms_max => {
                let text = format!(
                    "the server took {ms} ms to come back after kill {kill}, more than {}",
                    evidence.recovery_ms_max
                );
                found.push(Violation::general(text));
            }
            Some(_) => {}
        }
    }
    let back = evidence.outages.iter().all(|outage| outage.ready_at.is_some());
    if back && evidence.drained_ms.is_none() {
        let text = "not everything had ended in time after the faults stopped".to_owned();
        found.push(Violation::general(text));
    }
    found
}
