//! New tasks together with a claim that waits for them: the claim is carried out in the transaction that
//! stores them, after everything else in it, so that it finds what all of its neighbours brought.

use std::collections::HashSet;

use rusqlite::Connection;
use taskflow_core::{TaskId, TenantId, Timestamp};
use taskflow_store::{Claim, StoreError, Sync};

use crate::memory::Memory;
use crate::writer::{Answered, Order, Said, What, carry_out};

/// A claim that waits for the end of the batch.
pub(crate) struct Parked {
    /// Which answer is its own.
    at: usize,
    tenant: TenantId,
    claim: Claim,
}

/// Takes the claim from an order, which has its answer at `at`; a plain insertion is left.
pub(crate) fn apart(order: &mut Order, at: usize) -> Option<Parked> {
    let what = std::mem::replace(&mut order.what, What::Look);
    let (what, claim) = match what {
        What::Serve(batch, claim) => (What::Insert(batch), Some(claim)),
        what => (what, None),
    };
    order.what = what;
    claim.map(|claim| Parked { at, tenant: order.tenant, claim: *claim })
}

/// Carries the claims out and puts what they got into the answers; `now` is the latest of the batch, when
/// all that it brought is due. One whose tasks were not stored, or that fails by itself, gets nothing: it
/// asks again. `Err` as in [`carry_out`].
pub(crate) fn all(
    connection: &Connection,
    memory: &mut Memory,
    parked: Vec<Parked>,
    now: Timestamp,
    answers: &mut [Answered],
) -> Result<(), StoreError> {
    if parked.is_empty() {
        return Ok(());
    }
    let mut claimed: HashSet<TaskId> = HashSet::new();
    for Parked { at, tenant, claim } in parked {
        let Some((_, Ok(Said::Inserted(inserted)))) = answers.get_mut(at) else { continue };
        let inserted = std::mem::take(inserted);
        let sync = Sync { claim: Some(claim), ..Sync::default() };
        let order = Order { tenant, now, what: What::Sync(Box::new(sync)) };
        let said = match carry_out(connection, memory, order)? {
            Ok(Said::Synced(synced)) => {
                claimed.extend(synced.claimed.iter().map(|claimed| claimed.task.id));
                Said::Served(inserted, synced)
            }
            _ => Said::Inserted(inserted),
        };
        answers[at].1 = Ok(said);
    }
    for (_, answer) in answers {
        if let Ok(Said::Inserted(inserted) | Said::Served(inserted, _)) = answer {
            inserted.handed_out(&claimed);
        }
    }
    Ok(())
}
