//! What one connection is waiting for, shared between its IO, its service and its clock.
//! It keeps no time limits and closes nothing: `connection.rs` does.
//!
//! IO, service and clock all run in the connection's own task, so plain loads and stores do; only
//! the accept loop looks from outside, and it can live with an answer that is a moment old.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A request is with the router, or its answer is not handed over in full.
const REQUEST: u64 = 1;
/// Bytes of a head have come that is not complete.
const HEAD: u64 = 2;
/// The peer does not take the bytes that we want to send.
const BLOCKED: u64 = 4;
/// The answer is out and what the peer still sends is thrown away.
const DRAINING: u64 = 8;
/// The bits above count how often the thing that is waited for has changed.
const STEP: u64 = 16;

/// The body length that stands for "no request was handed over since the last look".
const NO_REQUEST: u64 = u64::MAX;
/// The body length that stands for "chunked".
const CHUNKED: u64 = u64::MAX - 1;

/// What the connection waits for; each has its own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head,
    /// The router, or the request's body: timed elsewhere.
    Request,
    /// The peer to read its answer.
    Write,
    /// The peer to close after the last answer.
    Drain,
}

/// How many body bytes follow a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// This many (none is zero).
    Exactly(u64),
    /// As many as the chunks say.
    Chunked,
}

/// The shared state.
#[derive(Debug)]
pub(super) struct Watch {
    word: AtomicU64,
    body: AtomicU64,
    /// Microseconds after the server's start when the present wait began.
    since: AtomicU64,
    expired: AtomicBool,
    hasty: AtomicBool,
    upgraded: AtomicBool,
}

impl Watch {
    /// A new connection that has sent nothing, at `now` after the server's start.
    pub(super) fn new(now: Duration) -> Self {
        let watch = Self {
            word: AtomicU64::new(0),
            body: AtomicU64::new(NO_REQUEST),
            since: AtomicU64::new(0),
            expired: AtomicBool::new(false),
            hasty: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
        };
        watch.waits_since(now);
        watch
    }

    /// What is waited for.
    pub(super) fn waiting(&self) -> Waiting {
        waiting(self.word.load(Relaxed))
    }

    /// A number that differs whenever the wait is another one, even of the same kind.
    pub(super) fn turn(&self) -> u64 {
        self.word.load(Relaxed) / STEP
    }

    /// Bytes went to the HTTP parser; `head` says that they belong to a head.
    pub(super) fn received(&self, head: bool) {
        if head || self.word.load(Relaxed) & REQUEST == 0 {
            self.change(HEAD, 0);
        }
    }

    /// The service has a request with such a body.
    pub(super) fn called(&self, body: BodyLength) {
        let length = match body {
            BodyLength::Chunked => CHUNKED,
            BodyLength::Exactly(length) => length.min(CHUNKED - 1),
        };
        self.body.store(length, Relaxed);
        self.change(REQUEST, HEAD);
    }

    /// The body length of a request that was handed over since the last look.
    pub(super) fn take_body(&self) -> Option<BodyLength> {
        let length = self.body.load(Relaxed);
        self.body.store(NO_REQUEST, Relaxed);
        match length {
            NO_REQUEST => None,
            CHUNKED => Some(BodyLength::Chunked),
            length => Some(BodyLength::Exactly(length)),
        }
    }

    /// The answer is handed over in full or given up.
    pub(super) fn answered(&self) {
        self.change(0, REQUEST);
    }

    /// The peer takes no more bytes for now, or again.
    pub(super) fn blocked(&self, yes: bool) {
        if yes {
            self.change(BLOCKED, 0);
        } else {
            self.change(0, BLOCKED);
        }
    }

    /// The peer is being waited for to close.
    pub(super) fn draining(&self) {
        self.change(DRAINING, 0);
    }

    /// Notes when the present wait began.
    pub(super) fn waits_since(&self, now: Duration) {
        self.since.store(u64::try_from(now.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// When the present wait began, as long after the server's start.
    pub(super) fn since(&self) -> Duration {
        Duration::from_micros(self.since.load(Relaxed))
    }

    /// The head did not come in time: the IO is to say so and end.
    pub(super) fn expire(&self) {
        self.expired.store(true, Relaxed);
    }

    /// Whether [`expire`](Self::expire) was called.
    pub(super) fn is_expired(&self) -> bool {
        self.expired.load(Relaxed)
    }

    /// The server leaves: a connection without a request need not wait for its peer to close.
    pub(super) fn leave(&self) {
        self.hasty.store(self.waiting() == Waiting::Idle, Relaxed);
    }

    /// Whether the connection was idle when the server left it.
    pub(super) fn is_hasty(&self) -> bool {
        self.hasty.load(Relaxed)
    }

    /// The router switched to another protocol: nothing that comes now is a head.
    pub(super) fn upgrade(&self) {
        self.upgraded.store(true, Relaxed);
    }

    /// Whether [`upgrade`](Self::upgrade) was called.
    pub(super) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Relaxed)
    }

    fn change(&self, set: u64, clear: u64) {
        let old = self.word.load(Relaxed);
        let mut new = (old | set) & !clear;
        if waiting(new) != waiting(old) {
            new = new.wrapping_add(STEP);
        }
        self.word.store(new, Relaxed);
    }
}

/// The flags in order of weight: a peer that does not read is timed even while the router works.
fn waiting(word: u64) -> Waiting {
    if word & BLOCKED != 0 {
        Waiting::Write
    } else if word & DRAINING != 0 {
        Waiting::Drain
    } else if word & REQUEST != 0 {
        Waiting::Request
    } else if word & HEAD != 0 {
        Waiting::Head
    } else {
        Waiting::Idle
    }
}
