//! What TaskFlow does: its use cases, its background duties and its worker.
//!
//! It holds stores as `Arc<dyn …>` and never sees a database, HTTP or configuration. It asks the
//! store, then publishes what the answers say; a store never calls back.

pub mod actor;
pub mod bus;
pub mod clock;
pub mod duties;
mod ends;
pub mod error;
pub mod events;
pub mod failures;
mod grant;
pub mod idempotency;
pub mod many;
pub mod queues;
pub mod readiness;
mod roll;
mod serve;
pub mod sessions;
pub mod stats;
pub mod tasks;
pub mod work;
pub mod worker;
pub mod workers;

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::{Clock, Retention};
use taskflow_store::Store;

pub use actor::Actor;
pub use error::ServiceError;
pub use roll::Caller;

/// Store vocabulary that services answer with; `api` speaks it without seeing a store.
pub mod words {
    pub use taskflow_store::{
        Claimed, Counts, Delete, Edit, Extend, Extended, Filter, FinishTask, Finished, Health,
        Inserted, Kinds, Narrow, Overview, Page, QueueView, Receipt, Synced,
    };
    pub use taskflow_store::{Held, Takes, Worker};
}

/// The bundle of use cases.
#[derive(Clone)]
pub struct Services {
    /// Tasks for producers and operators.
    pub tasks: tasks::Tasks,
    /// Decisions about many tasks at once.
    pub many: many::Many,
    /// Why tasks failed, in groups.
    pub failures: failures::Failures,
    /// Work for workers of every sort.
    pub work: work::Work,
    /// Queues for operators.
    pub queues: queues::Queues,
    /// Workers for operators.
    pub workers: workers::Workers,
    /// Requests with a key.
    pub onces: idempotency::Onces,
    /// Sign-in sessions of the dashboard.
    pub sessions: sessions::Sessions,
    /// How many tasks there are and what happened to them.
    pub stats: stats::Stats,
    /// Whether this process can do its work.
    pub probe: readiness::Probe,
    /// Events for whoever watches.
    pub events: events::Events,
    /// Wake-ups.
    pub bus: Arc<bus::Bus>,
    /// The clock that everything here asks.
    pub clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    retention: Retention,
}

impl Services {
    /// Builds the use cases on a store. `poll` is how often a parked claim looks again by itself.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn clock::IdSource>,
        poll: Duration,
    ) -> Self {
        let bus = Arc::new(bus::Bus::default());
        let events = events::Events::new(Arc::clone(&store), &*ids);
        let many = many::Many::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&bus));
        Self {
            tasks: tasks::Tasks::new(
                Arc::clone(&store),
                Arc::clone(&clock),
                Arc::clone(&ids),
                Arc::clone(&bus),
            ),
            failures: failures::Failures::new(Arc::clone(&store), many.clone()),
            many,
            work: work::Work::new(
                Arc::clone(&store),
                Arc::clone(&clock),
                Arc::clone(&ids),
                Arc::clone(&bus),
                poll,
            ),
            queues: queues::Queues::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&bus)),
            onces: idempotency::Onces::new(
                Arc::clone(&store),
                Arc::clone(&clock),
                Arc::clone(&ids),
                Arc::clone(&bus),
            ),
            sessions: sessions::Sessions::new(Arc::clone(&store), Arc::clone(&clock), ids),
            workers: workers::Workers::new(
                Arc::clone(&store),
                Arc::clone(&clock),
                Arc::clone(&bus),
            ),
            stats: stats::Stats::new(Arc::clone(&store), Arc::clone(&clock)),
            probe: readiness::Probe::new(Arc::clone(&store), Arc::clone(&clock)),
            events,
            bus,
            clock,
            store,
            retention: Retention::default(),
        }
    }

    /// The same, where ended tasks are kept for so long; without it they are kept for ever.
    #[must_use]
    pub fn retaining(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// The background duties of these services.
    pub fn duties(&self) -> Vec<Box<dyn duties::Duty>> {
        let store = || Arc::clone(&self.store);
        let duties: [Box<dyn duties::Duty>; 7] = [
            Box::new(duties::reaper::Reaper::new(store(), Arc::clone(&self.bus))),
            Box::new(duties::herald::Herald::new(store(), Arc::clone(&self.bus))),
            Box::new(duties::workers::Roster::new(store(), Arc::clone(&self.bus))),
            Box::new(duties::idempotency::Forgetter::new(store())),
            Box::new(duties::janitor::Janitor::new(store(), self.retention.clone())),
            Box::new(duties::search::Sketcher::new(store())),
            Box::new(duties::events::Watcher::new(self.events.clone())),
        ];
        let watched = |duty| {
            let pulse = self.probe.pulse.clone();
            Box::new(readiness::Watched { duty, pulse }) as Box<dyn duties::Duty>
        };
        duties.into_iter().map(watched).collect()
    }

    /// Hears what the store says of itself and of other processes: wakes claimers and fills the events. Runs
    /// until the store is gone, and does not hold it.
    pub fn listen(&self) -> impl Future<Output = ()> + Send + use<> {
        let (bus, hints) = (Arc::clone(&self.bus), self.store.hints());
        let events = self.events.listen();
        async move {
            tokio::join!(bus.listen(hints), events);
        }
    }
}

#[cfg(test)]
mod tests;
