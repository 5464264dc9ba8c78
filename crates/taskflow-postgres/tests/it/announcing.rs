//! What one node commits, another one claims a moment later: it is told. Where nobody is told, lanes in which
//! nothing waited are looked at every ten seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskflow_core::{Kind, LeaseToken, NewTask, TenantId, WorkerName};
use taskflow_postgres::{Options, PoolMode, PostgresStore};
use taskflow_store::{Claim, Kinds, Sync, TaskStore, WorkStore};

use crate::databases::{Databases, connect, url_of};

const ME: TenantId = TenantId::DEFAULT;

/// Rounds of each test: fewer seconds in all than that many looks at everything are apart.
const ROUNDS: u8 = 3;

/// What a round may take.
const SOON: Duration = Duration::from_secs(3);

async fn node(name: &str) -> PostgresStore {
    let options = Options { url: url_of(name), pool_size: 4, pool_mode: PoolMode::Session };
    PostgresStore::open(options).await.expect("opens")
}

async fn create(store: &PostgresStore) {
    let now = store.clock().now();
    let new = NewTask { kind: Kind::parse("job").expect("a name"), ..NewTask::titled("t", now) };
    store.insert(ME, vec![new], now).await.expect("creates");
}

async fn claims(store: &PostgresStore) -> bool {
    let claim = Claim {
        worker: WorkerName::parse("w").expect("a name"),
        queues: None,
        kinds: Kinds::AllButBuiltIn,
        lease_seconds: None,
        tokens: vec![LeaseToken::new([1; 16])],
    };
    let sync = Sync { claim: Some(claim), ..Sync::default() };
    !store.sync(ME, sync, store.clock().now()).await.expect("claims").claimed.is_empty()
}

async fn claims_soon(store: &PostgresStore) {
    let begun = Instant::now();
    while !claims(store).await {
        assert!(begun.elapsed() < SOON, "nothing is claimed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Two nodes of which each has heard of the other, and where nothing waits.
async fn nodes() -> (Arc<PostgresStore>, PostgresStore, String) {
    let (here, name) = Databases(PoolMode::Session).named().await;
    let there = node(&name).await;
    create(&there).await;
    claims_soon(&here).await;
    (here, there, name)
}

#[tokio::test]
async fn a_node_claims_soon_what_another_one_committed() {
    let (here, there, _) = nodes().await;
    for _ in 0..ROUNDS {
        // The lane is known to be empty, so that it is not looked at without being told.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!claims(&here).await);
        create(&there).await;
        claims_soon(&here).await;
    }
}

#[tokio::test]
async fn a_node_that_was_alone_tells_one_that_comes() {
    let (here, name) = Databases(PoolMode::Session).named().await;
    let listener = connect(&url_of(&name)).await;
    listener.batch_execute("LISTEN taskflow_ready").await.expect("listens");
    // Long enough that it has seen that nobody else is there.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for _ in 0..ROUNDS {
        let there = node(&name).await;
        create(&here).await;
        claims_soon(&there).await;
        drop(there);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
}

/// The server processes that listen for nodes of a database.
async fn listeners(server: &tokio_postgres::Client, name: &str) -> Vec<i32> {
    let sql = format!(
        "SELECT pid FROM pg_stat_activity \
         WHERE datname = '{name}' AND query ~ 'taskflow_(watch|ready)' AND pid <> pg_backend_pid()"
    );
    let rows = server.query(&sql, &[]).await.expect("reads");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn what_a_node_commits_while_its_connection_is_broken_is_told_on_the_next() {
    let (here, name) = Databases(PoolMode::Session).named().await;
    let server = connect(&url_of("postgres")).await;
    create(&here).await;
    let begun = Instant::now();
    let hearing = loop {
        if let [one] = listeners(&server, &name).await[..] {
            break one;
        }
        assert!(begun.elapsed() < SOON, "it does not listen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let there = node(&name).await;
    claims_soon(&here).await;
    for _ in 0..ROUNDS {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!claims(&here).await);
        let telling = listeners(&server, &name).await;
        for pid in telling.iter().filter(|pid| **pid != hearing) {
            server.execute("SELECT pg_terminate_backend($1)", &[pid]).await.expect("cuts");
        }
        create(&there).await;
        claims_soon(&here).await;
    }
}
