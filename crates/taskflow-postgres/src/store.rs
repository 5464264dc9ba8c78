//! `PostgresStore`: the store contract, handed to the flushers and to connections that read.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use taskflow_core::series::{Minute, Tally};
use taskflow_core::{
    Attempt, Clock, Fingerprint, KeyHash, NewTask, Queue, QueueName, QueuePatch, Retention, Task,
    TaskId, TenantId, Timestamp,
};
use taskflow_store::batcher::{self, Batcher};
use taskflow_store::{
    self as store, AllInserted, Answers, Claim, Counts, Deed, Delete, Deleted, Due, Edit, Edited,
    Expired, Found, GateView, Health, Hints, IdempotencyStore, Inserted, ListStore, Narrow, Once,
    Onced, Overview, Page, Paged, Pruned, QueueSet, QueueStore, QueueView, RetentionStore,
    SearchStore, Served, Sketched, StatsStore, Store, StoreError, Sync, Synced, TaskStore,
    WorkStore, weight,
};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::clock::DatabaseClock;
use crate::connect::{self, Pool};
use crate::error::{Failure, OpenError, chain};
use crate::idempotency::{self, Keyed, Onces};
use crate::keeper::{Keeper, OwnPids};
use crate::lanes::Lanes;
use crate::listen::Listener;
use crate::options::{Options, PoolMode};
use crate::orders::{Born, Change, Changed, Changes, Insert, Inserts, What, Work, Works};
use crate::rows::get;
use crate::session::Session;
use crate::{
    announce, lists, migrate, queues, retention, search, spawn, stats, tasks, work, writer,
};

/// The store on one PostgreSQL database. Dropping it carries out what waits and closes its connections.
pub struct PostgresStore {
    /// For clients' reads.
    pool: Pool,
    /// For what must not wait behind them: background duties, and whether the database answers.
    duties: Pool,
    inserts: Batcher<Insert, Born>,
    /// New tasks with keys or parents: they may wait for other transactions, the application's own
    /// among them, and nobody else should.
    bound: Batcher<Insert, Born>,
    works: Batcher<Work, Synced>,
    pub(crate) changes: Batcher<Change, Changed>,
    onces: Batcher<Keyed, Onced>,
    clock: Arc<DatabaseClock>,
    pub(crate) lanes: Arc<Lanes>,
    hints: Hints,
    quiet: Quiet,
    sketching: Mutex<search::Progress>,
    /// How often this node said that somebody watches here.
    pub(crate) announcements: AtomicU64,
    /// What ends with the store: the flushers end by themselves when they are through.
    beside: Vec<AbortHandle>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// Until when nothing had run out at the last look. A look begins there and a little before: the rows
/// of leases that ended long ago may be kept by another session's old snapshot, thousands of them.
#[derive(Debug)]
struct Quiet {
    /// Until when, and how often something may have been put into the past since.
    until: Mutex<(i64, u64)>,
    looks: AtomicU32,
}

impl Default for Quiet {
    fn default() -> Self {
        Self { until: Mutex::new((i64::MIN, 0)), looks: AtomicU32::new(0) }
    }
}

impl Quiet {
    /// Every so many looks everything is looked at, for what other nodes put into the past.
    const WHOLE_EVERY: u32 = 32;
    /// What a transaction that was open during the last look may have put there, in microseconds.
    const BEFORE: i64 = 5_000_000;

    /// From when on to look, and what `until` wants to know.
    fn from(&self, now: Timestamp) -> (i64, u64) {
        let (until, disturbed) = *self.until.lock();
        let whole = self.looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(Self::WHOLE_EVERY);
        // A clock that went back, in a test say, has nothing behind it.
        let all = whole || until > now.micros();
        (if all { i64::MIN } else { until.saturating_sub(Self::BEFORE) }, disturbed)
    }

    /// Before when nothing has run out that is still there: for a look that decides nothing.
    fn since(&self) -> i64 {
        self.until.lock().0.saturating_sub(Self::BEFORE)
    }

    /// Something may have been put into the past: look at everything.
    fn disturb(&self) {
        let mut until = self.until.lock();
        *until = (i64::MIN, until.1 + 1);
    }

    /// Nothing had run out by `now`, unless something was put into the past meanwhile.
    fn until(&self, now: Timestamp, disturbed: u64) {
        let mut until = self.until.lock();
        if until.1 == disturbed {
            until.0 = now.micros();
        }
    }
}

/// How long a read may take: the server's own limit of a statement and then some, for a server that
/// has fallen silent.
const READ: Duration = Duration::from_secs(17);

/// Flushers of work: one claims while another finishes. Measured on two cores with 1, 2, 3 and 4: a stock is
/// worked off at 22,700, 32,800, 30,000 and 24,400 tasks/s, beside creations the fewer the better.
const WORKING: usize = 2;

/// Flushers of new tasks: while the database works on one batch, the answers of the other go out. Measured on
/// two cores: tasks in bulk 78,000 with one and 115,000/s with two, tasks one by one the same.
const INSERTING: usize = 2;

/// How many of so many connections write, serve background duties, and read for clients: none is in the
/// way of the others. The flushers are seven and seldom all at work at once: then one waits for another's
/// transaction.
fn shares(size: u32) -> [u32; 3] {
    let duties = if size < 8 { 1 } else { 2 };
    let most = if size < 9 { 4 } else { 5 };
    let writers = size.saturating_sub(duties + 1).clamp(1, most);
    [writers, duties, size.saturating_sub(writers + duties).max(1)]
}

/// A name for this store's connections that no other has.
fn connection_name() -> String {
    static STORES: AtomicU32 = AtomicU32::new(0);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    let number = STORES.fetch_add(1, Ordering::Relaxed);
    // Containers that share the beginning of their host's name are process 1 all of them.
    let random = RandomState::new().build_hasher().finish() >> 32;
    format!("taskflow {host} {} {number} {random:08x}", std::process::id())
}

impl PostgresStore {
    /// Opens the database and brings its schema up to date. Needs a tokio runtime around it.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let name = connection_name();
        let server = connect::server(&options, &name)?;
        migrate::migrate(&server).await?;
        let [writers, duties, readers] = shares(options.pool_size);
        let pool = Pool::new(server.clone(), &options, readers)?;
        let duties = Pool::new(server.clone(), &options, duties)?;
        let writers = Pool::new(server.clone(), &options, writers)?;
        let lanes = Arc::new(Lanes::of(&name));
        let clock = first_look(&duties, &lanes).await?;
        let (inserts, inserting) = batcher::channel();
        let (bound, binding) = batcher::channel();
        let (works, working) = batcher::channel();
        let (changes, changing) = batcher::channel();
        let inserting = Arc::new(tokio::sync::Mutex::new(inserting));
        for _ in 0..INSERTING {
            let (room, inserting) = (Inserts { lanes: Arc::clone(&lanes) }, Arc::clone(&inserting));
            spawn(writer::run_beside(room, writers.clone(), inserting));
        }
        spawn(writer::run(Inserts { lanes: Arc::clone(&lanes) }, writers.clone(), binding));
        let working = Arc::new(tokio::sync::Mutex::new(working));
        for _ in 0..WORKING {
            let (room, working) = (Works { lanes: Arc::clone(&lanes) }, Arc::clone(&working));
            spawn(writer::run_beside(room, writers.clone(), working));
        }
        let (onces, doing_once) = batcher::channel();
        spawn(writer::run(Onces { lanes: Arc::clone(&lanes) }, writers.clone(), doing_once));
        spawn(writer::run(Changes { lanes: Arc::clone(&lanes) }, writers, changing));
        let (hint, hints) = watch::channel(0);
        let (look, own) = (Arc::new(Notify::new()), OwnPids::default());
        let keeper = Keeper {
            pool: duties.clone(),
            lanes: Arc::clone(&lanes),
            clock: Arc::clone(&clock),
            hints: hint.clone(),
            look: Arc::clone(&look),
            own: Arc::clone(&own),
        };
        let mut beside = vec![spawn(keeper.run())];
        if options.pool_mode == PoolMode::Session {
            lanes.listens.store(true, Ordering::Relaxed);
            crate::changes::deaf(&lanes);
            let lanes = Arc::clone(&lanes);
            beside.push(spawn(Listener { server, hints: hint, lanes, look, own }.run()));
        } else {
            beside.push(spawn(announce::run(Arc::clone(&lanes), duties.clone())));
        }
        let quiet = Quiet::default();
        let sketching = Mutex::default();
        Ok(Self {
            pool,
            duties,
            inserts,
            bound,
            works,
            changes,
            onces,
            clock,
            lanes,
            hints,
            quiet,
            sketching,
            announcements: AtomicU64::new(0),
            beside,
        })
    }

    /// The database's time.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// Gives new tasks to the flusher that they need.
    async fn offer(&self, insert: Insert) -> Result<Born, StoreError> {
        let (batch, now) = (&insert.batch, insert.now);
        let bytes = batch.iter().map(weight::of_new).sum();
        let flusher = if tasks::plain(batch) { &self.inserts } else { &self.bound };
        let any_late = any_late(batch, now);
        let inserted = flusher.submit(insert, bytes).await;
        if any_late {
            self.quiet.disturb();
        }
        inserted
    }

    /// Reads, a second time when the first connection was a dead one.
    pub(crate) async fn read<T, F: Future<Output = Result<T, Failure>> + Send>(
        &self,
        ask: impl Fn(Arc<Session>) -> F + Send,
    ) -> Result<T, StoreError> {
        read_from(&self.pool, ask).await
    }

    /// The same for a background duty.
    pub(crate) async fn duty<T, F: Future<Output = Result<T, Failure>> + Send>(
        &self,
        ask: impl Fn(Arc<Session>) -> F + Send,
    ) -> Result<T, StoreError> {
        read_from(&self.duties, ask).await
    }
}

async fn read_from<T, F: Future<Output = Result<T, Failure>> + Send>(
    pool: &Pool,
    ask: impl Fn(Arc<Session>) -> F + Send,
) -> Result<T, StoreError> {
    let mut last = None;
    let until = tokio::time::Instant::now() + READ;
    for _ in 0..3 {
        let session = Arc::new(pool.session().await.map_err(Failure::into_error)?);
        // A session that is left in the middle of it closes itself.
        let asked = tokio::time::timeout_at(until, ask(Arc::clone(&session))).await;
        match asked.unwrap_or(Err(Failure::Refused(StoreError::Unavailable))) {
            Ok(answer) => return Ok(answer),
            Err(failure) => {
                if let Some(session) = Arc::into_inner(session) {
                    session.discard();
                }
                let again = matches!(failure, Failure::Gone(_) | Failure::Again(_));
                last = Some(failure);
                if !again {
                    break;
                }
            }
        }
    }
    Err(match last {
        Some(Failure::Gone(error)) => {
            tracing::error!(error = %chain(&error), "the database goes away again and again");
            StoreError::Unavailable
        }
        Some(failure) => failure.into_error(),
        None => StoreError::Unavailable,
    })
}

/// Whether a new task's time is over already.
fn any_late(batch: &[NewTask], now: Timestamp) -> bool {
    let passed = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let late = |new: &NewTask| passed(new.terms.deadline_at) || passed(new.terms.expires_at);
    batch.iter().any(late)
}

async fn first_look(pool: &Pool, lanes: &Lanes) -> Result<Arc<DatabaseClock>, OpenError> {
    let session = pool.take().await.map_err(|error| OpenError::Unreachable(Box::new(error)))?;
    let unreadable = |failure: Failure| OpenError::Unreachable(Box::new(failure.into_error()));
    let clock = DatabaseClock::look_first(&session).await.map_err(unreadable)?;
    lanes.look(&session, true).await.map_err(unreadable)?;
    lanes.gates.read(&session).await.map_err(unreadable)?;
    Ok(Arc::new(clock))
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        for task in &self.beside {
            task.abort();
        }
    }
}

/// A flusher answers each command with its own kind of answer; anything else is a fault here.
pub(crate) fn mixed_up<T>() -> Result<T, StoreError> {
    Err(StoreError::Corrupt("a flusher mixed up its answers".into()))
}

#[async_trait]
impl TaskStore for PostgresStore {
    async fn insert(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<Answers<Inserted>, StoreError> {
        let insert = Insert { tenant: scope, now, batch, all: false, claim: None };
        match self.offer(insert).await?.inserted {
            AllInserted::Done(answers) => Ok(answers),
            AllInserted::Refused { .. } => mixed_up(),
        }
    }

    async fn insert_and_claim(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        claim: Claim,
        now: Timestamp,
    ) -> Result<Served, StoreError> {
        let insert = |batch, claim| Insert { tenant: scope, now, batch, all: false, claim };
        let born = match self.offer(insert(batch.clone(), Some(claim))).await {
            // Nothing was stored, and the claim may be why: the tasks must not suffer for it.
            Err(StoreError::Busy | StoreError::Failed(_)) => {
                self.offer(insert(batch, None)).await?
            }
            born => born?,
        };
        match born {
            Born { inserted: AllInserted::Done(inserted), synced } => {
                Ok(Served { inserted, synced })
            }
            Born { .. } => mixed_up(),
        }
    }

    async fn insert_all(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<AllInserted, StoreError> {
        let insert = Insert { tenant: scope, now, batch, all: true, claim: None };
        Ok(self.offer(insert).await?.inserted)
    }

    async fn get(
        &self,
        scope: TenantId,
        ids: Vec<TaskId>,
    ) -> Result<Vec<Option<Task>>, StoreError> {
        self.read(|session| {
            let ids = ids.clone();
            async move { tasks::read(&session, scope, &ids).await }
        })
        .await
    }

    async fn list(&self, scope: TenantId, page: Page) -> Result<Paged<Task>, StoreError> {
        let listed = self
            .read(|session| {
                let page = page.clone();
                async move { lists::list(&session, scope, &page).await }
            })
            .await?;
        listed.ok_or(StoreError::PageTooLarge)
    }

    async fn edit(
        &self,
        scope: TenantId,
        batch: Vec<Edit>,
        now: Timestamp,
    ) -> Result<Answers<Edited>, StoreError> {
        let bytes = batch.iter().map(weight::of_edit).sum();
        let change = Change { tenant: scope, now, what: What::Edit(batch) };
        let edited = self.changes.submit(change, bytes).await;
        // A deadline may have moved, and with it the end of a running attempt's lease.
        self.quiet.disturb();
        match edited? {
            Changed::Edited(answers) => Ok(answers),
            _ => mixed_up(),
        }
    }

    async fn delete(
        &self,
        scope: TenantId,
        batch: Vec<Delete>,
        now: Timestamp,
    ) -> Result<Answers<Deleted>, StoreError> {
        let change = Change { tenant: scope, now, what: What::Delete(batch) };
        match self.changes.submit(change, weight::TASK_BYTES).await? {
            Changed::Deleted(answers) => Ok(answers),
            _ => mixed_up(),
        }
    }

    async fn ahead(
        &self,
        scope: TenantId,
        id: TaskId,
        now: Timestamp,
        max: u32,
    ) -> Result<Option<u32>, StoreError> {
        self.read(move |session| async move { tasks::ahead(&session, scope, id, now, max).await })
            .await
    }

    async fn count(&self, scope: TenantId) -> Result<Counts, StoreError> {
        self.read(move |session| async move { tasks::count(&session, scope).await }).await
    }

    async fn attempts(
        &self,
        scope: TenantId,
        id: TaskId,
    ) -> Result<Option<Vec<Attempt>>, StoreError> {
        self.read(move |session| async move { tasks::attempts(&session, scope, id).await }).await
    }
}

#[async_trait]
impl WorkStore for PostgresStore {
    async fn sync(
        &self,
        scope: TenantId,
        sync: Sync,
        now: Timestamp,
    ) -> Result<Synced, StoreError> {
        let bytes = weight::of_sync(&sync);
        self.works.submit(Work { tenant: scope, now, sync }, bytes).await
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<Answers<Expired>, StoreError> {
        // Most calls find nothing: a look spares the transaction.
        let (from, disturbed) = self.quiet.from(now);
        let overdue = self
            .read(move |session| async move { work::anything_overdue(&session, from, now).await })
            .await?;
        if !overdue {
            self.quiet.until(now, disturbed);
            return Ok(Answers::default());
        }
        let what = What::Expire(limit, from);
        let change = Change { tenant: TenantId::DEFAULT, now, what };
        match self.changes.submit(change, weight::TASK_BYTES).await? {
            Changed::Expired(answers) => Ok(answers),
            _ => mixed_up(),
        }
    }

    async fn due(&self, after: Timestamp, until: Timestamp) -> Result<Due, StoreError> {
        let lanes = Arc::new(self.lanes.awake());
        self.duty(move |session| {
            let lanes = Arc::clone(&lanes);
            async move { work::due(&session, &lanes, after, until).await }
        })
        .await
    }
}

#[async_trait]
impl QueueStore for PostgresStore {
    async fn queues(
        &self,
        scope: TenantId,
        after: Option<QueueName>,
        limit: u32,
    ) -> Result<Vec<QueueView>, StoreError> {
        self.read(|session| {
            let after = after.clone();
            async move { queues::page(&session, scope, after.as_ref(), limit).await }
        })
        .await
    }

    async fn named(
        &self,
        scope: TenantId,
        names: Vec<QueueName>,
    ) -> Result<Vec<QueueView>, StoreError> {
        let names = &names;
        self.read(|session| async move { queues::views(&session, scope, names).await }).await
    }

    async fn settings(&self, scope: TenantId) -> Result<Vec<Queue>, StoreError> {
        self.duty(move |session| async move { queues::settings(&session, scope).await }).await
    }

    async fn set_queue(
        &self,
        scope: TenantId,
        name: QueueName,
        if_version: Option<u64>,
        patch: QueuePatch,
        now: Timestamp,
    ) -> Result<QueueSet, StoreError> {
        let what = What::SetQueue(name, if_version, Box::new(patch));
        let change = Change { tenant: scope, now, what };
        match self.changes.submit(change, weight::TASK_BYTES).await? {
            Changed::QueueSet(set) => Ok(set),
            _ => mixed_up(),
        }
    }

    async fn gate(
        &self,
        scope: TenantId,
        name: QueueName,
        key: Option<String>,
    ) -> Result<GateView, StoreError> {
        self.read(|session| {
            let (name, key) = (name.clone(), key.clone());
            async move { queues::view(&session, scope, &name, key.as_deref()).await }
        })
        .await
    }
}

#[async_trait]
impl ListStore for PostgresStore {
    async fn find(&self, scope: TenantId, page: Page) -> Result<Paged<Found>, StoreError> {
        self.read(|session| {
            let page = page.clone();
            async move { lists::find(&session, scope, &page).await }
        })
        .await
    }

    async fn failures(
        &self,
        scope: TenantId,
        before: Option<TaskId>,
        limit: u32,
    ) -> Result<Paged<store::Failure>, StoreError> {
        let ask = move |session: Arc<Session>| async move {
            lists::failures(&session, scope, before, limit).await
        };
        self.read(ask).await
    }
}

#[async_trait]
impl RetentionStore for PostgresStore {
    async fn prune(
        &self,
        kept: &Retention,
        now: Timestamp,
        limit: u32,
    ) -> Result<Pruned, StoreError> {
        // Once more after a lost connection is no harm: what is gone is not found again.
        self.duty(|session| async move { retention::prune(&session, kept, now, limit).await }).await
    }
}

#[async_trait]
impl SearchStore for PostgresStore {
    async fn sketch(&self, least: u32) -> Result<Sketched, StoreError> {
        // Once more after a lost connection is no harm: what is in a sketch is not put into another one.
        self.duty(|session| async move { search::sketch(&session, &self.sketching, least).await })
            .await
    }
}

#[async_trait]
impl IdempotencyStore for PostgresStore {
    async fn once(&self, scope: TenantId, once: Once, now: Timestamp) -> Result<Onced, StoreError> {
        let bytes = weight::of_deed(&once.deed);
        let disturbs = match &once.deed {
            Deed::Insert(batch) | Deed::InsertAll(batch) => any_late(batch, now),
            Deed::Edit(_) => true,
            Deed::Delete(_) | Deed::Sync(_) | Deed::Note => false,
        };
        let onced = self.onces.submit(Keyed { tenant: scope, now, once }, bytes).await;
        if disturbs {
            self.quiet.disturb();
        }
        onced
    }

    async fn recall(
        &self,
        scope: TenantId,
        key: KeyHash,
        request: Fingerprint,
        now: Timestamp,
    ) -> Result<Option<Onced>, StoreError> {
        self.read(move |session| async move {
            idempotency::recall(&session, scope, key, request, now).await
        })
        .await
    }

    async fn forget(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.duty(move |session| async move { idempotency::forget(&session, now, limit).await })
            .await
    }
}

#[async_trait]
impl StatsStore for PostgresStore {
    async fn overview(
        &self,
        scope: TenantId,
        narrow: Narrow,
        limit: u32,
    ) -> Result<Overview, StoreError> {
        let narrow = &narrow;
        self.read(|session| async move { stats::overview(&session, scope, narrow, limit).await })
            .await
    }

    async fn series(
        &self,
        scope: TenantId,
        queue: Option<QueueName>,
        first: Minute,
        last: Minute,
    ) -> Result<Vec<(Minute, Tally)>, StoreError> {
        let queue = queue.as_ref();
        self.read(|session| async move { stats::series(&session, scope, queue, first, last).await })
            .await
    }

    async fn tallies(
        &self,
        scope: TenantId,
        queues: Vec<QueueName>,
        first: Minute,
        last: Minute,
    ) -> Result<Vec<Tally>, StoreError> {
        let (queues, of) = (&queues, (first, last));
        self.read(|session| async move { stats::tallies(&session, scope, queues, of).await }).await
    }

    async fn oldest(
        &self,
        scope: TenantId,
        queues: Vec<QueueName>,
        now: Timestamp,
    ) -> Result<Vec<Option<Timestamp>>, StoreError> {
        let places = &self.lanes.places_of(scope, &queues);
        let queues = &queues;
        let ask = |session: Arc<Session>| async move {
            stats::oldest(&session, scope, places, queues, now).await
        };
        self.read(ask).await
    }

    async fn overdue(
        &self,
        scope: TenantId,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let from = self.quiet.since();
        let ask = move |session: Arc<Session>| async move {
            stats::overdue(&session, scope, from, before, limit).await
        };
        self.read(ask).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn health(&self) -> Result<Health, StoreError> {
        let sql = "SELECT max(version)::int8, current_setting('transaction_read_only') = 'on' \
                   FROM taskflow.migrations";
        let (schema, reads_only) = self
            .duty(move |session| async move {
                let rows = session.query(sql, &[]).await?;
                let of = |row| Ok((get::<Option<i64>>(row, 0)?, get::<bool>(row, 1)?));
                rows.first().map_or(Ok((None, false)), of)
            })
            .await?;
        if reads_only {
            tracing::warn!("the database takes no writes: it is a standby, or was made read-only");
            return Err(StoreError::Unavailable);
        }
        Ok(Health {
            schema: schema.unwrap_or(0),
            known: migrate::SCHEMA.into(),
            clock_lead_ms: Some(self.clock.lead_ms()),
        })
    }

    fn hints(&self) -> Hints {
        self.hints.clone()
    }
}
