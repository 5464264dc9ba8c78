//! A node whose wall clock and the database's are an hour apart: the database's counts.

use std::time::{SystemTime, UNIX_EPOCH};

use taskflow_postgres::{Options, PoolMode, PostgresStore};
use taskflow_store::Store;

use crate::databases::{Databases, connect, url_of};

/// In front of PostgreSQL's own clock, for whoever has the schema on the path: what a node would see
/// whose own clock is an hour ahead.
const BEHIND: &str = "CREATE SCHEMA behind; \
    CREATE FUNCTION behind.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
    $$ SELECT pg_catalog.clock_timestamp() - interval '1 hour' $$";

const HOUR: i64 = 3_600_000_000;

#[expect(clippy::disallowed_methods, reason = "the wall clock is what is compared")]
fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before the year 294000")
}

#[tokio::test]
async fn a_node_s_wall_clock_counts_for_nothing_and_its_lead_is_shown() {
    let (_held, name) = Databases(PoolMode::Session).named().await;
    connect(&url_of(&name)).await.batch_execute(BEHIND).await.expect("creates");
    let url = url_of(&name);
    let sign = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{sign}options=-c%20search_path%3Dbehind,pg_catalog");
    let options = Options { url, pool_size: 2, pool_mode: PoolMode::Session };
    let store = PostgresStore::open(options).await.expect("opens");

    let apart = wall() - store.clock().now().micros();
    assert!((apart - HOUR).abs() < 1_000_000, "{apart}");
    let lead = store.health().await.expect("answers").clock_lead_ms.expect("a lead");
    assert!((lead - HOUR / 1000).abs() < 1000, "{lead}");
}
