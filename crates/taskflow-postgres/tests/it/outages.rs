//! Servers that take no writes, connections that break, tables that somebody locks, snapshots that nobody
//! closes: what is refused left nothing, and all goes on when it is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskflow_core::task::{OnConflict, UniqueKey};
use taskflow_core::{
    Finish, Kind, LeaseToken, NewTask, QueueName, Status, TaskId, TaskPatch, TenantId, WorkerName,
};
use taskflow_postgres::{PoolMode, PostgresStore};
use taskflow_store::{
    AllInserted, Claim, Claimed, Edit, Filter, FinishTask, Inserted, Kinds, Page, Store,
    StoreError, Sync, TaskStore, WorkStore,
};
use tokio_postgres::Client;

use crate::databases::{Databases, connect, url_of};

const ME: TenantId = TenantId::DEFAULT;

/// What a fault may cost whoever asks meanwhile, on a slow machine.
const SHORT: Duration = Duration::from_secs(10);

async fn open() -> (Arc<PostgresStore>, String) {
    Databases(PoolMode::Session).named().await
}

fn job(store: &PostgresStore, title: &str) -> NewTask {
    let kind = Kind::parse("job").expect("a name");
    NewTask { kind, ..NewTask::titled(title, store.clock().now()) }
}

fn keyed(store: &PostgresStore, title: &str) -> NewTask {
    let unique = Some(UniqueKey { key: title.into(), on_conflict: OnConflict::Return });
    NewTask { unique, ..job(store, title) }
}

async fn create(store: &PostgresStore, new: NewTask) -> Result<TaskId, StoreError> {
    match store.insert(ME, vec![new], store.clock().now()).await?.items.remove(0) {
        Inserted::Created(task) => Ok(task.id),
        other => panic!("{other:?}"),
    }
}

async fn claim(store: &PostgresStore, limit: u8) -> Result<Vec<Claimed>, StoreError> {
    let claim = Claim {
        worker: WorkerName::parse("w").expect("a name"),
        queues: None,
        kinds: Kinds::AllButBuiltIn,
        lease_seconds: None,
        tokens: (0..limit).map(|n| LeaseToken::new([n; 16])).collect(),
    };
    let sync = Sync { claim: Some(claim), ..Sync::default() };
    Ok(store.sync(ME, sync, store.clock().now()).await?.claimed)
}

fn urgent(id: TaskId) -> Edit {
    let patch = TaskPatch { title: Some("edited".into()), ..TaskPatch::default() };
    Edit { id, if_version: None, patch }
}

async fn titles(store: &PostgresStore) -> Vec<String> {
    let (filter, now) = (Filter::default(), store.clock().now());
    let page = Page { filter, before: None, skip: 0, limit: 1000, now };
    let tasks = store.list(ME, page).await.expect("lists").items;
    tasks.into_iter().map(|task| task.title).collect()
}

/// As when it became a standby, or an operator made it so: connections that are open end.
async fn set_read_only(client: &Client, name: &str, on: bool) {
    let word = if on { "on" } else { "off" };
    let sql = format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = {word}");
    client.batch_execute(&sql).await.expect("alters");
    cut(client, name).await;
}

async fn cut(client: &Client, name: &str) {
    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    );
    client.batch_execute(&sql).await.expect("cuts");
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_unavailable_and_nothing_is_in_doubt() {
    let (store, name) = open().await;
    let server = connect(&url_of("postgres")).await;
    let id = create(&store, job(&store, "before")).await.expect("creates");
    set_read_only(&server, &name, true).await;
    // What was under way on a connection that broke is in doubt, as it should be: not this.
    let begin = Instant::now();
    while !matches!(create(&store, job(&store, "cut")).await, Err(StoreError::Unavailable)) {
        assert!(begin.elapsed() < SHORT, "it still writes");
    }
    let now = store.clock().now();
    let unavailable = |what: &str, error: Option<StoreError>| {
        assert!(matches!(error, Some(StoreError::Unavailable)), "{what}: {error:?}");
    };
    unavailable("plain", create(&store, job(&store, "plain")).await.err());
    unavailable("keyed", create(&store, keyed(&store, "keyed")).await.err());
    let all = store.insert_all(ME, vec![job(&store, "all")], now).await;
    unavailable("all", all.err());
    unavailable("claim", claim(&store, 1).await.err());
    unavailable("edit", store.edit(ME, vec![urgent(id)], now).await.err());
    unavailable("health", store.health().await.err());
    assert_eq!(titles(&store).await, ["before"], "reads go on");
    set_read_only(&server, &name, false).await;
    let begin = Instant::now();
    while create(&store, job(&store, "after")).await.is_err() {
        assert!(begin.elapsed() < SHORT, "it does not come back");
    }
    assert_eq!(titles(&store).await, ["after", "before"]);
    assert_eq!(store.count(ME).await.expect("counts").of(Status::Pending), 2);
    assert!(store.health().await.is_ok());
}

#[tokio::test]
async fn a_node_hears_of_others_again_after_its_connections_broke() {
    let (store, name) = open().await;
    let server = connect(&url_of("postgres")).await;
    let mut hints = store.hints();
    // The server process that listens for the node, other than one that is about to end.
    let listening = async |ended: Option<i32>| {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity \
             WHERE datname = '{name}' AND query LIKE '%taskflow_ready%' AND pid IS DISTINCT FROM $1"
        );
        let begin = Instant::now();
        loop {
            if let Some(row) = server.query_opt(&sql, &[&ended]).await.expect("reads") {
                return row.get::<_, i32>(0);
            }
            assert!(begin.elapsed() < SHORT, "it does not listen: {ended:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let first = listening(None).await;
    cut(&server, &name).await;
    listening(Some(first)).await;
    let application = connect(&url_of(&name)).await;
    hints.mark_unchanged();
    let sql = "SELECT taskflow.enqueue('theirs', kind => 'job', queue => 'default')";
    application.batch_execute(sql).await.expect("enqueues");
    // The look that a new listener takes may give a hint of its own, before the one of this task.
    let begin = Instant::now();
    loop {
        let left = SHORT.saturating_sub(begin.elapsed());
        tokio::time::timeout(left, hints.changed()).await.expect("it is told").expect("it is open");
        if claim(&store, 1).await.expect("claims").len() == 1 {
            break;
        }
    }
}

#[tokio::test]
async fn a_table_that_somebody_locks_makes_everything_busy_and_nothing_hang() {
    let (store, name) = open().await;
    let id = create(&store, job(&store, "before")).await.expect("creates");
    let mut other = connect(&url_of(&name)).await;
    let lock = other.transaction().await.expect("begins");
    lock.batch_execute("LOCK TABLE taskflow.tasks").await.expect("locks");
    let begin = Instant::now();
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..30 {
        let store = Arc::clone(&store);
        asked.spawn(async move { create(&store, job(&store, &n.to_string())).await.map(drop) });
    }
    for n in 0..5 {
        let store = Arc::clone(&store);
        asked.spawn(async move { create(&store, keyed(&store, &n.to_string())).await.map(drop) });
    }
    let reads = Arc::clone(&store);
    asked.spawn(async move { reads.get(ME, vec![id]).await.map(drop) });
    let works = Arc::clone(&store);
    asked.spawn(async move { claim(&works, 1).await.map(drop) });
    let edits = Arc::clone(&store);
    asked.spawn(
        async move { edits.edit(ME, vec![urgent(id)], edits.clock().now()).await.map(drop) },
    );
    let sweeps = Arc::clone(&store);
    asked.spawn(async move { sweeps.expire(sweeps.clock().now(), 10).await.map(drop) });
    while let Some(answer) = asked.join_next().await {
        let answer = answer.expect("no panic");
        let busy = matches!(answer, Err(StoreError::Busy | StoreError::Unavailable));
        assert!(busy, "{answer:?} after {:?}", begin.elapsed());
    }
    assert!(begin.elapsed() < SHORT, "{:?}", begin.elapsed());
    lock.rollback().await.expect("lets go");
    create(&store, job(&store, "after")).await.expect("creates");
    assert_eq!(titles(&store).await, ["after", "before"], "what was refused left nothing");
    assert_eq!(store.count(ME).await.expect("counts").of(Status::Pending), 2);
}

#[tokio::test]
async fn many_long_names_and_payloads_are_one_batch() {
    let (store, name) = open().await;
    let other = connect(&url_of(&name)).await;
    let payload = format!("\"{}\"", "x".repeat(64 * 1024 - 2));
    let payload = taskflow_core::Json::parse(&payload).expect("well-formed");
    let new = |n: usize| {
        let queue = QueueName::parse(&format!("{:-<100}", format!("q{n}"))).expect("a name");
        NewTask { queue, payload: Some(payload.clone()), ..job(&store, "t") }
    };
    other.batch_execute("LISTEN taskflow_ready").await.expect("listens");
    let now = store.clock().now();
    let each = store.insert(ME, (0..300).map(new).collect(), now).await.expect("inserts");
    assert!(each.items.iter().all(|item| matches!(item, Inserted::Created(_))));
    let all = store.insert_all(ME, (300..600).map(new).collect(), now).await.expect("inserts");
    assert!(matches!(all, AllInserted::Done(answers) if answers.items.len() == 300));
    assert_eq!(claim(&store, 10).await.expect("claims").len(), 10);
    assert_eq!(store.count(ME).await.expect("counts").of(Status::Pending), 590);
}

/// Rows that an old snapshot keeps are passed over once and not with every claim.
#[tokio::test]
async fn an_old_snapshot_does_not_make_claims_slower() {
    let (store, name) = open().await;
    let mut other = connect(&url_of(&name)).await;
    create(&store, job(&store, "first")).await.expect("creates");
    let held = other
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .start()
        .await
        .expect("begins");
    held.query("SELECT 1 FROM taskflow.tasks LIMIT 1", &[]).await.expect("looks");
    for _ in 0..20 {
        let batch = (0..500).map(|_| job(&store, "t")).collect();
        store.insert(ME, batch, store.clock().now()).await.expect("inserts");
        loop {
            let claimed = claim(&store, 250).await.expect("claims");
            if claimed.is_empty() {
                break;
            }
            let finished = claimed.into_iter().zip(0_u8..).map(|(claimed, n)| FinishTask {
                id: claimed.task.id,
                token: LeaseToken::new([n; 16]),
                finish: Finish::Completed { result: None },
            });
            let sync = Sync { finish: finished.collect(), ..Sync::default() };
            store.sync(ME, sync, store.clock().now()).await.expect("finishes");
        }
    }
    // Claims begin a second before the claim that came before a look of the keeper.
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(claim(&store, 1).await.expect("claims"), []);
        store.expire(store.clock().now(), 10).await.expect("sweeps");
    }
    let watcher = connect(&url_of(&name)).await;
    let read = async || {
        let sql = "SELECT pg_stat_force_next_flush(), coalesce(sum(idx_tup_read), 0)::int8 \
                   FROM pg_stat_user_indexes WHERE indexrelname IN ('tasks_ready', 'tasks_leased')";
        watcher.query_one(sql, &[]).await.expect("counts").get::<_, i64>(1)
    };
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = read().await;
    for _ in 0..20 {
        create(&store, job(&store, "late")).await.expect("creates");
        assert_eq!(claim(&store, 1).await.expect("claims").len(), 1);
        store.expire(store.clock().now(), 10).await.expect("sweeps");
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let passed = read().await - before;
    assert!(passed < 50_000, "{passed} index entries for 20 tasks behind 10,000 dead ones");
    held.commit().await.expect("ends");
}

#[tokio::test]
async fn reads_that_take_all_their_connections_hold_up_no_duty() {
    let (store, name) = open().await;
    let id = create(&store, job(&store, "t")).await.expect("creates");
    let mut other = connect(&url_of(&name)).await;
    let lock = other.transaction().await.expect("begins");
    lock.batch_execute("LOCK TABLE taskflow.attempts").await.expect("locks");
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let store = Arc::clone(&store);
        reads.spawn(async move { store.attempts(ME, id).await.map(drop) });
    }
    let begin = Instant::now();
    for _ in 0..5 {
        store.health().await.expect("it answers");
        store.due(store.clock().now(), store.clock().now()).await.expect("it looks");
        assert!(claim(&store, 1).await.is_ok() && create(&store, job(&store, "t")).await.is_ok());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    lock.rollback().await.expect("lets go");
    while let Some(read) = reads.join_next().await {
        // Those that waited for too long are told that it is busy, not that the database is away.
        assert!(matches!(read.expect("no panic"), Ok(()) | Err(StoreError::Busy)));
    }
}
