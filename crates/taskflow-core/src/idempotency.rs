//! What makes a repeated request the same one: its key, its fingerprint, and the seal of its answer.
//! How long an answer is kept is in `limits.rs`; who keeps it is a store's business.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::limits::IDEMPOTENCY_KEY_CHARS_MAX;

/// A caller's name for one request: visible ASCII. Whoever knows it can open what is sealed with it.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters, alone or as a string in double quotes")]
pub struct BadKey;

impl IdempotencyKey {
    /// Reads a header's value: the key itself, or a structured field's string (RFC 9651, 3.3.3) that
    /// means what is between its quotes.
    pub fn parse(value: &str) -> Result<Self, BadKey> {
        let key = match value.strip_prefix('"') {
            Some(rest) => unquoted(rest).ok_or(BadKey)?,
            None => value.to_owned(),
        };
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len());
        if visible && fits { Ok(Self(key)) } else { Err(BadKey) }
    }

    /// What the key stands for on `route` (a method and a path's template) when the request is `request`.
    pub fn ticket(&self, route: &str, request: Fingerprint) -> Ticket {
        let hash = |purpose: &str, parts: &[&str]| -> [u8; 32] {
            let mut digest = Sha256::new();
            digest.update(purpose);
            for part in parts {
                digest.update((part.len() as u64).to_le_bytes());
                digest.update(part);
            }
            digest.finalize().into()
        };
        Ticket {
            key: KeyHash(hash("taskflow key", &[route, &self.0])),
            request,
            secret: hash("taskflow seal", &[route, &self.0]),
        }
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(…)")
    }
}

/// The rest of a string after its first quote: up to the last one, which ends the value.
fn unquoted(rest: &str) -> Option<String> {
    let mut key = String::with_capacity(rest.len());
    let mut letters = rest.chars();
    loop {
        match letters.next()? {
            '"' => return letters.next().is_none().then_some(key),
            '\\' => key.push(letters.next().filter(|c| matches!(c, '"' | '\\'))?),
            letter => key.push(letter),
        }
    }
}

/// What stores keep of a key and its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// Tells one request from another: SHA-256 over method, path with query, and the bytes of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a request whose body has this SHA-256.
    pub fn of(method: &str, target: &str, body: [u8; 32]) -> Self {
        let mut digest = Sha256::new();
        for part in [method, target] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.update(body);
        Self(digest.finalize().into())
    }
}

/// The SHA-256 of a body.
pub fn body_hash(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// One request with its key, as a store may see it, and the secret that its answer is sealed with.
#[derive(Clone)]
pub struct Ticket {
    /// What is unique.
    pub key: KeyHash,
    /// What was asked.
    pub request: Fingerprint,
    secret: [u8; 32],
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Length of a nonce, in bytes.
const NONCE: usize = 16;

impl Ticket {
    /// Hides an answer from whoever reads the database: a claim's answer holds lease tokens, and those
    /// are never stored. The key stream is SHA-256 over secret, nonce and a counter, so a nonce must
    /// never serve twice. It hides as well as the key is hard to guess; it does not prove who wrote.
    pub fn seal(&self, nonce: [u8; NONCE], answer: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(NONCE + answer.len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(answer);
        self.stream(nonce, &mut sealed[NONCE..]);
        sealed
    }

    /// The answer again; none when it is too short to be sealed.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let mut answer = sealed.to_vec();
        self.stream(*nonce, &mut answer);
        Some(answer)
    }

    fn stream(&self, nonce: [u8; NONCE], text: &mut [u8]) {
        for (count, block) in (0_u64..).zip(text.chunks_mut(32)) {
            let mut digest = Sha256::new();
            digest.update(self.secret);
            digest.update(nonce);
            digest.update(count.to_le_bytes());
            for (byte, mask) in block.iter_mut().zip(digest.finalize()) {
                *byte ^= mask;
            }
        }
    }
}
