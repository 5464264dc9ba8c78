//! A grant that nobody receives goes back: the store call runs in a task of its own, and when the
//! caller went away meanwhile, what was handed out is released at once and not counted.

use std::sync::Arc;

use taskflow_core::{Clock, Finish, TenantId, Timestamp};
use taskflow_store::{FinishTask, Store, StoreError, Sync, Synced};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::bus::Bus;
use crate::work::ended;

type Answer = Result<Synced, StoreError>;

/// Runs `sync` to its end whatever becomes of the caller.
pub(crate) async fn sync(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    bus: Arc<Bus>,
    tenant: TenantId,
    sync: Sync,
) -> Answer {
    let (answer, receiver) = oneshot::channel();
    let giver = Giver { store, clock, bus, tenant };
    let mut caller = Caller { receiver, giver: giver.clone() };
    tokio::spawn(async move {
        let now = giver.clock.now();
        let synced = giver.store.sync(tenant, sync, now).await;
        if let Ok(synced) = &synced {
            giver.tell(synced, now);
        }
        if let Err(Ok(unheard)) = answer.send(synced) {
            giver.give_back(unheard).await;
        }
    });
    (&mut caller.receiver).await.unwrap_or(Err(StoreError::Unavailable))
}

/// Gives back what nobody receives.
#[derive(Clone)]
pub(crate) struct Giver {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) tenant: TenantId,
}

impl std::fmt::Debug for Giver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Giver").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Giver {
    /// Says what a claim's answer means for others.
    pub(crate) fn tell(&self, synced: &Synced, now: Timestamp) {
        self.bus.ready(&synced.ready, now);
        self.bus.ends.tell(ended(synced));
        for (queue, at) in &synced.later {
            self.bus.later(queue.clone(), *at);
        }
    }

    /// Gives back from where nobody can wait for it; at the end of the process the leases end by themselves.
    pub(crate) fn give_back_later(self, unheard: Synced) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { self.give_back(unheard).await });
        }
    }

    pub(crate) async fn give_back(&self, unheard: Synced) {
        let finish: Vec<FinishTask> = unheard
            .claimed
            .iter()
            .map(|c| FinishTask { id: c.task.id, token: c.token, finish: Finish::Released })
            .collect();
        if finish.is_empty() {
            return;
        }
        let now = self.clock.now();
        match self.store.sync(self.tenant, Sync { finish, ..Sync::default() }, now).await {
            Ok(synced) => self.bus.ready(&synced.ready, now),
            // Their leases end by themselves.
            Err(error) => tracing::warn!(error = %error, "leases nobody took were not released"),
        }
    }
}

/// The end that waits for the answer. One that goes away between the answer's coming and its reading
/// gives back too.
struct Caller {
    receiver: oneshot::Receiver<Answer>,
    giver: Giver,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.receiver.close();
        if let Ok(Ok(unheard)) = self.receiver.try_recv() {
            self.giver.clone().give_back_later(unheard);
        }
    }
}
