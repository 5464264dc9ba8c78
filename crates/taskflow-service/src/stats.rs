//! How many tasks there are by queue and kind, and what happened to them minute by minute.
//! It counts nothing itself; the store does that with each change.

use std::sync::Arc;

use taskflow_core::limits::{OVERDUE_AFTER_SECONDS, OVERDUE_COUNTED_MAX, STATS_NAMES_MAX};
use taskflow_core::series::{Minute, Tally};
use taskflow_core::{Clock, QueueName, Timestamp};
use taskflow_store::{Narrow, Overview, Store};

use crate::actor::Actor;
use crate::error::ServiceError;

/// The use cases of statistics.
#[derive(Clone)]
pub struct Stats {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Stats {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Tasks per status, in all and by queue and kind, at most `limits::STATS_NAMES_MAX` of each.
    pub async fn overview(&self, actor: Actor, narrow: Narrow) -> Result<Overview, ServiceError> {
        Ok(self.store.overview(actor.tenant, narrow, STATS_NAMES_MAX).await?)
    }

    /// What happened in the last `minutes` minutes, the present one included: one entry each, oldest
    /// first, also for those in which nothing happened.
    pub async fn series(
        &self,
        actor: Actor,
        queue: Option<QueueName>,
        minutes: u32,
    ) -> Result<Vec<(Minute, Tally)>, ServiceError> {
        let last = Minute::of(self.clock.now());
        let back = i32::try_from(minutes.saturating_sub(1)).unwrap_or(i32::MAX);
        let first = last.plus(-back);
        let told = self.store.series(actor.tenant, queue, first, last).await?;
        let mut told = told.into_iter().peekable();
        let mut whole = Vec::with_capacity(minutes as usize);
        for minute in (0..=back).map(|n| first.plus(n)) {
            let tally = told.next_if(|(of, _)| *of == minute).map(|(_, tally)| tally);
            whole.push((minute, tally.unwrap_or_default()));
        }
        Ok(whole)
    }

    /// What happened in each of `queues`, in their order, in the last `minutes` minutes, the present one
    /// included; and the first of these minutes.
    pub async fn lately(
        &self,
        actor: Actor,
        queues: Vec<QueueName>,
        minutes: u32,
    ) -> Result<(Minute, Vec<Tally>), ServiceError> {
        let last = Minute::of(self.clock.now());
        let first = last.plus(-i32::try_from(minutes.saturating_sub(1)).unwrap_or(i32::MAX));
        let mut tallies = Vec::with_capacity(queues.len());
        for queues in queues.chunks(STATS_NAMES_MAX as usize) {
            tallies.extend(self.store.tallies(actor.tenant, queues.to_vec(), first, last).await?);
        }
        Ok((first, tallies))
    }

    /// Since when the ready task of each queue waits that is ready for longest; none where none is ready. In
    /// the order of `queues`.
    pub async fn oldest(
        &self,
        actor: Actor,
        queues: Vec<QueueName>,
    ) -> Result<Vec<Option<Timestamp>>, ServiceError> {
        let now = self.clock.now();
        let mut oldest = Vec::with_capacity(queues.len());
        for queues in queues.chunks(STATS_NAMES_MAX as usize) {
            oldest.extend(self.store.oldest(actor.tenant, queues.to_vec(), now).await?);
        }
        Ok(oldest)
    }

    /// How many leases ended `limits::OVERDUE_AFTER_SECONDS` ago or earlier and were not rescued, counted up
    /// to `limits::OVERDUE_COUNTED_MAX`: anything but none means that no process rescues.
    pub async fn overdue(&self, actor: Actor) -> Result<u64, ServiceError> {
        let before = self.clock.now().plus_seconds(-OVERDUE_AFTER_SECONDS);
        Ok(self.store.overdue(actor.tenant, before, OVERDUE_COUNTED_MAX).await?)
    }
}
