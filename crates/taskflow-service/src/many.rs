//! One decision about all tasks of a filter: finds them page by page and acts in short steps.
//! What a step does to one task is the store's `edit` and `delete`.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::limits::{FIND_MAX, MANY_COUNTED_MAX, MANY_SECONDS_MAX, MANY_STEP};
use taskflow_core::many::Verdict;
use taskflow_core::{Clock, TaskId, Timestamp};
use taskflow_store::{Counts, Delete, Deleted, Edit, Edited, Filter, Found, Page, Store};
use tokio::time::Instant;

use crate::actor::Actor;
use crate::bus::Bus;
use crate::error::ServiceError;

/// Decisions about many tasks.
#[derive(Clone)]
pub struct Many {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    bus: Arc<Bus>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Tasks that were changed.
    pub changed: u64,
    /// Tasks of the filter to which it could not be done.
    pub skipped: u64,
    /// Whether time ran out before all were looked at.
    pub more: bool,
}

impl Many {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, bus: Arc<Bus>) -> Self {
        Self { store, clock, bus }
    }

    /// Tasks of a filter per status, counted for at most `time` and up to `most` and
    /// `limits::MANY_COUNTED_MAX`, and whether there may be more.
    pub async fn tally(
        &self,
        actor: Actor,
        filter: Filter,
        most: u64,
        time: Duration,
    ) -> Result<(Counts, bool), ServiceError> {
        let mut walk = Walk { filter, before: None, now: self.clock.now() };
        let until = Instant::now() + time;
        let mut counts = Counts::default();
        let mut left = most.min(MANY_COUNTED_MAX);
        loop {
            let limit = u32::try_from(left).unwrap_or(FIND_MAX).min(FIND_MAX);
            let (found, whole) = walk.page(&*self.store, actor, limit).await?;
            found.iter().for_each(|found| counts.0[found.status as usize] += 1);
            left = left.saturating_sub(found.len() as u64);
            if whole || left == 0 || Instant::now() >= until {
                return Ok((counts, !whole));
            }
        }
    }

    /// How many tasks a filter takes, counted up to `limits::MANY_COUNTED_MAX`, and whether there are
    /// more.
    pub async fn count(&self, actor: Actor, filter: Filter) -> Result<(u64, bool), ServiceError> {
        let time = Duration::from_secs(MANY_SECONDS_MAX);
        let (counts, more) = self.tally(actor, filter, MANY_COUNTED_MAX, time).await?;
        Ok((counts.0.iter().sum(), more))
    }

    /// Does it to the tasks that the filter takes now, newest first, each once; those that change
    /// meanwhile are skipped. Stops after `limits::MANY_SECONDS_MAX`, and at the end of a step when
    /// nobody waits for the answer any more.
    pub async fn act(
        &self,
        actor: Actor,
        verdict: Verdict,
        filter: Filter,
    ) -> Result<Outcome, ServiceError> {
        let mut walk = Walk { filter, before: None, now: self.clock.now() };
        let until = Instant::now() + Duration::from_secs(MANY_SECONDS_MAX);
        let mut outcome = Outcome::default();
        loop {
            let (found, whole) = walk.page(&*self.store, actor, FIND_MAX).await?;
            let (fit, unfit): (Vec<Found>, Vec<Found>) =
                found.into_iter().partition(|found| verdict.fits(found.status));
            outcome.skipped += unfit.len() as u64;
            self.steps(actor, verdict, &fit, until, &mut outcome).await?;
            if outcome.more || whole {
                return Ok(outcome);
            }
            if self.must_stop(until) {
                return Ok(Outcome { more: true, ..outcome });
            }
        }
    }

    /// Does it to some tasks in short steps, and adds what came of it. There is more when time ran out.
    pub(crate) async fn steps(
        &self,
        actor: Actor,
        verdict: Verdict,
        tasks: &[Found],
        until: Instant,
        outcome: &mut Outcome,
    ) -> Result<(), ServiceError> {
        for step in tasks.chunks(MANY_STEP) {
            if self.must_stop(until) {
                outcome.more = true;
                return Ok(());
            }
            let changed = self.step(actor, verdict, step).await?;
            outcome.changed += changed;
            outcome.skipped += step.len() as u64 - changed;
        }
        Ok(())
    }

    /// Whether nothing more may begin: time ran out, or the process stops.
    pub(crate) fn must_stop(&self, until: Instant) -> bool {
        Instant::now() >= until || self.bus.is_closed()
    }

    /// One commit; how many tasks it changed.
    async fn step(
        &self,
        actor: Actor,
        verdict: Verdict,
        step: &[Found],
    ) -> Result<u64, ServiceError> {
        let now = self.clock.now();
        let changed: Vec<TaskId> = match verdict.patch() {
            Some(patch) => {
                let edit = |found: &Found| Edit {
                    id: found.id,
                    if_version: Some(found.version),
                    patch: patch.clone(),
                };
                let batch = step.iter().map(edit).collect();
                let answers = self.store.edit(actor.tenant, batch, now).await?;
                self.bus.ready(&answers.ready, now);
                let done = |answer: &Edited| matches!(answer, Edited::Done(_));
                changed(step, &answers.items, done)
            }
            None => {
                let delete =
                    |found: &Found| Delete { id: found.id, if_version: Some(found.version) };
                let batch = step.iter().map(delete).collect();
                let answers = self.store.delete(actor.tenant, batch, now).await?;
                self.bus.ready(&answers.ready, now);
                changed(step, &answers.items, |answer| *answer == Deleted::Done)
            }
        };
        let count = changed.len() as u64;
        if verdict != Verdict::Retry {
            self.bus.ends.tell(changed.into_iter());
        }
        Ok(count)
    }
}

fn changed<T>(step: &[Found], answers: &[T], done: impl Fn(&T) -> bool) -> Vec<TaskId> {
    let pairs = step.iter().zip(answers).filter(|(_, answer)| done(answer));
    pairs.map(|(found, _)| found.id).collect()
}

/// A walk over all tasks of a filter, as the filter is meant at its beginning.
struct Walk {
    filter: Filter,
    before: Option<TaskId>,
    now: Timestamp,
}

impl Walk {
    /// The next ones, at most `limit`, and whether they are the last.
    async fn page(
        &mut self,
        store: &dyn Store,
        actor: Actor,
        limit: u32,
    ) -> Result<(Vec<Found>, bool), ServiceError> {
        let (filter, before, now) = (self.filter.clone(), self.before, self.now);
        let page = Page { filter, before, skip: 0, limit, now };
        let found = store.find(actor.tenant, page).await?;
        self.before = found.rest;
        Ok((found.items, found.rest.is_none()))
    }
}
