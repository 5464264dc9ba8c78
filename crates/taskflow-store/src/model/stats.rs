//! The model's room of statistics.

use std::collections::BTreeMap;

use async_trait::async_trait;
use taskflow_core::series::{Cell, Minute, Tally};
use taskflow_core::{Kind, QueueName, TenantId, Timestamp};

use super::{Model, Tables, waits};
use crate::{Counts, Narrow, Overview, StatsStore, StoreError};

impl Tables {
    /// Adds one to each of these cells, for the queue and for all together.
    pub(super) fn tally(
        &mut self,
        tenant: TenantId,
        queue: &QueueName,
        at: Timestamp,
        cells: &[Cell],
    ) {
        if cells.is_empty() {
            return;
        }
        for queue in [Some(queue.clone()), None] {
            let tally = self.series.entry((tenant, queue, Minute::of(at))).or_default();
            cells.iter().for_each(|cell| tally.add(*cell, 1));
        }
    }

    fn overview(&self, scope: TenantId, narrow: &Narrow, limit: usize) -> Overview {
        let (mut total, mut queues, mut kinds) =
            (Counts::default(), BTreeMap::new(), BTreeMap::new());
        let fits = |task: &&taskflow_core::Task| {
            narrow.queue.as_ref().is_none_or(|queue| *queue == task.queue)
                && narrow.kind.as_ref().is_none_or(|kind| *kind == task.kind)
        };
        for task in self.tasks(scope).filter(fits) {
            let at = task.state.status as usize;
            total.0[at] += 1;
            queues.entry(task.queue.clone()).or_insert_with(Counts::default).0[at] += 1;
            kinds.entry(task.kind.clone()).or_insert_with(Counts::default).0[at] += 1;
        }
        queues.retain(|queue: &QueueName, _| narrow.after_queue.as_ref() < Some(queue));
        kinds.retain(|kind: &Kind, _| narrow.after_kind.as_ref() < Some(kind));
        Overview {
            total,
            more_queues: queues.len() > limit,
            more_kinds: kinds.len() > limit,
            queues: queues.into_iter().take(limit).collect(),
            kinds: kinds.into_iter().take(limit).collect(),
        }
    }
}

#[async_trait]
impl StatsStore for Model {
    async fn overview(
        &self,
        scope: TenantId,
        narrow: Narrow,
        limit: u32,
    ) -> Result<Overview, StoreError> {
        Ok(self.call(|tables| tables.overview(scope, &narrow, limit as usize)).0)
    }

    async fn series(
        &self,
        scope: TenantId,
        queue: Option<QueueName>,
        first: Minute,
        last: Minute,
    ) -> Result<Vec<(Minute, Tally)>, StoreError> {
        let read = |tables: &mut Tables| {
            let minutes = tables.series.iter().filter(|((tenant, of, minute), _)| {
                *tenant == scope && *of == queue && (first..=last).contains(minute)
            });
            minutes.map(|((.., minute), tally)| (*minute, tally.clone())).collect()
        };
        Ok(self.call(read).0)
    }

    async fn tallies(
        &self,
        scope: TenantId,
        queues: Vec<QueueName>,
        first: Minute,
        last: Minute,
    ) -> Result<Vec<Tally>, StoreError> {
        let mut tallies = Vec::with_capacity(queues.len());
        for queue in queues {
            let mut sum = Tally::default();
            let minutes = self.series(scope, Some(queue), first, last).await?;
            minutes.iter().for_each(|(_, tally)| sum.merge(tally));
            tallies.push(sum);
        }
        Ok(tallies)
    }

    async fn oldest(
        &self,
        scope: TenantId,
        queues: Vec<QueueName>,
        now: Timestamp,
    ) -> Result<Vec<Option<Timestamp>>, StoreError> {
        let first = |tables: &Tables, queue: &QueueName| {
            let tasks = tables.tasks(scope).filter(|task| waits(task) && task.queue == *queue);
            tasks.map(|task| task.state.run_at).filter(|run_at| *run_at <= now).min()
        };
        Ok(self.call(|tables| queues.iter().map(|queue| first(tables, queue)).collect()).0)
    }

    async fn overdue(
        &self,
        scope: TenantId,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let ended = |tables: &mut Tables| {
            let leases = tables.tasks(scope).filter_map(|task| task.state.lease.as_ref());
            leases.filter(|lease| lease.until < before).take(limit as usize).count()
        };
        Ok(self.call(ended).0 as u64)
    }
}
