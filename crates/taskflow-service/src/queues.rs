//! Queues for operators: settings, pause, what new tasks of a queue have. What the settings let through
//! is `core::gate`'s, and it happens in the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use taskflow_core::limits::STATS_NAMES_MAX;
use taskflow_core::queue::Defaults;
use taskflow_core::{Clock, Queue, QueueName, QueuePatch, TenantId};
use taskflow_store::{QueueSet, QueueView, Store};
use tokio::time::Instant;

use crate::actor::Actor;
use crate::bus::Bus;
use crate::error::ServiceError;

/// How long the defaults of new tasks are believed: on other nodes a change is seen within it.
const FRESH: Duration = Duration::from_secs(1);

/// What new tasks of each queue have; queues that are not in it have nothing of their own.
#[derive(Debug, Default)]
pub struct Book(HashMap<QueueName, Defaults>);

impl Book {
    /// What a new task of `queue` has when its producer does not say.
    pub fn of(&self, queue: &QueueName) -> Defaults {
        self.0.get(queue).copied().unwrap_or_default()
    }
}

type Shelf = HashMap<TenantId, (Instant, Arc<Book>)>;

/// The use cases of queues.
#[derive(Clone)]
pub struct Queues {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    bus: Arc<Bus>,
    books: Arc<Mutex<Shelf>>,
}

impl Queues {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, bus: Arc<Bus>) -> Self {
        Self { store, clock, bus, books: Arc::default() }
    }

    /// One page of queues with tasks or settings, by name.
    pub async fn list(
        &self,
        actor: Actor,
        after: Option<QueueName>,
        limit: u32,
    ) -> Result<Vec<QueueView>, ServiceError> {
        Ok(self.store.queues(actor.tenant, after, limit).await?)
    }

    /// One queue; one without tasks and settings is not found.
    pub async fn get(&self, actor: Actor, name: QueueName) -> Result<QueueView, ServiceError> {
        let view = self.store.queue(actor.tenant, name.clone()).await?;
        if !is_there(&view) {
            return Err(ServiceError::NoQueue(name));
        }
        Ok(view)
    }

    /// These queues, in the order of `names`, without those that have neither tasks nor settings.
    pub async fn named(
        &self,
        actor: Actor,
        names: Vec<QueueName>,
    ) -> Result<Vec<QueueView>, ServiceError> {
        let mut views = Vec::with_capacity(names.len());
        for names in names.chunks(STATS_NAMES_MAX as usize) {
            views.extend(self.store.named(actor.tenant, names.to_vec()).await?);
        }
        views.retain(is_there);
        Ok(views)
    }

    /// Changes settings. A claim that begins after the answer keeps to them, on every node.
    pub async fn set(
        &self,
        actor: Actor,
        name: QueueName,
        if_version: Option<u64>,
        patch: QueuePatch,
    ) -> Result<QueueView, ServiceError> {
        let faults = patch.faults();
        if !faults.is_empty() {
            return Err(ServiceError::Invalid(faults));
        }
        let (before, now) = (self.paused(actor, &name, &patch).await?, self.clock.now());
        let set = self.store.set_queue(actor.tenant, name.clone(), if_version, patch, now).await?;
        match set {
            QueueSet::Done(queue, ready) => {
                self.books.lock().remove(&actor.tenant);
                self.bus.ready(&ready, now);
                told(before, &queue);
                let counts = self.store.queue(actor.tenant, name).await?.counts;
                Ok(QueueView { queue: *queue, counts })
            }
            QueueSet::Stale(version) => Err(ServiceError::StaleQueue { name, version }),
            QueueSet::TooMany => Err(ServiceError::TooManyQueues),
        }
    }

    /// Whether the queue is paused before a change of that.
    async fn paused(
        &self,
        actor: Actor,
        name: &QueueName,
        patch: &QueuePatch,
    ) -> Result<Option<bool>, ServiceError> {
        if patch.pause.is_none() {
            return Ok(None);
        }
        let view = self.store.queue(actor.tenant, name.clone()).await?;
        Ok(Some(view.queue.pause.is_some()))
    }

    /// What new tasks have.
    pub async fn book(&self, actor: Actor) -> Result<Arc<Book>, ServiceError> {
        if let Some(book) = self.on_shelf(actor.tenant) {
            return Ok(book);
        }
        let read = Instant::now();
        let settings = self.store.settings(actor.tenant).await?;
        let own =
            settings.into_iter().filter(|queue| queue.settings.defaults != Defaults::default());
        let book = Arc::new(Book(own.map(|q| (q.name, q.settings.defaults)).collect()));
        self.books.lock().insert(actor.tenant, (read, Arc::clone(&book)));
        Ok(book)
    }
}

impl Queues {
    /// The book that is there, unless it is this caller's turn to read it anew: the others go on with the
    /// old one meanwhile.
    fn on_shelf(&self, tenant: TenantId) -> Option<Arc<Book>> {
        let mut books = self.books.lock();
        let (read, book) = books.get_mut(&tenant)?;
        if read.elapsed() >= FRESH {
            *read = Instant::now();
            return None;
        }
        Some(Arc::clone(book))
    }
}

/// Whether a queue has tasks or settings.
fn is_there(view: &QueueView) -> bool {
    view.queue.version > 0 || view.counts.0.iter().any(|n| *n > 0)
}

fn told(before: Option<bool>, queue: &Queue) {
    let name = queue.name.as_str();
    match (before, &queue.pause) {
        (Some(false), Some(pause)) => {
            tracing::info!(task.queue = name, reason = pause.reason, "a queue was paused");
        }
        (Some(true), None) => tracing::info!(task.queue = name, "a queue was resumed"),
        _ => {}
    }
}
