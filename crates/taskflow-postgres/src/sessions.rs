//! The room of sign-in sessions: rows by tenant and hash, in small transactions of their own, which may be
//! repeated. Whether one holds is core's to say; connections are in `session.rs`.

use async_trait::async_trait;
use taskflow_core::limits::SESSIONS_MAX;
use taskflow_core::session::Over;
use taskflow_core::{Session as SignIn, SessionHash, TenantId, Timestamp};
use taskflow_store::{SessionStore, StoreError};
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::rows::{bad, get};
use crate::session::{Param, Session};
use crate::store::PostgresStore;

/// Sessions of one tenant are opened one after the other: each has to count those before it.
const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('taskflow sessions ' || $1::int8, 0))";

const INSERT: &str = "INSERT INTO taskflow.sessions(tenant, hash, print, opened_at, seen_at) \
     VALUES($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING 1";

/// Removes what is too many beside the new one.
const MAKE_ROOM: &str = "DELETE FROM taskflow.sessions WHERE tenant = $1 AND hash = ANY(ARRAY(\
     SELECT hash FROM taskflow.sessions WHERE tenant = $1 AND hash <> $2 \
     ORDER BY seen_at DESC, hash DESC OFFSET $3))";

async fn open(session: &Session, tenant: TenantId, new: &SignIn) -> Result<(), Failure> {
    let SignIn { hash, print, opened_at, seen_at } = new;
    let (tenant, hash, print) = (tenant.0, hash.0.as_slice(), print.as_slice());
    session.begin().await?;
    session.query(LOCK, &[(&tenant, Type::INT8)]).await?;
    let row: [Param<'_>; 5] = [
        (&tenant, Type::INT8),
        (&hash, Type::BYTEA),
        (&print, Type::BYTEA),
        (&opened_at.micros(), Type::INT8),
        (&seen_at.micros(), Type::INT8),
    ];
    if !session.query(INSERT, &row).await?.is_empty() {
        let stay = i64::from(SESSIONS_MAX) - 1;
        let params: [Param<'_>; 3] =
            [(&tenant, Type::INT8), (&hash, Type::BYTEA), (&stay, Type::INT8)];
        session.query(MAKE_ROOM, &params).await?;
    }
    session.execute("COMMIT").await?;
    Ok(())
}

async fn read(
    session: &Session,
    tenant: TenantId,
    hash: SessionHash,
) -> Result<Option<SignIn>, Failure> {
    let sql = "SELECT print, opened_at, seen_at FROM taskflow.sessions \
               WHERE tenant = $1 AND hash = $2";
    let bytes = hash.0.as_slice();
    let params: [Param<'_>; 2] = [(&tenant.0, Type::INT8), (&bytes, Type::BYTEA)];
    let rows = session.query(sql, &params).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let print = get::<&[u8]>(row, 0)?.try_into().map_err(|_| bad("a print has another length"))?;
    let instant = |column| get(row, column).map(Timestamp::from_micros);
    Ok(Some(SignIn { hash, print, opened_at: instant(1)?, seen_at: instant(2)? }))
}

async fn see(
    session: &Session,
    tenant: TenantId,
    hash: SessionHash,
    at: Timestamp,
) -> Result<(), Failure> {
    let sql = "UPDATE taskflow.sessions SET seen_at = $3 \
               WHERE tenant = $1 AND hash = $2 AND seen_at < $3";
    let hash = hash.0.as_slice();
    let params: [Param<'_>; 3] =
        [(&tenant.0, Type::INT8), (&hash, Type::BYTEA), (&at.micros(), Type::INT8)];
    session.query(sql, &params).await?;
    Ok(())
}

async fn close(session: &Session, tenant: TenantId, hash: SessionHash) -> Result<(), Failure> {
    let sql = "DELETE FROM taskflow.sessions WHERE tenant = $1 AND hash = $2";
    let hash = hash.0.as_slice();
    session.query(sql, &[(&tenant.0, Type::INT8), (&hash, Type::BYTEA)]).await?;
    Ok(())
}

/// Nodes that sweep at once pass over each other's rows.
const FORGET: &str = "DELETE FROM taskflow.sessions WHERE ctid = ANY(ARRAY(\
     SELECT ctid FROM taskflow.sessions WHERE seen_at <= $1 OR opened_at <= $2 LIMIT $3 \
     FOR UPDATE SKIP LOCKED)) RETURNING 1";

async fn forget(session: &Session, over: Over, limit: u32) -> Result<u32, Failure> {
    let params: [Param<'_>; 3] = [
        (&over.seen.micros(), Type::INT8),
        (&over.opened.micros(), Type::INT8),
        (&i64::from(limit), Type::INT8),
    ];
    let gone = session.query(FORGET, &params).await?.len();
    Ok(u32::try_from(gone).unwrap_or(limit))
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn open_session(&self, scope: TenantId, session: SignIn) -> Result<(), StoreError> {
        let new = &session;
        self.read(|session| async move { open(&session, scope, new).await }).await
    }

    async fn session(
        &self,
        scope: TenantId,
        hash: SessionHash,
    ) -> Result<Option<SignIn>, StoreError> {
        self.read(move |session| async move { read(&session, scope, hash).await }).await
    }

    async fn see_session(
        &self,
        scope: TenantId,
        hash: SessionHash,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.read(move |session| async move { see(&session, scope, hash, at).await }).await
    }

    async fn close_session(&self, scope: TenantId, hash: SessionHash) -> Result<(), StoreError> {
        self.read(move |session| async move { close(&session, scope, hash).await }).await
    }

    async fn forget_sessions(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let over = Over::by(now);
        self.duty(move |session| async move { forget(&session, over, limit).await }).await
    }
}
