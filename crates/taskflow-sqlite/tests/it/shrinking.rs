//! What becomes of the file when many tasks are removed.

use std::path::Path;
use std::time::{Duration, Instant};

use taskflow_core::retention::Periods;
use taskflow_core::{Json, NewTask, Retention, Status, TaskPatch, TenantId, Timestamp};
use taskflow_sqlite::SqliteStore;
use taskflow_store::{Edit, Inserted, RetentionStore, TaskStore};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

/// Enough that free pages are given back: some 16 MiB.
const TASKS: usize = 2_000;

/// Makes and cancels many tasks.
async fn fill(store: &SqliteStore) {
    let payload = Json::parse(&format!("\"{}\"", "x".repeat(8_000))).expect("is JSON");
    for _ in 0..TASKS / 500 {
        let new = NewTask { payload: Some(payload.clone()), ..NewTask::titled("large", NOW) };
        let inserted = store.insert(TenantId::DEFAULT, vec![new; 500], NOW).await;
        let patch = TaskPatch { status: Some(Status::Cancelled), ..TaskPatch::default() };
        let edits = inserted.expect("inserted").items.into_iter().map(|inserted| match inserted {
            Inserted::Created(task) => Edit { id: task.id, if_version: None, patch: patch.clone() },
            other => panic!("not created: {other:?}"),
        });
        store.edit(TenantId::DEFAULT, edits.collect(), NOW).await.expect("edited");
    }
}

/// Removes all that has ended.
async fn prune(store: &SqliteStore) {
    let everywhere = Periods { cancelled: Some(1), ..Periods::default() };
    let retention = Retention { everywhere, ..Retention::default() };
    let (mut deleted, later) = (0, NOW.plus_seconds(1.0));
    while deleted < TASKS as u32 {
        let step = store.prune(&retention, later, 500).await.expect("pruned");
        assert!(step.deleted > 0, "only {deleted} went");
        deleted += step.deleted;
    }
}

fn pragma(path: &Path, name: &str) -> i64 {
    let connection = rusqlite::Connection::open(path).expect("opens");
    connection.pragma_query_value(None, name, |row| row.get(0)).expect("a number")
}

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).expect("is there").len()
}

#[tokio::test]
async fn a_file_that_held_many_removed_tasks_is_smaller_afterwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let store = SqliteStore::open(&path).expect("opens");
    fill(&store).await;
    drop(store);
    let full = bytes(&path);
    assert!(full > 16_000_000, "{full}");
    let store = SqliteStore::open(&path).expect("opens");
    prune(&store).await;
    let begun = Instant::now();
    // By itself, while nobody asks for anything.
    while pragma(&path, "freelist_count") >= 1024 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the free pages stay");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.count(TenantId::DEFAULT).await.expect("counted").0, [0; 5]);
    drop(store);
    assert!(bytes(&path) < full / 2, "{} of {full} bytes are left", bytes(&path));
    let connection = rusqlite::Connection::open(&path).expect("opens");
    let whole: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(whole, "ok");
}

#[tokio::test]
async fn a_file_that_was_made_without_auto_vacuum_uses_its_free_pages_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let older = rusqlite::Connection::open(&path).expect("opens");
    older.pragma_update(None, "application_id", 0x5446_4C57).expect("is ours");
    drop(older);
    let store = SqliteStore::open(&path).expect("opens");
    fill(&store).await;
    let full = pragma(&path, "page_count");
    prune(&store).await;
    fill(&store).await;
    let again = pragma(&path, "page_count");
    assert!(again < full + full / 10, "{again} pages, and {full} before");
    assert_eq!(pragma(&path, "auto_vacuum"), 0);
}
