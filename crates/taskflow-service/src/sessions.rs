//! Sign-in sessions of the dashboard: opened with a key, looked at with each page, closed. Cookies and
//! whether the key is right are the API's business, when a session is over is core's.

use std::sync::Arc;

use taskflow_core::{Clock, Session, SessionToken};
use taskflow_store::Store;

use crate::actor::Actor;
use crate::clock::IdSource;
use crate::error::ServiceError;

/// The use cases of sessions.
#[derive(Clone)]
pub struct Sessions {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Sessions {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self { store, clock, ids }
    }

    /// Opens a session for somebody who showed the API key of this fingerprint. Answers its token, 64
    /// hexadecimal digits, which is told nowhere else: what is kept of it is a hash. Beyond
    /// `limits::SESSIONS_MAX` of the tenant the one that was seen longest ago ends.
    pub async fn open(&self, actor: Actor, print: [u8; 32]) -> Result<String, ServiceError> {
        let halves = self.ids.tokens(2);
        let [first, second] = halves.as_slice() else { return Err(ServiceError::Unavailable) };
        let token = SessionToken::new([*first, *second]);
        let session = Session::opened(token.hash(), print, self.clock.now());
        self.store.open_session(actor.tenant, session).await?;
        Ok(token.to_wire())
    }

    /// Whether a session holds now, where the API key of this fingerprint is in force: for
    /// `limits::SESSION_IDLE_SECONDS` since it was seen last, `limits::SESSION_SECONDS` at most, and until
    /// it is closed. A visit that holds is noted once in `limits::SESSION_SEEN_SECONDS`. What is no token
    /// is answered like one that nobody has.
    pub async fn check(
        &self,
        actor: Actor,
        token: &str,
        print: [u8; 32],
    ) -> Result<bool, ServiceError> {
        let Some(token) = SessionToken::from_wire(token) else { return Ok(false) };
        let hash = token.hash();
        let Some(session) = self.store.session(actor.tenant, hash).await? else {
            return Ok(false);
        };
        let now = self.clock.now();
        if !session.holds(print, now) {
            return Ok(false);
        }
        // A database that reads and does not write, on a full disk say, is to be looked at, not a reason
        // to lock people out.
        if session.is_due_to_be_seen(now)
            && let Err(error) = self.store.see_session(actor.tenant, hash, now).await
        {
            tracing::warn!(error = %error, "a visit to the dashboard is not written down");
        }
        Ok(true)
    }

    /// Ends a session on every node at once. It is no error when it is over, unknown or no token.
    pub async fn close(&self, actor: Actor, token: &str) -> Result<(), ServiceError> {
        match SessionToken::from_wire(token) {
            Some(token) => Ok(self.store.close_session(actor.tenant, token.hash()).await?),
            None => Ok(()),
        }
    }
}
