//! Brings the schema up to date, by rusqlite_migration (it keeps the number in `user_version`).
//! It refuses what it does not know: a newer schema, another program's file.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};
use rusqlite_migration::{M, Migrations};

use crate::error::OpenError;

/// "TFLW", written by the first migration.
const APPLICATION_ID: i64 = 0x5446_4C57;

const STEPS: &[M<'static>] = &[
    M::up(include_str!("../migrations/0001_tasks.sql")),
    M::up(include_str!("../migrations/0002_walks.sql")),
    M::up(include_str!("../migrations/0003_queues.sql")),
    M::up(include_str!("../migrations/0004_lists.sql")),
    M::up(include_str!("../migrations/0005_workers.sql")),
    M::up(include_str!("../migrations/0006_idempotency.sql")),
    M::up(include_str!("../migrations/0007_stats.sql")),
    M::up(include_str!("../migrations/0008_search.sql")),
    M::up(include_str!("../migrations/0009_lanes.sql")),
    M::up(include_str!("../migrations/0010_sessions.sql")),
];

/// The newest schema that this program knows.
pub const SCHEMA: i64 = STEPS.len() as i64;

/// Applies what is missing. Safe when two processes start at once: one waits for the other.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let mut tries = 0;
    loop {
        let found = number(connection, "user_version", path)?;
        if found > SCHEMA {
            return Err(OpenError::TooNew { path: path.into(), found, known: SCHEMA });
        }
        if found == SCHEMA {
            return Ok(());
        }
        // A new index is sorted in temporary files: of ten million tasks it would be a gigabyte in memory.
        let sorts_in = |connection: &Connection, place: &str| {
            connection
                .pragma_update(None, "temp_store", place)
                .map_err(|error| unreadable(error, path))
        };
        sorts_in(connection, "FILE")?;
        let migrated = Migrations::from_slice(STEPS).to_latest(connection);
        sorts_in(connection, "MEMORY")?;
        match migrated {
            Ok(()) => return Ok(()),
            // Another process migrated meanwhile: look again.
            Err(_) if tries < 3 => tries += 1,
            Err(source) => {
                return Err(OpenError::Migration { path: path.into(), source: Box::new(source) });
            }
        }
    }
}

/// Refuses a database of another program.
pub(crate) fn check_owner(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    // In this order: another process may migrate in between, and does both in one commit.
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| unreadable(error, path))?;
    let id = number(connection, "application_id", path)?;
    if id == APPLICATION_ID || (id == 0 && tables == 0) {
        Ok(())
    } else {
        Err(OpenError::Foreign(path.into()))
    }
}

fn number(connection: &Connection, pragma: &str, path: &Path) -> Result<i64, OpenError> {
    connection
        .pragma_query_value(None, pragma, |row| row.get(0))
        .map_err(|error| unreadable(error, path))
}

/// Why a first look at the file failed.
pub(crate) fn unreadable(error: rusqlite::Error, path: &Path) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            OpenError::Damaged(path.into())
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Busy(path.into()),
        _ => OpenError::NotOpened { path: path.into(), source: Box::new(error) },
    }
}
