//! What every node does beside its work, safe when all do it at once: folds the counts, looks where
//! tasks wait, follows the database's clock. It changes no task.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_postgres::types::Type;

use crate::clock::DatabaseClock;
use crate::connect::Pool;
use crate::error::{Failure, chain};
use crate::lanes::Lanes;
use crate::rows::get;
use crate::series;
use crate::session::{Param, Session};

/// How often it looks.
const TICK: Duration = Duration::from_secs(1);

/// Every how many ticks it asks for the time.
const CLOCK_TICKS: u32 = 10;

/// How long after one look at whole lanes the next one is due, and how many times as long as the look
/// took: dead rows that an old snapshot keeps make it dear, and it may take 2 % of a core.
const WHOLE_AFTER: Duration = Duration::from_secs(10);
const WHOLE_SHARE: u32 = 50;

/// Every how many ticks all that was added to the counts is looked at, not only what came lately.
const FOLD_TICKS: u32 = 60;

/// How many of them one statement folds.
const FOLD_MAX: i64 = 20_000;

/// Takes what transactions added to the counts and adds it to the kept ones; two nodes take different
/// rows. The order of the lanes is the same everywhere, so that two never wait for each other.
const FOLD: &str = "WITH taken AS (DELETE FROM taskflow.task_count_deltas WHERE ctid = ANY(ARRAY(\
     SELECT ctid FROM taskflow.task_count_deltas WHERE id >= $1 ORDER BY id LIMIT $2 \
     FOR UPDATE SKIP LOCKED)) RETURNING id, tenant, status, queue, kind, priority, n), \
     folded AS (INSERT INTO taskflow.task_counts AS c (tenant, status, queue, kind, priority, n) \
     SELECT tenant, status, queue, kind, priority, sum(n)::int8 FROM taken \
     GROUP BY tenant, status, queue, kind, priority HAVING sum(n) <> 0 \
     ORDER BY tenant, status, queue, kind, priority \
     ON CONFLICT (tenant, status, queue, kind, priority) DO UPDATE SET n = c.n + excluded.n) \
     SELECT max(id) FROM taken";

/// Where the keeper is with its looks.
#[derive(Debug, Default)]
struct Round {
    tick: u32,
    /// When lanes are looked at whole again; now if it never happened.
    whole: Option<Instant>,
    /// The last delta that the last fold took, and the one before.
    folded: [i64; 2],
    /// The same of the minutes.
    folded_minutes: [i64; 2],
}

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
}

impl Keeper {
    /// Runs until it is dropped; a database that is away is looked for again at every tick.
    pub(crate) async fn run(self) {
        let mut fine = true;
        let mut round = Round::default();
        loop {
            let asked = tokio::time::timeout(TICK, self.look.notified()).await.is_ok();
            match self.tick(&mut round).await {
                Ok(()) => {
                    if !std::mem::replace(&mut fine, true) {
                        tracing::info!("the store's keeper works again");
                    }
                }
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

    async fn tick(&self, round: &mut Round) -> Result<(), Failure> {
        let session = self.pool.session().await?;
        let done = self.keep(&session, round).await;
        if done.is_err() {
            session.discard();
        }
        done
    }

    /// Each of its works is done whatever became of the others; the first failure is told.
    async fn keep(&self, session: &Session, round: &mut Round) -> Result<(), Failure> {
        let looked = self.look(session, round).await;
        let folded = fold(session, round).await;
        let tallied = keep_minutes(session, round).await;
        let known = self.know_own(session).await;
        let gates = self.know_gates(session).await;
        let timed = match round.tick.is_multiple_of(CLOCK_TICKS) {
            true => self.clock.look(session).await,
            false => Ok(()),
        };
        round.tick = round.tick.wrapping_add(1);
        looked.and(folded).and(tallied).and(known).and(gates).and(timed)
    }

    /// Which connections are this node's, and whether there is another node.
    async fn know_own(&self, session: &Session) -> Result<(), Failure> {
        let newcomers = self.lanes.announcements.newcomers();
        let sql = "SELECT pid, replace(application_name, ' ', '-') FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name LIKE 'taskflow %'";
        let (mut own, mut others) = (HashSet::new(), Vec::new());
        for row in session.query(sql, &[]).await? {
            let node: String = get(&row, 1)?;
            if node == self.lanes.node {
                own.insert(get(&row, 0)?);
            } else {
                others.push(node);
            }
        }
        // Behind a pooler that keeps names to itself nobody is seen, not even this node.
        if !own.is_empty() && self.lanes.is_heard() {
            self.lanes.announcements.see(&others, newcomers);
        }
        *self.own.lock() = own;
        Ok(())
    }

    /// Another node may have set a limit.
    async fn know_gates(&self, session: &Session) -> Result<(), Failure> {
        self.lanes.gates.read(session).await.map(drop)
    }

    async fn look(&self, session: &Session, round: &mut Round) -> Result<(), Failure> {
        let begun = Instant::now();
        let whole = round.whole.is_none_or(|due| begun >= due);
        if self.lanes.look(session, whole).await? {
            if !self.lanes.listens.load(Ordering::Relaxed) {
                // Another node's work, which cannot be told.
                self.lanes.watch.missed();
            }
            self.hints.send_modify(|count| *count += 1);
        }
        if whole {
            round.whole = Some(begun + WHOLE_AFTER.max(begun.elapsed() * WHOLE_SHARE));
        }
        Ok(())
    }
}

/// Folds what was added since the fold before the last; what a slow transaction added with an earlier
/// number counts all the same, and is folded when all of it is looked at.
async fn fold(session: &Session, round: &mut Round) -> Result<(), Failure> {
    let whole = round.tick.is_multiple_of(FOLD_TICKS);
    let from = if whole { 0 } else { round.folded[1] };
    let params: [Param<'_>; 2] = [(&from, Type::INT8), (&FOLD_MAX, Type::INT8)];
    let rows = session.query(FOLD, &params).await?;
    if let Some(last) = rows.first().map(|row| get::<Option<i64>>(row, 0)).transpose()?.flatten() {
        round.folded = [last.max(round.folded[0]), round.folded[0]];
    }
    Ok(())
}

/// Folds what was added to the minutes, and removes the old ones once in a while.
async fn keep_minutes(session: &Session, round: &mut Round) -> Result<(), Failure> {
    let whole = round.tick.is_multiple_of(FOLD_TICKS);
    let from = if whole { 0 } else { round.folded_minutes[1] };
    let params: [Param<'_>; 3] =
        [(&from, Type::INT8), (&series::FOLD_MAX, Type::INT8), (&series::QUEUES_MAX, Type::INT8)];
    let rows = session.query(series::FOLD, &params).await?;
    let last = rows.first().map(|row| get::<Option<i64>>(row, 0)).transpose()?.flatten();
    if let Some(last) = last {
        round.folded_minutes = [last.max(round.folded_minutes[0]), round.folded_minutes[0]];
    }
    if whole {
        series::forget(session).await?;
    }
    Ok(())
}
