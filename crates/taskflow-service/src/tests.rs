//! Tests of the services, one file per part, and the stage that they play on.
//!
//! Most of them run in simulated time: the runtime's clock is paused and jumps to the next timer, the
//! services' clock follows it, and the store is the contract's model, which needs no thread. Where
//! threads or a real file matter, the store is a temporary SQLite file. No test sleeps for luck.

mod bus;
mod claims;
mod clock;
mod duties;
mod events;
mod failures;
mod grants;
mod herald;
mod idempotency;
mod janitor;
mod line;
mod many;
mod readiness;
mod reaper;
mod search;
mod serve;
mod sessions;
mod stats;
mod steered;
mod tasks;
mod worker;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::{
    Clock, Finish, Kind, NewTask, QueueName, Task, TaskId, TenantId, Timestamp, WorkerName,
};
use taskflow_sqlite::SqliteStore;
use taskflow_store::model::Model;
use taskflow_store::{Claimed, Kinds, Store, TaskStore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bus::Wish;
use crate::clock::{SystemClock, SystemIds};
use crate::work::Want;
use crate::{Actor, ServiceError, Services};
use steered::Steered;

/// A poll interval that no test lives to see: only wake-ups help.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// A wait that outlasts every test.
const LONG: Duration = Duration::from_secs(3600);

/// 2026-01-31T09:30:00Z and `seconds` later.
fn at(seconds: f64) -> Timestamp {
    Timestamp::from_micros(1_769_851_800_000_000).plus_seconds(seconds)
}

/// Shows the runtime's time, which stands still or jumps when it is paused.
struct RuntimeClock(Instant);

impl RuntimeClock {
    fn started() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.0.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(at(0.0).micros() + elapsed)
    }
}

/// Services with their store and clock at hand.
struct Stage {
    services: Services,
    store: Arc<Steered>,
    clock: Arc<dyn Clock>,
}

impl Stage {
    /// Simulated time on the model; for tests whose runtime is paused.
    fn simulated(poll: Duration) -> Self {
        Self::new(Arc::new(Model::new()), RuntimeClock::started(), poll)
    }

    /// The system's clock on a SQLite file.
    fn on_disk(poll: Duration) -> (Self, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("tasks.db")).unwrap();
        (Self::new(Arc::new(store), Arc::new(SystemClock::default()), poll), folder)
    }

    fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, poll: Duration) -> Self {
        let store = Arc::new(Steered::over(store));
        let ids = Arc::new(SystemIds);
        let services = Services::new(Arc::clone(&store) as _, Arc::clone(&clock), ids, poll);
        Self { services, store, clock }
    }

    /// A new task of `kind` that is due now.
    fn new_task(&self, kind: &str) -> NewTask {
        NewTask { kind: self::kind(kind), ..NewTask::titled("a task", self.clock.now()) }
    }

    async fn create(&self, kind: &str) -> TaskId {
        self.create_as(self.new_task(kind)).await
    }

    async fn create_as(&self, new: NewTask) -> TaskId {
        self.services.tasks.create(Actor::DEFAULT, new).await.unwrap().task.id
    }

    /// Stores tasks behind the services' back, as another process does.
    async fn slip_in(&self, kind: &str, tasks: usize) {
        let batch = vec![self.new_task(kind); tasks];
        self.store.insert(TenantId::DEFAULT, batch, self.clock.now()).await.unwrap();
    }

    async fn task(&self, id: TaskId) -> Task {
        self.services.tasks.get(Actor::DEFAULT, id).await.unwrap()
    }

    /// Waits until the task is as `so` says.
    async fn task_is(&self, id: TaskId, so: impl Fn(&Task) -> bool) -> Task {
        let started = Instant::now();
        loop {
            let task = self.task(id).await;
            if so(&task) {
                return task;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "waited in vain: {task:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn claim(&self, want: Want) -> Result<Vec<Claimed>, ServiceError> {
        self.services.work.claim(Actor::DEFAULT, &worker_name(), want).await
    }

    /// A claim of one's own task by `kinds`, in a task of its own.
    fn claimer(&self, want: Want) -> Claimer {
        let work = self.services.work.clone();
        tokio::spawn(async move {
            let claimed = work.claim(Actor::DEFAULT, &worker_name(), want).await?;
            Ok((claimed, Instant::now()))
        })
    }

    /// Waits until `n` claims wait.
    async fn waiting(&self, n: usize) {
        until(|| self.services.bus.waiting() == n).await;
    }

    async fn finish(&self, claimed: &Claimed, finish: Finish) {
        let (id, token) = (claimed.task.id, claimed.token);
        self.services.work.finish(Actor::DEFAULT, id, token, finish).await.unwrap();
    }

    /// Runs reaper and herald.
    fn on_duty(&self) -> OnDuty {
        let stop = CancellationToken::new();
        let running = crate::duties::run(self.services.duties(), &self.clock, &stop);
        OnDuty { stop, running }
    }
}

type Claimer = JoinHandle<Result<(Vec<Claimed>, Instant), ServiceError>>;

/// Joins a claimer that is answered long before its wait ends, when even a claim that nobody woke
/// looks a last time.
async fn soon(claimer: Claimer) -> (Vec<Claimed>, Instant) {
    let answer = tokio::time::timeout(Duration::from_secs(30), claimer);
    answer.await.expect("a wake-up was lost").unwrap().unwrap()
}

/// Running duties; they end with it.
struct OnDuty {
    stop: CancellationToken,
    running: TaskTracker,
}

impl OnDuty {
    async fn end(self) {
        self.stop.cancel();
        self.running.wait().await;
    }
}

impl Drop for OnDuty {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn kind(name: &str) -> Kind {
    Kind::parse(name).unwrap()
}

fn queue(name: &str) -> QueueName {
    QueueName::parse(name).unwrap()
}

fn worker_name() -> WorkerName {
    WorkerName::parse("w1").unwrap()
}

fn id(n: i64) -> TaskId {
    TaskId::new(n).unwrap()
}

/// A wish for these kinds in every queue.
fn wish(kinds: &[&str]) -> Arc<Wish> {
    let kinds = Kinds::Named(kinds.iter().map(|name| kind(name)).collect());
    Arc::new(Wish { queues: None, kinds })
}

/// One task of these kinds, waiting `wait` for it.
fn one(kinds: &[&str], wait: Duration) -> Want {
    Want { wish: wish(kinds), limit: 1, lease_seconds: None, wait }
}

fn retry(error: &str) -> Finish {
    Finish::Failed { error: error.into(), retryable: true, retry_after: None }
}

/// Asks again and again until it is so; a minute of the runtime's time fails the test.
async fn until(so: impl Fn() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
