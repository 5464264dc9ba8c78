//! One connection as the store uses it: statements with typed parameters, prepared once per
//! connection or not named at all, and the brackets of a transaction. It knows no table.

use std::sync::LazyLock;

use deadpool_postgres::Object;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use crate::options::PoolMode;

/// A parameter with its type.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection taken from the pool.
pub(crate) struct Session {
    client: Object,
    mode: PoolMode,
}

/// What keeps the planner to short walks of an index: tables of a queue change faster than their
/// statistics, and a plan made on an empty table would read all of a full one.
pub(crate) const PLANNER: [(&str, &str); 5] = [
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

/// Server-side limits of a session: a statement that hangs, a lock that nobody gives up, and a
/// transaction whose node is gone must not hold the others.
pub(crate) const LIMITS: [(&str, &str); 4] = [
    ("statement_timeout", "15s"),
    ("lock_timeout", "3s"),
    ("idle_in_transaction_session_timeout", "20s"),
    ("synchronous_commit", "on"),
];

/// Begins, and says for this transaction what a session would keep.
static BEGIN_ALONE: LazyLock<String> = LazyLock::new(|| {
    let settings = LIMITS.iter().chain(&PLANNER);
    let settings: Vec<String> =
        settings.map(|(name, value)| format!("; SET LOCAL {name} = '{value}'")).collect();
    format!("BEGIN ISOLATION LEVEL READ COMMITTED{}", settings.concat())
});

impl Session {
    pub(crate) fn new(client: Object, mode: PoolMode) -> Self {
        Self { client, mode }
    }

    /// Runs one statement.
    pub(crate) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        match self.mode {
            PoolMode::Transaction => self.client.query_typed(sql, params).await,
            PoolMode::Session => {
                let types: Vec<Type> = params.iter().map(|(_, of)| of.clone()).collect();
                let statement = self.client.prepare_typed_cached(sql, &types).await?;
                let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|(v, _)| *v).collect();
                self.client.query(&statement, &values).await
            }
        }
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&self) -> Result<(), Error> {
        self.client
            .batch_execute(match self.mode {
                PoolMode::Session => "BEGIN ISOLATION LEVEL READ COMMITTED",
                PoolMode::Transaction => BEGIN_ALONE.as_str(),
            })
            .await
    }

    /// Runs a statement without parameters or answers.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await
    }

    /// Gives the connection up instead of back: nobody knows what it is in the middle of.
    pub(crate) fn discard(self) {
        drop(Object::take(self.client));
    }
}
