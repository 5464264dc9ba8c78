//! Work for workers of every sort: in this process, over HTTP, on the same database. All of them wait
//! here; the store hands out, `core::step` decides.

mod idempotency;

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::{Clock, Finish, TaskId, Timestamp, WorkerName};
use taskflow_store::{
    Claim, Claimed, Extend, Extended, FinishTask, Finished, Receipt, Store, Sync, Synced,
};
use tokio::time::Instant;

use crate::actor::Actor;
use crate::bus::{Bus, Parked, Wish};
use crate::clock::IdSource;
use crate::error::ServiceError;
use crate::grant::{self, Giver};
use crate::idempotency::Wanted;
use crate::roll::Caller;
use crate::serve::Offer;

/// How long a claim whose time is over waits for what a creation gets for it: longer than a commit, shorter than
/// callers are patient.
const LAST: Duration = Duration::from_secs(2);

/// The use cases of work.
#[derive(Clone)]
pub struct Work {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    bus: Arc<Bus>,
    poll: Duration,
}

/// A wish for work, with how long to wait for it.
#[derive(Debug, Clone)]
pub struct Want {
    /// What is taken.
    pub wish: Arc<Wish>,
    /// Most tasks.
    pub limit: u32,
    /// Length of the leases instead of the tasks' own, in seconds.
    pub lease_seconds: Option<u32>,
    /// How long to wait when there is nothing.
    pub wait: Duration,
}

/// All that a worker says and asks at once.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Attempts that ended.
    pub finish: Vec<FinishTask>,
    /// Heartbeats.
    pub extend: Vec<Extend>,
    /// A wish for work.
    pub want: Option<Want>,
}

/// A heartbeat that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// When the lease ends without another one.
    pub until: Timestamp,
    /// Whether its holder is to drain.
    pub drain: bool,
}

impl Work {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        bus: Arc<Bus>,
        poll: Duration,
    ) -> Self {
        Self { store, clock, ids, bus, poll }
    }

    /// Hands out up to `want.limit` tasks, waiting for the first one as long as `want.wait`.
    pub async fn claim(
        &self,
        actor: Actor,
        caller: impl Into<Caller>,
        want: Want,
    ) -> Result<Vec<Claimed>, ServiceError> {
        let report = Report { want: Some(want), ..Report::default() };
        Ok(self.sync(actor, caller, report).await?.claimed)
    }

    /// Finishes, heartbeats and claims in one commit; then waits for work if none was there. One who is
    /// to drain gets none, and waits no longer.
    pub async fn sync(
        &self,
        actor: Actor,
        caller: impl Into<Caller>,
        report: Report,
    ) -> Result<Synced, ServiceError> {
        let (caller, roll) = (caller.into(), &self.bus.roll);
        let Report { finish, extend, want } = report;
        let first = Sync { finish, extend, claim: None };
        let wish = want.as_ref().map(|want| &want.wish);
        roll.see(actor.tenant, &caller, wish, self.clock.now());
        let mut news = roll.news();
        let want = want.filter(|_| !roll.drains(actor.tenant, &caller));
        let Some(want) = want else { return self.run(actor, first).await };
        // Only a claim that may wait takes a place in the line.
        let until = Instant::now() + want.wait;
        let offer = self.offer(actor, &caller, &want);
        let mut parked = self.park(&want)?;
        let claim =
            |sync: Sync| Sync { claim: Some(offer.claim(&want.wish, self.ids.as_ref())), ..sync };
        let mut synced = self.run(actor, claim(first)).await?;
        let mut woken = None;
        while synced.claimed.is_empty() {
            let Some(place) = parked.as_mut() else { break };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() && place.withdraw() {
                break;
            }
            // One whose time is over, but for whom a creation asks just now, waits for that.
            let look = if left.is_zero() { LAST } else { left.min(self.poll) };
            place.offer(&offer);
            tokio::select! {
                biased;
                () = self.bus.closed() => break,
                () = roll.drained(&mut news, actor.tenant, &caller) => break,
                got = place.woken() => {
                    if let Some(got) = got {
                        synced.claimed = got.claimed;
                        break;
                    }
                    // Its place is gone. When the line has filled up meanwhile, this is the last look.
                    woken = std::mem::replace(&mut parked, self.bus.park(&want.wish));
                }
                // A look of its own does not cost the place.
                () = tokio::time::sleep(look) => if !place.withdraw() {
                    if left.is_zero() { break }
                    continue;
                },
            }
            if roll.drains(actor.tenant, &caller) {
                break;
            }
            synced.claimed = self.run(actor, claim(Sync::default())).await?.claimed;
        }
        if synced.claimed.len() == want.limit as usize
            && let Some(place) = &mut woken
        {
            place.pass_on();
        }
        Ok(synced)
    }

    /// Whether a caller is to drain: to finish what it holds and claim no more.
    pub fn drains(&self, actor: Actor, caller: &Caller) -> bool {
        self.bus.roll.drains(actor.tenant, caller)
    }

    fn park(&self, want: &Want) -> Result<Option<Parked>, ServiceError> {
        if want.wait.is_zero() {
            return Ok(None);
        }
        self.bus.park(&want.wish).map(Some).ok_or(ServiceError::TooManyWaiters)
    }

    fn claim_of(&self, actor: Actor, caller: &Caller, want: &Want) -> Claim {
        self.offer(actor, caller, want).claim(&want.wish, self.ids.as_ref())
    }

    fn offer(&self, actor: Actor, caller: &Caller, want: &Want) -> Offer {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        Offer {
            caller: caller.clone(),
            limit: want.limit,
            lease_seconds: want.lease_seconds,
            giver: Giver { store, clock, bus: Arc::clone(&self.bus), tenant: actor.tenant },
        }
    }

    async fn run(&self, actor: Actor, sync: Sync) -> Result<Synced, ServiceError> {
        if sync.claim.is_some() {
            let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
            let bus = Arc::clone(&self.bus);
            return Ok(grant::sync(store, clock, bus, actor.tenant, sync).await?);
        }
        let now = self.clock.now();
        let synced = self.store.sync(actor.tenant, sync, now).await?;
        self.bus.ready(&synced.ready, now);
        self.bus.ends.tell(ended(&synced));
        Ok(synced)
    }

    /// Ends one attempt.
    pub async fn finish(
        &self,
        actor: Actor,
        id: TaskId,
        token: taskflow_core::LeaseToken,
        finish: Finish,
    ) -> Result<Receipt, ServiceError> {
        let finish = vec![FinishTask { id, token, finish }];
        let synced = self.run(actor, Sync { finish, ..Sync::default() }).await?;
        finished(id, synced.finished.into_iter().next())
    }

    /// Extends one lease; none when the task was cancelled and the worker should stop.
    pub fn heartbeat(&self, actor: Actor, extend: Extend) -> Wanted<Option<Beat>> {
        let (bus, clock) = (Arc::clone(&self.bus), Arc::clone(&self.clock));
        Wanted::heartbeat(extend, move |until, holder| {
            let holder = holder.and_then(|name: String| WorkerName::parse(&name).ok());
            let drain = holder.is_some_and(|holder| {
                bus.roll.beat(actor.tenant, &holder, clock.now());
                bus.roll.last_drains(actor.tenant, &holder)
            });
            Beat { until, drain }
        })
    }
}

/// What the answer to the end of an attempt means.
pub(crate) fn finished(id: TaskId, answer: Option<Finished>) -> Result<Receipt, ServiceError> {
    match answer {
        Some(Finished::Done(receipt)) => Ok(receipt),
        Some(Finished::Cancelled) => Err(ServiceError::Cancelled(id)),
        Some(Finished::LeaseLost) => Err(ServiceError::LeaseLost(id)),
        Some(Finished::NotFound) | None => Err(ServiceError::NotFound(id)),
    }
}

/// What the answer to a heartbeat means.
pub(crate) fn extended(
    id: TaskId,
    answer: Option<&Extended>,
) -> Result<Option<Timestamp>, ServiceError> {
    match answer {
        Some(Extended::Held(until)) => Ok(Some(*until)),
        Some(Extended::Cancelled) => Ok(None),
        Some(Extended::LeaseLost) => Err(ServiceError::LeaseLost(id)),
        Some(Extended::NotFound) | None => Err(ServiceError::NotFound(id)),
    }
}

/// The tasks that a sync ended.
pub(crate) fn ended(synced: &Synced) -> impl Iterator<Item = TaskId> {
    synced.finished.iter().filter_map(|finished| match finished {
        Finished::Done(receipt) if receipt.status.is_ended() => Some(receipt.id),
        _ => None,
    })
}
