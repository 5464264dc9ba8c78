//! A grant that nobody receives goes back: the store call runs in a task of its own, and when the
//! caller went away meanwhile, what was handed out is released at once and not counted.

use std::sync::Arc;

use taskflow_core::{Clock, Finish, TenantId};
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
    let grants = Grants { store, clock, bus, tenant };
    let mut caller = Caller { receiver, grants: grants.clone() };
    tokio::spawn(async move {
        let now = grants.clock.now();
        let synced = grants.store.sync(tenant, sync, now).await;
        if let Ok(synced) = &synced {
            grants.bus.ready(&synced.ready, now);
            grants.bus.ends.tell(ended(synced));
            for (queue, at) in &synced.later {
                grants.bus.later(queue.clone(), *at);
            }
        }
        if let Err(Ok(unheard)) = answer.send(synced) {
            grants.give_back(unheard).await;
        }
    });
    (&mut caller.receiver).await.unwrap_or(Err(StoreError::Unavailable))
}

#[derive(Clone)]
struct Grants {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    bus: Arc<Bus>,
    tenant: TenantId,
}

impl Grants {
    async fn give_back(&self, unheard: Synced) {
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
    grants: Grants,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.receiver.close();
        if let Ok(Ok(unheard)) = self.receiver.try_recv()
            && let Ok(runtime) = Handle::try_current()
        {
            let grants = self.grants.clone();
            runtime.spawn(async move { grants.give_back(unheard).await });
        }
    }
}
