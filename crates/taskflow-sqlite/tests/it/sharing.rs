//! Two stores on one file, as two processes have it: each task is handed out once, limits hold over both, and
//! nobody meets a lock.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use taskflow_core::{
    Finish, Kind, LeaseToken, NewTask, QueueName, QueuePatch, Status, TenantId, Timestamp,
    WorkerName,
};
use taskflow_sqlite::SqliteStore;
use taskflow_store::{
    Claim, Claimed, Filter, FinishTask, Finished, Kinds, Page, QueueStore, Sync, TaskStore,
    WorkStore,
};

const ME: TenantId = TenantId::DEFAULT;
const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

struct Shared {
    _folder: tempfile::TempDir,
    path: PathBuf,
    stores: [Arc<SqliteStore>; 2],
}

impl Shared {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tasks.db");
        let open = || Arc::new(SqliteStore::open(&path).expect("opens"));
        let stores = [open(), open()];
        Self { _folder: folder, path, stores }
    }
}

fn job(key: Option<&str>) -> NewTask {
    let kind = Kind::parse("job").expect("a name");
    NewTask { kind, concurrency_key: key.map(str::to_owned), ..NewTask::titled("t", NOW) }
}

/// A token that no other claim of this test run has.
fn token() -> LeaseToken {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    LeaseToken::new(bytes)
}

async fn claim(store: &SqliteStore, limit: usize) -> Vec<(Claimed, LeaseToken)> {
    let tokens: Vec<LeaseToken> = (0..limit).map(|_| token()).collect();
    let claim = Claim {
        worker: WorkerName::parse("w").expect("a name"),
        queues: None,
        kinds: Kinds::AllButBuiltIn,
        lease_seconds: None,
        tokens: tokens.clone(),
    };
    let sync = Sync { claim: Some(claim), ..Sync::default() };
    let claimed = store.sync(ME, sync, NOW).await.expect("claims").claimed;
    claimed.into_iter().zip(tokens).collect()
}

async fn complete(store: &SqliteStore, held: &(Claimed, LeaseToken)) {
    let end = FinishTask {
        id: held.0.task.id,
        token: held.1,
        finish: Finish::Completed { result: None },
    };
    let sync = Sync { finish: vec![end], ..Sync::default() };
    let answers = store.sync(ME, sync, NOW).await.expect("ends").finished;
    assert!(matches!(answers[..], [Finished::Done(_)]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn claimers_of_two_processes_get_each_task_once() {
    let shared = Shared::open();
    let batch = (0..1_000).map(|_| job(None)).collect();
    shared.stores[0].insert(ME, batch, NOW).await.expect("inserts");
    let mut claimers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = Arc::clone(&shared.stores[n % 2]);
        claimers.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = claim(&store, 7).await;
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed.iter().map(|(claimed, _)| claimed.task.id));
            }
        });
    }
    let mut all = Vec::new();
    while let Some(mine) = claimers.join_next().await {
        all.extend(mine.expect("no panic"));
    }
    assert_eq!(all.len(), 1_000);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 1_000);
    for store in &shared.stores {
        assert_eq!(store.count(ME).await.expect("counts").of(Status::InProgress), 1_000);
    }
}

#[tokio::test]
async fn limits_and_pauses_of_one_process_bind_the_other() {
    let shared = Shared::open();
    let [a, b] = &shared.stores;
    let queue = QueueName::default();
    let limits = QueuePatch {
        concurrency_limit: Some(Some(3)),
        concurrency_key_limit: Some(Some(1)),
        ..QueuePatch::default()
    };
    a.set_queue(ME, queue.clone(), None, limits, NOW).await.expect("sets");
    let keys = ["x", "y", "z", "u"];
    let batch = (0..40).map(|n| job(Some(keys[n % 4]))).collect();
    b.insert(ME, batch, NOW).await.expect("inserts");
    let mut held: Vec<(Claimed, LeaseToken)> = Vec::new();
    for round in 0..40 {
        let (taker, other) = if round % 2 == 0 { (a, b) } else { (b, a) };
        held.extend(claim(taker, 5).await);
        held.extend(claim(other, 5).await);
        let running: Vec<_> = held.iter().map(|(c, _)| c.task.concurrency_key.as_deref()).collect();
        let distinct: BTreeSet<_> = running.iter().collect();
        assert!(running.len() <= 3 && distinct.len() == running.len(), "{running:?}");
        if held.is_empty() {
            break;
        }
        complete(other, &held.remove(0)).await;
    }
    assert_eq!(a.count(ME).await.expect("counts").of(Status::Completed), 40);
    a.insert(ME, vec![job(Some("x"))], NOW).await.expect("inserts");
    let paused = |on: bool| {
        let pause = Some(on.then_some(None));
        QueuePatch { pause, ..QueuePatch::default() }
    };
    a.set_queue(ME, queue.clone(), None, paused(true), NOW).await.expect("pauses");
    assert!(claim(b, 5).await.is_empty() && claim(a, 5).await.is_empty());
    b.set_queue(ME, queue, None, paused(false), NOW).await.expect("resumes");
    assert_eq!(claim(a, 5).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_workers_readers_and_a_backup_never_meet_a_lock() {
    let shared = Shared::open();
    let over = Arc::new(AtomicU8::new(0));
    let begin = Instant::now();
    let mut all = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (store, is_over) = (Arc::clone(&shared.stores[n % 2]), Arc::clone(&over));
        all.spawn(async move {
            while is_over.load(Ordering::SeqCst) == 0 {
                store.insert(ME, vec![job(None)], NOW).await.expect("inserts");
            }
        });
        let (store, is_over) = (Arc::clone(&shared.stores[(n + 1) % 2]), Arc::clone(&over));
        all.spawn(async move {
            while is_over.load(Ordering::SeqCst) == 0 {
                for held in claim(&store, 3).await {
                    complete(&store, &held).await;
                }
            }
        });
        let (store, is_over) = (Arc::clone(&shared.stores[n % 2]), Arc::clone(&over));
        all.spawn(async move {
            let (filter, limit) = (Filter::default(), 100);
            let page = Page { filter, before: None, skip: 0, limit, now: NOW };
            while is_over.load(Ordering::SeqCst) == 0 {
                store.list(ME, page.clone()).await.expect("lists");
                store.count(ME).await.expect("counts");
            }
        });
    }
    let path = shared.path.clone();
    let copy = path.with_extension("copy");
    let backup = tokio::task::spawn_blocking(move || {
        let connection = rusqlite::Connection::open(&path).expect("opens");
        connection.execute("VACUUM INTO ?1", [copy.to_str()]).expect("copies");
        copy
    });
    let copy = backup.await.expect("no panic");
    while begin.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    over.store(1, Ordering::SeqCst);
    while let Some(done) = all.join_next().await {
        done.expect("no call failed");
    }
    let counts = shared.stores[0].count(ME).await.expect("counts");
    let looker = rusqlite::Connection::open(&shared.path).expect("opens");
    for status in Status::ALL {
        let sql = "SELECT count(*) FROM tasks WHERE status = ?1";
        let there: u64 = looker.query_row(sql, [status as u8], |row| row.get(0)).expect("counts");
        assert_eq!(counts.of(status), there, "{status:?}");
    }
    let copied = SqliteStore::open(&copy).expect("the backup opens");
    let whole: u64 = copied.count(ME).await.expect("counts").0.iter().sum();
    let there: u64 = counts.0.iter().sum();
    assert!(whole <= there, "{whole} of {there}");
}

/// What belongs to a task goes with it, and its history never grows beyond what is kept.
#[tokio::test]
async fn nothing_is_left_of_tasks_that_are_gone() {
    let shared = Shared::open();
    let store = &shared.stores[0];
    let tagged = || NewTask { tags: vec!["a".into(), "b".into()], ..job(None) };
    store.insert(ME, vec![tagged(), tagged()], NOW).await.expect("inserts");
    for _ in 0..103 {
        for (held, token) in claim(store, 2).await {
            let (id, finish) = (held.task.id, Finish::Released);
            let end = FinishTask { id, token, finish };
            let sync = Sync { finish: vec![end], ..Sync::default() };
            store.sync(ME, sync, NOW).await.expect("ends");
        }
    }
    let looker = rusqlite::Connection::open(&shared.path).expect("opens");
    let rows = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        looker.query_row(&sql, [], |row| row.get::<_, u32>(0)).expect("counts")
    };
    assert_eq!((rows("attempts"), rows("task_tags")), (200, 4));
    let child =
        NewTask { depends_on: vec![taskflow_core::TaskId::new(1).expect("an id")], ..tagged() };
    store.insert(ME, vec![child], NOW).await.expect("inserts");
    assert_eq!(rows("waits"), 1);
    for id in [3, 1, 2] {
        let id = taskflow_core::TaskId::new(id).expect("an id");
        let delete = taskflow_store::Delete { id, if_version: None };
        store.delete(ME, vec![delete], NOW).await.expect("deletes");
    }
    for table in ["tasks", "attempts", "task_tags", "waits"] {
        assert_eq!(rows(table), 0, "{table}");
    }
}
