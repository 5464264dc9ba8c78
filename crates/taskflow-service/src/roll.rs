//! Which workers called this process since it last wrote that down, and which are to drain as far as it
//! has heard. It is memory and no truth: a call costs a look into a map, and what is lost with the
//! process is noted again by each worker's next call.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use taskflow_core::limits::{WORKER_THERE_SECONDS, WORKERS_SEEN_MAX};
use taskflow_core::workers::Call;
use taskflow_core::{Kind, QueueName, TenantId, Timestamp, WorkerName};
use taskflow_store::{Kinds, Sighting, Store, StoreError, Takes, Worker};
use tokio::sync::watch;

use crate::bus::Wish;

/// A worker that calls, with what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its name.
    pub worker: WorkerName,
    /// Its process and program.
    pub call: Call,
}

impl From<&WorkerName> for Caller {
    /// One that says nothing of itself.
    fn from(worker: &WorkerName) -> Self {
        Self { worker: worker.clone(), call: Call::default() }
    }
}

impl From<&Self> for Caller {
    fn from(caller: &Self) -> Self {
        caller.clone()
    }
}

/// One worker since the last write.
#[derive(Debug, Clone)]
struct Seen {
    first: Timestamp,
    last: Timestamp,
    call: Option<Call>,
    wish: Option<Arc<Wish>>,
}

/// Workers that are to drain.
#[derive(Debug, Default)]
struct Drains {
    workers: HashMap<(TenantId, WorkerName), Worker>,
    /// Counts what was said here: a look at the database that began before knows less.
    said: u64,
}

/// The memory.
#[derive(Debug)]
pub(crate) struct Roll {
    seen: Mutex<HashMap<TenantId, HashMap<WorkerName, Seen>>>,
    drains: RwLock<Drains>,
    changed: watch::Sender<u64>,
    node: OnceLock<String>,
}

impl Default for Roll {
    fn default() -> Self {
        Self {
            seen: Mutex::default(),
            drains: RwLock::default(),
            changed: watch::Sender::new(0),
            node: OnceLock::new(),
        }
    }
}

/// What is done with each worker's name, queues and kinds.
type EachThere<'a> = &'a mut dyn FnMut(&str, Option<&[QueueName]>, &Kinds);

impl Roll {
    /// Says how this process is called, once.
    pub(crate) fn call_node(&self, name: String) {
        if self.node.set(name).is_err() {
            tracing::warn!("a process got its name a second time");
        }
    }

    /// Notes a call that says who it is. `wish` when it asks for work.
    pub(crate) fn see(
        &self,
        tenant: TenantId,
        caller: &Caller,
        wish: Option<&Arc<Wish>>,
        now: Timestamp,
    ) {
        self.note(tenant, &caller.worker, now, |seen| {
            if let Some(call) = &seen.call
                && call.instance != caller.call.instance
            {
                seen.first = now;
            }
            seen.call = Some(caller.call.clone());
            if let Some(wish) = wish {
                seen.wish = Some(Arc::clone(wish));
            }
        });
    }

    /// Notes a heartbeat, of which only the task tells whose it is.
    pub(crate) fn beat(&self, tenant: TenantId, worker: &WorkerName, now: Timestamp) {
        self.note(tenant, worker, now, |_| {});
    }

    fn note(
        &self,
        tenant: TenantId,
        worker: &WorkerName,
        now: Timestamp,
        say: impl FnOnce(&mut Seen),
    ) {
        let mut all = self.seen.lock();
        let seen = all.entry(tenant).or_default();
        if let Some(known) = seen.get_mut(worker) {
            known.last = known.last.max(now);
            return say(known);
        }
        if seen.len() < WORKERS_SEEN_MAX {
            let mut new = Seen { first: now, last: now, call: None, wish: None };
            say(&mut new);
            seen.insert(worker.clone(), new);
        }
    }

    /// Writes down what was seen since the last time. What cannot be written waits for the next.
    pub(crate) async fn write_down(&self, store: &dyn Store) -> Result<(), StoreError> {
        let seen = std::mem::take(&mut *self.seen.lock());
        let mut failure = None;
        for (tenant, seen) in seen {
            let batch: Vec<Sighting> =
                seen.iter().map(|(name, s)| self.sighting(name, s)).collect();
            if let Err(error) = store.see(tenant, batch).await {
                failure = Some(error);
                self.take_back(tenant, seen);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn sighting(&self, name: &WorkerName, seen: &Seen) -> Sighting {
        let takes = seen
            .wish
            .as_ref()
            .map(|wish| Takes { queues: wish.queues.clone(), kinds: wish.kinds.clone() });
        Sighting {
            worker: name.clone(),
            first: seen.first,
            last: seen.last,
            call: seen.call.clone(),
            takes,
            node: self.node.get().cloned(),
        }
    }

    /// Those who called again meanwhile are noted better than they were.
    fn take_back(&self, tenant: TenantId, unwritten: HashMap<WorkerName, Seen>) {
        let mut all = self.seen.lock();
        let seen = all.entry(tenant).or_default();
        for (name, old) in unwritten {
            if let Some(new) = seen.get_mut(&name) {
                if new.call.is_none() || new.call == old.call {
                    new.first = new.first.min(old.first);
                }
                new.call = new.call.take().or(old.call);
                new.wish = new.wish.take().or(old.wish);
            } else if seen.len() < WORKERS_SEEN_MAX {
                seen.insert(name, old);
            }
        }
    }

    /// Which workers that take such a task called lately, on any node, by name; those that drain do
    /// not count.
    pub(crate) fn takers(
        &self,
        tenant: TenantId,
        known: &[Worker],
        (queue, kind): (&QueueName, &Kind),
        now: Timestamp,
    ) -> Vec<String> {
        let mut takers = Vec::new();
        self.each_there(tenant, known, now, &mut |name, queues, kinds| {
            if kinds.take_from(queues, queue, kind) {
                takers.push(name.to_owned());
            }
        });
        takers
    }

    /// Which of these kinds nobody takes who called lately, of whatever queue.
    pub(crate) fn unserved(
        &self,
        tenant: TenantId,
        known: &[Worker],
        kinds: Vec<Kind>,
        now: Timestamp,
    ) -> Vec<Kind> {
        // One look at everybody, however many kinds there are.
        let (mut named, mut others) = (HashSet::new(), false);
        self.each_there(tenant, known, now, &mut |_, _, kinds| match kinds {
            Kinds::AllButBuiltIn => others = true,
            Kinds::Named(kinds) => named.extend(kinds.iter().cloned()),
        });
        let served = |kind: &Kind| named.contains(kind) || (others && !kind.is_built_in());
        kinds.into_iter().filter(|kind| !served(kind)).collect()
    }

    /// Workers that called lately, here or as the store knows, by name, with their wishes; drained ones are
    /// left out.
    fn each_there(&self, tenant: TenantId, known: &[Worker], now: Timestamp, each: EachThere<'_>) {
        let there = |last: Timestamp| now.seconds_since(last) <= WORKER_THERE_SECONDS;
        // Who drains, or takes nothing, is in it without a wish.
        let mut wishes = BTreeMap::new();
        for worker in known.iter().filter(|worker| there(worker.last_seen)) {
            let takes = worker.takes.as_ref().filter(|_| !worker.drains());
            let wish = takes.map(|takes| (takes.queues.as_deref(), &takes.kinds));
            wishes.insert(worker.name.as_str(), wish);
        }
        let all = self.seen.lock();
        let drains = self.drains.read();
        for (name, seen) in all.get(&tenant).into_iter().flatten() {
            let Some(wish) = &seen.wish else { continue };
            let instance = seen.call.as_ref().and_then(|call| call.instance.as_ref());
            let told = drains.workers.get(&(tenant, name.clone()));
            let drains = told.is_some_and(|worker| worker.drained.covers(instance));
            let wish = Some((wish.queues.as_deref(), &wish.kinds)).filter(|_| !drains);
            wishes.insert(name.as_str(), wish);
        }
        for (name, wish) in wishes {
            if let Some((queues, kinds)) = wish {
                each(name, queues, kinds);
            }
        }
    }

    /// Whether a caller is to drain.
    pub(crate) fn drains(&self, tenant: TenantId, caller: &Caller) -> bool {
        let covers = |worker: &Worker| worker.drained.covers(caller.call.instance.as_ref());
        self.told(tenant, &caller.worker, covers)
    }

    /// Whether the process of this name that called last is to drain.
    pub(crate) fn last_drains(&self, tenant: TenantId, worker: &WorkerName) -> bool {
        self.told(tenant, worker, Worker::drains)
    }

    fn told(&self, tenant: TenantId, name: &WorkerName, so: impl Fn(&Worker) -> bool) -> bool {
        let drains = self.drains.read();
        // Nearly always nobody drains.
        !drains.workers.is_empty() && drains.workers.get(&(tenant, name.clone())).is_some_and(so)
    }

    /// For [`Roll::drained`]; take it before asking whether the caller drains already.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Resolves when a caller that parks is to drain.
    pub(crate) async fn drained(
        &self,
        news: &mut watch::Receiver<u64>,
        tenant: TenantId,
        caller: &Caller,
    ) {
        while news.changed().await.is_ok() {
            if self.drains(tenant, caller) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// What an operator said here just now.
    pub(crate) fn say(&self, tenant: TenantId, worker: Worker) {
        let mut drains = self.drains.write();
        drains.said += 1;
        let key = (tenant, worker.name.clone());
        if worker.drained.is_empty() {
            drains.workers.remove(&key);
        } else {
            drains.workers.insert(key, worker);
        }
        drop(drains);
        self.changed.send_modify(|count| *count += 1);
    }

    /// How much was said here; ask before a look at the database.
    pub(crate) fn said(&self) -> u64 {
        self.drains.read().said
    }

    /// What a look at the database found that began when `said` was the count.
    pub(crate) fn learn(&self, found: Vec<(TenantId, Worker)>, said: u64) {
        let found: HashMap<_, _> =
            found.into_iter().map(|(tenant, w)| ((tenant, w.name.clone()), w)).collect();
        let mut drains = self.drains.write();
        if drains.said != said || drains.workers == found {
            return;
        }
        drains.workers = found;
        drop(drains);
        self.changed.send_modify(|count| *count += 1);
    }
}
