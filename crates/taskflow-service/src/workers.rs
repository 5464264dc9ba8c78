//! Workers for operators: who there is, who drains, and what is taken from whom. Who called is noted by
//! `roll.rs`; how a claim is answered is in `work.rs`.

use std::sync::Arc;

use taskflow_core::limits::RELEASE_MAX;
use taskflow_core::{Clock, Instance, Kind, Timestamp, WorkerName};
use taskflow_store::{Drain, Holding, Store, Which, Worker};

use crate::actor::Actor;
use crate::bus::Bus;
use crate::error::ServiceError;

/// So many workers are looked at that called last, for one who takes a task.
pub(crate) const TAKERS_LOOKED_AT: u32 = 1000;

/// The use cases of workers.
#[derive(Clone)]
pub struct Workers {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    bus: Arc<Bus>,
}

/// A worker with what it holds now.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// The worker.
    pub worker: Worker,
    /// Its tasks.
    pub holding: Holding,
}

impl Workers {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, bus: Arc<Bus>) -> Self {
        Self { store, clock, bus }
    }

    /// Says how this process is called where workers are listed.
    pub fn call_node(&self, name: String) {
        self.bus.roll.call_node(name);
    }

    /// One page of workers, the latest calls first, after a place in that order.
    pub async fn list(
        &self,
        actor: Actor,
        after: Option<(Timestamp, WorkerName)>,
        limit: u32,
    ) -> Result<Vec<Present>, ServiceError> {
        self.write_down().await;
        let workers = self.store.workers(actor.tenant, Which::Newest(after, limit)).await?;
        self.with_holdings(actor, workers).await
    }

    /// One worker.
    pub async fn get(&self, actor: Actor, name: &WorkerName) -> Result<Present, ServiceError> {
        self.write_down().await;
        let found = self.store.workers(actor.tenant, Which::Named(name.clone())).await?;
        let present = self.with_holdings(actor, found).await?.into_iter().next();
        present.ok_or_else(|| ServiceError::NoWorker(name.clone()))
    }

    /// Tells the process of this name that called last, or `instance`, to claim no more: at once here,
    /// within a second on other nodes. What it holds it may finish.
    pub async fn drain(
        &self,
        actor: Actor,
        name: &WorkerName,
        instance: Option<Instance>,
    ) -> Result<Present, ServiceError> {
        self.tell(actor, name, instance.map_or(Drain::Last, Drain::Only)).await
    }

    /// Takes every drain of this name back.
    pub async fn resume(&self, actor: Actor, name: &WorkerName) -> Result<Present, ServiceError> {
        self.tell(actor, name, Drain::Resume).await
    }

    async fn tell(
        &self,
        actor: Actor,
        name: &WorkerName,
        drain: Drain,
    ) -> Result<Present, ServiceError> {
        self.write_down().await;
        let told = self.store.drain(actor.tenant, vec![(name.clone(), drain)]).await?;
        let Some(worker) = told.into_iter().next().flatten() else {
            return Err(ServiceError::NoWorker(name.clone()));
        };
        self.bus.roll.say(actor.tenant, worker.clone());
        let present = self.with_holdings(actor, vec![worker]).await?.into_iter().next();
        present.ok_or_else(|| ServiceError::NoWorker(name.clone()))
    }

    /// Takes from a worker all that it holds at this moment, in steps of `limits::RELEASE_MAX`; answers
    /// how many tasks. When it fails on the way, what was released stays so.
    pub async fn release(&self, actor: Actor, name: &WorkerName) -> Result<u64, ServiceError> {
        let asked = self.clock.now();
        let mut released = 0;
        loop {
            let step = self.store.release(actor.tenant, name.clone(), RELEASE_MAX, asked).await?;
            self.bus.ready(&step.ready, self.clock.now());
            if step.items.is_empty() {
                break;
            }
            released += step.items.len() as u64;
        }
        if released == 0 {
            // Whoever holds nothing and is unknown was misspelt.
            self.get(actor, name).await?;
        }
        Ok(released)
    }

    /// Which of these kinds nobody takes who called lately, whatever the queue.
    pub async fn unserved(
        &self,
        actor: Actor,
        kinds: Vec<Kind>,
    ) -> Result<Vec<Kind>, ServiceError> {
        let newest = Which::Newest(None, TAKERS_LOOKED_AT);
        let workers = self.store.workers(actor.tenant, newest).await?;
        let now = self.clock.now();
        Ok(self.bus.roll.unserved(actor.tenant, &workers, kinds, now))
    }

    async fn with_holdings(
        &self,
        actor: Actor,
        workers: Vec<Worker>,
    ) -> Result<Vec<Present>, ServiceError> {
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let names = workers.iter().map(|worker| worker.name.clone()).collect();
        let held = self.store.holds(actor.tenant, names).await?;
        let both = workers.into_iter().zip(held);
        Ok(both.map(|(worker, holding)| Present { worker, holding }).collect())
    }

    /// So that who called here a moment ago is known.
    async fn write_down(&self) {
        if let Err(error) = self.bus.roll.write_down(&*self.store).await {
            tracing::warn!(error = %error, "who called is not written down");
        }
    }
}
