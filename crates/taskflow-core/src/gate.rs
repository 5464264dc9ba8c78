//! What a queue lets through: pause, limits of leases and starts, the guard against starvation.
//! Whoever hands tasks out counts the leases and asks here, one task after the other.

use std::collections::BTreeMap;

use crate::limits::RATE_SECONDS_MAX;
use crate::queue::{Queue, RateLimit};
use crate::time::Timestamp;

/// Into how many parts a span of a rate limit is cut. Starts of one part are remembered as one number and
/// forgotten together, so a queue may run at 64/65 of its rate, and never above it.
const PARTS: i64 = 64;

/// How many parts are remembered at most: those of a span, and some of what lies before it.
const PARTS_KEPT: usize = 80;

/// The starts of the latest span: (beginning of a part in microseconds, starts in it), oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RateWindow(Vec<(i64, u32)>);

impl RateWindow {
    /// As a row keeps it.
    pub fn to_text(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|(at, n)| format!("{at}:{n}")).collect();
        parts.join(",")
    }

    /// From a kept text; none when it is not one.
    pub fn from_text(text: &str) -> Option<Self> {
        let part = |part: &str| {
            let (at, n) = part.split_once(':')?;
            Some((at.parse().ok()?, n.parse().ok()?))
        };
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts.map(part).collect::<Option<_>>().map(Self)
    }

    /// How many may start at `now`.
    pub fn room(&self, limit: RateLimit, now: Timestamp) -> u32 {
        let began = now.micros() - span(limit);
        let in_span = self.0.iter().filter(|(at, _)| at + part(limit) > began);
        let started: u32 = in_span.map(|(_, n)| *n).fold(0, u32::saturating_add);
        limit.tasks.saturating_sub(started)
    }

    /// Notes one start. What lies before the span is kept for a longer one that may be set later, put
    /// together ever more coarsely: a start may count as later than it was, never as earlier.
    pub fn take(&mut self, limit: RateLimit, now: Timestamp) {
        let longest = now.micros() - i64::from(RATE_SECONDS_MAX) * 1_000_000;
        self.0.retain(|(at, _)| *at > longest);
        while self.0.len() > PARTS_KEPT {
            let (_, first) = self.0.remove(0);
            if let Some((_, n)) = self.0.first_mut() {
                *n = n.saturating_add(first);
            }
        }
        let at = now.micros() - now.micros().rem_euclid(part(limit));
        match self.0.last_mut() {
            // A clock that went back writes into the latest part.
            Some((last, n)) if *last >= at => *n = n.saturating_add(1),
            _ => self.0.push((at, 1)),
        }
    }

    /// When the next one may start.
    pub fn next(&self, limit: RateLimit, now: Timestamp) -> Timestamp {
        let began = now.micros() - span(limit);
        let in_span = || self.0.iter().filter(|(at, _)| at + part(limit) > began);
        let mut over = in_span().map(|(_, n)| *n).fold(0, u32::saturating_add);
        for (at, n) in in_span() {
            if over < limit.tasks {
                break;
            }
            over = over.saturating_sub(*n);
            let free = at + part(limit) + span(limit);
            if over < limit.tasks {
                return Timestamp::from_micros(free.max(now.micros()));
            }
        }
        now
    }
}

fn span(limit: RateLimit) -> i64 {
    i64::from(limit.per_seconds) * 1_000_000
}

fn part(limit: RateLimit) -> i64 {
    span(limit) / PARTS
}

/// Why a task may not start though it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// The queue is paused.
    Paused,
    /// As many of its tasks have a lease as may.
    Full,
    /// As many tasks of the same `concurrency_key` have a lease as may.
    KeyFull,
    /// As many have started in the span as may; the next one then.
    Rate(Timestamp),
}

/// A queue and what it has let through.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// The queue.
    pub queue: Queue,
    /// Its latest starts.
    pub window: RateWindow,
    /// Tasks with a lease.
    pub running: u32,
    /// The same per `concurrency_key`.
    pub keys: BTreeMap<String, u32>,
}

impl Gate {
    /// A gate through which nothing has gone.
    pub fn new(queue: Queue, window: RateWindow) -> Self {
        Self { queue, window, running: 0, keys: BTreeMap::new() }
    }

    /// Why no task of the queue may start, whichever it is.
    pub fn barred(&self, now: Timestamp) -> Option<Barred> {
        let settings = &self.queue.settings;
        if self.queue.pause.is_some() {
            return Some(Barred::Paused);
        }
        if settings.concurrency_limit.is_some_and(|limit| self.running >= limit) {
            return Some(Barred::Full);
        }
        let rate = settings.rate_limit?;
        (self.window.room(rate, now) == 0).then(|| Barred::Rate(self.window.next(rate, now)))
    }

    /// Every reason why a task with this `concurrency_key` may not start, for those who ask why.
    pub fn all_barred(&self, key: Option<&str>, now: Timestamp) -> Vec<Barred> {
        let settings = &self.queue.settings;
        let full = settings.concurrency_limit.is_some_and(|limit| self.running >= limit);
        let rate = settings.rate_limit.filter(|rate| self.window.room(*rate, now) == 0);
        [
            self.queue.pause.is_some().then_some(Barred::Paused),
            full.then_some(Barred::Full),
            self.barred_key(key),
            rate.map(|rate| Barred::Rate(self.window.next(rate, now))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Why a task with this `concurrency_key` may not start.
    pub fn barred_key(&self, key: Option<&str>) -> Option<Barred> {
        let limit = self.queue.settings.concurrency_key_limit?;
        let held = self.keys.get(key?).copied().unwrap_or(0);
        (held >= limit).then_some(Barred::KeyFull)
    }

    /// The keys of which none may start.
    pub fn full_keys(&self) -> Vec<&str> {
        let Some(limit) = self.queue.settings.concurrency_key_limit else { return Vec::new() };
        self.keys.iter().filter(|(_, held)| **held >= limit).map(|(key, _)| key.as_str()).collect()
    }

    /// Notes a lease that there is, or that begins when `started`.
    pub fn take(&mut self, key: Option<&str>, started: Option<Timestamp>) {
        self.running += 1;
        if let Some(key) = key {
            *self.keys.entry(key.to_owned()).or_insert(0) += 1;
        }
        if let (Some(now), Some(rate)) = (started, self.queue.settings.rate_limit) {
            self.window.take(rate, now);
        }
    }

    /// Notes the end of a lease.
    pub fn give_back(&mut self, key: Option<&str>) {
        self.running = self.running.saturating_sub(1);
        if let Some(key) = key
            && let Some(held) = self.keys.get_mut(key)
        {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.keys.remove(key);
            }
        }
    }
}

/// Whether the next start of a queue is that of its oldest ready task, after so many starts.
pub fn is_guard_turn(starvation_guard: u32, starts: u64) -> bool {
    starvation_guard > 0 && (starts + 1).is_multiple_of(u64::from(starvation_guard))
}
