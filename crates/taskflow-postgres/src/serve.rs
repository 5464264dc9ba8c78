//! Claims at the end of a transaction: of workers, and of those who waited for the new tasks that it
//! stores. Which tasks they get is in `work.rs`.

use std::collections::{BTreeMap, HashSet};

use taskflow_core::{TaskId, TenantId, Timestamp};
use taskflow_store::{AllInserted, Answers, Claim, Inserted, Ready, Synced};

use crate::desk::Desk;
use crate::error::Failure;
use crate::lanes::Lanes;
use crate::orders::{Born, Insert, add, answers, batch, births, share};
use crate::session::Session;
use crate::tasks;

/// A claim of an order.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Which order.
    pub(crate) at: usize,
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
    pub(crate) claim: Claim,
}

impl Desk<'_> {
    /// Serves claims, those together that wish the same. What became ready on the way is added to `freed` of
    /// the first of them.
    pub(crate) async fn serve(
        &mut self,
        asked: &[Asked],
        synced: &mut [Synced],
        freed: &mut [BTreeMap<TaskId, Ready>],
    ) -> Result<(), Failure> {
        for group in alike(asked) {
            let Some(first) = group.first() else { continue };
            self.tenant = first.tenant;
            self.now = group.iter().map(|asked| asked.now).max().unwrap_or(self.now);
            let wishes: Vec<&Claim> = group.iter().map(|asked| &asked.claim).collect();
            let (handed, later) = self.claim(&wishes).await?;
            for (asked, claimed) in group.iter().zip(handed) {
                synced[asked.at].claimed = claimed;
                synced[asked.at].later.clone_from(&later);
            }
            freed[first.at].append(&mut self.ready);
        }
        Ok(())
    }
}

/// Claims that may be served together: of one tenant, for the same queues and kinds.
fn alike(asked: &[Asked]) -> Vec<Vec<&Asked>> {
    let mut groups: Vec<Vec<&Asked>> = Vec::new();
    for one in asked {
        let same = |group: &&mut Vec<&Asked>| {
            group.first().is_some_and(|first| {
                let (claim, other) = (&first.claim, &one.claim);
                first.tenant == one.tenant
                    && other.queues == claim.queues
                    && other.kinds == claim.kinds
            })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// Stores plain new tasks and serves the claims that waited for them, in one commit.
pub(crate) async fn insert_and_claim(
    session: &Session,
    lanes: &Lanes,
    orders: &[Insert],
) -> Result<Vec<Born>, Failure> {
    let mut desk = Desk::new(session, lanes);
    let (begun, gates) = (desk.begin(&[]), lanes.gates.read(session));
    let born = tasks::insert_plain(session, batch(orders), false);
    let ((), born, gates) = tokio::try_join!(biased; begun, born, gates)?;
    desk.gates = gates;
    if desk.watched {
        desk.changed = births(orders, &born);
    }
    let mut inserted = answers(orders, born);
    // For the claims below, and after the commit for a look that did not see it.
    let lower = |inserted: &[Answers<Inserted>]| {
        orders.iter().zip(inserted).for_each(|(order, new)| lanes.lower(order.tenant, &new.ready));
    };
    lower(&inserted);
    // What the latest of them brought is due by then.
    let now = orders.iter().map(|order| order.now).max().unwrap_or(desk.now);
    let asked = orders.iter().enumerate().filter_map(|(at, order)| {
        let claim = order.claim.clone().filter(|claim| !is_gated(&desk, order.tenant, claim))?;
        Some(Asked { at, tenant: order.tenant, now, claim })
    });
    let asked: Vec<Asked> = asked.collect();
    let mut synced: Vec<Synced> = orders.iter().map(|_| Synced::default()).collect();
    let mut freed: Vec<BTreeMap<TaskId, Ready>> = orders.iter().map(|_| BTreeMap::new()).collect();
    let looked_at: HashSet<usize> = asked.iter().map(|asked| asked.at).collect();
    desk.serve(&asked, &mut synced, &mut freed).await?;
    let room = desk.tell_freed().await?;
    desk.gates.write(session).await?;
    desk.commit().await?;
    lower(&inserted);
    let claimed = synced.iter().flat_map(|synced| &synced.claimed);
    let claimed: HashSet<TaskId> = claimed.map(|claimed| claimed.task.id).collect();
    for (synced, freed) in synced.iter_mut().zip(freed) {
        synced.ready =
            freed.into_iter().filter(|(id, _)| desk.waits(*id)).map(|(_, r)| r).collect();
    }
    let tenants = orders.iter().map(|order| Some(order.tenant));
    share(room, tenants, |at, ready| add(&mut synced[at].ready, ready));
    inserted.iter_mut().for_each(|answers| answers.handed_out(&claimed));
    orders.iter().zip(&inserted).for_each(|(order, new)| lanes.tell(order.tenant, &new.ready));
    let born = inserted.into_iter().zip(synced).enumerate().map(|(at, (inserted, synced))| Born {
        inserted: AllInserted::Done(inserted),
        synced: looked_at.contains(&at).then_some(synced),
    });
    Ok(born.collect())
}

/// Whether a claim would have to lock a queue's row for its limits: no creation waits for that. The claimer
/// asks by itself.
fn is_gated(desk: &Desk<'_>, tenant: TenantId, claim: &Claim) -> bool {
    let wished = |queue| claim.queues.as_ref().is_none_or(|queues| queues.contains(queue));
    desk.gates.iter().any(|((of, queue), _)| *of == tenant && wished(queue))
}
