//! What the store does with files that are not its own, and with a second opener.

use std::path::Path;
use std::sync::Arc;

use taskflow_core::{NewTask, TaskId, TenantId, Timestamp, WorkerName};
use taskflow_sqlite::{OpenError, SqliteStore};
use taskflow_store::{Filter, Inserted, Page, Store, StoreError, TaskStore, WorkerStore};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn refused(path: &Path) -> OpenError {
    SqliteStore::open(path).expect_err("must be refused")
}

fn written(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    std::fs::write(&path, content).expect("written");
    (folder, path)
}

#[tokio::test]
async fn a_text_file_is_refused_and_left_as_it_is() {
    let text = b"this is my diary, not a database\n".repeat(50);
    let (_folder, path) = written(&text);
    assert!(matches!(refused(&path), OpenError::Damaged(_)));
    assert_eq!(std::fs::read(&path).expect("still there"), text);
}

#[tokio::test]
async fn another_program_s_database_is_refused() {
    let (_folder, path) = written(b"");
    let other = rusqlite::Connection::open(&path).expect("opens");
    other.execute_batch("CREATE TABLE tasks(id INTEGER, title TEXT)").expect("made");
    drop(other);
    let before = std::fs::read(&path).expect("read");
    assert!(matches!(refused(&path), OpenError::Foreign(_)));
    assert_eq!(std::fs::read(&path).expect("read"), before, "not a byte is changed");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (_folder, path) = written(b"");
    drop(SqliteStore::open(&path).expect("opens"));
    let newer = rusqlite::Connection::open(&path).expect("opens");
    newer.pragma_update(None, "user_version", taskflow_sqlite::SCHEMA + 1).expect("set");
    drop(newer);
    let error = refused(&path);
    assert!(matches!(error, OpenError::TooNew { .. }), "{error}");
    assert!(error.to_string().contains("tasks.db"), "it names the file: {error}");
}

#[tokio::test]
async fn a_file_of_schema_2_gets_its_workers_with_the_tasks_that_they_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let worker = WorkerName::parse("w1").expect("a name");
    let before = rusqlite::Connection::open(&path).expect("opens");
    before.execute_batch(include_str!("../../migrations/0001_tasks.sql")).expect("schema 1");
    before.execute_batch(include_str!("../../migrations/0002_walks.sql")).expect("schema 2");
    before
        .execute_batch(&format!(
            "INSERT INTO tasks(id, tenant, status, priority, queue, kind, run_at, retrying, blocked_by, \
             attempt, uncounted, max_attempts, lease_seconds, lease_token, lease_until, lease_length, \
             worker, created_at, updated_at, started_at, version, title) VALUES (1, 1, 1, 1, 'default', \
             'work', 1, 0, 0, 1, 0, 5, 30, zeroblob(16), {0} + 1000000, 30, 'w1', 1, {0}, {0}, 2, 'held'); \
             INSERT INTO task_counts VALUES (1, 1, 'default', 'work', 1, 1); PRAGMA user_version = 2",
            NOW.micros()
        ))
        .expect("as it was");
    drop(before);
    let store = SqliteStore::open(&path).expect("opens");
    assert_eq!(store.drained(NOW).await.expect("reads"), []);
    let held = store.holds(TenantId::DEFAULT, vec![worker.clone()]).await.expect("reads");
    assert_eq!(held[0].count, 1);
    let released = store.release(TenantId::DEFAULT, worker, 10, NOW).await.expect("releases");
    assert_eq!(released.items, [TaskId::new(1).expect("an id")]);
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let error = refused(Path::new("/nowhere/at/all/tasks.db"));
    assert!(matches!(error, OpenError::NoFolder(_)), "{error}");
}

#[tokio::test]
async fn a_truncated_database_is_never_overwritten() {
    let (_folder, path) = written(b"");
    let store = SqliteStore::open(&path).expect("opens");
    insert(&store, "one").await;
    drop(store);
    let whole = std::fs::read(&path).expect("read");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("cut");
    let cut = std::fs::read(&path).expect("read");
    // Opening may or may not notice; what is left is never made smaller or empty.
    drop(SqliteStore::open(&path));
    assert!(std::fs::read(&path).expect("read").len() >= cut.len());
}

#[tokio::test]
async fn a_torn_database_is_refused() {
    let (_folder, path) = written(b"");
    let store = SqliteStore::open(&path).expect("opens");
    insert(&store, "one").await;
    drop(store);
    let whole = std::fs::read(&path).expect("read");
    std::fs::write(&path, &whole[..whole.len() - 1000]).expect("cut");
    assert!(matches!(refused(&path), OpenError::Damaged(_)));
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_written_into_a_file_that_was_removed() {
    let (folder, path) = written(b"");
    let store = SqliteStore::open(&path).expect("opens");
    insert(&store, "one").await;
    let aside = folder.path().join("aside.db");
    std::fs::rename(&path, &aside).expect("moved");
    let create = || store.insert(TenantId::DEFAULT, vec![NewTask::titled("x", NOW)], NOW);
    // It looks every half second.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while create().await.is_ok() {
        assert!(std::time::Instant::now() < deadline, "writes still go into the removed file");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    std::fs::rename(&aside, &path).expect("moved back");
    create().await.expect("it goes on when the file is back");
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_whose_file_was_removed_or_replaced_is_not_healthy_until_it_is_back() {
    let (folder, path) = written(b"");
    let store = SqliteStore::open(&path).expect("opens");
    // Its connection stays open and could still read.
    store.health().await.expect("healthy");
    let aside = folder.path().join("aside.db");
    std::fs::rename(&path, &aside).expect("moved");
    assert!(matches!(store.health().await, Err(StoreError::Unavailable)));
    std::fs::write(&path, b"another file").expect("written");
    assert!(matches!(store.health().await, Err(StoreError::Unavailable)));
    std::fs::rename(&aside, &path).expect("moved back");
    store.health().await.expect("healthy again");
}

#[tokio::test]
async fn a_page_that_is_too_heavy_is_refused_and_smaller_ones_are_not() {
    let (_folder, path) = written(b"");
    let store = SqliteStore::open(&path).expect("opens");
    let payload = format!("\"{}\"", "x".repeat(1_000_000));
    let payload = Some(taskflow_core::Json::parse(&payload).expect("is JSON"));
    for _ in 0..40 {
        let new = NewTask { payload: payload.clone(), ..NewTask::titled("heavy", NOW) };
        store.insert(TenantId::DEFAULT, vec![new], NOW).await.expect("inserted");
    }
    let page = |limit| Page { filter: Filter::default(), before: None, skip: 0, limit, now: NOW };
    let listed = store.list(TenantId::DEFAULT, page(100)).await;
    assert!(matches!(listed, Err(StoreError::PageTooLarge)));
    assert_eq!(store.list(TenantId::DEFAULT, page(20)).await.expect("listed").items.len(), 20);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db");
    let store = SqliteStore::open(&path).expect("opens");
    insert(&store, "one").await;
    for name in ["tasks.db", "tasks.db-wal"] {
        let mode = std::fs::metadata(folder.path().join(name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn two_openers_share_a_file_and_hear_of_each_other() {
    let (_folder, path) = written(b"");
    let one = SqliteStore::open(&path).expect("opens");
    let two = SqliteStore::open(&path).expect("opens");
    let mut hints = two.hints();
    hints.mark_unchanged();
    let first = insert(&one, "from one").await;
    tokio::time::timeout(std::time::Duration::from_secs(5), hints.changed())
        .await
        .expect("a hint comes")
        .expect("the store lives");
    let second = insert(&two, "from two").await;
    let third = insert(&one, "from one again").await;
    assert!(first < second && second < third, "ids are never given twice");
    let counts = one.count(TenantId::DEFAULT).await.expect("counted");
    assert_eq!(counts.0[0], 3);
}

#[tokio::test]
async fn many_openers_at_once_migrate_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = Arc::new(folder.path().join("tasks.db"));
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let path = Arc::clone(&path);
            tokio::task::spawn_blocking(move || SqliteStore::open(&path).map(drop))
        })
        .collect();
    for opener in openers {
        opener.await.expect("no panic").expect("opens");
    }
}

async fn insert(store: &SqliteStore, title: &str) -> TaskId {
    let new = NewTask::titled(title, NOW);
    let answers = store.insert(TenantId::DEFAULT, vec![new], NOW).await.expect("inserted");
    match answers.items.into_iter().next() {
        Some(Inserted::Created(task)) => task.id,
        other => panic!("not created: {other:?}"),
    }
}

/// A backup of the one file after a clean stop must be whole. Many times: what was wrong here once was
/// a matter of luck.
#[tokio::test]
async fn a_store_that_is_dropped_leaves_everything_in_the_one_file() {
    for _ in 0..200 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tasks.db");
        let store = SqliteStore::open(&path).expect("opens");
        drop(store);
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 1, "a WAL stayed beside the file");
    }
}
