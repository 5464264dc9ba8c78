//! Opens connections and sets their pragmas. It does not know the schema.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::OpenError;
use crate::migrate::{check_owner, unreadable};

/// How long a connection waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(5);

/// Statements kept prepared per connection: all that the store has.
const STATEMENTS: usize = 64;

/// A connection that writes. WAL with `synchronous=FULL`: a commit is on disk when it returns.
pub(crate) fn writer(path: &Path) -> Result<Connection, OpenError> {
    write(path, &[])
}

/// A writer beside whom nobody else may have the file open; `Busy` when somebody has.
pub(crate) fn alone(path: &Path) -> Result<Connection, OpenError> {
    write(path, &[("locking_mode", "EXCLUSIVE")])
}

fn write(path: &Path, first: &[(&str, &str)]) -> Result<Connection, OpenError> {
    create(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    set(&connection, first, path)?;
    // SQLite falls back to reading without a word when it may not write.
    if connection.is_readonly("main").map_err(|error| unreadable(error, path))? {
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        return Err(OpenError::NotOpened { path: path.into(), source: Box::new(source) });
    }
    // Before anything is changed: a file of another program stays as it is.
    check_owner(&connection, path)?;
    check_whole(&connection, path)?;
    let pages: i64 = connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .map_err(|error| unreadable(error, path))?;
    if pages == 0 {
        // Free pages can be given back. Later it is of no effect, and yet it would write to the file.
        set(&connection, &[("auto_vacuum", "INCREMENTAL")], path)?;
    }
    let pragmas = [
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),
        // macOS: fsync alone does not reach the platter.
        ("fullfsync", "ON"),
        // The checkpointer does it, off the writer's path.
        ("wal_autocheckpoint", "0"),
        ("journal_size_limit", "67108864"),
        ("foreign_keys", "ON"),
        // 32 MiB of pages: the hot ends of the indexes of some million tasks.
        ("cache_size", "-32768"),
        // What a savepoint undoes by is kept in memory: a command changes a bounded number of pages, and
        // writing each of them to a file was more than half of what a bulk of tasks cost.
        ("temp_store", "MEMORY"),
    ];
    set(&connection, &pragmas, path)?;
    Ok(connection)
}

/// A connection that only reads.
pub(crate) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    set(&connection, &[("query_only", "ON"), ("cache_size", "-8192")], path)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| unreadable(error, path))?;
    connection.busy_timeout(BUSY).map_err(|error| unreadable(error, path))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A schema from a hostile file must not call functions.
    set(&connection, &[("trusted_schema", "OFF")], path)?;
    Ok(connection)
}

fn set(connection: &Connection, pragmas: &[(&str, &str)], path: &Path) -> Result<(), OpenError> {
    for (name, value) in pragmas {
        connection.pragma_update(None, name, value).map_err(|error| unreadable(error, path))?;
    }
    Ok(())
}

/// A file that was closed in order is a whole number of pages; one that was not has its log beside it.
fn check_whole(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let page: u32 = connection
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .map_err(|error| unreadable(error, path))?;
    if length(Path::new(&log)) == 0 && length(path) % u64::from(page.max(512)) != 0 {
        return Err(OpenError::Damaged(path.into()));
    }
    Ok(())
}

/// Creates a missing file for its owner alone; SQLite gives the WAL the same rights. A file that is
/// there is never opened here: closing it again would drop the locks that SQLite holds on it in this
/// process (POSIX; see "How To Corrupt An SQLite Database File", 2.2).
fn create(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(OpenError::NoFolder(path.into()));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(OpenError::NotOpened { path: path.into(), source: Box::new(error) })
        }
        _ => Ok(()),
    }
}
