//! Databases for tests: made from a migrated template, dropped when a later case finds their store
//! gone, at the latest by the next run. It knows no case.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use taskflow_postgres::{Options, PoolMode, PostgresStore};
use taskflow_store::Store;
use taskflow_store::conformance::Harness;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio_postgres::{Client, NoTls};

/// Connections of one store's pool.
const POOL: u32 = 5;

/// Connections of one case: the pool, the listener, and two that create the database or drop it.
const OF_A_CASE: usize = POOL as usize + 3;

/// Connections that are left to others: the server's reserve, and whoever looks at it.
const SPARE: usize = 20;

/// How long a case waits before it looks again whether another one is over.
const AGAIN: Duration = Duration::from_millis(20);

static PREPARED: OnceCell<Prepared> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(0);
static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());

/// What the first case makes for all of them.
struct Prepared {
    /// The name of a database that is migrated and empty.
    template: String,
    /// One for each store that may be open at once: a machine with many cores runs more cases than
    /// the server has connections for.
    slots: Semaphore,
}

/// The database of a store that was opened here.
struct Open {
    store: Weak<dyn Store>,
    name: String,
    slot: SemaphorePermit<'static>,
}

/// Makes stores that reach their databases in this mode.
pub(crate) struct Databases(pub(crate) PoolMode);

/// The server's own database.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
fn url() -> String {
    std::env::var("TEST_DATABASE_URL").expect(
        "these tests need PostgreSQL: run scripts/test, or set TEST_DATABASE_URL to a server whose \
         user may create databases",
    )
}

/// The URL of a database on the server.
pub(crate) fn url_of(name: &str) -> String {
    let url = url();
    let (server, database) = url.rsplit_once('/').expect("a URL with a database");
    match database.split_once('?') {
        Some((_, options)) => format!("{server}/{name}?{options}"),
        None => format!("{server}/{name}"),
    }
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
    tokio::spawn(async move { drop(connection.await) });
    client
}

async fn server() -> Client {
    connect(&url()).await
}

async fn prepared() -> &'static Prepared {
    PREPARED
        .get_or_init(|| async {
            let server = server().await;
            drop_leftovers(&server).await;
            let template = format!("tf_test_{}_template", std::process::id());
            server
                .batch_execute(&format!("CREATE DATABASE \"{template}\""))
                .await
                .expect("creates");
            drop(Databases(PoolMode::Session).store(&template).await);
            let sql = "SELECT current_setting('max_connections')::int4";
            let connections: i32 = server.query_one(sql, &[]).await.expect("says").get(0);
            let connections = usize::try_from(connections).expect("positive");
            let slots = (connections.saturating_sub(SPARE) / OF_A_CASE).max(1);
            Prepared { template, slots: Semaphore::new(slots) }
        })
        .await
}

/// Databases of test runs that are over.
async fn drop_leftovers(server: &Client) {
    let sql = "SELECT datname FROM pg_database WHERE datname LIKE 'tf_test_%'";
    for row in server.query(sql, &[]).await.expect("lists") {
        let name: String = row.get(0);
        let pid = name.split('_').nth(2).unwrap_or_default().to_owned();
        if !std::path::Path::new("/proc").join(&pid).exists() {
            let sql = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
            // Another run may drop it at the same moment.
            drop(server.batch_execute(&sql).await);
        }
    }
}

/// Creates a database from the template.
async fn create() -> String {
    let template = &prepared().await.template;
    let name = format!("tf_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst));
    let server = server().await;
    // The template's last connections may be closing still.
    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{template}'"
    );
    for _ in 0..100 {
        server.batch_execute(&sql).await.expect("asks");
        let sql = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"");
        if server.batch_execute(&sql).await.is_ok() {
            return name;
        }
        tokio::time::sleep(AGAIN).await;
    }
    panic!("the template stays in use");
}

/// Waits until one more store may be open.
async fn slot() -> SemaphorePermit<'static> {
    loop {
        tidy().await;
        if let Ok(slot) = prepared().await.slots.try_acquire() {
            return slot;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Drops the databases of cases that are over; their slots are free then.
async fn tidy() {
    let over: Vec<Open> = {
        let mut known = OPEN.lock().expect("no panic");
        known.extract_if(.., |open| open.store.strong_count() == 0).collect()
    };
    if over.is_empty() {
        return;
    }
    let server = server().await;
    for Open { name, slot, .. } in over {
        let sql = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
        server.batch_execute(&sql).await.expect("drops");
        drop(slot);
    }
}

impl Databases {
    async fn store(&self, name: &str) -> PostgresStore {
        let options = Options { url: url_of(name), pool_mode: self.0, pool_size: POOL };
        PostgresStore::open(options).await.expect("opens")
    }

    async fn open(&self, name: String, slot: SemaphorePermit<'static>) -> Arc<PostgresStore> {
        let opened = Arc::new(self.store(&name).await);
        let store: Arc<dyn Store> = opened.clone();
        OPEN.lock().expect("no panic").push(Open { store: Arc::downgrade(&store), name, slot });
        opened
    }

    /// An empty store, and the name of its database, which lasts no longer than the store.
    pub(crate) async fn named(&self) -> (Arc<PostgresStore>, String) {
        let slot = slot().await;
        let name = create().await;
        (self.open(name.clone(), slot).await, name)
    }
}

#[async_trait]
impl Harness for Databases {
    async fn fresh(&self) -> Arc<dyn Store> {
        self.named().await.0
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        assert_eq!(Arc::strong_count(&store), 1, "a case must not keep the store open");
        let Open { name, slot, .. } = {
            let mut known = OPEN.lock().expect("no panic");
            let at = known
                .iter()
                .position(|open| std::ptr::addr_eq(open.store.as_ptr(), Arc::as_ptr(&store)));
            known.remove(at.expect("it was opened here"))
        };
        drop(store);
        self.open(name, slot).await
    }

    fn cross_process(&self) -> bool {
        true
    }
}
