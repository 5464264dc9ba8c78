//! SQLite's errors in the contract's words, and why a file could not be opened.

use std::path::PathBuf;

use rusqlite::{Error, ErrorCode};
use taskflow_store::StoreError;

/// Why the database file cannot be used. Every text names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of the file is missing.
    #[error("{}: the folder does not exist; create it or change DATABASE_URL", .0.display())]
    NoFolder(PathBuf),
    /// The file may not be created or opened.
    #[error("{}: cannot be opened for reading and writing; check its owner and rights", path.display())]
    NotOpened {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is no SQLite database, or a damaged one.
    #[error(
        "{}: is damaged or no SQLite database; restore a backup or name another file in DATABASE_URL", .0.display()
    )]
    Damaged(PathBuf),
    /// It is another program's database.
    #[error(
        "{}: is a database of another program; name another file in DATABASE_URL", .0.display()
    )]
    Foreign(PathBuf),
    /// A newer TaskFlow wrote it.
    #[error(
        "{}: has schema {found}, newer than this program's {known}; run the newer TaskFlow", path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// Another process holds it for too long.
    #[error("{}: another process holds the database; stop it or try again", .0.display())]
    Busy(PathBuf),
    /// The migration failed; nothing was changed.
    #[error("{}: the migration failed and was undone", path.display())]
    Migration {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A connection that a read needed and that could not be opened: no file is free, it is gone, or locked.
pub(crate) fn not_opened(error: OpenError) -> StoreError {
    match error {
        OpenError::Busy(_) => StoreError::Busy,
        OpenError::Damaged(_) | OpenError::Foreign(_) | OpenError::TooNew { .. } => {
            StoreError::Corrupt(error.to_string())
        }
        error => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "the database file cannot be opened once more");
            StoreError::Unavailable
        }
    }
}

/// A statement's failure: nothing of it was done.
pub(crate) fn refused(error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt(error.to_string())
        }
        _ => match error {
            Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..) => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Failed(Box::new(error)),
        },
    }
}

/// A commit's failure: only a full disk and a lock are certain to have left nothing behind.
pub(crate) fn uncommitted(error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::Unknown(Box::new(error)),
    }
}
