//! What the store does with files that are not its own, and with a second opener.

use std::path::Path;
use std::sync::Arc;

use taskflow_core::{NewTask, TaskId, TenantId, Timestamp};
use taskflow_sqlite::{OpenError, SqliteStore};
use taskflow_store::{Inserted, Store, TaskStore};

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
    assert!(matches!(refused(&path), OpenError::Foreign(_)));
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
