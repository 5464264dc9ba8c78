//! Limits of queues over two nodes that claim as fast as they can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use taskflow_core::queue::RateLimit;
use taskflow_core::{
    Finish, Kind, LeaseToken, NewTask, QueueName, QueuePatch, TenantId, WorkerName,
};
use taskflow_postgres::{Options, PoolMode, PostgresStore};
use taskflow_store::{Claim, FinishTask, Kinds, QueueStore, Sync, TaskStore, WorkStore};

use crate::databases::{Databases, connect, url_of};

const ME: TenantId = TenantId::DEFAULT;
const LIMIT: u32 = 7;
const KEY_LIMIT: u32 = 2;

/// Two nodes on one database, and its name.
async fn nodes() -> (Vec<Arc<PostgresStore>>, String) {
    let (store, name) = Databases(PoolMode::Session).named().await;
    let options = Options { url: url_of(&name), pool_size: 5, pool_mode: PoolMode::Session };
    let other = PostgresStore::open(options).await.expect("opens");
    (vec![store, Arc::new(other)], name)
}

async fn set(store: &PostgresStore, patch: QueuePatch) {
    let set = store.set_queue(ME, QueueName::default(), None, patch, store.clock().now());
    set.await.expect("is set");
}

async fn fill(store: &PostgresStore, tasks: u32) {
    let now = store.clock().now();
    let task = |n: u32| NewTask {
        kind: Kind::parse("job").expect("a name"),
        concurrency_key: Some(format!("key {}", n % 4)),
        ..NewTask::titled("t", now)
    };
    store.insert(ME, (0..tasks).map(task).collect(), now).await.expect("creates");
}

async fn claim(store: &PostgresStore, token: u128, finish: Vec<FinishTask>) -> Vec<FinishTask> {
    let tokens = (0..4).map(|n| LeaseToken::new((token * 4 + n).to_be_bytes())).collect();
    let claim = Claim {
        worker: WorkerName::parse("w").expect("a name"),
        queues: None,
        kinds: Kinds::AllButBuiltIn,
        lease_seconds: None,
        tokens,
    };
    let sync = Sync { finish, claim: Some(claim), ..Sync::default() };
    let synced = store.sync(ME, sync, store.clock().now()).await.expect("claims");
    let done = |c: &taskflow_store::Claimed| FinishTask {
        id: c.task.id,
        token: c.token,
        finish: Finish::Completed { result: None },
    };
    synced.claimed.iter().map(done).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_never_hold_more_leases_than_a_queue_and_a_key_allow() {
    let (nodes, name) = nodes().await;
    let limits = QueuePatch {
        concurrency_limit: Some(Some(LIMIT)),
        concurrency_key_limit: Some(Some(KEY_LIMIT)),
        ..QueuePatch::default()
    };
    set(&nodes[0], limits).await;
    fill(&nodes[0], 600).await;
    let over = Arc::new(AtomicBool::new(false));
    let watch = {
        let (client, over) = (connect(&url_of(&name)).await, Arc::clone(&over));
        tokio::spawn(async move {
            let sql = "SELECT coalesce(sum(n), 0)::int8, coalesce(max(n), 0)::int8 FROM (SELECT count(*) \
                       AS n FROM taskflow.tasks WHERE lease_until IS NOT NULL \
                       GROUP BY concurrency_key) AS held";
            let (mut most, mut most_of_key) = (0, 0);
            while !over.load(SeqCst) {
                let row = client.query_one(sql, &[]).await.expect("looks");
                most = most.max(row.get::<_, i64>(0));
                most_of_key = most_of_key.max(row.get::<_, i64>(1));
            }
            (most, most_of_key)
        })
    };
    let (left, tokens) = (Arc::new(AtomicI64::new(600)), Arc::new(AtomicI64::new(1)));
    let mut workers = tokio::task::JoinSet::new();
    for at in 0..8 {
        let (node, left, tokens) = (Arc::clone(&nodes[at % 2]), left.clone(), tokens.clone());
        workers.spawn(async move {
            let mut held = Vec::new();
            let begun = Instant::now();
            while left.load(SeqCst) > 0 {
                assert!(begun.elapsed() < Duration::from_secs(60), "it comes to an end");
                left.fetch_sub(i64::try_from(held.len()).expect("few"), SeqCst);
                let token = u128::try_from(tokens.fetch_add(1, SeqCst)).expect("positive");
                held = claim(&node, token, held).await;
            }
        });
    }
    workers.join_all().await;
    over.store(true, SeqCst);
    let (most, most_of_key) = watch.await.expect("watches");
    assert_eq!(
        (most, most_of_key),
        (i64::from(LIMIT), i64::from(KEY_LIMIT)),
        "reached, never passed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_start_no_more_in_a_span_than_its_rate() {
    let (nodes, name) = nodes().await;
    let rate = RateLimit { tasks: 20, per_seconds: 1 };
    set(&nodes[0], QueuePatch { rate_limit: Some(Some(rate)), ..QueuePatch::default() }).await;
    fill(&nodes[0], 400).await;
    let tokens = Arc::new(AtomicI64::new(1));
    let mut workers = tokio::task::JoinSet::new();
    for at in 0..6 {
        let (node, tokens) = (Arc::clone(&nodes[at % 2]), tokens.clone());
        workers.spawn(async move {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(3) {
                let token = u128::try_from(tokens.fetch_add(1, SeqCst)).expect("positive");
                claim(&node, token, Vec::new()).await;
            }
        });
    }
    workers.join_all().await;
    let client = connect(&url_of(&name)).await;
    let sql =
        "SELECT started_at FROM taskflow.tasks WHERE started_at IS NOT NULL ORDER BY started_at";
    let rows = client.query(sql, &[]).await.expect("looks");
    let starts: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let in_span = |end: i64| starts.iter().filter(|at| (end - 999_999..=end).contains(*at)).count();
    let most = starts.iter().map(|end| in_span(*end)).max().unwrap_or(0);
    assert!(most <= 20, "{most} tasks started within a second");
    assert!(starts.len() >= 40, "{} tasks in three seconds: the rate is used", starts.len());
}

#[tokio::test]
async fn a_creation_waits_for_no_limit_of_a_claim_that_it_could_serve() {
    let (nodes, name) = nodes().await;
    let one = QueuePatch { concurrency_limit: Some(Some(1)), ..QueuePatch::default() };
    set(&nodes[0], one).await;
    // Something waits behind the limit, so that a claim of every queue has to lock its row.
    fill(&nodes[0], 1).await;
    let mut other = connect(&url_of(&name)).await;
    let held = other.transaction().await.expect("begins");
    held.execute("SELECT FROM taskflow.queues FOR UPDATE", &[]).await.expect("locks");
    let now = nodes[0].clock().now();
    let queue = QueueName::parse("free").expect("a name");
    let kind = Kind::parse("job").expect("a name");
    let new = NewTask { queue, kind, ..NewTask::titled("t", now) };
    let claim = Claim {
        worker: WorkerName::parse("w").expect("a name"),
        queues: None,
        kinds: Kinds::AllButBuiltIn,
        lease_seconds: None,
        tokens: vec![LeaseToken::new([7; 16])],
    };
    let begin = Instant::now();
    let served = nodes[0].insert_and_claim(ME, vec![new.clone()], claim.clone(), now).await;
    let served = served.expect("is stored");
    assert_eq!(
        (served.inserted.items.len(), served.synced),
        (1, None),
        "the claimer asks by itself"
    );
    assert!(begin.elapsed() < Duration::from_millis(500), "took {:?}", begin.elapsed());
    held.rollback().await.expect("lets go");
    // One that wishes the free queue only is served.
    let queues = Some(vec![new.queue.clone()]);
    let served = nodes[0].insert_and_claim(ME, vec![new], Claim { queues, ..claim }, now).await;
    assert_eq!(served.expect("is stored").synced.expect("is looked at").claimed.len(), 1);
}
