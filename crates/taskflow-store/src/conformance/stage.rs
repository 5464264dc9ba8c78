//! A store under test with a clock, a tenant and short words for what most cases do.
//! Every word here panics when the store fails: a case only spells out what it is about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use taskflow_core::search::Search;
use taskflow_core::task::{OnConflict, UniqueKey};
use taskflow_core::{
    Attempt, Clock, Finish, Json, Kind, LeaseToken, ManualClock, NewTask, Priority, QueueName,
    RetryPolicy, Status, Strategy, Task, TaskId, TaskPatch, TenantId, Terms, Timestamp, WorkerName,
};

use super::harness::Harness;
use crate::{
    Answers, Claim, Claimed, Delete, Deleted, Edit, Edited, Expired, Extend, Extended, Filter,
    FinishTask, Finished, Inserted, Kinds, Page, Receipt, Store, Sync, Synced,
};

/// When every case begins; the odd microseconds show a store that rounds.
pub const START: Timestamp = Timestamp::from_micros(1_767_225_600_123_457);

/// The kind of the tasks that cases make unless they say otherwise.
pub const KIND: &str = "work";

/// A store, a clock and a tenant.
#[derive(Clone)]
pub struct Stage {
    /// The store under test.
    pub store: Arc<dyn Store>,
    /// Whose tasks the words below are about.
    pub tenant: TenantId,
    clock: Arc<ManualClock>,
    tokens: Arc<AtomicU64>,
}

impl Stage {
    /// A fresh store at [`START`], as the default tenant.
    pub async fn open(h: &dyn Harness) -> Self {
        Self {
            store: h.fresh().await,
            tenant: TenantId::DEFAULT,
            clock: Arc::new(ManualClock::new(START)),
            tokens: Arc::default(),
        }
    }

    /// The same store closed and opened again. Other stages on it must be gone.
    pub async fn reopen(self, h: &dyn Harness) -> Self {
        Self { store: h.reopen(self.store).await, ..self }
    }

    /// The same store and clock, seen by another tenant.
    pub fn seen_by(&self, tenant: TenantId) -> Self {
        Self { tenant, ..self.clone() }
    }

    /// Another store with the same clock and tenant.
    pub fn beside(&self, store: Arc<dyn Store>) -> Self {
        Self { store, ..self.clone() }
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The instant `seconds` from now.
    pub fn after(&self, seconds: f64) -> Timestamp {
        self.now().plus_seconds(seconds)
    }

    /// Lets `seconds` pass.
    pub fn pass(&self, seconds: f64) {
        self.clock.advance(seconds);
    }

    /// A token that no lease had yet.
    pub fn token(&self) -> LeaseToken {
        token(self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    /// A claim of up to `limit` tasks of any kind that is not built in, from every queue.
    pub fn wish(&self, limit: usize) -> Claim {
        Claim {
            worker: worker("w1"),
            queues: None,
            kinds: Kinds::AllButBuiltIn,
            lease_seconds: None,
            tokens: (0..limit).map(|_| self.token()).collect(),
        }
    }

    /// A task of [`KIND`] that is due now.
    pub fn plan(&self, title: &str) -> NewTask {
        NewTask { kind: kind(KIND), ..NewTask::titled(title, self.now()) }
    }

    /// Inserts a batch.
    pub async fn insert(&self, batch: Vec<NewTask>) -> Answers<Inserted> {
        let answers = self.store.insert(self.tenant, batch, self.now()).await;
        answers.expect("insert works")
    }

    /// Inserts one task, whatever the answer.
    pub async fn offer(&self, new: NewTask) -> Inserted {
        let answers = self.insert(vec![new]).await;
        answers.items.into_iter().next().expect("one answer per item")
    }

    /// Inserts one task that must be taken.
    pub async fn create(&self, new: NewTask) -> Task {
        match self.offer(new).await {
            Inserted::Created(task) => *task,
            other => panic!("not created: {other:?}"),
        }
    }

    /// Inserts one plain task.
    pub async fn task(&self, title: &str) -> Task {
        self.create(self.plan(title)).await
    }

    /// Reads one task.
    pub async fn find(&self, id: TaskId) -> Option<Task> {
        let tasks = self.store.get(self.tenant, vec![id]).await.expect("get works");
        tasks.into_iter().next().expect("one answer per id")
    }

    /// Reads one task that must be there.
    pub async fn read(&self, id: TaskId) -> Task {
        self.find(id).await.expect("the task is there")
    }

    /// The history of a task that must be there.
    pub async fn attempts(&self, id: TaskId) -> Vec<Attempt> {
        let attempts = self.store.attempts(self.tenant, id).await.expect("attempts works");
        attempts.expect("the task is there")
    }

    /// One page of a list.
    pub async fn list(&self, filter: Filter, skip: u32, limit: u32) -> Vec<Task> {
        let page = Page { filter, before: None, skip, limit, now: self.now() };
        self.store.list(self.tenant, page).await.expect("list works").items
    }

    /// Tasks per status.
    pub async fn counts(&self) -> [u64; 5] {
        self.store.count(self.tenant).await.expect("count works").0
    }

    /// A sync.
    pub async fn sync(&self, sync: Sync) -> Synced {
        self.store.sync(self.tenant, sync, self.now()).await.expect("sync works")
    }

    /// What a claim hands out.
    pub async fn claim(&self, claim: Claim) -> Vec<Claimed> {
        self.sync(Sync { claim: Some(claim), ..Sync::default() }).await.claimed
    }

    /// Claims one task that must be there.
    pub async fn take(&self) -> Claimed {
        let claimed = self.claim(self.wish(1)).await;
        claimed.into_iter().next().expect("a task is ready")
    }

    /// Ends an attempt, whatever the answer.
    pub async fn finish(&self, id: TaskId, token: LeaseToken, finish: Finish) -> Finished {
        let finish = vec![FinishTask { id, token, finish }];
        let synced = self.sync(Sync { finish, ..Sync::default() }).await;
        synced.finished.into_iter().next().expect("one answer per item")
    }

    /// Ends the attempt of `held`, which must be taken.
    pub async fn end(&self, held: &Claimed, finish: Finish) -> Receipt {
        match self.finish(held.task.id, held.token, finish).await {
            Finished::Done(receipt) => receipt,
            other => panic!("not finished: {other:?}"),
        }
    }

    /// A heartbeat that says nothing more.
    pub async fn beat(&self, id: TaskId, token: LeaseToken) -> Extended {
        let extend = vec![Extend { id, token, progress: None, checkpoint: None }];
        let synced = self.sync(Sync { extend, ..Sync::default() }).await;
        synced.extended.into_iter().next().expect("one answer per item")
    }

    /// Ends up to 100 tasks whose time ran out.
    pub async fn expire(&self) -> Vec<Expired> {
        self.store.expire(self.now(), 100).await.expect("expire works").items
    }

    /// Edits one task, whatever the answer.
    pub async fn change(&self, edit: Edit) -> Edited {
        let answers = self.store.edit(self.tenant, vec![edit], self.now()).await;
        let items = answers.expect("edit works").items;
        items.into_iter().next().expect("one answer per item")
    }

    /// Sets a status by hand, which must be taken.
    pub async fn set(&self, id: TaskId, status: Status) -> Task {
        match self.change(to(id, status)).await {
            Edited::Done(task) => *task,
            other => panic!("not edited: {other:?}"),
        }
    }

    /// Deletes one task, whatever the answer.
    pub async fn delete(&self, id: TaskId) -> Deleted {
        let batch = vec![Delete { id, if_version: None }];
        let answers = self.store.delete(self.tenant, batch, self.now()).await;
        answers.expect("delete works").items.into_iter().next().expect("one answer per item")
    }
}

/// The `n`-th token of a case.
pub fn token(n: u64) -> LeaseToken {
    LeaseToken::new(u128::from(n + 1).to_be_bytes())
}

/// A queue's name.
pub fn queue(name: &str) -> QueueName {
    QueueName::parse(name).expect("a case names its queues well")
}

/// A search.
pub fn search(text: &str) -> Search {
    Search::parse(text).expect("a case searches for something")
}

/// A kind's name.
pub fn kind(name: &str) -> Kind {
    Kind::parse(name).expect("a case names its kinds well")
}

/// A worker's name.
pub fn worker(name: &str) -> WorkerName {
    WorkerName::parse(name).expect("a case names its workers well")
}

/// An id.
pub fn id(id: i64) -> TaskId {
    TaskId::new(id).expect("a case uses positive ids")
}

/// A unique key.
pub fn unique(key: &str, on_conflict: OnConflict) -> Option<UniqueKey> {
    Some(UniqueKey { key: key.to_owned(), on_conflict })
}

/// An edit of fields.
pub fn patch(id: TaskId, patch: TaskPatch) -> Edit {
    Edit { id, if_version: None, patch }
}

/// An edit of the status.
pub fn to(id: TaskId, status: Status) -> Edit {
    patch(id, TaskPatch { status: Some(status), ..TaskPatch::default() })
}

/// A success without a result.
pub fn done() -> Finish {
    Finish::Completed { result: None }
}

/// A failure that may be tried again.
pub fn failed(error: &str) -> Finish {
    Finish::Failed { error: error.to_owned(), retryable: true, retry_after: None }
}

/// A failure for good.
pub fn failed_for_good(error: &str) -> Finish {
    Finish::Failed { error: error.to_owned(), retryable: false, retry_after: None }
}

/// A JSON value.
pub fn json(text: &str) -> Option<Json> {
    Some(Json::parse(text).expect("a case writes its JSON well"))
}

/// Titles of what was handed out.
pub fn titles(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|c| c.task.title.as_str()).collect()
}

/// A task with every field set to something of its own.
pub fn full(stage: &Stage) -> NewTask {
    NewTask {
        title: "Tüte, die".into(),
        description: Some("two\nlines".into()),
        priority: Priority::Urgent,
        queue: queue("mail.out"),
        kind: kind("send:2"),
        payload: json(r#"{"a":[1,2.50,null]}"#),
        run_at: stage.after(12.345_678),
        terms: Terms {
            max_attempts: 7,
            retry: RetryPolicy {
                strategy: Strategy::Linear,
                base_seconds: 0.1,
                factor: 1.7,
                max_seconds: 3.803_811_374_886_578_7,
                jitter: 0.25,
            },
            timeout_seconds: Some(61),
            deadline_at: Some(stage.after(5_000.000_001)),
            expires_at: Some(stage.after(4_000.5)),
            lease_seconds: 17,
        },
        tags: vec!["b".into(), "a".into(), "ü".into()],
        metadata: json(r#"{"team":"red"}"#),
        unique: unique("order-1", OnConflict::Reject),
        concurrency_key: Some("customer-9".into()),
        depends_on: Vec::new(),
    }
}
