//! Wake-ups: who waits for work, and who hears of it first. Nothing here is the truth; a wake-up
//! that is lost costs one poll interval.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use taskflow_core::limits::WAITERS_MAX;
use taskflow_core::{Kind, QueueName, Timestamp};
use taskflow_store::{Hints, Kinds, Ready};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// What a claimer takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Only these queues; none means every queue.
    pub queues: Option<Vec<QueueName>>,
    /// Which kinds.
    pub kinds: Kinds,
}

impl Wish {
    fn takes(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.contains(queue)) && self.kinds.take(kind)
    }
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    wish: Arc<Wish>,
    wake: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Waiters {
    /// Longest waiting first.
    line: VecDeque<Waiter>,
    tickets: u64,
}

/// Parked claimers and the instant that the herald waits for.
#[derive(Debug, Default)]
pub struct Bus {
    waiters: Mutex<Waiters>,
    next_due: Mutex<Option<Timestamp>>,
    sooner: Notify,
    closing: CancellationToken,
}

impl Bus {
    /// Takes a place in the line; none when `limits::WAITERS_MAX` wait already. Take it before asking
    /// the store, so that nothing that comes in between is missed.
    pub fn park(self: &Arc<Self>, wish: &Arc<Wish>) -> Option<Parked> {
        let (wake, woken) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        if waiters.line.len() >= WAITERS_MAX {
            return None;
        }
        waiters.tickets += 1;
        let ticket = waiters.tickets;
        waiters.line.push_back(Waiter { ticket, wish: Arc::clone(wish), wake });
        drop(waiters);
        Some(Parked { bus: Arc::clone(self), wish: Arc::clone(wish), ticket, woken, done: false })
    }

    /// Tells of tasks that wait now: one claimer is woken for each that is due; the herald hears of
    /// the others.
    pub fn ready(&self, ready: &[Ready], now: Timestamp) {
        for task in ready {
            if task.run_at <= now {
                self.wake_first(|wish| wish.takes(&task.queue, &task.kind));
            } else {
                self.expect(task.run_at);
            }
        }
    }

    /// Wakes the first waiter that fits.
    fn wake_first(&self, fits: impl Fn(&Wish) -> bool) {
        let mut waiters = self.waiters.lock();
        let mut from = 0;
        while let Some(found) = waiters.line.iter().skip(from).position(|w| fits(&w.wish)) {
            from += found;
            let Some(waiter) = waiters.line.remove(from) else { return };
            // One whose claimer went away does not count.
            if waiter.wake.send(()).is_ok() {
                return;
            }
        }
    }

    /// Wakes one waiter of every distinct wish: something was written elsewhere and nobody knows what.
    pub fn wake_each_wish(&self) {
        let mut seen: Vec<Arc<Wish>> = Vec::new();
        let mut waiters = self.waiters.lock();
        for waiter in std::mem::take(&mut waiters.line) {
            if seen.contains(&waiter.wish) {
                waiters.line.push_back(waiter);
            } else {
                let wish = Arc::clone(&waiter.wish);
                if waiter.wake.send(()).is_ok() {
                    seen.push(wish);
                }
            }
        }
    }

    /// Sends everybody home who waits: the process stops.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Resolves when the process stops.
    pub async fn closed(&self) {
        self.closing.cancelled().await;
    }

    /// Number of claims that wait.
    pub fn waiting(&self) -> usize {
        self.waiters.lock().line.len()
    }

    /// Says that something comes due at `at`.
    pub fn expect(&self, at: Timestamp) {
        let mut next = self.next_due.lock();
        if next.is_none_or(|known| at < known) {
            *next = Some(at);
            self.sooner.notify_one();
        }
    }

    /// Starts a tick of the herald: what was expected so far is looked up in the store.
    pub(crate) fn forget_due(&self) {
        *self.next_due.lock() = None;
    }

    /// What the herald found; unlike `expect` it does not wake the herald.
    pub(crate) fn note_due(&self, at: Timestamp) {
        let mut next = self.next_due.lock();
        *next = Some(next.map_or(at, |known| known.min(at)));
    }

    /// The instant that the herald should not miss.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        *self.next_due.lock()
    }

    /// Resolves when something is expected sooner than before.
    pub(crate) async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Pours what other processes did into the bus until the store is gone.
    pub async fn listen(self: Arc<Self>, mut hints: Hints) {
        while hints.changed().await.is_ok() {
            self.wake_each_wish();
            self.sooner.notify_one();
        }
    }
}

/// A place in the line. Dropping it leaves the line; a wake-up that was not used is passed on.
#[derive(Debug)]
pub struct Parked {
    bus: Arc<Bus>,
    wish: Arc<Wish>,
    ticket: u64,
    woken: oneshot::Receiver<()>,
    done: bool,
}

impl Parked {
    /// Resolves when this claimer should ask again.
    pub async fn woken(&mut self) {
        if (&mut self.woken).await.is_ok() {
            self.done = true;
        }
    }

    /// Passes a wake-up on to the next with the same wish: there may be more than this one takes.
    pub fn pass_on(&self) {
        self.bus.wake_first(|wish| *wish == *self.wish);
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if self.woken.try_recv().is_ok() {
            self.pass_on();
        } else {
            let mut waiters = self.bus.waiters.lock();
            // Tickets rise along the line.
            if let Ok(at) = waiters.line.binary_search_by_key(&self.ticket, |w| w.ticket) {
                waiters.line.remove(at);
            }
        }
    }
}
