//! The model's room of queues, and what their gates let through.

use std::collections::BTreeSet;

use async_trait::async_trait;
use taskflow_core::limits::{HOLDERS_MAX, QUEUES_MAX};
use taskflow_core::{
    Change, Gate, Queue, QueueName, QueuePatch, RateWindow, Task, TaskId, TenantId, Timestamp,
};

use super::{Model, Row, Tables, ready, waits};
use crate::{Counts, GateView, QueueSet, QueueStore, QueueView, Ready, StoreError};

impl Tables {
    /// A queue as it is set, with its leases.
    pub(super) fn gate(&self, scope: TenantId, name: &QueueName) -> Gate {
        let plain = || (Queue::plain(name.clone()), RateWindow::default());
        let (queue, window) =
            self.queues.get(&(scope, name.clone())).cloned().unwrap_or_else(plain);
        let mut gate = Gate::new(queue, window);
        for task in self.leased(scope, name) {
            gate.take(task.concurrency_key.as_deref(), None);
        }
        gate
    }

    fn leased(&self, scope: TenantId, name: &QueueName) -> impl Iterator<Item = &Task> {
        self.tasks(scope).filter(move |task| task.queue == *name && task.state.lease.is_some())
    }

    /// Leases in queues that limit them: task, attempt, queue.
    pub(super) fn limited_leases(&self) -> BTreeSet<(TaskId, u32, (TenantId, QueueName))> {
        let leased = self.rows.values().filter(|row| row.task.state.lease.is_some());
        let of = |row: &Row| (row.tenant, row.task.queue.clone());
        let limited = leased.filter(|row| {
            let queue = self.queues.get(&of(row));
            queue.is_some_and(|(queue, _)| queue.settings.counts_leases())
        });
        limited.map(|row| (row.task.id, row.task.state.attempt, of(row))).collect()
    }

    /// The first task of each kind that waits in a queue.
    pub(super) fn first_waiting(&self, scope: TenantId, name: &QueueName) -> Vec<Ready> {
        let waiting = self.tasks(scope).filter(|task| task.queue == *name && waits(task));
        let mut first: Vec<Ready> = Vec::new();
        for found in waiting.map(ready) {
            match first.iter_mut().find(|known| known.kind == found.kind) {
                Some(known) => known.run_at = known.run_at.min(found.run_at),
                None => first.push(found),
            }
        }
        first
    }

    /// Notes a start for the rate and the guard.
    pub(super) fn started(&mut self, scope: TenantId, name: &QueueName, now: Timestamp) {
        let of = (scope, name.clone());
        if let Some((queue, window)) = self.queues.get_mut(&of)
            && let Some(rate) = queue.settings.rate_limit
        {
            window.take(rate, now);
        }
        *self.starts.entry(of).or_insert(0) += 1;
    }

    fn view(&self, scope: TenantId, name: &QueueName) -> QueueView {
        let mut counts = Counts::default();
        for task in self.tasks(scope).filter(|task| task.queue == *name) {
            counts.0[task.state.status as usize] += 1;
        }
        QueueView { queue: self.gate(scope, name).queue, counts }
    }

    fn set_queue(
        &mut self,
        scope: TenantId,
        name: QueueName,
        if_version: Option<u64>,
        patch: &QueuePatch,
        now: Timestamp,
    ) -> QueueSet {
        let Gate { queue: old, window, .. } = self.gate(scope, &name);
        if if_version.is_some_and(|version| version != old.version) {
            return QueueSet::Stale(old.version);
        }
        let (new, changed) = old.patched(patch, now);
        if !changed {
            return QueueSet::Done(Box::new(old), Vec::new());
        }
        if old.version == 0
            && self.queues.keys().filter(|(of, _)| *of == scope).count() >= QUEUES_MAX
        {
            return QueueSet::TooMany;
        }
        let told = self.first_waiting(scope, &name);
        self.note_other(scope, Change::Queue(name.clone()));
        match new.is_plain() {
            true => self.queues.remove(&(scope, name)),
            false => self.queues.insert((scope, name), (new.clone(), window)),
        };
        QueueSet::Done(Box::new(new), told)
    }
}

#[async_trait]
impl QueueStore for Model {
    async fn queues(
        &self,
        scope: TenantId,
        after: Option<QueueName>,
        limit: u32,
    ) -> Result<Vec<QueueView>, StoreError> {
        let page = |tables: &mut Tables| {
            let set = tables.queues.keys().filter(|(of, _)| *of == scope).map(|(_, name)| name);
            let used = tables.tasks(scope).map(|task| &task.queue);
            let names: BTreeSet<QueueName> = set.chain(used).cloned().collect();
            let names = names.into_iter().filter(|name| after.as_ref().is_none_or(|a| name > a));
            names.take(limit as usize).map(|name| tables.view(scope, &name)).collect()
        };
        Ok(self.call(page).0)
    }

    async fn named(
        &self,
        scope: TenantId,
        names: Vec<QueueName>,
    ) -> Result<Vec<QueueView>, StoreError> {
        Ok(self.call(|tables| names.iter().map(|name| tables.view(scope, name)).collect()).0)
    }

    async fn settings(&self, scope: TenantId) -> Result<Vec<Queue>, StoreError> {
        let own = |tables: &mut Tables| {
            let own = tables.queues.iter().filter(|((of, _), _)| *of == scope);
            own.map(|(_, (queue, _))| queue.clone()).collect()
        };
        Ok(self.call(own).0)
    }

    async fn set_queue(
        &self,
        scope: TenantId,
        name: QueueName,
        if_version: Option<u64>,
        patch: QueuePatch,
        now: Timestamp,
    ) -> Result<QueueSet, StoreError> {
        Ok(self.call(|tables| tables.set_queue(scope, name, if_version, &patch, now)).0)
    }

    async fn gate(
        &self,
        scope: TenantId,
        name: QueueName,
        key: Option<String>,
    ) -> Result<GateView, StoreError> {
        let view = |tables: &mut Tables| {
            let some = |tasks: &mut dyn Iterator<Item = &Task>| -> Vec<TaskId> {
                tasks.take(HOLDERS_MAX as usize).map(|task| task.id).collect()
            };
            let same = |task: &&Task| key.is_some() && task.concurrency_key == key;
            GateView {
                gate: tables.gate(scope, &name),
                holders: some(&mut tables.leased(scope, &name)),
                key_holders: some(&mut tables.leased(scope, &name).filter(same)),
            }
        };
        Ok(self.call(view).0)
    }
}
