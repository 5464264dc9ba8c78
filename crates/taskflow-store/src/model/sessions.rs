//! The model's room of sign-in sessions: a map by tenant and hash.

use async_trait::async_trait;
use taskflow_core::limits::SESSIONS_MAX;
use taskflow_core::{Session, SessionHash, TenantId, Timestamp};

use super::{Model, Tables};
use crate::{SessionStore, StoreError};

impl Tables {
    fn open_session(&mut self, scope: TenantId, session: Session) {
        if self.sessions.contains_key(&(scope, session.hash)) {
            return;
        }
        let ours = self.sessions.iter().filter(|((tenant, _), _)| *tenant == scope);
        let mut ours: Vec<(Timestamp, SessionHash)> =
            ours.map(|(_, session)| (session.seen_at, session.hash)).collect();
        ours.sort_unstable();
        let stay = SESSIONS_MAX as usize - 1;
        for (_, hash) in ours.iter().rev().skip(stay) {
            self.sessions.remove(&(scope, *hash));
        }
        self.sessions.insert((scope, session.hash), session);
    }
}

#[async_trait]
impl SessionStore for Model {
    async fn open_session(&self, scope: TenantId, session: Session) -> Result<(), StoreError> {
        self.call(|tables| tables.open_session(scope, session));
        Ok(())
    }

    async fn session(
        &self,
        scope: TenantId,
        hash: SessionHash,
    ) -> Result<Option<Session>, StoreError> {
        Ok(self.call(|tables| tables.sessions.get(&(scope, hash)).cloned()).0)
    }

    async fn see_session(
        &self,
        scope: TenantId,
        hash: SessionHash,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.call(|tables| {
            if let Some(session) = tables.sessions.get_mut(&(scope, hash)) {
                session.seen_at = session.seen_at.max(at);
            }
        });
        Ok(())
    }

    async fn close_session(&self, scope: TenantId, hash: SessionHash) -> Result<(), StoreError> {
        self.call(|tables| tables.sessions.remove(&(scope, hash)));
        Ok(())
    }

    async fn forget_sessions(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let forget = |tables: &mut Tables| {
            let over = tables.sessions.iter().filter(|(_, session)| session.is_over(now));
            let over: Vec<_> = over.map(|(place, _)| *place).take(limit as usize).collect();
            over.iter().filter(|place| tables.sessions.remove(place).is_some()).count()
        };
        let removed = self.call(forget).0;
        Ok(u32::try_from(removed).unwrap_or(limit))
    }
}
