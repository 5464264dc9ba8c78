//! The room of sign-in sessions: rows by tenant and hash. Whether one holds is core's to say.

use async_trait::async_trait;
use rusqlite::{Connection, Error, OptionalExtension, params};
use taskflow_core::limits::SESSIONS_MAX;
use taskflow_core::session::Over;
use taskflow_core::{Session, SessionHash, TenantId, Timestamp};
use taskflow_store::{SessionStore, StoreError, weight};

use crate::store::{SqliteStore, mixed_up};
use crate::writer::{Said, What};

/// What the writer does about sessions.
#[derive(Debug)]
pub(crate) enum Order {
    Open(Session),
    See(SessionHash, Timestamp),
    Close(SessionHash),
    /// So many of those that are over.
    Forget(Over, u32),
}

/// Carries out one order; how many sessions went by it.
pub(crate) fn carry_out(
    connection: &Connection,
    tenant: TenantId,
    order: &Order,
) -> Result<u32, Error> {
    let gone = match order {
        Order::Open(session) => open(connection, tenant, session)?,
        Order::See(hash, at) => {
            connection
                .prepare_cached(
                    "UPDATE sessions SET seen_at = ?3 \
                     WHERE tenant = ?1 AND hash = ?2 AND seen_at < ?3",
                )?
                .execute(params![tenant.0, hash.0, at.micros()])?;
            0
        }
        Order::Close(hash) => connection
            .prepare_cached("DELETE FROM sessions WHERE tenant = ?1 AND hash = ?2")?
            .execute(params![tenant.0, hash.0])?,
        Order::Forget(over, limit) => connection
            .prepare_cached(
                "DELETE FROM sessions WHERE (tenant, hash) IN (SELECT tenant, hash FROM sessions \
                 WHERE seen_at <= ?1 OR opened_at <= ?2 LIMIT ?3 + 0)",
            )?
            .execute(params![over.seen.micros(), over.opened.micros(), limit])?,
    };
    Ok(u32::try_from(gone).unwrap_or(u32::MAX))
}

/// Inserts a session that is not there, then removes what is too many beside it.
fn open(connection: &Connection, tenant: TenantId, session: &Session) -> Result<usize, Error> {
    let Session { hash, print, opened_at, seen_at } = session;
    let new = connection
        .prepare_cached(
            "INSERT INTO sessions(tenant, hash, print, opened_at, seen_at) \
             VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(params![tenant.0, hash.0, print, opened_at.micros(), seen_at.micros()])?;
    if new == 0 {
        return Ok(0);
    }
    connection
        .prepare_cached(
            "DELETE FROM sessions WHERE tenant = ?1 AND hash IN (SELECT hash FROM sessions \
             WHERE tenant = ?1 AND hash <> ?2 ORDER BY seen_at DESC, hash DESC LIMIT -1 OFFSET ?3)",
        )?
        .execute(params![tenant.0, hash.0, SESSIONS_MAX - 1])
}

fn read(
    connection: &Connection,
    tenant: TenantId,
    hash: SessionHash,
) -> Result<Option<Session>, Error> {
    connection
        .prepare_cached(
            "SELECT print, opened_at, seen_at FROM sessions WHERE tenant = ?1 AND hash = ?2",
        )?
        .query_row(params![tenant.0, hash.0], |row| {
            Ok(Session {
                hash,
                print: row.get(0)?,
                opened_at: Timestamp::from_micros(row.get(1)?),
                seen_at: Timestamp::from_micros(row.get(2)?),
            })
        })
        .optional()
}

fn anything_over(connection: &Connection, over: Over) -> Result<bool, Error> {
    connection
        .prepare_cached(
            "SELECT EXISTS(SELECT 1 FROM sessions WHERE seen_at <= ?1 OR opened_at <= ?2)",
        )?
        .query_row([over.seen.micros(), over.opened.micros()], |row| row.get(0))
}

impl SqliteStore {
    async fn order_sessions(&self, scope: TenantId, order: Order) -> Result<u32, StoreError> {
        // No order needs the time: what it is about has its own.
        let epoch = Timestamp::from_micros(0);
        match self.order(scope, epoch, What::Sessions(order), weight::TASK_BYTES).await? {
            Said::Sessions(gone) => Ok(gone),
            _ => mixed_up(),
        }
    }
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn open_session(&self, scope: TenantId, session: Session) -> Result<(), StoreError> {
        self.order_sessions(scope, Order::Open(session)).await.map(drop)
    }

    async fn session(
        &self,
        scope: TenantId,
        hash: SessionHash,
    ) -> Result<Option<Session>, StoreError> {
        self.readers.read(move |connection| read(connection, scope, hash)).await
    }

    async fn see_session(
        &self,
        scope: TenantId,
        hash: SessionHash,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.order_sessions(scope, Order::See(hash, at)).await.map(drop)
    }

    async fn close_session(&self, scope: TenantId, hash: SessionHash) -> Result<(), StoreError> {
        self.order_sessions(scope, Order::Close(hash)).await.map(drop)
    }

    async fn forget_sessions(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        // Most calls find nothing: a look by a reader spares the writer.
        let over = Over::by(now);
        if !self.duties.read(move |connection| anything_over(connection, over)).await? {
            return Ok(0);
        }
        self.order_sessions(TenantId::DEFAULT, Order::Forget(over, limit)).await
    }
}
