//! A grant that nobody receives goes back: the store call runs in a task of its own, and when the
//! caller went away meanwhile, what was handed out is released at once and not counted.

use std::sync::Arc;

use taskflow_core::{Clock, Finish, TenantId};
use taskflow_store::{FinishTask, Store, StoreError, Sync, Synced};
use tokio::sync::oneshot;

use crate::bus::Bus;

/// Runs `sync` to its end whatever becomes of the caller.
pub(crate) async fn sync(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    bus: Arc<Bus>,
    tenant: TenantId,
    sync: Sync,
) -> Result<Synced, StoreError> {
    let (answer, caller) = oneshot::channel();
    tokio::spawn(async move {
        let now = clock.now();
        let synced = store.sync(tenant, sync, now).await;
        if let Ok(synced) = &synced {
            bus.ready(&synced.ready, now);
        }
        let Err(Ok(unheard)) = answer.send(synced) else { return };
        let finish: Vec<FinishTask> = unheard
            .claimed
            .iter()
            .map(|c| FinishTask { id: c.task.id, token: c.token, finish: Finish::Released })
            .collect();
        if finish.is_empty() {
            return;
        }
        let now = clock.now();
        match store.sync(tenant, Sync { finish, ..Sync::default() }, now).await {
            Ok(synced) => bus.ready(&synced.ready, now),
            // Their leases end by themselves.
            Err(error) => tracing::warn!(error = %error, "leases nobody took were not released"),
        }
    });
    caller.await.unwrap_or(Err(StoreError::Unavailable))
}
