//! One connection as the store uses it: statements with typed parameters, prepared once per
//! connection or not named at all, and the brackets of a transaction. It knows no table.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::chain;
use crate::options::PoolMode;

/// How long the wish to cancel a statement may take: what does not answer is left to itself.
const CANCEL: Duration = Duration::from_secs(5);

/// A parameter with its type.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection taken from the pool. It goes back only when every statement was answered and no
/// transaction is open: one that a caller left in the middle of something is closed.
pub(crate) struct Session {
    client: Option<Object>,
    mode: PoolMode,
    tls: MakeRustlsConnect,
    /// Statements that were sent and not answered.
    asked: AtomicU32,
    /// Whether a transaction was begun and not ended.
    open: AtomicBool,
    /// Whether its transactions give up at once where a lock is held.
    hurried: bool,
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
    ("lock_timeout", "1s"),
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
    pub(crate) fn new(client: Object, mode: PoolMode, tls: MakeRustlsConnect) -> Self {
        let (asked, open) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { client: Some(client), mode, tls, asked, open, hurried: false }
    }

    /// Runs one statement; outside a transaction it is one of its own.
    pub(crate) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        if self.mode == PoolMode::Session || self.open.load(Ordering::Relaxed) {
            return self.ask(sql, params).await;
        }
        // Nothing that was set for an earlier transaction holds here.
        let (_, rows) = tokio::try_join!(biased; self.begin(), self.ask(sql, params))?;
        self.execute("COMMIT").await?;
        Ok(rows)
    }

    async fn ask(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        let Some(client) = &self.client else { return Ok(Vec::new()) };
        self.asked.fetch_add(1, Ordering::Relaxed);
        let rows = match self.mode {
            PoolMode::Transaction => client.query_typed(sql, params).await,
            PoolMode::Session => prepared(client, sql, params).await,
        };
        self.asked.fetch_sub(1, Ordering::Relaxed);
        rows
    }

    /// The same session, whose transactions do not wait for locks when `hurried`.
    pub(crate) fn hurried(mut self, hurried: bool) -> Self {
        self.hurried = hurried;
        self
    }

    /// Whether it is one that does not wait for locks.
    pub(crate) fn is_hurried(&self) -> bool {
        self.hurried
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&self) -> Result<(), Error> {
        let begin = match self.mode {
            PoolMode::Session => "BEGIN ISOLATION LEVEL READ COMMITTED",
            PoolMode::Transaction => BEGIN_ALONE.as_str(),
        };
        match self.hurried {
            true => self.execute(&format!("{begin}; SET LOCAL lock_timeout = '10ms'")).await,
            false => self.execute(begin).await,
        }
    }

    /// Begins a transaction that only reads and sees one state of the database.
    pub(crate) async fn begin_reading(&self) -> Result<(), Error> {
        const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        match self.mode {
            PoolMode::Session => self.execute(READING).await,
            PoolMode::Transaction => {
                let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
                self.execute(&BEGIN_ALONE.replacen(begin, READING, 1)).await
            }
        }
    }

    /// Runs a statement without parameters or answers; a transaction is open from `BEGIN` on until a
    /// `COMMIT` was answered.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), Error> {
        let Some(client) = &self.client else { return Ok(()) };
        if sql.starts_with("BEGIN") {
            self.open.store(true, Ordering::Relaxed);
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let done = client.batch_execute(sql).await;
        self.asked.fetch_sub(1, Ordering::Relaxed);
        if matches!(sql, "COMMIT" | "ROLLBACK") && done.is_ok() {
            self.open.store(false, Ordering::Relaxed);
        }
        done
    }

    /// Undoes the open transaction before anything else is tried; a connection that does not say that it did
    /// is given up.
    pub(crate) async fn roll_back(mut self) {
        let undone = tokio::time::timeout(CANCEL, self.execute("ROLLBACK")).await;
        match undone {
            // Answered in order: whatever was asked before and not waited for is over too.
            Ok(Ok(())) => self.asked.store(0, Ordering::Relaxed),
            _ => self.close(),
        }
    }

    /// Gives the connection up instead of back: nobody knows what it is in the middle of.
    pub(crate) fn discard(mut self) {
        self.close();
    }

    /// Takes the connection out of the pool. A statement that still runs is cancelled first: the server
    /// would go on with it, a commit that waits for a standby for ever.
    fn close(&mut self) {
        let Some(object) = self.client.take() else { return };
        let client = Object::take(object);
        if self.asked.load(Ordering::Relaxed) == 0 {
            return;
        }
        let (token, tls) = (client.cancel_token(), self.tls.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let asked = tokio::time::timeout(CANCEL, token.cancel_query(tls)).await;
                if let Ok(Err(error)) = asked {
                    tracing::debug!(error = %chain(&error), "a statement was not cancelled");
                }
                drop(client);
            });
        }
    }
}

async fn prepared(client: &Object, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
    let types: Vec<Type> = params.iter().map(|(_, of)| of.clone()).collect();
    let statement = client.prepare_typed_cached(sql, &types).await?;
    let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|(v, _)| *v).collect();
    client.query(&statement, &values).await
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.asked.load(Ordering::Relaxed) > 0 || self.open.load(Ordering::Relaxed) {
            self.close();
        }
    }
}

#[cfg(test)]
mod tests;
