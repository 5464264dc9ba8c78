//! Databases that cannot be used: each is refused with the file's name and a way out, and is left as
//! it was. Which SQLite error means what is tested in the store.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::server::{Server, say, taskflow};

/// Every command that opens the database must refuse `file`; answers what `serve` said.
#[track_caller]
fn refused(folder: &Path, file: &str) -> String {
    let url = format!("sqlite:///./{file}");
    let settings = [("DATABASE_URL", url.as_str()), ("PORT", "0")];
    let mut said = String::new();
    for command in ["worker", "migrate", "seed", "serve"] {
        let output = taskflow(folder, &settings, &[command]).output().unwrap();
        said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains(file), "{command} does not name the file: {said}");
        assert!(!said.contains("listening"), "it served: {said}");
    }
    said
}

/// The same, and the file must stay as it is to the byte.
#[track_caller]
fn refused_and_kept(folder: &Path, file: &str) -> String {
    let before = std::fs::read(folder.join(file)).unwrap();
    let said = refused(folder, file);
    assert!(std::fs::read(folder.join(file)).unwrap() == before, "{file} was changed");
    said
}

fn migrated(folder: &Path, file: &str) {
    let settings = [("DATABASE_URL", &*format!("sqlite:///./{file}"))];
    let output = taskflow(folder, &settings, &["migrate"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Overwrites a number in the header of an SQLite file (big-endian; see "Database File Format").
fn set_header(path: &Path, at: usize, value: u32) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    std::fs::write(path, bytes).unwrap();
}

/// Offsets of the numbers in the header.
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

#[test]
fn a_text_file_is_no_database() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "Milk, eggs, bread\n".repeat(100)).unwrap();
    let said = refused_and_kept(folder.path(), "notes.txt");
    assert!(said.contains("no SQLite database"), "{said}");
}

#[test]
fn a_truncated_database_is_refused() {
    let folder = TempDir::new().unwrap();
    migrated(folder.path(), "cut.db");
    let path = folder.path().join("cut.db");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2 + 100]).unwrap();
    let said = refused_and_kept(folder.path(), "cut.db");
    assert!(said.contains("damaged"), "{said}");
}

#[test]
fn a_database_with_a_broken_schema_is_refused() {
    let folder = TempDir::new().unwrap();
    migrated(folder.path(), "flipped.db");
    let path = folder.path().join("flipped.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // The first page's own header, behind the file's: which sort of tree it is.
    bytes[100] ^= 0xff;
    std::fs::write(&path, bytes).unwrap();
    let said = refused_and_kept(folder.path(), "flipped.db");
    assert!(said.contains("damaged"), "{said}");
}

#[test]
fn another_programs_database_is_left_alone() {
    let folder = TempDir::new().unwrap();
    migrated(folder.path(), "foreign.db");
    set_header(&folder.path().join("foreign.db"), APPLICATION_ID, 0x0f05_5112);
    let said = refused_and_kept(folder.path(), "foreign.db");
    assert!(said.contains("another program"), "{said}");
}

#[test]
fn a_newer_database_is_left_alone() {
    let folder = TempDir::new().unwrap();
    migrated(folder.path(), "newer.db");
    set_header(&folder.path().join("newer.db"), USER_VERSION, 9999);
    let said = refused_and_kept(folder.path(), "newer.db");
    assert!(said.contains("9999") && said.contains("newer"), "{said}");
}

#[test]
fn a_missing_folder_is_named_and_not_created() {
    let folder = TempDir::new().unwrap();
    let said = refused(folder.path(), "missing/x.db");
    assert!(said.contains("folder does not exist"), "{said}");
    assert!(!folder.path().join("missing").exists());
}

#[test]
fn a_folder_is_no_database() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("folder.db")).unwrap();
    refused(folder.path(), "folder.db");
}

#[test]
fn a_file_without_rights_is_named() {
    let folder = TempDir::new().unwrap();
    migrated(folder.path(), "locked.db");
    let path = folder.path().join("locked.db");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        say(format_args!("not tested: this user may open everything"));
        return;
    }
    let said = refused(folder.path(), "locked.db");
    assert!(said.contains("owner and rights"), "{said}");
}

#[tokio::test]
async fn the_database_is_for_its_owner_alone() {
    let server = Server::start(&[]).await;
    for file in ["taskflow.db", "taskflow.db-wal", "taskflow.db-shm"] {
        let rights = std::fs::metadata(server.folder().join(file)).unwrap().permissions().mode();
        assert_eq!(rights & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn two_servers_may_share_a_file() {
    let first = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let url = format!("sqlite:///{}", first.folder().join("taskflow.db").display());
    let second = Server::start(&[("DATABASE_URL", &url)]).await;
    let id = first.create(serde_json::json!({"title": "Made here, done there"})).await;
    assert_eq!(second.until(id, "completed").await, first.task(id).await);
}

/// Also for those whom rights do not stop: nobody may create a file there.
#[cfg(target_os = "linux")]
#[test]
fn a_place_where_nobody_may_write_is_named() {
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", "sqlite:////sys/taskflow.db"), ("PORT", "0")];
    for command in ["serve", "worker", "migrate", "seed"] {
        let output = taskflow(folder.path(), &settings, &[command]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains("/sys/taskflow.db") && said.contains("owner and rights"), "{said}");
    }
}
