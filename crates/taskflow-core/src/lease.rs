//! The right to work on one attempt: its token, its end, and how a holder finishes it.
//! Who may finish what is decided in `step.rs`.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::attempt::Outcome;
use crate::json::Json;
use crate::time::Timestamp;

/// The secret of one lease: 128 random bits, shown to the holder once and never stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LeaseToken([u8; 16]);

impl LeaseToken {
    /// From random bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The wire form: 32 lower-case hexadecimal digits.
    pub fn to_wire(self) -> String {
        self.0.iter().flat_map(|b| [b >> 4, b & 15]).map(hex).collect()
    }

    /// From the wire form; none when it is no token at all.
    pub fn from_wire(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(Self(bytes))
    }

    /// What stores keep of it.
    pub fn hash(self) -> TokenHash {
        let digest = Sha256::digest(self.0);
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        TokenHash(hash)
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseToken(…)")
    }
}

fn hex(nibble: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(nibble & 15)])
}

/// First half of a token's SHA-256: what is stored and compared. Knowing it does not give the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 16]);

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Hash of the holder's token.
    pub token: TokenHash,
    /// When it ends unless a heartbeat extends it.
    pub until: Timestamp,
    /// By how much a heartbeat extends it, in seconds.
    pub seconds: u32,
}

/// The accepted end of the latest attempt, kept so that the same call repeated gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFinish {
    /// Hash of the token that the attempt had.
    pub token: TokenHash,
    /// Fingerprint of the accepted call; none when the server or a person ended the attempt.
    pub call: Option<[u8; 16]>,
    /// How the attempt ended.
    pub outcome: Outcome,
}

/// How a holder ends its attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// The work is done.
    Completed {
        /// What came out of it.
        result: Option<Json>,
    },
    /// The attempt failed.
    Failed {
        /// Why, in words.
        error: String,
        /// Whether another attempt makes sense.
        retryable: bool,
        /// Seconds until the next attempt, instead of the policy's back-off.
        retry_after: Option<f64>,
    },
    /// Not now: again after `delay` seconds. Not counted.
    Snoozed {
        /// Seconds.
        delay: f64,
    },
    /// Given back at once. Not counted.
    Released,
    /// The worker stops before the work is through. Not counted.
    Interrupted,
}

impl Finish {
    /// Tells the same call from a different one: half a SHA-256 over everything it says.
    pub fn fingerprint(&self) -> [u8; 16] {
        let mut digest = Sha256::new();
        match self {
            Self::Completed { result } => {
                digest.update(b"c");
                digest.update(result.as_ref().map_or("", Json::as_str));
            }
            Self::Failed { error, retryable, retry_after } => {
                digest.update([b'f', u8::from(*retryable), u8::from(retry_after.is_some())]);
                digest.update(retry_after.unwrap_or_default().to_le_bytes());
                digest.update(error);
            }
            Self::Snoozed { delay } => {
                digest.update(b"s");
                digest.update(delay.to_le_bytes());
            }
            Self::Released => digest.update(b"r"),
            Self::Interrupted => digest.update(b"i"),
        }
        let mut print = [0; 16];
        print.copy_from_slice(&digest.finalize()[..16]);
        print
    }
}
