//! What is kept for searches does not outlive its tasks.

use taskflow_core::{NewTask, TaskId, TenantId, Timestamp};
use taskflow_sqlite::SqliteStore;
use taskflow_store::{Delete, SearchStore, TaskStore};

const ME: TenantId = TenantId::DEFAULT;
const NOW: Timestamp = Timestamp::from_micros(1_000_000);

/// One task and one step.
async fn another(store: &SqliteStore) {
    store.insert(ME, vec![NewTask::titled("haystack", NOW)], NOW).await.expect("inserts");
    store.sketch(1).await.expect("sketches");
}

#[tokio::test]
async fn sketches_of_tasks_that_are_gone_go_while_every_step_makes_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let store = SqliteStore::open(&path).expect("opens");
    for _ in 0..8 {
        another(&store).await;
    }
    for n in 1..=5 {
        let delete = Delete { id: TaskId::new(n).expect("an id"), if_version: None };
        store.delete(ME, vec![delete], NOW).await.expect("deletes");
    }
    for _ in 0..4 {
        another(&store).await;
    }
    let looker = rusqlite::Connection::open(&path).expect("opens");
    let sql = "SELECT count(*), count(*) FILTER (WHERE last <= 5) FROM search_sketches";
    let counted = looker.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (all, gone): (i64, i64) = counted.expect("counts");
    assert!(all > 3, "every step made one, and {all} are left");
    assert_eq!(gone, 0);
}
