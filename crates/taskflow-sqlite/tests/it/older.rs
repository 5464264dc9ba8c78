//! A file of the schema before, opened by the program of today.

use taskflow_core::retention::Periods;
use taskflow_core::series::{Counter, Minute};
use taskflow_core::{NewTask, Retention, TenantId, Timestamp};
use taskflow_sqlite::SqliteStore;
use taskflow_store::{RetentionStore, StatsStore, TaskStore};

const NOW: Timestamp = Timestamp::from_micros(10_000_000);

#[tokio::test]
async fn tasks_that_ended_under_schema_2_are_removed_like_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let older = rusqlite::Connection::open(&path).expect("opens");
    older.execute_batch(include_str!("../../migrations/0001_tasks.sql")).expect("schema 1");
    older.execute_batch(include_str!("../../migrations/0002_walks.sql")).expect("schema 2");
    older.pragma_update(None, "user_version", 2).expect("set");
    older
        .execute_batch(
            "INSERT INTO tasks(id, tenant, status, priority, queue, kind, run_at, retrying, blocked_by, \
             attempt, uncounted, max_attempts, lease_seconds, created_at, updated_at, ended_at, \
             completed_at, version, title) VALUES (1, 1, 2, 1, 'default', 'log', 1, 0, 0, 1, 0, 5, 30, \
             1, 2, 2, 2, 3, 'old'), (2, 1, 0, 1, 'default', 'log', 1, 0, 0, 0, 0, 5, 30, 1, 1, NULL, \
             NULL, 1, 'waits');
             INSERT INTO task_counts VALUES (1, 2, 'default', 'log', 1, 1), \
             (1, 0, 'default', 'log', 1, 1);",
        )
        .expect("filled");
    drop(older);
    let store = SqliteStore::open(&path).expect("opens and migrates");
    let everywhere = Periods { completed: Some(5), ..Periods::default() };
    let retention = Retention { everywhere, ..Retention::default() };
    assert_eq!(store.prune(&retention, NOW, 10).await.expect("pruned").deleted, 1);
    assert_eq!(store.count(TenantId::DEFAULT).await.expect("counted").0, [1, 0, 0, 0, 0]);
    let new = vec![NewTask::titled("new", NOW)];
    store.insert(TenantId::DEFAULT, new, NOW).await.expect("inserted");
    let minute = Minute::of(NOW);
    let series = store.series(TenantId::DEFAULT, None, minute, minute).await.expect("told");
    assert_eq!(series[0].1.of(Counter::Created), 1);
}

#[tokio::test]
async fn minutes_are_kept_for_a_day_and_a_hundred_queues() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let store = SqliteStore::open(&path).expect("opens");
    let named = |n: u32| {
        let queue = taskflow_core::QueueName::parse(&format!("customer-{n}")).expect("a name");
        NewTask { queue, ..NewTask::titled("t", NOW) }
    };
    let insert = |batch: Vec<NewTask>, minutes: u32| {
        store.insert(TenantId::DEFAULT, batch, NOW.plus_seconds(60.0 * f64::from(minutes)))
    };
    insert((0..250).map(named).collect(), 0).await.expect("inserted");
    insert(vec![named(0), named(249)], 0).await.expect("inserted");
    let rows = |of: &str| -> i64 {
        let reader = rusqlite::Connection::open(&path).expect("opens");
        let sql = format!("SELECT count(*) FROM series WHERE {of}");
        reader.query_row(&sql, [], |row| row.get(0)).expect("counts")
    };
    assert_eq!((rows("queue <> ''"), rows("queue = ''")), (100, 1));
    let (first, last) = (Minute::of(NOW), Minute::of(NOW).plus(5_000));
    let told = store.series(TenantId::DEFAULT, None, first, last).await.expect("told");
    assert_eq!(told[0].1.of(Counter::Created), 252);
    insert(vec![named(0)], 1_440).await.expect("inserted");
    assert_eq!(rows("queue = ''"), 2, "a day ago is not too old");
    insert(vec![named(0)], 1_441).await.expect("inserted");
    assert_eq!((rows("queue <> ''"), rows("queue = ''")), (2, 2));
}
