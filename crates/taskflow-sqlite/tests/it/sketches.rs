//! What is kept for searches and lists does not outlive its tasks.

use taskflow_core::{NewTask, TaskId, TenantId, Timestamp};
use taskflow_sqlite::SqliteStore;
use taskflow_store::{Delete, Filter, ListStore, Page, SearchStore, TaskStore};

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

/// Removes the tasks of some ids.
async fn remove(store: &SqliteStore, ids: std::ops::RangeInclusive<i64>) {
    let delete = |n| Delete { id: TaskId::new(n).expect("an id"), if_version: None };
    store.delete(ME, ids.map(delete).collect(), NOW).await.expect("deletes");
}

fn births(looker: &rusqlite::Connection) -> Vec<i64> {
    let mut statement =
        looker.prepare("SELECT id FROM task_births ORDER BY at, id").expect("is SQL");
    let ids = statement.query_map([], |row| row.get(0)).expect("reads");
    ids.collect::<Result<_, _>>().expect("reads")
}

#[tokio::test]
async fn what_tells_when_tasks_were_created_goes_with_them_but_for_the_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let store = SqliteStore::open(&path).expect("opens");
    let looker = rusqlite::Connection::open(&path).expect("opens");
    let new = vec![NewTask::titled("t", NOW); 4_200];
    store.insert(ME, new, NOW).await.expect("inserts");
    assert_eq!(births(&looker), [1_024, 2_048, 3_072, 4_096]);
    remove(&store, 1..=2_048).await;
    remove(&store, 3_073..=4_096).await;
    store.sketch(10_000).await.expect("works");
    assert_eq!(births(&looker), [3_072, 4_096]);
    let after = Some(NOW.plus_seconds(-1.0));
    let filter = Filter { created_after: after, ..Filter::default() };
    let page = Page { filter, before: None, skip: 0, limit: 5_000, now: NOW };
    assert_eq!(store.find(ME, page).await.expect("finds").items.len(), 1_024 + 104);
    remove(&store, 2_049..=4_200).await;
    store.sketch(10_000).await.expect("works");
    assert_eq!(births(&looker), [4_096]);
}
