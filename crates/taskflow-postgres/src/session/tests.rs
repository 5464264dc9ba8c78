//! What goes back to the pool. They need a server (`TEST_DATABASE_URL`), as those in `tests/it` do.

use std::time::Duration;

use crate::connect::{self, Pool};
use crate::options::{Options, PoolMode};
use crate::tests::url;

/// A pool with one connection, in this mode.
fn pool(pool_mode: PoolMode) -> Pool {
    let options = Options { url: url(), pool_size: 5, pool_mode };
    let server = connect::server(&options, "session tests").expect("a configuration");
    Pool::new(server, &options, 1).expect("a pool")
}

#[tokio::test]
async fn a_statement_that_nobody_waits_for_is_cancelled_and_its_connection_closed() {
    for mode in [PoolMode::Session, PoolMode::Transaction] {
        let pool = pool(mode);
        let session = pool.take().await.expect("connects");
        let pid: i32 = session.query("SELECT pg_backend_pid()", &[]).await.expect("says")[0].get(0);
        let slow = session.query("SELECT pg_sleep(30)", &[]);
        assert!(tokio::time::timeout(Duration::from_millis(100), slow).await.is_err());
        drop(session);
        let next = pool.take().await.expect("connects");
        let gone = async {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
            let asked = [(&pid as &(dyn tokio_postgres::types::ToSql + Sync), super::Type::INT4)];
            while next.query(sql, &asked).await.expect("counts")[0].get::<_, i64>(0) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("it was cancelled");
    }
}

#[tokio::test]
async fn a_transaction_that_was_left_open_does_not_go_back() {
    let pool = pool(PoolMode::Session);
    let session = pool.take().await.expect("connects");
    let pid = |rows: Vec<tokio_postgres::Row>| rows[0].get::<_, i32>(0);
    session.begin().await.expect("begins");
    let first = pid(session.query("SELECT pg_backend_pid()", &[]).await.expect("says"));
    drop(session);
    let session = pool.take().await.expect("connects");
    let second = pid(session.query("SELECT pg_backend_pid()", &[]).await.expect("says"));
    assert_ne!(first, second);
    session.begin().await.expect("begins");
    session.execute("COMMIT").await.expect("commits");
    drop(session);
    let session = pool.take().await.expect("connects");
    let third = pid(session.query("SELECT pg_backend_pid()", &[]).await.expect("says"));
    assert_eq!(second, third, "one that was ended does");
}
