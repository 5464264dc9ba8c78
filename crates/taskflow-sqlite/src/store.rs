//! `SqliteStore`: the store contract, handed to the writer and the readers.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use parking_lot::Mutex;
use taskflow_core::series::{Minute, Tally};
use taskflow_core::{
    Attempt, Fingerprint, KeyHash, NewTask, Queue, QueueName, QueuePatch, Retention, Task, TaskId,
    TenantId, Timestamp,
};
use taskflow_store::batcher::Batcher;
use taskflow_store::{
    AllInserted, Answers, Claim, Counts, Delete, Deleted, Due, Edit, Edited, Expired, Failure,
    Found, GateView, Health, Hints, IdempotencyStore, Inserted, ListStore, Narrow, Once, Onced,
    Overview, Page, Paged, Pruned, QueueSet, QueueStore, QueueView, RetentionStore, SearchStore,
    Served, Sketched, StatsStore, Store, StoreError, Sync, Synced, TaskStore, Watch, WorkStore,
    weight,
};
use tokio::sync::watch;

use crate::error::OpenError;
use crate::readers::{READERS, Readers};
use crate::writer::{Order, Said, What};
use crate::{
    connect, idempotency, keeper, lists, migrate, queues, retention, search, stats, tasks, work,
    writer,
};

/// The store on one SQLite file. Dropping it carries out what waits, checkpoints and closes the file.
#[derive(Debug)]
pub struct SqliteStore {
    // Its end is what ends the writer.
    batcher: Option<Arc<Batcher<Order, Said>>>,
    pub(crate) readers: Readers,
    /// For what must not wait behind clients' reads: what expires and what comes due.
    pub(crate) duties: Readers,
    /// Where the last look for sketches of tasks that are gone ended.
    hands: Mutex<search::Hands>,
    /// Which file it opened: device and inode.
    place: Option<(u64, u64)>,
    hints: Hints,
    pub(crate) watch: Arc<Watch>,
    stop: Option<std::sync::mpsc::Sender<()>>,
    /// The keeper, then the writer: the order in which they end.
    threads: Mutex<[Option<JoinHandle<()>>; 2]>,
}

impl SqliteStore {
    /// Opens `path`, creates it when it is missing, and brings its schema up to date. The reads need
    /// a tokio runtime around them.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = patiently(|| {
            let mut connection = connect::writer(path)?;
            migrate::migrate(&mut connection, path)?;
            Ok(connection)
        })?;
        let (hint, hints) = watch::channel(0);
        let watch = Arc::new(Watch::default());
        let failed = |source| OpenError::NotOpened { path: path.into(), source: Box::new(source) };
        let (batcher, writing) =
            writer::start(path.into(), connection, hint, Arc::clone(&watch)).map_err(failed)?;
        let batcher = Arc::new(batcher);
        let (stop, stopped) = std::sync::mpsc::channel();
        let place = writer::place(path);
        let keeping = keeper::start(path.into(), stopped, Arc::downgrade(&batcher))?;
        Ok(Self {
            batcher: Some(batcher),
            readers: Readers::new(path.into(), READERS),
            duties: Readers::new(path.into(), 1),
            hands: Mutex::default(),
            place,
            hints,
            watch,
            stop: Some(stop),
            threads: Mutex::new([Some(keeping), Some(writing)]),
        })
    }

    pub(crate) async fn order(
        &self,
        tenant: TenantId,
        now: Timestamp,
        what: What,
        bytes: usize,
    ) -> Result<Said, StoreError> {
        let batcher = self.batcher.as_ref().ok_or(StoreError::Unavailable)?;
        batcher.submit(Order { tenant, now, what }, bytes).await
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // One connection after the other, the writer's last: of two that close at the same moment each
        // takes the other for a user of the file, and neither copies the WAL into it.
        let [keeping, writing] = std::mem::take(self.threads.get_mut());
        self.stop = None;
        join(keeping);
        self.readers.close();
        self.duties.close();
        self.batcher = None;
        join(writing);
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of the store panicked");
    }
}

/// Tries again while another process holds the file: switching to WAL and migrating take locks that
/// SQLite does not wait for.
fn patiently<T>(mut open: impl FnMut() -> Result<T, OpenError>) -> Result<T, OpenError> {
    const TRIES: u32 = 100;
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
    for _ in 1..TRIES {
        match open() {
            Err(OpenError::Busy(_)) => std::thread::park_timeout(PAUSE),
            opened => return opened,
        }
    }
    open()
}

/// The writer answers each command with its own kind of answer; anything else is a fault here.
pub(crate) fn mixed_up<T>() -> Result<T, StoreError> {
    Err(StoreError::Corrupt("the writer mixed up its answers".into()))
}

#[async_trait]
impl TaskStore for SqliteStore {
    async fn insert(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<Answers<Inserted>, StoreError> {
        let bytes = batch.iter().map(weight::of_new).sum();
        match self.order(scope, now, What::Insert(batch), bytes).await? {
            Said::Inserted(answers) => Ok(answers),
            _ => mixed_up(),
        }
    }

    async fn insert_and_claim(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        claim: Claim,
        now: Timestamp,
    ) -> Result<Served, StoreError> {
        let bytes = batch.iter().map(weight::of_new).sum();
        match self.order(scope, now, What::Serve(batch, Box::new(claim)), bytes).await? {
            Said::Inserted(inserted) => Ok(Served { inserted, synced: None }),
            Said::Served(inserted, synced) => Ok(Served { inserted, synced: Some(*synced) }),
            _ => mixed_up(),
        }
    }

    async fn insert_all(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<AllInserted, StoreError> {
        let bytes = batch.iter().map(weight::of_new).sum();
        match self.order(scope, now, What::InsertAll(batch), bytes).await? {
            Said::Inserted(answers) => Ok(AllInserted::Done(answers)),
            Said::Refused(at, why) => Ok(AllInserted::Refused { at, why }),
            _ => mixed_up(),
        }
    }

    async fn get(
        &self,
        scope: TenantId,
        ids: Vec<TaskId>,
    ) -> Result<Vec<Option<Task>>, StoreError> {
        self.readers
            .read(move |connection| {
                ids.into_iter().map(|id| tasks::task(connection, scope, id)).collect()
            })
            .await
    }

    async fn list(&self, scope: TenantId, page: Page) -> Result<Paged<Task>, StoreError> {
        let listed = self.readers.read(move |c| lists::list(c, scope, &page)).await?;
        listed.ok_or(StoreError::PageTooLarge)
    }

    async fn edit(
        &self,
        scope: TenantId,
        batch: Vec<Edit>,
        now: Timestamp,
    ) -> Result<Answers<Edited>, StoreError> {
        let bytes = batch.iter().map(weight::of_edit).sum();
        match self.order(scope, now, What::Edit(batch), bytes).await? {
            Said::Edited(answers) => Ok(answers),
            _ => mixed_up(),
        }
    }

    async fn delete(
        &self,
        scope: TenantId,
        batch: Vec<Delete>,
        now: Timestamp,
    ) -> Result<Answers<Deleted>, StoreError> {
        match self.order(scope, now, What::Delete(batch), weight::TASK_BYTES).await? {
            Said::Deleted(answers) => Ok(answers),
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
        self.readers.read(move |c| tasks::ahead(c, scope, id, now, max)).await
    }

    async fn count(&self, scope: TenantId) -> Result<Counts, StoreError> {
        self.readers.read(move |connection| tasks::count(connection, scope)).await
    }

    async fn attempts(
        &self,
        scope: TenantId,
        id: TaskId,
    ) -> Result<Option<Vec<Attempt>>, StoreError> {
        self.readers.read(move |connection| tasks::attempts(connection, scope, id)).await
    }
}

#[async_trait]
impl WorkStore for SqliteStore {
    async fn sync(
        &self,
        scope: TenantId,
        sync: Sync,
        now: Timestamp,
    ) -> Result<Synced, StoreError> {
        let bytes = weight::of_sync(&sync);
        match self.order(scope, now, What::Sync(Box::new(sync)), bytes).await? {
            Said::Synced(synced) => Ok(*synced),
            _ => mixed_up(),
        }
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<Answers<Expired>, StoreError> {
        // Most calls find nothing: a look by a reader spares the writer.
        if !self.duties.read(move |connection| work::anything_overdue(connection, now)).await? {
            return Ok(Answers::default());
        }
        match self.order(TenantId::DEFAULT, now, What::Expire(limit), weight::TASK_BYTES).await? {
            Said::Expired(answers) => Ok(answers),
            _ => mixed_up(),
        }
    }

    async fn due(&self, after: Timestamp, until: Timestamp) -> Result<Due, StoreError> {
        self.duties.read(move |connection| work::due(connection, after, until)).await
    }
}

#[async_trait]
impl QueueStore for SqliteStore {
    async fn queues(
        &self,
        scope: TenantId,
        after: Option<QueueName>,
        limit: u32,
    ) -> Result<Vec<QueueView>, StoreError> {
        self.readers.read(move |c| queues::page(c, scope, after.as_ref(), limit)).await
    }

    async fn named(
        &self,
        scope: TenantId,
        names: Vec<QueueName>,
    ) -> Result<Vec<QueueView>, StoreError> {
        self.readers.read(move |c| queues::views(c, scope, &names)).await
    }

    async fn settings(&self, scope: TenantId) -> Result<Vec<Queue>, StoreError> {
        self.readers.read(move |c| queues::settings(c, scope)).await
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
        match self.order(scope, now, what, weight::TASK_BYTES).await? {
            Said::QueueSet(set) => Ok(set),
            _ => mixed_up(),
        }
    }

    async fn gate(
        &self,
        scope: TenantId,
        name: QueueName,
        key: Option<String>,
    ) -> Result<GateView, StoreError> {
        self.readers.read(move |c| queues::view(c, scope, &name, key.as_deref())).await
    }
}

#[async_trait]
impl ListStore for SqliteStore {
    async fn find(&self, scope: TenantId, page: Page) -> Result<Paged<Found>, StoreError> {
        self.readers.read(move |connection| lists::find(connection, scope, &page)).await
    }

    async fn failures(
        &self,
        scope: TenantId,
        before: Option<TaskId>,
        limit: u32,
    ) -> Result<Paged<Failure>, StoreError> {
        self.readers.read(move |c| lists::failures(c, scope, before, limit)).await
    }
}

#[async_trait]
impl IdempotencyStore for SqliteStore {
    async fn once(&self, scope: TenantId, once: Once, now: Timestamp) -> Result<Onced, StoreError> {
        let bytes = weight::of_deed(&once.deed);
        match self.order(scope, now, What::Once(Box::new(once)), bytes).await? {
            Said::Onced(onced) => Ok(onced),
            _ => mixed_up(),
        }
    }

    async fn recall(
        &self,
        scope: TenantId,
        key: KeyHash,
        request: Fingerprint,
        now: Timestamp,
    ) -> Result<Option<Onced>, StoreError> {
        self.readers.read(move |c| idempotency::recall(c, scope, key, request, now)).await
    }

    async fn forget(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        // Most calls find nothing, as with what expires.
        if !self.duties.read(move |connection| idempotency::anything_over(connection, now)).await? {
            return Ok(0);
        }
        match self.order(TenantId::DEFAULT, now, What::Forget(limit), weight::TASK_BYTES).await? {
            Said::Forgot(removed) => Ok(removed),
            _ => mixed_up(),
        }
    }
}

#[async_trait]
impl RetentionStore for SqliteStore {
    async fn prune(
        &self,
        kept: &Retention,
        now: Timestamp,
        limit: u32,
    ) -> Result<Pruned, StoreError> {
        let wanted = kept.clone();
        let look = move |connection: &_| retention::over(connection, &wanted, now);
        let over = self.duties.read(look).await?;
        if over.is_empty() || limit == 0 {
            return Ok(Pruned { deleted: 0, more: !over.is_empty() });
        }
        let what = What::Prune(over, limit);
        match self.order(TenantId::DEFAULT, now, what, weight::TASK_BYTES).await? {
            Said::Pruned(pruned) => Ok(pruned),
            _ => mixed_up(),
        }
    }
}

#[async_trait]
impl SearchStore for SqliteStore {
    async fn sketch(&self, least: u32) -> Result<Sketched, StoreError> {
        let from = *self.hands.lock();
        let look = move |connection: &_| {
            let mut hands = from;
            Ok((search::plan(connection, least, &mut hands)?, hands))
        };
        let (plan, hands) = self.duties.read(look).await?;
        *self.hands.lock() = hands;
        let sketched = plan.sketched;
        if plan.is_empty() {
            return Ok(sketched);
        }
        let what = What::Sketch(Box::new(plan));
        match self
            .order(TenantId::DEFAULT, Timestamp::from_micros(0), what, weight::TASK_BYTES)
            .await?
        {
            Said::Looked => Ok(sketched),
            _ => mixed_up(),
        }
    }
}

#[async_trait]
impl StatsStore for SqliteStore {
    async fn overview(
        &self,
        scope: TenantId,
        narrow: Narrow,
        limit: u32,
    ) -> Result<Overview, StoreError> {
        self.readers.read(move |c| stats::overview(c, scope, &narrow, limit)).await
    }

    async fn series(
        &self,
        scope: TenantId,
        queue: Option<QueueName>,
        first: Minute,
        last: Minute,
    ) -> Result<Vec<(Minute, Tally)>, StoreError> {
        self.readers.read(move |c| stats::series(c, scope, queue.as_ref(), first, last)).await
    }

    async fn tallies(
        &self,
        scope: TenantId,
        queues: Vec<QueueName>,
        first: Minute,
        last: Minute,
    ) -> Result<Vec<Tally>, StoreError> {
        self.readers.read(move |c| stats::tallies(c, scope, &queues, first, last)).await
    }

    async fn oldest(
        &self,
        scope: TenantId,
        queues: Vec<QueueName>,
        now: Timestamp,
    ) -> Result<Vec<Option<Timestamp>>, StoreError> {
        self.readers.read(move |c| stats::oldest(c, scope, &queues, now)).await
    }

    async fn overdue(
        &self,
        scope: TenantId,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.readers.read(move |c| stats::overdue(c, scope, before, limit)).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn health(&self) -> Result<Health, StoreError> {
        let (path, opened) = (self.duties.path(), self.place);
        let (schema, there) = self
            .duties
            .read(move |connection| {
                let schema =
                    connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
                Ok((schema, writer::place(&path) == opened))
            })
            .await?;
        // Open connections go on reading a file that was removed, but nothing is written into it.
        if !there {
            return Err(StoreError::Unavailable);
        }
        Ok(Health { schema, known: migrate::SCHEMA, clock_lead_ms: None })
    }

    fn hints(&self) -> Hints {
        self.hints.clone()
    }
}
