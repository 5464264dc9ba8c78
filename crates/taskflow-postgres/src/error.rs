//! PostgreSQL's errors in the contract's words, and why a database could not be opened.

use taskflow_store::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

/// Why the database cannot be used. No text holds the password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be read.
    #[error(
        "DATABASE_URL is no PostgreSQL URL: write postgresql://user:password@host:5432/database"
    )]
    Url(#[source] Error),
    /// An unknown `sslmode`.
    #[error(
        "sslmode in DATABASE_URL must be disable, prefer, require or verify-full \
         (verify-ca is not supported: it does not look at the name)"
    )]
    SslMode,
    /// Trusted certificates that nothing is checked against.
    #[error("sslrootcert in DATABASE_URL needs sslmode=verify-full")]
    RootsUnused,
    /// The trusted certificates cannot be read.
    #[error("the certificates that sslmode=verify-full in DATABASE_URL needs cannot be read: {at}")]
    Roots {
        /// Where they are.
        at: String,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The TLS library does not work.
    #[error("TLS cannot be used")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server did not prove who it is, or takes no encrypted connections.
    #[error("the PostgreSQL server does not encrypt as sslmode in DATABASE_URL asks for")]
    Handshake(#[source] Error),
    /// No connection comes about.
    #[error(
        "the PostgreSQL database cannot be reached; check DATABASE_URL and that the server runs"
    )]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database answered with an error.
    #[error("the PostgreSQL server refused the login or a first statement")]
    Refused(#[source] Error),
    /// Commits would be acknowledged before they are on disk.
    #[error(
        "synchronous_commit is off for this database, so a commit could be lost; \
         set it to on for this user or database"
    )]
    NotDurable,
    /// Texts could not be kept as they are.
    #[error("the database's encoding is {0}; create it with ENCODING 'UTF8'")]
    Encoding(String),
    /// A newer TaskFlow wrote it.
    #[error(
        "the database has schema {found}, newer than this program's {known}; run the newer TaskFlow"
    )]
    TooNew {
        /// Its schema.
        found: i32,
        /// The newest schema that this program knows.
        known: i32,
    },
    /// The migration failed; nothing was changed.
    #[error("the migration failed and was undone")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a failure means for the transaction it came from.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was done; another try may succeed at once (a deadlock, a race for a key).
    Again(StoreError),
    /// Somebody holds a lock for long: an application's own transaction, as a rule. Nothing was done.
    Locked,
    /// One of the commands wants a transaction of its own. Nothing was done.
    Apart,
    /// The connection is gone and nothing was done.
    Gone(StoreError),
    /// Nothing was done, and another try would end the same.
    Refused(StoreError),
    /// The commit was under way.
    Unknown(StoreError),
}

impl Failure {
    /// What a caller hears.
    pub(crate) fn into_error(self) -> StoreError {
        match self {
            Self::Again(StoreError::Unavailable) => StoreError::Unavailable,
            Self::Again(_) | Self::Locked | Self::Apart => StoreError::Busy,
            Self::Gone(error) | Self::Refused(error) | Self::Unknown(error) => error,
        }
    }

    /// The same failure when the commit had been sent: what is certain stays certain.
    pub(crate) fn committing(self) -> Self {
        match self {
            Self::Gone(StoreError::Failed(source)) => Self::Unknown(StoreError::Unknown(source)),
            Self::Gone(error) => Self::Unknown(StoreError::Unknown(Box::new(error))),
            certain => certain,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Some(state) = error.code() else {
            return if error.is_closed() || is_io(&error) {
                Self::Gone(StoreError::Failed(Box::new(error)))
            } else {
                Self::Refused(StoreError::Corrupt(chain(&error)))
            };
        };
        let severity = error.as_db_error().and_then(DbError::parsed_severity);
        match state {
            // The server gave up in the middle of it: a commit may be replayed when it comes back.
            s if matches!(severity, Some(Severity::Fatal | Severity::Panic))
                || s.code().starts_with("58") =>
            {
                Self::Gone(StoreError::Failed(Box::new(error)))
            }
            s if *s == SqlState::LOCK_NOT_AVAILABLE => Self::Locked,
            // A statement before this one failed, and whoever asked for both should have told why.
            s if *s == SqlState::IN_FAILED_SQL_TRANSACTION => Self::Again(StoreError::Busy),
            s if *s == SqlState::T_R_SERIALIZATION_FAILURE
                || *s == SqlState::T_R_DEADLOCK_DETECTED
                || *s == SqlState::UNIQUE_VIOLATION =>
            {
                Self::Again(StoreError::Failed(Box::new(error)))
            }
            s if *s == SqlState::DISK_FULL => Self::Refused(StoreError::Full),
            s if *s == SqlState::QUERY_CANCELED => Self::Refused(StoreError::Busy),
            // A standby, or a server that is about to be one: nothing was written for certain, and another
            // connection may meet the one that writes.
            s if *s == SqlState::READ_ONLY_SQL_TRANSACTION => Self::Again(StoreError::Unavailable),
            // The server stops, starts, fails over, or has no connection left.
            s if s.code().starts_with("57P")
                || s.code().starts_with("08")
                || s.code().starts_with("53") =>
            {
                Self::Gone(StoreError::Failed(Box::new(error)))
            }
            s if s.code().starts_with("XX") => Self::Refused(StoreError::Corrupt(chain(&error))),
            _ => Self::Refused(StoreError::Failed(Box::new(error))),
        }
    }
}

fn is_io(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<std::io::Error>() {
            return true;
        }
        source = cause.source();
    }
    false
}

/// An error with all its sources, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
