//! Databases for tests: made from a migrated template, dropped when a later case finds their store
//! gone, at the latest by the next run.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Weak};

use async_trait::async_trait;
use taskflow_postgres::{Options, PoolMode, PostgresStore};
use taskflow_store::Store;
use taskflow_store::conformance::Harness;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

pub(crate) static DATABASES: LazyLock<Databases> = LazyLock::new(Databases::default);

static TEMPLATE: OnceCell<String> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The database of each store that was opened here.
#[derive(Default)]
pub(crate) struct Databases(Mutex<Vec<(Weak<dyn Store>, String)>>);

/// What `scripts/test` says.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The server's own database.
fn url() -> String {
    told("TEST_DATABASE_URL").expect(
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

pub(crate) fn options(name: &str) -> Options {
    let pool_mode = match told("TEST_DATABASE_POOL_MODE").as_deref() {
        Some("transaction") => PoolMode::Transaction,
        _ => PoolMode::Session,
    };
    Options { url: url_of(name), pool_mode, pool_size: 5 }
}

/// Creates a database from the template, which the first case migrates.
pub(crate) async fn create() -> String {
    let template = TEMPLATE
        .get_or_init(|| async {
            let server = server().await;
            drop_leftovers(&server).await;
            let name = format!("tf_test_{}_template", std::process::id());
            server.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await.expect("creates");
            drop(PostgresStore::open(options(&name)).await.expect("migrates"));
            name
        })
        .await;
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
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the template stays in use");
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

impl Databases {
    async fn open(&self, name: String) -> Arc<dyn Store> {
        let store = PostgresStore::open(options(&name)).await.expect("opens");
        let store: Arc<dyn Store> = Arc::new(store);
        self.0.lock().expect("no panic").push((Arc::downgrade(&store), name));
        store
    }

    /// Drops the databases of cases that are over.
    async fn tidy(&self) {
        let over: Vec<String> = {
            let mut known = self.0.lock().expect("no panic");
            known.extract_if(.., |(store, _)| store.strong_count() == 0).map(|(_, n)| n).collect()
        };
        let server = server().await;
        for name in over {
            let sql = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
            server.batch_execute(&sql).await.expect("drops");
        }
    }
}

#[async_trait]
impl Harness for Databases {
    async fn fresh(&self) -> Arc<dyn Store> {
        self.tidy().await;
        self.open(create().await).await
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        assert_eq!(Arc::strong_count(&store), 1, "a case must not keep the store open");
        let name = {
            let mut known = self.0.lock().expect("no panic");
            let at = known
                .iter()
                .position(|(known, _)| std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(&store)));
            known.remove(at.expect("it was opened here")).1
        };
        drop(store);
        self.open(name).await
    }

    fn cross_process(&self) -> bool {
        true
    }
}
