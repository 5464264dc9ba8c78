//! Events for whoever watches: what the store tells of changes, in order, with numbers, kept for a while. Every
//! subscriber reads the one memory at its own pace and waits for nobody; one that falls behind it is told to read
//! anew. Nothing here is the truth, and nothing is told while nobody watches. How events look is the API's business.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use taskflow_core::limits::{
    EVENT_PIECE_MAX, EVENT_SUBSCRIBERS_MAX, EVENTS_BYTES_MAX, EVENTS_KEPT,
};
use taskflow_core::{Change, Interest, TenantId};
use taskflow_store::{Changes, Heard, Store, Told};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::actor::Actor;
use crate::clock::IdSource;
use crate::error::ServiceError;

/// How long the store tells changes after it was asked to.
const WATCH: Duration = Duration::from_secs(30);
/// How often it is asked while somebody watches: a third of that.
pub(crate) const ASK_EVERY: Duration = Duration::from_secs(10);
/// How long after the last subscriber went the changes are still kept: whoever lost its connection and comes
/// back finds what it missed.
const LINGER: Duration = Duration::from_secs(60);
/// At least so long between two looks of one subscriber: a busy server's events come in tens, not one by one.
const PACE: Duration = Duration::from_millis(20);
/// And so long for each subscriber that there is and each [`PORTION`] that it got: all together they look at most
/// 20,000 times a second and get at most 80 MB/s, a share of one core, however many they are. Who wants more than
/// its part of that falls behind and reads anew; those who create and work do not wait for it.
const PACE_EACH: Duration = Duration::from_micros(50);
/// So many events are some 4 KiB.
const PORTION: usize = 12;

/// Which events: those of one process since its start have rising numbers, and no other process's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Of the process.
    pub epoch: u64,
    /// Of the event.
    pub number: u64,
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.number)
    }
}

impl EventId {
    /// From its text.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, number) = text.split_once('-')?;
        let plain = |text: &str, is: fn(&u8) -> bool| text.bytes().all(|b| is(&b));
        if epoch.len() != 16
            || !plain(epoch, u8::is_ascii_hexdigit)
            || !plain(number, u8::is_ascii_digit)
        {
            return None;
        }
        let epoch = u64::from_str_radix(epoch, 16).ok()?;
        Some(Self { epoch, number: number.parse().ok()? })
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A change.
    Change(Change),
    /// Something was missed: read anew what you show.
    Resync,
}

/// One event.
#[derive(Debug)]
pub struct Event {
    /// Which one.
    pub id: EventId,
    /// What it tells.
    pub news: News,
    /// Whose; none is everybody's.
    tenant: Option<TenantId>,
    /// How it looks to those who get it, made once for all of them.
    pub rendered: OnceLock<Bytes>,
}

impl Event {
    fn is_for(&self, tenant: TenantId, interest: &Interest) -> bool {
        match &self.news {
            News::Resync => true,
            News::Change(change) => self.tenant == Some(tenant) && interest.takes(change),
        }
    }

    /// The one before it.
    pub fn before(&self) -> EventId {
        EventId { number: self.id.number - 1, ..self.id }
    }

    /// What it weighs in memory beyond a fixed part, in bytes.
    fn weight(&self) -> usize {
        let News::Change(Change::Task(change)) = &self.news else { return 0 };
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let message = change.progress.as_ref().map_or(0, |progress| text(&progress.message));
        // Once in words and once as it looks.
        2 * (change.tags.iter().map(String::len).sum::<usize>() + message + text(&change.worker))
    }
}

/// The kept events, oldest first, with consecutive numbers.
#[derive(Debug, Default)]
struct Memory {
    events: VecDeque<Arc<Event>>,
    /// The number of the next one.
    next: u64,
    bytes: usize,
}

impl Memory {
    fn oldest(&self) -> u64 {
        self.next - self.events.len() as u64
    }

    fn push(&mut self, epoch: u64, news: News, tenant: Option<TenantId>) {
        let id = EventId { epoch, number: self.next };
        let event = Arc::new(Event { id, news, tenant, rendered: OnceLock::new() });
        self.next += 1;
        self.bytes += event.weight();
        self.events.push_back(event);
        while self.events.len() > EVENTS_KEPT || self.bytes > EVENTS_BYTES_MAX {
            let Some(gone) = self.events.pop_front() else { break };
            self.bytes -= gone.weight();
        }
    }

    /// Forgets all: what came meanwhile is not known.
    fn skip(&mut self) {
        self.events.clear();
        self.bytes = 0;
        self.next += 1;
    }
}

/// The use case of watching.
#[derive(Clone)]
pub struct Events {
    store: Arc<dyn Store>,
    log: Arc<Log>,
    /// When the store was asked last.
    asked: Arc<Mutex<Option<Instant>>>,
}

/// What is kept, and who reads it.
#[derive(Debug)]
struct Log {
    epoch: u64,
    memory: RwLock<Memory>,
    /// The number of the next event, for those who wait for it.
    next: watch::Sender<u64>,
    subscribers: AtomicUsize,
    /// When the last of them went.
    left: Mutex<Option<Instant>>,
}

impl Events {
    pub(crate) fn new(store: Arc<dyn Store>, ids: &dyn IdSource) -> Self {
        let token = ids.tokens(1).first().map(|token| token.to_wire());
        let epoch = token.and_then(|text| u64::from_str_radix(text.get(..16)?, 16).ok());
        let log = Log {
            epoch: epoch.unwrap_or_default(),
            memory: RwLock::new(Memory { next: 1, ..Memory::default() }),
            next: watch::Sender::new(1),
            subscribers: AtomicUsize::new(0),
            left: Mutex::default(),
        };
        Self { store, log: Arc::new(log), asked: Arc::default() }
    }

    /// Watches: what is committed after the answer is heard. After `last` come first the events that followed
    /// it; a resync, when they are not known any more.
    pub async fn subscribe(
        &self,
        actor: Actor,
        interest: Interest,
        last: Option<EventId>,
    ) -> Result<Subscription, ServiceError> {
        let seat = self.seat()?;
        self.ask().await?;
        let log = Arc::clone(&self.log);
        let (next, oldest) = {
            let memory = log.memory.read();
            (memory.next, memory.oldest())
        };
        let known = |last: EventId| {
            let after = last.number.checked_add(1)?;
            (last.epoch == log.epoch && (oldest..=next).contains(&after)).then_some(after)
        };
        let at = last.map_or(Some(next), known);
        let heard = log.next.subscribe();
        let (behind, paced) = (at.is_none(), Instant::now());
        let at = at.unwrap_or(next);
        Ok(Subscription { seat, log, tenant: actor.tenant, interest, at, behind, heard, paced })
    }

    /// A place among the subscribers.
    fn seat(&self) -> Result<Seat, ServiceError> {
        let seat = Seat(Arc::clone(&self.log));
        if self.log.subscribers.fetch_add(1, Ordering::SeqCst) >= EVENT_SUBSCRIBERS_MAX {
            return Err(ServiceError::TooManyWaiters);
        }
        Ok(seat)
    }

    /// How many watch.
    pub fn subscribers(&self) -> usize {
        self.log.subscribers.load(Ordering::SeqCst)
    }

    /// Has the store tell, unless it was asked to a moment ago.
    async fn ask(&self) -> Result<(), ServiceError> {
        let now = Instant::now();
        let before = *self.asked.lock();
        if before.is_some_and(|at| now < at + ASK_EVERY) {
            return Ok(());
        }
        self.store.watch(WATCH).await?;
        let mut asked = self.asked.lock();
        // It had stopped telling: nobody knows what came meanwhile.
        if asked.is_none_or(|at| now > at + WATCH) {
            let mut memory = self.log.memory.write();
            memory.skip();
            // Who watched all the while has to know, too.
            self.log.next.send_replace(memory.next);
        }
        *asked = Some(now);
        Ok(())
    }

    /// Asks the store again while somebody watches, or may come back.
    pub(crate) async fn keep(&self) -> Result<(), ServiceError> {
        let left = *self.log.left.lock();
        let lingers = left.is_some_and(|at| Instant::now() < at + LINGER);
        if self.subscribers() > 0 || lingers {
            self.ask().await?;
        }
        Ok(())
    }

    /// Pours what the store tells into the memory until the store is gone.
    pub(crate) fn listen(&self) -> impl Future<Output = ()> + Send + use<> {
        listen(Arc::clone(&self.log), self.store.changes())
    }
}

async fn listen(log: Arc<Log>, mut changes: Changes) {
    loop {
        match changes.recv().await {
            Ok(Heard::Changes(told)) => log.push(told.iter()),
            Ok(Heard::Missed) | Err(RecvError::Lagged(_)) => log.missed(),
            Err(RecvError::Closed) => return,
        }
    }
}

impl Log {
    fn push<'t>(&self, told: impl Iterator<Item = &'t Told>) {
        let mut memory = self.memory.write();
        for Told { tenant, change } in told {
            memory.push(self.epoch, News::Change(change.clone()), Some(*tenant));
        }
        self.next.send_replace(memory.next);
    }

    /// A resync for everybody.
    fn missed(&self) {
        let mut memory = self.memory.write();
        memory.push(self.epoch, News::Resync, None);
        self.next.send_replace(memory.next);
    }
}

/// A place among the subscribers; dropping it leaves it.
#[derive(Debug)]
struct Seat(Arc<Log>);

impl Drop for Seat {
    fn drop(&mut self) {
        if self.0.subscribers.fetch_sub(1, Ordering::SeqCst) == 1 {
            *self.0.left.lock() = Some(Instant::now());
        }
    }
}

/// One who watches.
#[derive(Debug)]
pub struct Subscription {
    seat: Seat,
    log: Arc<Log>,
    tenant: TenantId,
    interest: Interest,
    /// The number of the next event to look at.
    at: u64,
    /// It is to read anew before anything else.
    behind: bool,
    heard: watch::Receiver<u64>,
    /// Not before then does it look again.
    paced: Instant,
}

/// What a subscriber gets at once.
#[derive(Debug, Default)]
pub struct Piece {
    /// Read anew what you show: something was missed before these.
    pub resync: bool,
    /// Events, oldest first, at most `limits::EVENT_PIECE_MAX`.
    pub events: Vec<Arc<Event>>,
}

impl Subscription {
    /// Whether it is to read anew before it hears anything.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Where it is: everything up to this one it was told, or did not want.
    pub fn position(&self) -> EventId {
        EventId { epoch: self.log.epoch, number: self.at - 1 }
    }

    /// The next piece, as soon as there is one. Safe to drop: nothing is lost.
    pub async fn next(&mut self) -> Piece {
        loop {
            // Seen before the look, so that nothing that comes in between is missed.
            self.heard.borrow_and_update();
            tokio::time::sleep_until(self.paced).await;
            let piece = self.look();
            let portions = self.seat.0.subscribers.load(Ordering::Relaxed)
                * (1 + piece.events.len() / PORTION);
            let portions = u32::try_from(portions).unwrap_or(u32::MAX);
            self.paced = Instant::now() + PACE.max(PACE_EACH.saturating_mul(portions));
            if piece.resync || !piece.events.is_empty() {
                return piece;
            }
            if self.heard.changed().await.is_err() {
                // The sender is in the seat's own hands.
                std::future::pending::<()>().await;
            }
        }
    }

    fn look(&mut self) -> Piece {
        let mut piece = Piece { resync: std::mem::take(&mut self.behind), ..Piece::default() };
        let memory = self.log.memory.read();
        let oldest = memory.oldest();
        if self.at < oldest {
            piece.resync = true;
            self.at = memory.next;
        }
        let from = usize::try_from(self.at - oldest).unwrap_or(usize::MAX);
        for event in memory.events.iter().skip(from) {
            if piece.events.len() == EVENT_PIECE_MAX {
                break;
            }
            self.at = event.id.number + 1;
            if !event.is_for(self.tenant, &self.interest) {
                continue;
            }
            if event.news == News::Resync {
                // What comes before it in this piece is read anew with the rest.
                piece.resync = true;
                piece.events.clear();
            } else {
                piece.events.push(Arc::clone(event));
            }
        }
        piece
    }
}
