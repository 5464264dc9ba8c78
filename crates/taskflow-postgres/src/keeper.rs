//! What every node does beside its work, safe when all do it at once: folds the counts, looks where
//! tasks wait, follows the database's clock. It changes no task.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_postgres::types::Type;

use crate::clock::DatabaseClock;
use crate::connect::Pool;
use crate::error::{Failure, chain};
use crate::lanes::Lanes;
use crate::rows::get;
use crate::session::Session;

/// How often it looks.
const TICK: Duration = Duration::from_secs(1);

/// Every how many looks it asks for the time, and looks at whole lanes: dead rows that an old snapshot
/// keeps make that dear.
const SLOW_TICKS: u32 = 10;

/// Takes what transactions added to the counts and adds it to the kept ones; two nodes take different
/// rows. The order of the lanes is the same everywhere, so that two never wait for each other.
const FOLD: &str = "WITH taken AS (DELETE FROM taskflow.task_count_deltas WHERE ctid = ANY(ARRAY(\
     SELECT ctid FROM taskflow.task_count_deltas LIMIT 20000 FOR UPDATE SKIP LOCKED)) \
     RETURNING tenant, status, queue, kind, priority, n) \
     INSERT INTO taskflow.task_counts AS c (tenant, status, queue, kind, priority, n) \
     SELECT tenant, status, queue, kind, priority, sum(n)::int8 FROM taken \
     GROUP BY tenant, status, queue, kind, priority HAVING sum(n) <> 0 \
     ORDER BY tenant, status, queue, kind, priority \
     ON CONFLICT (tenant, status, queue, kind, priority) DO UPDATE SET n = c.n + excluded.n";

/// Server processes of this node's own connections: what they tell, this node knows already.
pub(crate) type OwnPids = Arc<Mutex<HashSet<i32>>>;

/// What the keeper keeps.
pub(crate) struct Keeper {
    pub(crate) pool: Pool,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) clock: Arc<DatabaseClock>,
    pub(crate) hints: watch::Sender<u64>,
    /// Rings when another node registered a lane.
    pub(crate) look: Arc<Notify>,
    pub(crate) own: OwnPids,
    /// The name of this node's connections.
    pub(crate) name: String,
}

impl Keeper {
    /// Runs until it is dropped; a database that is away is looked for again at every tick.
    pub(crate) async fn run(self) {
        let mut fine = true;
        for tick in 0u32.. {
            let asked = tokio::time::timeout(TICK, self.look.notified()).await.is_ok();
            match self.tick(tick % SLOW_TICKS == 0).await {
                Ok(()) => fine = true,
                Err(failure) => {
                    if fine {
                        let error = failure.into_error();
                        tracing::warn!(error = %chain(&error), "the store's keeper failed");
                    }
                    fine = false;
                }
            }
            if asked {
                self.hints.send_modify(|count| *count += 1);
            }
        }
    }

    async fn tick(&self, slow: bool) -> Result<(), Failure> {
        let session = self.pool.session().await?;
        let done = self.keep(&session, slow).await;
        if done.is_err() {
            session.discard();
        }
        done
    }

    async fn keep(&self, session: &Session, slow: bool) -> Result<(), Failure> {
        self.lanes.look(session, slow).await?;
        session.query(FOLD, &[]).await?;
        let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1";
        let rows = session.query(sql, &[(&self.name, Type::TEXT)]).await?;
        *self.own.lock() = rows.iter().map(|row| get(row, 0)).collect::<Result<_, _>>()?;
        if slow {
            self.clock.look(session).await?;
        }
        Ok(())
    }
}
