//! The model's room of workers.

use std::cmp::Reverse;

use async_trait::async_trait;
use taskflow_core::limits::HOLDS_SHOWN;
use taskflow_core::{Change, Command, TaskId, TenantId, Timestamp, WorkerName};

use super::{Model, Tables};
use crate::{Answers, Drain, Held, Holding, Sighting, StoreError, Which, Worker, WorkerStore};

impl Tables {
    fn holding(&self, scope: TenantId, worker: &WorkerName) -> Holding {
        let mut holding = Holding::default();
        for task in self.tasks(scope) {
            let theirs = task.state.worker.as_deref() == Some(worker.as_str());
            let Some(lease) = task.state.lease.as_ref().filter(|_| theirs) else { continue };
            holding.count += 1;
            if holding.tasks.len() < HOLDS_SHOWN {
                let (id, attempt) = (task.id, task.state.attempt);
                holding.tasks.push(Held { id, attempt, until: lease.until });
            }
        }
        holding
    }

    fn release(
        &mut self,
        scope: TenantId,
        worker: &WorkerName,
        limit: usize,
        now: Timestamp,
    ) -> Vec<TaskId> {
        let held = self.tasks(scope).filter(|task| {
            task.state.worker.as_deref() == Some(worker.as_str())
                && task.state.lease.is_some()
                && task.state.started_at.is_some_and(|at| at <= now)
        });
        let held: Vec<TaskId> = held.map(|task| task.id).take(limit).collect();
        for &id in &held {
            self.advance(id, Command::Withdraw(worker.clone()), now).expect("it is held");
        }
        held
    }
}

#[async_trait]
impl WorkerStore for Model {
    async fn see(&self, scope: TenantId, batch: Vec<Sighting>) -> Result<(), StoreError> {
        self.call(|tables| {
            for sighting in batch {
                let key = (scope, sighting.worker.clone());
                let known = tables.workers.remove(&key);
                let seen = Worker::seen(known.clone(), &sighting);
                if seen.is_news(known.as_ref()) {
                    tables.note_other(scope, Change::Worker(seen.name.clone()));
                }
                tables.workers.insert(key, seen);
            }
        });
        Ok(())
    }

    async fn workers(&self, scope: TenantId, which: Which) -> Result<Vec<Worker>, StoreError> {
        let read = |tables: &mut Tables| {
            let ours = tables.workers.iter().filter(|((tenant, _), _)| *tenant == scope);
            let mut all: Vec<Worker> = ours.map(|(_, worker)| worker.clone()).collect();
            let place = |at: Timestamp, name: &WorkerName| (Reverse(at), name.clone());
            all.sort_by_key(|worker| place(worker.last_seen, &worker.name));
            match which {
                Which::Named(name) => all.retain(|worker| worker.name == name),
                Which::Newest(after, limit) => {
                    if let Some((at, name)) = after {
                        all.retain(|w| place(w.last_seen, &w.name) > place(at, &name));
                    }
                    all.truncate(limit as usize);
                }
            }
            all
        };
        Ok(self.call(read).0)
    }

    async fn holds(
        &self,
        scope: TenantId,
        workers: Vec<WorkerName>,
    ) -> Result<Vec<Holding>, StoreError> {
        Ok(self.call(|t| workers.iter().map(|worker| t.holding(scope, worker)).collect()).0)
    }

    async fn drain(
        &self,
        scope: TenantId,
        batch: Vec<(WorkerName, Drain)>,
    ) -> Result<Vec<Option<Worker>>, StoreError> {
        let tell = |tables: &mut Tables| {
            let told = batch.into_iter().map(|(name, drain)| {
                let worker = tables.workers.get_mut(&(scope, name))?;
                let known = worker.clone();
                worker.told(&drain);
                let worker = worker.clone();
                if worker.is_news(Some(&known)) {
                    tables.note_other(scope, Change::Worker(worker.name.clone()));
                }
                Some(worker)
            });
            told.collect()
        };
        Ok(self.call(tell).0)
    }

    async fn drained(&self, since: Timestamp) -> Result<Vec<(TenantId, Worker)>, StoreError> {
        let read = |tables: &mut Tables| {
            let all = tables.workers.iter().map(|((tenant, _), worker)| (*tenant, worker.clone()));
            all.filter(|(_, worker)| {
                let drained = &worker.drained;
                drained.covers_nameless() || (!drained.is_empty() && worker.last_seen >= since)
            })
            .collect()
        };
        Ok(self.call(read).0)
    }

    async fn release(
        &self,
        scope: TenantId,
        worker: WorkerName,
        limit: u32,
        now: Timestamp,
    ) -> Result<Answers<TaskId>, StoreError> {
        let (items, ready) = self.call(|t| t.release(scope, &worker, limit as usize, now));
        Ok(Answers { items, ready })
    }

    async fn forget_workers(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let forget = |tables: &mut Tables| {
            let idle = |((tenant, name), worker): (&(TenantId, WorkerName), &Worker)| {
                let idle = worker.last_seen < before && tables.holding(*tenant, name).count == 0;
                idle.then(|| (*tenant, name.clone()))
            };
            let gone: Vec<_> =
                tables.workers.iter().filter_map(idle).take(limit as usize).collect();
            for key in &gone {
                tables.workers.remove(key);
            }
            u32::try_from(gone.len()).expect("at most `limit`")
        };
        Ok(self.call(forget).0)
    }
}
