//! Wake-ups: who waits for work, and who hears of it first. Nothing here is the truth; a wake-up
//! that is lost costs one poll interval. What a creation got for a claimer comes here too, and goes back when
//! the claimer does not read it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use taskflow_core::limits::WAITERS_MAX;
use taskflow_core::{Kind, QueueName, TenantId, Timestamp};
use taskflow_store::{Hints, Kinds, Ready, Synced};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::ends::Ends;
use crate::grant::Giver;
use crate::roll::Roll;
use crate::serve::{Creating, Offer, Taken};

/// What a claimer takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Only these queues; none means every queue.
    pub queues: Option<Vec<QueueName>>,
    /// Which kinds.
    pub kinds: Kinds,
}

impl Wish {
    pub(crate) fn takes(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.kinds.take_from(self.queues.as_deref(), queue, kind)
    }
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    wish: Arc<Wish>,
    /// What it would ask the store for; none when it wants to ask by itself.
    offer: Option<Offer>,
    wake: oneshot::Sender<Wake>,
}

/// What a waiter hears.
#[derive(Debug)]
pub(crate) enum Wake {
    /// It should ask again.
    Ask(Cause),
    /// A creation asked for it.
    Got(Box<Synced>),
}

/// What a wake-up is about, so that one that was not used up finds the next claimer whom it suits.
#[derive(Debug, Clone)]
pub(crate) enum Cause {
    /// A task of this queue and kind waits.
    Task(QueueName, Kind),
    /// Something that this wish may take; nobody knows what.
    Anything,
}

#[derive(Debug, Default)]
struct Waiters {
    /// Longest waiting first.
    line: VecDeque<Waiter>,
    tickets: u64,
}

impl Waiters {
    /// Who has this ticket. Tickets rise along the line.
    fn of(&mut self, ticket: u64) -> Option<&mut Waiter> {
        let at = self.line.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()?;
        self.line.get_mut(at)
    }
}

/// Parked claimers and the instant that the herald waits for.
#[derive(Debug, Default)]
pub struct Bus {
    waiters: Mutex<Waiters>,
    next_due: Mutex<Option<Timestamp>>,
    /// Queues whose rate lets more through later.
    later: Mutex<BTreeMap<QueueName, Timestamp>>,
    sooner: Notify,
    closing: CancellationToken,
    /// Creations that are under way.
    pub(crate) creating: Creating,
    /// Who waits for a task to end.
    pub(crate) ends: Arc<Ends>,
    /// Which workers called, and which are to drain.
    pub(crate) roll: Arc<Roll>,
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
        waiters.line.push_back(Waiter { ticket, wish: Arc::clone(wish), offer: None, wake });
        drop(waiters);
        let (bus, wish) = (Arc::clone(self), Arc::clone(wish));
        Some(Parked { bus, wish, ticket, woken, cause: None, giver: None })
    }

    /// Takes the first waiter out of the line who would take such a task of this tenant, if it makes an offer:
    /// nobody is overtaken by that.
    pub(crate) fn take(&self, tenant: TenantId, queue: &QueueName, kind: &Kind) -> Option<Taken> {
        if self.is_closed() {
            return None;
        }
        let mut waiters = self.waiters.lock();
        let of_tenant = |offer: &Offer| offer.giver.tenant == tenant;
        let fits = |waiter: &Waiter| {
            waiter.wish.takes(queue, kind)
                && !waiter.wake.is_closed()
                && waiter.offer.as_ref().is_none_or(of_tenant)
        };
        let at = waiters.line.iter().position(fits)?;
        let offer = waiters.line.get(at)?.offer.as_ref()?;
        // One that is to drain is on its way out of the line.
        if self.roll.drains(tenant, &offer.caller) {
            return None;
        }
        let Waiter { wish, offer, wake, .. } = waiters.line.remove(at)?;
        Some(Taken { wish, offer: offer?, wake })
    }

    /// Tells of tasks that wait now: one claimer is woken for each that is due; the herald hears of
    /// the others.
    pub fn ready(&self, ready: &[Ready], now: Timestamp) {
        // A long batch is mostly of one sort: when nobody wants the last one, nobody wants the next.
        let mut unwanted: Option<&Ready> = None;
        for task in ready {
            if task.run_at > now {
                self.expect(task.run_at);
            } else if unwanted.is_none_or(|u| u.queue != task.queue || u.kind != task.kind)
                && !self.wake_for(&task.queue, &task.kind)
            {
                unwanted = Some(task);
            }
        }
    }

    /// Says that a queue's rate lets more through at `at`.
    pub fn later(&self, queue: QueueName, at: Timestamp) {
        self.later.lock().insert(queue, at);
        self.expect(at);
    }

    /// Wakes a claimer for each queue whose rate lets more through by now; when the next one does.
    pub(crate) fn wake_later(&self, now: Timestamp) -> Option<Timestamp> {
        let mut due = Vec::new();
        let mut later = self.later.lock();
        later.retain(|queue, at| {
            let waits = *at > now;
            if !waits {
                due.push(queue.clone());
            }
            waits
        });
        let next = later.values().min().copied();
        drop(later);
        for queue in due {
            let takes = |wish: &Wish| wish.queues.as_ref().is_none_or(|q| q.contains(&queue));
            self.wake_first(&Cause::Anything, takes);
        }
        next
    }

    fn wake_for(&self, queue: &QueueName, kind: &Kind) -> bool {
        let cause = Cause::Task(queue.clone(), kind.clone());
        self.wake_first(&cause, |wish| wish.takes(queue, kind))
    }

    /// Wakes the first waiter that fits; whether there was one.
    fn wake_first(&self, cause: &Cause, fits: impl Fn(&Wish) -> bool) -> bool {
        let mut waiters = self.waiters.lock();
        let mut from = 0;
        while let Some(found) = waiters.line.iter().skip(from).position(|w| fits(&w.wish)) {
            from += found;
            let Some(waiter) = waiters.line.remove(from) else { return false };
            // One whose claimer went away does not count.
            if waiter.wake.send(Wake::Ask(cause.clone())).is_ok() {
                return true;
            }
        }
        false
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
                if waiter.wake.send(Wake::Ask(Cause::Anything)).is_ok() {
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

    /// Whether the process stops.
    pub fn is_closed(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Whether a claim waits that would take such a task.
    pub fn wanted(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.waiters.lock().line.iter().any(|waiter| waiter.wish.takes(queue, kind))
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

    /// Takes the expected instant when it has come. A later one stays, so that what comes after it
    /// wakes nobody.
    pub(crate) fn take_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.next_due.lock().take_if(|at| *at <= now)
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

/// A place in the line. Dropping it leaves the line; a wake-up that was not used is passed on, and what a
/// creation got and nobody read goes back.
#[derive(Debug)]
pub struct Parked {
    bus: Arc<Bus>,
    wish: Arc<Wish>,
    ticket: u64,
    woken: oneshot::Receiver<Wake>,
    /// The wake-up that was heard.
    cause: Option<Cause>,
    /// Gives back what it got and does not read.
    giver: Option<Giver>,
}

impl Parked {
    /// Lets a creation ask for this claimer from now on. Only while it does nothing but wait: what a creation
    /// got for one that gets something by itself would have to go back, behind all that waits.
    pub(crate) fn offer(&mut self, offer: &Offer) {
        if let Some(waiter) = self.bus.waiters.lock().of(self.ticket) {
            waiter.offer = Some(offer.clone());
        }
        self.giver = Some(offer.giver.clone());
    }

    /// Takes the offer back. False when its place is gone: what it is to hear has come or comes.
    pub(crate) fn withdraw(&mut self) -> bool {
        self.bus.waiters.lock().of(self.ticket).map(|waiter| waiter.offer = None).is_some()
    }

    /// Resolves when this claimer should ask again, or with what a creation got for it.
    pub async fn woken(&mut self) -> Option<Box<Synced>> {
        match (&mut self.woken).await {
            Ok(Wake::Got(synced)) => return Some(synced),
            Ok(Wake::Ask(cause)) => self.cause = Some(cause),
            Err(_) => {}
        }
        None
    }

    /// Passes the wake-up that was heard on to the next whom it suits: there may be more than this
    /// one takes.
    pub fn pass_on(&mut self) {
        match self.cause.take() {
            Some(Cause::Task(queue, kind)) => {
                self.bus.wake_for(&queue, &kind);
            }
            Some(Cause::Anything) => {
                self.bus.wake_first(&Cause::Anything, |wish| *wish == *self.wish);
            }
            None => {}
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let mut waiters = self.bus.waiters.lock();
        // Tickets rise along the line.
        if let Ok(at) = waiters.line.binary_search_by_key(&self.ticket, |w| w.ticket) {
            waiters.line.remove(at);
            return;
        }
        drop(waiters);
        // Wake-ups are sent under the lock, so one that was sent is here by now; what comes later from a
        // creation finds the way closed.
        self.woken.close();
        match self.woken.try_recv() {
            Ok(Wake::Ask(cause)) => {
                self.cause = Some(cause);
                self.pass_on();
            }
            Ok(Wake::Got(synced)) => {
                if let Some(giver) = self.giver.take() {
                    giver.give_back_later(*synced);
                }
            }
            Err(_) => {}
        }
    }
}
