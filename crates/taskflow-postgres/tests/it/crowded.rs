//! What others hold: locks of applications and of other nodes, lanes without work, parents with a
//! crowd behind them. None of it stands in the way of what it is not about.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskflow_core::task::{OnConflict, UniqueKey};
use taskflow_core::{
    Finish, Kind, LeaseToken, NewTask, Priority, QueueName, Status, TaskId, TaskPatch, TenantId,
    WorkerName,
};
use taskflow_postgres::{OpenError, Options, PoolMode, PostgresStore};
use taskflow_store::{
    Claim, Claimed, Delete, Edit, Edited, FinishTask, Inserted, Kinds, StoreError, Sync, TaskStore,
    WorkStore,
};
use tokio_postgres::Client;

use crate::databases::{Databases, connect, url_of};

const ME: TenantId = TenantId::DEFAULT;

/// What a locked neighbour may cost: one wait for a lock, and the time of a slow machine.
const SHORT: Duration = Duration::from_secs(5);

async fn open() -> (Arc<PostgresStore>, Client) {
    let (store, name) = Databases(PoolMode::Session).named().await;
    (store, connect(&url_of(&name)).await)
}

fn job(store: &PostgresStore, title: &str) -> NewTask {
    let kind = Kind::parse("job").expect("a name");
    NewTask { kind, ..NewTask::titled(title, store.clock().now()) }
}

fn keyed(store: &PostgresStore, key: &str) -> NewTask {
    let unique = Some(UniqueKey { key: key.into(), on_conflict: OnConflict::Return });
    NewTask { unique, ..job(store, key) }
}

async fn create(store: &PostgresStore, new: NewTask) -> Result<TaskId, StoreError> {
    let now = store.clock().now();
    let inserted = store.insert(ME, vec![new], now).await?.items.remove(0);
    match inserted {
        Inserted::Created(task) => Ok(task.id),
        other => panic!("{other:?}"),
    }
}

async fn claim(store: &PostgresStore, limit: u8) -> Vec<Claimed> {
    let claim = Claim {
        worker: WorkerName::parse("w").expect("a name"),
        queues: None,
        kinds: Kinds::AllButBuiltIn,
        lease_seconds: None,
        tokens: (0..limit).map(|n| LeaseToken::new([n; 16])).collect(),
    };
    let sync = Sync { claim: Some(claim), ..Sync::default() };
    store.sync(ME, sync, store.clock().now()).await.expect("claims").claimed
}

#[tokio::test]
async fn a_claim_looks_behind_what_other_nodes_hold() {
    let (store, mut other) = open().await;
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(create(&store, job(&store, &n.to_string())).await.expect("creates"));
    }
    let held = other.transaction().await.expect("begins");
    let sql = "SELECT id FROM taskflow.tasks ORDER BY id LIMIT 50 FOR UPDATE";
    held.query(sql, &[]).await.expect("locks");
    let claimed: Vec<TaskId> = claim(&store, 2).await.iter().map(|c| c.task.id).collect();
    assert_eq!(claimed, ids[50..52]);
    held.rollback().await.expect("lets go");
    assert_eq!(claim(&store, 1).await[0].task.id, ids[0]);
}

#[tokio::test]
async fn a_key_that_an_application_holds_blocks_that_key_only() {
    let (store, mut application) = open().await;
    let open = application.transaction().await.expect("begins");
    let sql =
        "SELECT taskflow.enqueue('t', kind => 'job', queue => 'default', unique_key => 'held')";
    open.query_one(sql, &[]).await.expect("enqueues");
    let begin = Instant::now();
    let (held, free, plain) = tokio::join!(
        create(&store, keyed(&store, "held")),
        create(&store, keyed(&store, "free")),
        create(&store, job(&store, "plain")),
    );
    assert!(matches!(held, Err(StoreError::Busy)), "{held:?}");
    assert!(free.is_ok() && plain.is_ok(), "{free:?} {plain:?}");
    assert!(begin.elapsed() < SHORT, "{:?}", begin.elapsed());
    open.commit().await.expect("commits");
    let again = store.insert(ME, vec![keyed(&store, "held")], store.clock().now()).await;
    assert!(matches!(again.expect("answers").items[..], [Inserted::Existing(_)]));
}

#[tokio::test]
async fn a_queue_that_an_application_is_about_to_begin_is_open_to_all() {
    let (store, mut application) = open().await;
    let open = application.transaction().await.expect("begins");
    let sql = "SELECT taskflow.enqueue('theirs', kind => 'job', queue => 'new')";
    open.query_one(sql, &[]).await.expect("enqueues");
    let begin = Instant::now();
    let queue = QueueName::parse("new").expect("a name");
    create(&store, NewTask { queue, ..job(&store, "ours") }).await.expect("creates");
    assert!(begin.elapsed() < Duration::from_millis(900), "{:?}", begin.elapsed());
    assert_eq!(claim(&store, 2).await.len(), 1);
    open.commit().await.expect("commits");
    let found = async {
        while claim(&store, 2).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SHORT, found).await.expect("theirs is found");
}

#[tokio::test]
async fn an_old_task_that_becomes_urgent_is_claimed_at_once() {
    let (store, client) = open().await;
    create(&store, job(&store, "first")).await.expect("creates");
    assert_eq!(claim(&store, 1).await.len(), 1);
    // Two looks: from then on claims begin where the last one was.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let old = create(&store, job(&store, "old")).await.expect("creates");
    let back = "UPDATE taskflow.tasks SET run_at = run_at - 3600000000::int8 WHERE status = 0";
    client.batch_execute(back).await.expect("goes back");
    let patch = TaskPatch { priority: Some(Priority::Urgent), ..TaskPatch::default() };
    let edit = Edit { id: old, if_version: None, patch };
    let edited = store.edit(ME, vec![edit], store.clock().now()).await.expect("edits");
    assert!(matches!(edited.items[..], [Edited::Done(_)]), "{edited:?}");
    let claimed: Vec<TaskId> = claim(&store, 1).await.iter().map(|c| c.task.id).collect();
    assert_eq!(claimed, [old]);
}

/// Tasks 1 to `n`: a parent and `crowd` that wait for it, or a chain where each waits for the one before.
async fn crowd(client: &Client, n: u32, chain: bool) {
    let parent = if chain { "i - 1" } else { "1" };
    client
        .batch_execute(&format!(
            "INSERT INTO taskflow.tasks(id, tenant, status, priority, queue, kind, run_at, blocked_by, \
             max_attempts, lease_seconds, created_at, updated_at, version, title) \
             SELECT i, 1, 0, 1, 'default', 'job', 1, (i > 1)::int, 5, 30, 1, 1, 1, 't' \
             FROM generate_series(1, {n}) AS i; \
             INSERT INTO taskflow.waits(parent, child) SELECT {parent}, i FROM generate_series(2, {n}) AS i; \
             INSERT INTO taskflow.task_count_deltas(tenant, status, queue, kind, priority, n) \
             VALUES (1, 0, 'default', 'job', 1, {n})"
        ))
        .await
        .expect("fills");
}

#[tokio::test]
async fn a_parent_that_is_lost_takes_a_crowd_with_it() {
    for chain in [false, true] {
        let (store, client) = open().await;
        let n = 10_000;
        crowd(&client, n, chain).await;
        let patch = TaskPatch { status: Some(Status::Failed), ..TaskPatch::default() };
        let edit = Edit { id: TaskId::new(1).expect("an id"), if_version: None, patch };
        let edited = store.edit(ME, vec![edit], store.clock().now()).await;
        let edited = edited.expect("it is done").items.remove(0);
        assert!(matches!(edited, Edited::Done(_)), "{edited:?}");
        let counts = store.count(ME).await.expect("counts");
        assert_eq!(counts.of(Status::Cancelled), u64::from(n) - 1, "a chain: {chain}");
        let left =
            client.query_one("SELECT count(*) FROM taskflow.waits", &[]).await.expect("counts");
        assert_eq!(left.get::<_, i64>(0), 0);
    }
}

#[tokio::test]
async fn a_database_that_cannot_keep_every_text_is_refused() {
    let name = format!("tf_test_{}_ascii", std::process::id());
    let server = connect(&url_of("postgres")).await;
    let create = format!(
        "CREATE DATABASE \"{name}\" ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    );
    server.batch_execute(&create).await.expect("creates");
    let options = Options { url: url_of(&name), pool_size: 5, pool_mode: PoolMode::Session };
    let refused = PostgresStore::open(options).await.err();
    let drop = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
    server.batch_execute(&drop).await.expect("drops");
    assert!(matches!(refused, Some(OpenError::Encoding(_))), "{refused:?}");
}

/// Two nodes insert the same keys at once, in batches.
#[tokio::test]
async fn batches_of_two_nodes_that_share_keys_leave_one_task_a_key() {
    let (store, name) = Databases(PoolMode::Session).named().await;
    let options = Options { url: url_of(&name), pool_size: 5, pool_mode: PoolMode::Session };
    let nodes = [store, Arc::new(PostgresStore::open(options).await.expect("opens"))];
    for round in 0..5 {
        let begin = Instant::now();
        let mut asked = tokio::task::JoinSet::new();
        for (n, store) in nodes.iter().cloned().enumerate() {
            asked.spawn(async move {
                let keyed =
                    |at: usize| keyed(&store, &format!("{round}/{}", at * (n * 2 + 1) % 10));
                let batch = (0..100).map(keyed).collect();
                store.insert(ME, batch, store.clock().now()).await.expect("inserts").items
            });
        }
        let mut created = 0;
        while let Some(items) = asked.join_next().await {
            for item in items.expect("no panic") {
                match item {
                    Inserted::Created(_) => created += 1,
                    Inserted::Existing(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(created, 10);
        assert!(begin.elapsed() < SHORT * 2, "{:?}", begin.elapsed());
    }
}

/// What belongs to a task goes with it, and its history never grows beyond what is kept.
#[tokio::test]
async fn nothing_is_left_of_tasks_that_are_gone() {
    let (store, client) = open().await;
    let tagged = || NewTask { tags: vec!["a".into(), "b".into()], ..job(&store, "t") };
    for _ in 0..2 {
        create(&store, tagged()).await.expect("creates");
    }
    for _ in 0..103 {
        let finish =
            claim(&store, 2).await.into_iter().zip(0_u8..).map(|(claimed, n)| FinishTask {
                id: claimed.task.id,
                token: LeaseToken::new([n; 16]),
                finish: Finish::Released,
            });
        let sync = Sync { finish: finish.collect(), ..Sync::default() };
        store.sync(ME, sync, store.clock().now()).await.expect("ends");
    }
    let rows = async |table: &str| {
        let sql = format!("SELECT count(*) FROM taskflow.{table}");
        client.query_one(&sql, &[]).await.expect("counts").get::<_, i64>(0)
    };
    assert_eq!((rows("attempts").await, rows("task_tags").await), (200, 4));
    let first = TaskId::new(1).expect("an id");
    create(&store, NewTask { depends_on: vec![first], ..tagged() }).await.expect("creates");
    assert_eq!(rows("waits").await, 1);
    for id in [3, 1, 2] {
        let delete = Delete { id: TaskId::new(id).expect("an id"), if_version: None };
        store.delete(ME, vec![delete], store.clock().now()).await.expect("deletes");
    }
    for table in ["tasks", "attempts", "task_tags", "waits"] {
        assert_eq!(rows(table).await, 0, "{table}");
    }
}
