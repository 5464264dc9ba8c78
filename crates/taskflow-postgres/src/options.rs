//! How to reach the database. Where the values come from is not known here.

use std::fmt;

/// What may be kept on a connection between two transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PoolMode {
    /// Connections are the program's own: prepared statements, settings, `LISTEN`.
    #[default]
    Session,
    /// A pooler may give every transaction another connection: none of these.
    Transaction,
}

/// How to reach the database.
#[derive(Clone)]
pub struct Options {
    /// `postgresql://user:password@host:port/database`; may hold a password.
    pub url: String,
    /// What the connections may keep.
    pub pool_mode: PoolMode,
    /// Connections that this process opens at most, beside one that listens.
    pub pool_size: u32,
}

impl fmt::Debug for Options {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("pool_mode", &self.pool_mode)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}
