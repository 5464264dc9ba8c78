//! Reports and claims with an `Idempotency-Key`. What the key does is in `crate::idempotency`; here is
//! the wait for work.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::{Ticket, Timestamp};
use taskflow_store::{Deed, Done, Sync, Synced};
use tokio::time::Instant;

use super::{Report, Want, Work};
use crate::actor::Actor;
use crate::error::ServiceError;
use crate::idempotency::{Kept, Onces, Show, Tried, mixed_up};
use crate::roll::Caller;

impl Work {
    /// Finishes, heartbeats and claims in one commit, once for its key. Nothing is kept of a claim that
    /// found nothing: the next one with the key looks again. A claim that reports something as well does
    /// not wait, so that its report is not held back. What was handed out to a caller who went away is
    /// not taken back: the answer waits for the request to come again.
    pub async fn sync_once<P>(
        &self,
        onces: &Onces,
        actor: Actor,
        ticket: &Ticket,
        caller: &Caller,
        report: Report,
        show: impl Fn(Synced, Timestamp) -> Result<Vec<u8>, P> + Send + std::marker::Sync + 'static,
    ) -> Result<Kept, P>
    where
        P: From<ServiceError> + 'static,
    {
        let Report { finish, extend, mut want } = report;
        let roll = &self.bus.roll;
        roll.see(actor.tenant, caller, want.as_ref().map(|want| &want.wish), self.clock.now());
        let mut news = roll.news();
        want = want.filter(|_| !roll.drains(actor.tenant, caller));
        let reports = !(finish.is_empty() && extend.is_empty());
        let patience = want.as_ref().filter(|_| !reports).map_or(Duration::ZERO, |want| want.wait);
        let until = Instant::now() + patience;
        let mut parked = match &want {
            Some(want) if !patience.is_zero() => self.park(want)?,
            _ => None,
        };
        let mut woken = None;
        let shown = Arc::new(move |done: Done, now| match done {
            Done::Synced(synced) => show(*synced, now),
            _ => mixed_up::<Vec<u8>>().map_err(P::from),
        });
        loop {
            let render = Arc::clone(&shown);
            let show: Show = Arc::new(move |done, now| {
                let worth = reports || handed_out(&done) > 0;
                worth.then(|| render(done, now).ok()).flatten()
            });
            let claim = want.as_ref().map(|want| self.claim_of(actor, caller, want));
            let sync = Sync { finish: finish.clone(), extend: extend.clone(), claim };
            let (done, now) =
                match onces.attempt(actor, ticket, Deed::Sync(Box::new(sync)), show).await? {
                    Tried::Before(kept) => return Ok(kept),
                    Tried::Done(kept, done) => {
                        pass_on(woken.as_mut(), want.as_ref(), &done);
                        return Ok(kept);
                    }
                    Tried::Undone(done, now) => (done, now),
                };
            if reports || handed_out(&done) > 0 {
                // What is handed out weighs more than an answer may: half of it fits sooner or later.
                shown(done, now)?;
                match &mut want {
                    Some(want) if want.limit > 1 => want.limit /= 2,
                    _ => return Err(ServiceError::AnswerTooLarge.into()),
                }
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            let (Some(place), Some(want)) = (parked.as_mut().filter(|_| !left.is_zero()), &want)
            else {
                return Ok(Kept { answer: shown(done, now)?, again: false });
            };
            tokio::select! {
                // One with a key asks with its key, so it makes no offer and gets nothing here.
                _ = place.woken() => {
                    // Its place is gone. When the line has filled up meanwhile, this is the last look.
                    woken = std::mem::replace(&mut parked, self.bus.park(&want.wish));
                }
                // A look of its own does not cost the place.
                () = tokio::time::sleep(left.min(self.poll)) => {}
                () = roll.drained(&mut news, actor.tenant, caller) => {}
                () = self.bus.closed() => return Ok(Kept { answer: shown(done, now)?, again: false }),
            }
            if roll.drains(actor.tenant, caller) {
                return Ok(Kept { answer: shown(done, now)?, again: false });
            }
        }
    }
}

/// How many tasks were handed out.
fn handed_out(done: &Done) -> usize {
    match done {
        Done::Synced(synced) => synced.claimed.len(),
        _ => 0,
    }
}

/// Who got all that it wished for passes its wake-up on: there may be more.
fn pass_on(woken: Option<&mut crate::bus::Parked>, want: Option<&Want>, done: &Done) {
    if let Some(place) = woken
        && want.is_some_and(|want| want.limit as usize == handed_out(done))
    {
        place.pass_on();
    }
}
