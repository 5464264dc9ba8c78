//! A store that counts its calls, fails when it is told to, and holds answers back. It changes nothing
//! of what the store under it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use taskflow_core::series::{Minute, Tally};
use taskflow_core::{
    Attempt, Fingerprint, KeyHash, NewTask, Queue, QueueName, QueuePatch, Retention, Session,
    SessionHash, Task, TaskId, TenantId, Timestamp, WorkerName,
};
use taskflow_store::{
    AllInserted, Answers, ChangeStore, Changes, Claim, Counts, Delete, Deleted, Drain, Due, Edit,
    Edited, Expired, Failure, Found, GateView, Health, Hints, Holding, IdempotencyStore, Inserted,
    ListStore, Narrow, Once, Onced, Overview, Page, Paged, Pruned, QueueSet, QueueStore, QueueView,
    RetentionStore, SearchStore, Served, SessionStore, Sighting, Sketched, StatsStore, Store,
    StoreError, Sync, Synced, TaskStore, Which, WorkStore, Worker, WorkerStore,
};
use tokio::sync::watch;

/// What the store says when it is asked for its health.
#[derive(Debug, Clone, Copy)]
pub(super) enum Says {
    /// What the store under it says.
    Truth,
    /// This.
    This(Health),
    /// That it failed.
    Failure,
    /// Nothing, for ever.
    Nothing,
}

pub(super) struct Steered {
    inner: Arc<dyn Store>,
    /// Claims asked for.
    claims: AtomicU32,
    /// Creations with a claim.
    served: AtomicU32,
    /// Looks at what comes due.
    dues: AtomicU32,
    /// Writes of who called or was there.
    sights: AtomicU32,
    /// How many of them fail from now on.
    sights_fail: AtomicU32,
    /// How many looks at what comes due fail from now on.
    failing: AtomicU32,
    /// How long a look at what comes due takes.
    due_takes: Mutex<Duration>,
    /// How long it takes to find the tasks of a filter.
    find_takes: Mutex<Duration>,
    /// Whether answers to claims are held back.
    held: watch::Sender<bool>,
    /// What it says of its health.
    says: Mutex<Says>,
    /// How many acts with a key are done from now on without anybody hearing of it.
    unheard: AtomicU32,
}

impl Steered {
    pub(super) fn over(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            claims: AtomicU32::new(0),
            served: AtomicU32::new(0),
            dues: AtomicU32::new(0),
            sights: AtomicU32::new(0),
            sights_fail: AtomicU32::new(0),
            failing: AtomicU32::new(0),
            due_takes: Mutex::new(Duration::ZERO),
            find_takes: Mutex::new(Duration::ZERO),
            held: watch::Sender::new(false),
            says: Mutex::new(Says::Truth),
            unheard: AtomicU32::new(0),
        }
    }

    pub(super) fn claims(&self) -> u32 {
        self.claims.load(SeqCst)
    }

    pub(super) fn served(&self) -> u32 {
        self.served.load(SeqCst)
    }

    pub(super) fn dues(&self) -> u32 {
        self.dues.load(SeqCst)
    }

    pub(super) fn fail_sights(&self, n: u32) {
        self.sights_fail.store(n, SeqCst);
    }

    /// Whoever was seen is written down, unless this fails.
    fn sight(&self) -> Result<(), StoreError> {
        self.sights.fetch_add(1, SeqCst);
        match self.sights_fail.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)) {
            Ok(_) => Err(StoreError::Busy),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn sights(&self) -> u32 {
        self.sights.load(SeqCst)
    }

    pub(super) fn fail_dues(&self, n: u32) {
        self.failing.store(n, SeqCst);
    }

    pub(super) fn let_due_take(&self, time: Duration) {
        *self.due_takes.lock() = time;
    }

    pub(super) fn let_find_take(&self, time: Duration) {
        *self.find_takes.lock() = time;
    }

    pub(super) fn leave_unheard(&self, n: u32) {
        self.unheard.store(n, SeqCst);
    }

    pub(super) fn say(&self, says: Says) {
        *self.says.lock() = says;
    }

    /// From now on claims are carried out but not answered.
    pub(super) fn hold(&self) {
        self.held.send_replace(true);
    }

    pub(super) fn let_go(&self) {
        self.held.send_replace(false);
    }
}

#[async_trait]
impl TaskStore for Steered {
    async fn insert(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<Answers<Inserted>, StoreError> {
        self.inner.insert(scope, batch, now).await
    }

    async fn insert_and_claim(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        claim: Claim,
        now: Timestamp,
    ) -> Result<Served, StoreError> {
        self.served.fetch_add(1, SeqCst);
        self.claims.fetch_add(1, SeqCst);
        let served = self.inner.insert_and_claim(scope, batch, claim, now).await;
        let mut held = self.held.subscribe();
        held.wait_for(|held| !held).await.expect("this store is its sender");
        served
    }

    async fn ahead(
        &self,
        scope: TenantId,
        id: TaskId,
        now: Timestamp,
        max: u32,
    ) -> Result<Option<u32>, StoreError> {
        self.inner.ahead(scope, id, now, max).await
    }

    async fn insert_all(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<AllInserted, StoreError> {
        self.inner.insert_all(scope, batch, now).await
    }

    async fn get(
        &self,
        scope: TenantId,
        ids: Vec<TaskId>,
    ) -> Result<Vec<Option<Task>>, StoreError> {
        self.inner.get(scope, ids).await
    }

    async fn list(&self, scope: TenantId, page: Page) -> Result<Paged<Task>, StoreError> {
        self.inner.list(scope, page).await
    }

    async fn edit(
        &self,
        scope: TenantId,
        batch: Vec<Edit>,
        now: Timestamp,
    ) -> Result<Answers<Edited>, StoreError> {
        self.inner.edit(scope, batch, now).await
    }

    async fn delete(
        &self,
        scope: TenantId,
        batch: Vec<Delete>,
        now: Timestamp,
    ) -> Result<Answers<Deleted>, StoreError> {
        self.inner.delete(scope, batch, now).await
    }

    async fn count(&self, scope: TenantId) -> Result<Counts, StoreError> {
        self.inner.count(scope).await
    }

    async fn attempts(
        &self,
        scope: TenantId,
        id: TaskId,
    ) -> Result<Option<Vec<Attempt>>, StoreError> {
        self.inner.attempts(scope, id).await
    }
}

#[async_trait]
impl WorkStore for Steered {
    async fn sync(
        &self,
        scope: TenantId,
        sync: Sync,
        now: Timestamp,
    ) -> Result<Synced, StoreError> {
        if sync.claim.is_none() {
            return self.inner.sync(scope, sync, now).await;
        }
        let synced = self.inner.sync(scope, sync, now).await;
        self.claims.fetch_add(1, SeqCst);
        let mut held = self.held.subscribe();
        held.wait_for(|held| !held).await.expect("the sender is in this store");
        synced
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<Answers<Expired>, StoreError> {
        self.inner.expire(now, limit).await
    }

    async fn due(&self, after: Timestamp, until: Timestamp) -> Result<Due, StoreError> {
        self.dues.fetch_add(1, SeqCst);
        if self.failing.load(SeqCst) > 0 {
            self.failing.fetch_sub(1, SeqCst);
            return Err(StoreError::Busy);
        }
        let due = self.inner.due(after, until).await;
        let time = *self.due_takes.lock();
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        due
    }
}

#[async_trait]
impl QueueStore for Steered {
    async fn queues(
        &self,
        scope: TenantId,
        after: Option<QueueName>,
        limit: u32,
    ) -> Result<Vec<QueueView>, StoreError> {
        self.inner.queues(scope, after, limit).await
    }

    async fn named(
        &self,
        scope: TenantId,
        names: Vec<QueueName>,
    ) -> Result<Vec<QueueView>, StoreError> {
        self.inner.named(scope, names).await
    }

    async fn settings(&self, scope: TenantId) -> Result<Vec<Queue>, StoreError> {
        self.inner.settings(scope).await
    }

    async fn set_queue(
        &self,
        scope: TenantId,
        name: QueueName,
        if_version: Option<u64>,
        patch: QueuePatch,
        now: Timestamp,
    ) -> Result<QueueSet, StoreError> {
        self.inner.set_queue(scope, name, if_version, patch, now).await
    }

    async fn gate(
        &self,
        scope: TenantId,
        name: QueueName,
        key: Option<String>,
    ) -> Result<GateView, StoreError> {
        self.inner.gate(scope, name, key).await
    }
}

#[async_trait]
impl ListStore for Steered {
    async fn find(&self, scope: TenantId, page: Page) -> Result<Paged<Found>, StoreError> {
        let found = self.inner.find(scope, page).await;
        let time = *self.find_takes.lock();
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        found
    }

    async fn failures(
        &self,
        scope: TenantId,
        before: Option<TaskId>,
        limit: u32,
    ) -> Result<Paged<Failure>, StoreError> {
        let found = self.inner.failures(scope, before, limit).await;
        let time = *self.find_takes.lock();
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        found
    }
}

#[async_trait]
impl SearchStore for Steered {
    async fn sketch(&self, least: u32) -> Result<Sketched, StoreError> {
        self.inner.sketch(least).await
    }
}

#[async_trait]
impl RetentionStore for Steered {
    async fn prune(
        &self,
        retention: &Retention,
        now: Timestamp,
        limit: u32,
    ) -> Result<Pruned, StoreError> {
        self.inner.prune(retention, now, limit).await
    }
}

#[async_trait]
impl WorkerStore for Steered {
    async fn see(&self, scope: TenantId, batch: Vec<Sighting>) -> Result<(), StoreError> {
        self.sight()?;
        self.inner.see(scope, batch).await
    }

    async fn workers(&self, scope: TenantId, which: Which) -> Result<Vec<Worker>, StoreError> {
        self.inner.workers(scope, which).await
    }

    async fn holds(
        &self,
        scope: TenantId,
        workers: Vec<WorkerName>,
    ) -> Result<Vec<Holding>, StoreError> {
        self.inner.holds(scope, workers).await
    }

    async fn drain(
        &self,
        scope: TenantId,
        batch: Vec<(WorkerName, Drain)>,
    ) -> Result<Vec<Option<Worker>>, StoreError> {
        self.inner.drain(scope, batch).await
    }

    async fn drained(&self, since: Timestamp) -> Result<Vec<(TenantId, Worker)>, StoreError> {
        self.inner.drained(since).await
    }

    async fn release(
        &self,
        scope: TenantId,
        worker: WorkerName,
        limit: u32,
        now: Timestamp,
    ) -> Result<Answers<TaskId>, StoreError> {
        self.inner.release(scope, worker, limit, now).await
    }

    async fn forget_workers(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.inner.forget_workers(before, limit).await
    }
}

#[async_trait]
impl SessionStore for Steered {
    async fn open_session(&self, scope: TenantId, session: Session) -> Result<(), StoreError> {
        self.inner.open_session(scope, session).await
    }

    async fn session(
        &self,
        scope: TenantId,
        hash: SessionHash,
    ) -> Result<Option<Session>, StoreError> {
        self.inner.session(scope, hash).await
    }

    async fn see_session(
        &self,
        scope: TenantId,
        hash: SessionHash,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.sight()?;
        self.inner.see_session(scope, hash, at).await
    }

    async fn close_session(&self, scope: TenantId, hash: SessionHash) -> Result<(), StoreError> {
        self.inner.close_session(scope, hash).await
    }

    async fn forget_sessions(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.inner.forget_sessions(now, limit).await
    }
}

#[async_trait]
impl IdempotencyStore for Steered {
    async fn once(&self, scope: TenantId, once: Once, now: Timestamp) -> Result<Onced, StoreError> {
        let onced = self.inner.once(scope, once, now).await;
        if self.unheard.load(SeqCst) > 0 {
            self.unheard.fetch_sub(1, SeqCst);
            return Err(StoreError::Unknown("nobody heard it".into()));
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
        self.inner.recall(scope, key, request, now).await
    }

    async fn forget(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.inner.forget(now, limit).await
    }
}

#[async_trait]
impl StatsStore for Steered {
    async fn overview(
        &self,
        scope: TenantId,
        narrow: Narrow,
        limit: u32,
    ) -> Result<Overview, StoreError> {
        self.inner.overview(scope, narrow, limit).await
    }

    async fn series(
        &self,
        scope: TenantId,
        queue: Option<QueueName>,
        first: Minute,
        last: Minute,
    ) -> Result<Vec<(Minute, Tally)>, StoreError> {
        self.inner.series(scope, queue, first, last).await
    }

    async fn tallies(
        &self,
        scope: TenantId,
        queues: Vec<QueueName>,
        first: Minute,
        last: Minute,
    ) -> Result<Vec<Tally>, StoreError> {
        self.inner.tallies(scope, queues, first, last).await
    }

    async fn oldest(
        &self,
        scope: TenantId,
        queues: Vec<QueueName>,
        now: Timestamp,
    ) -> Result<Vec<Option<Timestamp>>, StoreError> {
        self.inner.oldest(scope, queues, now).await
    }

    async fn overdue(
        &self,
        scope: TenantId,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.inner.overdue(scope, before, limit).await
    }
}

#[async_trait]
impl ChangeStore for Steered {
    fn changes(&self) -> Changes {
        self.inner.changes()
    }

    async fn watch(&self, time: Duration) -> Result<(), StoreError> {
        self.inner.watch(time).await
    }
}

#[async_trait]
impl Store for Steered {
    async fn health(&self) -> Result<Health, StoreError> {
        let says = *self.says.lock();
        match says {
            Says::Truth => self.inner.health().await,
            Says::This(health) => Ok(health),
            Says::Failure => Err(StoreError::Unavailable),
            Says::Nothing => std::future::pending().await,
        }
    }

    fn hints(&self) -> Hints {
        self.inner.hints()
    }
}
