//! The room of workers: who called, who drains, and what an operator takes from them. Handing work out
//! is in `work.rs`; stores never find workers out by themselves, they are told in batches.

use async_trait::async_trait;
use taskflow_core::workers::{Call, Drained};
use taskflow_core::{Instance, Kind, QueueName, TaskId, TenantId, Timestamp, WorkerName};

use crate::{Answers, Kinds, StoreError};

/// What a worker takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takes {
    /// Only these queues; none means every queue.
    pub queues: Option<Vec<QueueName>>,
    /// Which kinds.
    pub kinds: Kinds,
}

impl Takes {
    /// Whether a task of `queue` and `kind` fits.
    pub fn takes(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.kinds.take_from(self.queues.as_deref(), queue, kind)
    }
}

/// That a worker called, once or many times.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// Who.
    pub worker: WorkerName,
    /// Its first call of these.
    pub first: Timestamp,
    /// Its last.
    pub last: Timestamp,
    /// What it said of itself; none when only a task named it.
    pub call: Option<Call>,
    /// What it wished for; none when it did not claim.
    pub takes: Option<Takes>,
    /// The node that it called.
    pub node: Option<String>,
}

/// A worker as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Its name.
    pub name: WorkerName,
    /// The first call of its present process.
    pub first_seen: Timestamp,
    /// Its last call.
    pub last_seen: Timestamp,
    /// What it said of itself.
    pub call: Call,
    /// What it takes; none when it never claimed.
    pub takes: Option<Takes>,
    /// The node that it called.
    pub node: Option<String>,
    /// Its processes that are to drain.
    pub drained: Drained,
}

impl Worker {
    /// What is known after `sighting`, which may be older than what was known before.
    #[must_use]
    pub fn seen(known: Option<Self>, sighting: &Sighting) -> Self {
        let Sighting { worker, first, last, call, takes, node } = sighting.clone();
        let Some(known) = known else {
            let (call, drained) = (call.unwrap_or_default(), Drained::default());
            let (first_seen, last_seen) = (first, last);
            return Self { name: worker, first_seen, last_seen, call, takes, node, drained };
        };
        let mut next = known;
        if last < next.last_seen {
            if call.is_some_and(|call| call.instance == next.call.instance) {
                next.first_seen = next.first_seen.min(first);
            }
            next.takes = next.takes.or(takes);
            return next;
        }
        if let Some(call) = call {
            if call.instance != next.call.instance {
                next.first_seen = first;
            }
            next.call = call;
        }
        next.last_seen = last;
        next.takes = takes.or(next.takes);
        next.node = node.or(next.node);
        next
    }

    /// What is known after an operator's word.
    pub fn told(&mut self, drain: &Drain) {
        match drain {
            Drain::Last => self.drained.add(self.call.instance.clone()),
            Drain::Only(instance) => self.drained.add(Some(instance.clone())),
            Drain::Resume => self.drained = Drained::default(),
        }
    }

    /// Whether whoever watches wants to know of it, other than that it called once more.
    pub fn is_news(&self, known: Option<&Self>) -> bool {
        known.is_none_or(|known| {
            known.call.instance != self.call.instance || known.drained != self.drained
        })
    }

    /// Whether the process that called last is to drain.
    pub fn drains(&self) -> bool {
        self.drained.covers(self.call.instance.as_ref())
    }
}

/// What an operator says to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drain {
    /// The process that called last claims no more.
    Last,
    /// This process of it claims no more.
    Only(Instance),
    /// All its processes work again.
    Resume,
}

/// Which workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The latest calls first, then by name: those after this place, and how many at most.
    Newest(Option<(Timestamp, WorkerName)>, u32),
    /// This one.
    Named(WorkerName),
}

/// A task that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The task.
    pub id: TaskId,
    /// The attempt that runs.
    pub attempt: u32,
    /// When its lease ends without a heartbeat.
    pub until: Timestamp,
}

/// What one worker holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// How many tasks.
    pub count: u64,
    /// The `limits::HOLDS_SHOWN` of them with the lowest ids, in their order.
    pub tasks: Vec<Held>,
}

/// Workers: who called, who drains, who holds what.
#[async_trait]
pub trait WorkerStore: Send + Sync {
    /// Notes calls of workers, each named once. The same batch twice says nothing more.
    async fn see(&self, scope: TenantId, batch: Vec<Sighting>) -> Result<(), StoreError>;

    /// Reads workers.
    async fn workers(&self, scope: TenantId, which: Which) -> Result<Vec<Worker>, StoreError>;

    /// What each of these holds, read from the tasks' leases; nothing for the unknown.
    async fn holds(
        &self,
        scope: TenantId,
        workers: Vec<WorkerName>,
    ) -> Result<Vec<Holding>, StoreError>;

    /// Tells workers to drain or to work again; none where there is no such worker.
    async fn drain(
        &self,
        scope: TenantId,
        batch: Vec<(WorkerName, Drain)>,
    ) -> Result<Vec<Option<Worker>>, StoreError>;

    /// The workers of all tenants that were told to drain and called at or after `since`; those of which
    /// processes without an instance are to drain whenever they called.
    async fn drained(&self, since: Timestamp) -> Result<Vec<(TenantId, Worker)>, StoreError>;

    /// Takes up to `limit` tasks that started by `now` from a worker, lowest ids first: they are
    /// pending again, uncounted. It need not be known.
    async fn release(
        &self,
        scope: TenantId,
        worker: WorkerName,
        limit: u32,
        now: Timestamp,
    ) -> Result<Answers<TaskId>, StoreError>;

    /// Forgets up to `limit` workers of all tenants that did not call since `before` and hold nothing;
    /// answers how many.
    async fn forget_workers(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError>;
}
