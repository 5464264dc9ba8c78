//! Sign-in sessions of the dashboard: the secret that a browser holds, what is kept of it, and for how
//! long it counts. Who may open one and where it is kept is not here.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::lease::LeaseToken;
use crate::limits::{SESSION_IDLE_SECONDS, SESSION_SECONDS, SESSION_SEEN_SECONDS};
use crate::time::Timestamp;

/// The secret of one session: 256 random bits, shown to its holder once and never stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionToken([LeaseToken; 2]);

impl SessionToken {
    /// From random tokens, neither of which is used for anything else.
    pub const fn new(halves: [LeaseToken; 2]) -> Self {
        Self(halves)
    }

    /// The wire form: 64 lower-case hexadecimal digits.
    pub fn to_wire(self) -> String {
        self.0.map(LeaseToken::to_wire).concat()
    }

    /// From the wire form; none when it is no token at all.
    pub fn from_wire(text: &str) -> Option<Self> {
        let (first, second) = text.split_at_checked(text.len() / 2)?;
        Some(Self([LeaseToken::from_wire(first)?, LeaseToken::from_wire(second)?]))
    }

    /// What stores keep of it: the SHA-256 of its wire form.
    pub fn hash(self) -> SessionHash {
        SessionHash(Sha256::digest(self.to_wire()).into())
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

/// A token's SHA-256: what is stored and looked up. Knowing it does not give the token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionHash(pub [u8; 32]);

impl fmt::Debug for SessionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionHash(…)")
    }
}

/// A session as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Hash of its holder's token.
    pub hash: SessionHash,
    /// Fingerprint of the API key that it was opened with: it counts for no other.
    pub print: [u8; 32],
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When its holder was seen last, to about `limits::SESSION_SEEN_SECONDS`.
    pub seen_at: Timestamp,
}

impl Session {
    /// One that is opened at `now`, with the key of this fingerprint.
    pub const fn opened(hash: SessionHash, print: [u8; 32], now: Timestamp) -> Self {
        Self { hash, print, opened_at: now, seen_at: now }
    }

    /// Whether its holder may come in at `now`, where the key of this fingerprint is in force.
    pub fn holds(&self, print: [u8; 32], now: Timestamp) -> bool {
        self.print == print && !self.is_over(now)
    }

    /// Whether its time is over at `now`, whatever key is in force.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let over = Over::by(now);
        self.seen_at <= over.seen || self.opened_at <= over.opened
    }

    /// Whether a visit at `now` has to be written down: not each of them, reading is no write.
    pub fn is_due_to_be_seen(&self, now: Timestamp) -> bool {
        now.seconds_since(self.seen_at) >= SESSION_SEEN_SECONDS
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("opened_at", &self.opened_at)
            .field("seen_at", &self.seen_at)
            .finish_non_exhaustive()
    }
}

/// Which sessions are over at an instant, in a form that a store can look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// Those that were seen at this instant the last time, or before.
    pub seen: Timestamp,
    /// Those that were opened at this instant or before.
    pub opened: Timestamp,
}

impl Over {
    /// Those of `now`.
    pub fn by(now: Timestamp) -> Self {
        Self {
            seen: now.plus_seconds(-SESSION_IDLE_SECONDS),
            opened: now.plus_seconds(-SESSION_SECONDS),
        }
    }
}
