//! A file of the schema before, opened by the program of today.

use taskflow_core::{NewTask, TenantId, Timestamp};
use taskflow_sqlite::SqliteStore;
use taskflow_store::{Filter, Inserted, Page, TaskStore};

const SCHEMA_2: &str = concat!(
    include_str!("../../migrations/0001_tasks.sql"),
    include_str!("../../migrations/0002_walks.sql"),
    "PRAGMA user_version = 2;"
);

async fn listed(store: &SqliteStore, filter: Filter) -> Vec<i64> {
    let now = Timestamp::from_micros(9_000_000);
    let page = Page { filter, before: None, skip: 0, limit: 3, now };
    let tasks = store.list(TenantId::DEFAULT, page).await.expect("listed").items;
    tasks.iter().map(|task| task.id.get()).collect()
}

#[tokio::test]
async fn tasks_of_schema_2_are_in_every_list_of_today() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let old = rusqlite::Connection::open(&path).expect("opens");
    old.execute_batch(SCHEMA_2).expect("made");
    // The clock was an hour ahead for the first of them.
    old.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO tasks(id, tenant, status, priority, queue, kind, run_at, retrying, blocked_by, \
         attempt, uncounted, max_attempts, lease_seconds, created_at, updated_at, version, title, tags) \
         SELECT i, 1, 0, 1, 'q' || (i % 2), 'k', i, 0, 0, 0, 0, 5, 30, \
         i + (i < 10) * 3600000000, i, 1, 't', CASE i WHEN 7 THEN '[\"a\",\"é\"]' END FROM n; \
         INSERT INTO task_counts VALUES (1, 0, 'q0', 'k', 1, 1500), (1, 0, 'q1', 'k', 1, 1500);",
    )
    .expect("filled");
    drop(old);
    let store = SqliteStore::open(&path).expect("opens");
    let tag = Some("é".to_owned());
    assert_eq!(listed(&store, Filter { tag, ..Filter::default() }).await, [7]);
    let queue = taskflow_core::QueueName::parse("q1").ok();
    assert_eq!(listed(&store, Filter { queue, ..Filter::default() }).await, [2999, 2997, 2995]);
    for (after, ids) in [(2_998, [3_000, 2_999, 9]), (3_600_000_005, [9, 8, 7])] {
        let created_after = Some(Timestamp::from_micros(after));
        assert_eq!(listed(&store, Filter { created_after, ..Filter::default() }).await, ids);
    }
    let new = NewTask::titled("t", Timestamp::from_micros(9_000_000));
    let answers = store.insert(TenantId::DEFAULT, vec![new], Timestamp::from_micros(9_000_000));
    let items = answers.await.expect("inserted").items;
    assert!(matches!(&items[..], [Inserted::Created(task)] if task.id.get() == 3_001));
}
