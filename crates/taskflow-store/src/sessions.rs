//! The room of sign-in sessions: kept here so that they count on every node and after a restart, and end
//! when they are closed. Whether one holds is core's to say; a store gives back what it was given.

use async_trait::async_trait;
use taskflow_core::{Session, SessionHash, TenantId, Timestamp};

use crate::StoreError;

/// Sessions by the hashes of their tokens.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Keeps a new session, and `limits::SESSIONS_MAX` of the tenant in all: of those before it the ones
    /// that were seen longest ago go in the same commit. Opening the same one again changes nothing.
    async fn open_session(&self, scope: TenantId, session: Session) -> Result<(), StoreError>;

    /// Reads a session, also one that is over and not forgotten yet.
    async fn session(
        &self,
        scope: TenantId,
        hash: SessionHash,
    ) -> Result<Option<Session>, StoreError>;

    /// Notes that its holder was there at `at`, unless a later visit is noted. Nothing where there is no
    /// such session: one that was closed meanwhile stays so.
    async fn see_session(
        &self,
        scope: TenantId,
        hash: SessionHash,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Ends a session, if it is there.
    async fn close_session(&self, scope: TenantId, hash: SessionHash) -> Result<(), StoreError>;

    /// Removes up to `limit` sessions of all tenants that are over at `now`; how many.
    async fn forget_sessions(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError>;
}
