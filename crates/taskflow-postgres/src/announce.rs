//! What other nodes hear of tasks that wait: in which queues and from when on. It is told after the commit that
//! brought them, and of many commits at once: a commit that notifies holds up every other one that does, until it
//! is on disk (a lock of the whole server, `PreCommit_Notify` in PostgreSQL's `async.c`). What is lost with a
//! node costs the others the time until their keepers look. A node that is alone
//! tells nobody. Changes that are watched go with their commit
//! (`changes.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use taskflow_core::{QueueName, TenantId};
use taskflow_store::Ready;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_postgres::types::Type;

use crate::connect::Pool;
use crate::error::{Failure, chain};
use crate::lanes::Lanes;
use crate::listen::told;
use crate::session::Param;

/// How long after one announcement the next one comes: under load 500 a second tell of all commits.
pub(crate) const GAP: Duration = Duration::from_millis(2);

/// Queues of one announcement: where more were filled, everything is to be looked at.
const QUEUES_MAX: usize = 1_000;

/// Nodes that were heard and are not seen: more are as good as these.
const UNSEEN_MAX: usize = 100;

/// Names no queue: whoever hears it looks at everything. A node that begins to listen adds its name.
pub(crate) const EVERYTHING: &str = "everything";

/// A commit that only tells has nothing that must be on disk before it is heard.
pub(crate) const TELL: &str = "SELECT set_config('synchronous_commit', 'off', true), \
     pg_notify('taskflow_ready', word) FROM unnest($1::text[]) word";

/// What is to be told.
#[derive(Debug, Default)]
pub(crate) struct Announcements {
    state: Mutex<State>,
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The first of each queue.
    waiting: BTreeMap<(TenantId, QueueName), Ready>,
    /// More than can be told one by one.
    everything: bool,
    /// No other node is there: nothing is told.
    alone: bool,
    /// How many times another node may have come.
    newcomers: u64,
    /// Nodes that were heard and not seen yet: as long as there are any, those that are there cannot all be seen.
    unseen: BTreeSet<String>,
}

impl Announcements {
    /// Has it told that these tasks wait; they are committed.
    pub(crate) fn add(&self, tenant: TenantId, ready: &[Ready]) {
        let mut state = self.state.lock();
        if state.alone || ready.is_empty() {
            return;
        }
        for ready in ready {
            if state.waiting.len() >= QUEUES_MAX {
                state.everything = true;
                break;
            }
            let key = (tenant, ready.queue.clone());
            let first = state.waiting.entry(key).or_insert_with(|| ready.clone());
            if ready.run_at < first.run_at {
                *first = ready.clone();
            }
        }
        drop(state);
        self.more.notify_one();
    }

    /// Another node is there, or may be when it has no name: it has looked at everything once, but perhaps before
    /// the last commits that it was not told of.
    pub(crate) fn join(&self, node: Option<&str>) {
        let mut state = self.state.lock();
        state.newcomers += 1;
        if state.unseen.len() < UNSEEN_MAX {
            state.unseen.extend(node.map(str::to_owned));
        }
        if std::mem::take(&mut state.alone) {
            state.everything = true;
            drop(state);
            self.more.notify_one();
        }
    }

    /// How many times another node may have come: a look for others begins with it.
    pub(crate) fn newcomers(&self) -> u64 {
        self.state.lock().newcomers
    }

    /// A look found these other nodes: all of them, unless one has come since `newcomers` was read.
    pub(crate) fn see(&self, others: &[String], newcomers: u64) {
        let mut state = self.state.lock();
        state.unseen.retain(|node| !others.contains(node));
        let nobody = others.is_empty() && state.unseen.is_empty();
        state.alone |= nobody && state.newcomers == newcomers;
    }

    /// Resolves when there is something to tell, not before `free`. It may be dropped and called again.
    pub(crate) async fn due(&self, free: Instant) {
        while self.is_empty() {
            self.more.notified().await;
        }
        tokio::time::sleep_until(free).await;
    }

    fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.waiting.is_empty() && !state.everything
    }

    /// Takes all that is to be told, a word a queue.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut state = self.state.lock();
        let waiting = std::mem::take(&mut state.waiting);
        if std::mem::take(&mut state.everything) {
            return vec![EVERYTHING.to_owned()];
        }
        waiting.iter().map(|((tenant, _), ready)| told(*tenant, ready)).collect()
    }
}

/// Tells by connections of `pool`, where no listener's is there to tell by. Runs until it is dropped.
pub(crate) async fn run(lanes: std::sync::Arc<Lanes>, pool: Pool) {
    let mut free = Instant::now();
    loop {
        lanes.announcements.due(free).await;
        free = Instant::now() + GAP;
        if let Err(failure) = tell(&pool, &lanes.announcements.take()).await {
            let error = failure.into_error();
            tracing::debug!(error = %chain(&error), "other nodes were not told");
        }
    }
}

async fn tell(pool: &Pool, words: &[String]) -> Result<(), Failure> {
    let params: [Param<'_>; 1] = [(&words, Type::TEXT_ARRAY)];
    let session = pool.session().await?;
    session.query(TELL, &params).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
