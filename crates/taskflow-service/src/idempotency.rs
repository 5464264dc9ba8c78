//! Requests with an `Idempotency-Key`: done once, and the first answer again whenever they come again.
//! How an answer looks is the API's business, that act and answer are one commit is the store's.

use std::sync::Arc;

use taskflow_core::limits::IDEMPOTENCY_ANSWER_BYTES_MAX;
use taskflow_core::{
    Clock, Finish, LeaseToken, NewTask, Task, TaskId, TaskPatch, Ticket, Timestamp,
};
use taskflow_store::{
    AllInserted, Answers, Deed, Deleted, Done, Edit, Edited, Extend, FinishTask, Inserted, Once,
    Onced, Ready, Receipt, Render, Store, StoreError, Sync,
};

use crate::actor::Actor;
use crate::bus::Bus;
use crate::clock::IdSource;
use crate::error::ServiceError;
use crate::serve;
use crate::tasks::{self, Created};
use crate::work::{self, Beat};

/// What a request wants done, and how the store's answer is read. A route that takes keys asks for one.
pub struct Wanted<T> {
    deed: Deed,
    read: Box<dyn Fn(Done) -> Result<T, ServiceError> + Send + std::marker::Sync>,
}

/// What became of each task, or which one was refused and why.
pub type CreatedAll = Result<Vec<Created>, (usize, ServiceError)>;

impl<T> Wanted<T> {
    fn new(
        deed: Deed,
        read: impl Fn(Done) -> Result<T, ServiceError> + Send + std::marker::Sync + 'static,
    ) -> Self {
        Self { deed, read: Box::new(read) }
    }
}

impl Wanted<Created> {
    /// A new task.
    pub fn create(new: NewTask) -> Self {
        Self::new(Deed::Insert(vec![new]), |done| match done {
            Done::Inserted(answers) => tasks::created(tasks::one(answers)?),
            _ => mixed_up(),
        })
    }
}

impl Wanted<Vec<Result<Created, ServiceError>>> {
    /// New tasks; what is refused does not hinder the others.
    pub fn create_many(batch: Vec<NewTask>) -> Self {
        Self::new(Deed::Insert(batch), |done| match done {
            Done::Inserted(answers) => Ok(answers.items.into_iter().map(tasks::created).collect()),
            _ => mixed_up(),
        })
    }
}

impl Wanted<CreatedAll> {
    /// New tasks, all of them or none.
    pub fn create_all(batch: Vec<NewTask>) -> Self {
        Self::new(Deed::InsertAll(batch), |done| match done {
            Done::AllInserted(answer) => tasks::created_all(answer),
            _ => mixed_up(),
        })
    }
}

impl Wanted<Task> {
    /// Changes to a task's fields and status.
    pub fn edit(id: TaskId, if_version: Option<u64>, patch: TaskPatch) -> Self {
        Self::new(Deed::Edit(vec![Edit { id, if_version, patch }]), move |done| match done {
            Done::Edited(answers) => tasks::edited(id, tasks::one(answers)?),
            _ => mixed_up(),
        })
    }
}

impl Wanted<()> {
    /// Nothing but to keep an answer.
    pub fn note() -> Self {
        Self::new(Deed::Note, |done| match done {
            Done::Noted => Ok(()),
            _ => mixed_up(),
        })
    }
}

impl Wanted<Receipt> {
    /// The end of one attempt.
    pub fn finish(id: TaskId, token: LeaseToken, finish: Finish) -> Self {
        let finish = vec![FinishTask { id, token, finish }];
        let deed = Deed::Sync(Box::new(Sync { finish, ..Sync::default() }));
        Self::new(deed, move |done| match done {
            Done::Synced(synced) => work::finished(id, synced.finished.into_iter().next()),
            _ => mixed_up(),
        })
    }
}

impl Wanted<Option<Beat>> {
    /// A heartbeat, of which `beat` says what it means to the holder; none when the task was cancelled
    /// and the worker should stop.
    pub(crate) fn heartbeat(
        extend: Extend,
        beat: impl Fn(Timestamp, Option<String>) -> Beat + Send + std::marker::Sync + 'static,
    ) -> Self {
        let id = extend.id;
        let deed = Deed::Sync(Box::new(Sync { extend: vec![extend], ..Sync::default() }));
        Self::new(deed, move |done| match done {
            Done::Synced(synced) => {
                let until = work::extended(id, synced.extended.first())?;
                let holder = synced.holders.into_iter().next().flatten();
                Ok(until.map(|until| beat(until, holder)))
            }
            _ => mixed_up(),
        })
    }
}

/// A store answers each act with its own kind of answer; anything else is a fault there.
pub(crate) fn mixed_up<T>() -> Result<T, ServiceError> {
    Err(ServiceError::Internal(StoreError::Corrupt("the store mixed up its answers".into())))
}

/// The answer to a request with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// As it was shown the first time.
    pub answer: Vec<u8>,
    /// Whether this is not the first time.
    pub again: bool,
}

/// What a try came to.
pub(crate) enum Tried {
    /// Done now.
    Done(Kept, Done),
    /// Done before.
    Before(Kept),
    /// Nothing was kept and nothing done: what the answers would have been, and when.
    Undone(Done, Timestamp),
}

/// How the answers of an act look that was done at an instant; none when it is to be undone.
pub(crate) type Show = Arc<dyn Fn(Done, Timestamp) -> Option<Vec<u8>> + Send + std::marker::Sync>;

/// The use cases of keys.
#[derive(Clone)]
pub struct Onces {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    bus: Arc<Bus>,
}

impl Onces {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        bus: Arc<Bus>,
    ) -> Self {
        Self { store, clock, ids, bus }
    }

    /// Does what a request without a key wants.
    pub async fn plain<T>(&self, actor: Actor, wanted: Wanted<T>) -> Result<T, ServiceError> {
        let (scope, now, store) = (actor.tenant, self.clock.now(), &self.store);
        let gone = deleted(&wanted.deed);
        let done = match wanted.deed {
            Deed::Insert(batch) => {
                let by = (store, self.bus.as_ref(), self.ids.as_ref());
                Done::Inserted(serve::insert(by, scope, batch, now).await?)
            }
            Deed::InsertAll(batch) => Done::AllInserted(store.insert_all(scope, batch, now).await?),
            Deed::Edit(batch) => Done::Edited(store.edit(scope, batch, now).await?),
            Deed::Delete(batch) => Done::Deleted(store.delete(scope, batch, now).await?),
            Deed::Sync(sync) => Done::Synced(Box::new(store.sync(scope, *sync, now).await?)),
            Deed::Note => Done::Noted,
        };
        self.tell(&done, &gone, now);
        (wanted.read)(done)
    }

    /// Does what a request with a key wants, or answers what it was answered before. `show` says how
    /// the answer looks that is kept, for a deed of this instant; when it refuses, nothing is done.
    pub async fn once<T, P>(
        &self,
        actor: Actor,
        ticket: &Ticket,
        wanted: Wanted<T>,
        show: impl Fn(T, Timestamp) -> Result<Vec<u8>, P> + Send + std::marker::Sync + 'static,
    ) -> Result<Kept, P>
    where
        T: 'static,
        P: From<ServiceError> + 'static,
    {
        let Wanted { deed, read } = wanted;
        let shown = Arc::new(move |done, now| show(read(done)?, now));
        let render = Arc::clone(&shown);
        let show: Show = Arc::new(move |done, now| render(done, now).ok());
        match self.attempt(actor, ticket, deed, show).await? {
            Tried::Done(kept, _) | Tried::Before(kept) => Ok(kept),
            Tried::Undone(done, now) => match shown(done, now) {
                Ok(_) => Err(ServiceError::AnswerTooLarge.into()),
                Err(refused) => Err(refused),
            },
        }
    }

    /// What a request with a key was answered before; none when it comes for the first time.
    pub async fn before(
        &self,
        actor: Actor,
        ticket: &Ticket,
    ) -> Result<Option<Kept>, ServiceError> {
        let (scope, now) = (actor.tenant, self.clock.now());
        match self.store.recall(scope, ticket.key, ticket.request, now).await? {
            Some(Onced::Before(answer)) => {
                Ok(Some(Kept { answer: open(ticket, &answer)?, again: true }))
            }
            Some(Onced::Other) => Err(ServiceError::KeyReused),
            _ => Ok(None),
        }
    }

    /// One try. A commit of unknown outcome is asked for at once: the store knows the key or does not.
    pub(crate) async fn attempt(
        &self,
        actor: Actor,
        ticket: &Ticket,
        deed: Deed,
        show: Show,
    ) -> Result<Tried, ServiceError> {
        let now = self.clock.now();
        let gone = deleted(&deed);
        // The hash of a fresh token is as random as the token.
        let nonce = self.ids.tokens(1).first().map_or([0; 16], |token| token.hash().0);
        let render = Arc::new(Sealed { ticket: ticket.clone(), nonce, now, show });
        let once = Once { key: ticket.key, request: ticket.request, deed, render };
        let onced = match self.store.once(actor.tenant, once.clone(), now).await {
            Err(StoreError::Unknown(_)) => self.store.once(actor.tenant, once, now).await,
            known => known,
        };
        match onced? {
            Onced::Done { answer, done } => {
                self.tell(&done, &gone, now);
                Ok(Tried::Done(Kept { answer: open(ticket, &answer)?, again: false }, done))
            }
            Onced::Before(answer) => {
                Ok(Tried::Before(Kept { answer: open(ticket, &answer)?, again: true }))
            }
            Onced::Undone(done) => Ok(Tried::Undone(done, now)),
            Onced::Other => Err(ServiceError::KeyReused),
            Onced::InProgress => Err(ServiceError::KeyInProgress),
        }
    }

    /// Wakes whoever waits for what was done.
    fn tell(&self, done: &Done, gone: &[TaskId], now: Timestamp) {
        let ready: &[Ready] = match done {
            Done::Inserted(Answers { items, ready })
            | Done::AllInserted(AllInserted::Done(Answers { items, ready })) => {
                self.bus.ends.tell(items.iter().filter_map(replaced));
                ready
            }
            Done::AllInserted(AllInserted::Refused { .. }) | Done::Noted => &[],
            Done::Edited(Answers { items, ready }) => {
                self.bus.ends.tell(items.iter().filter_map(ended));
                ready
            }
            Done::Deleted(Answers { items, ready }) => {
                let gone = gone.iter().zip(items).filter(|(_, item)| **item == Deleted::Done);
                self.bus.ends.tell(gone.map(|(id, _)| *id));
                ready
            }
            Done::Synced(synced) => {
                for (queue, at) in &synced.later {
                    self.bus.later(queue.clone(), *at);
                }
                self.bus.ends.tell(work::ended(synced));
                &synced.ready
            }
        };
        self.bus.ready(ready, now);
    }
}

/// The tasks that a deed would delete.
fn deleted(deed: &Deed) -> Vec<TaskId> {
    match deed {
        Deed::Delete(batch) => batch.iter().map(|delete| delete.id).collect(),
        _ => Vec::new(),
    }
}

fn replaced(inserted: &Inserted) -> Option<TaskId> {
    match inserted {
        Inserted::Replaced { cancelled, .. } => Some(*cancelled),
        _ => None,
    }
}

fn ended(edited: &Edited) -> Option<TaskId> {
    match edited {
        Edited::Done(task) => task.state.status.is_ended().then_some(task.id),
        _ => None,
    }
}

fn open(ticket: &Ticket, sealed: &[u8]) -> Result<Vec<u8>, ServiceError> {
    let short = || ServiceError::Internal(StoreError::Corrupt("a kept answer is too short".into()));
    ticket.open(sealed).ok_or_else(short)
}

/// Shows an answer and seals what is kept of it: a database must not hold lease tokens.
struct Sealed {
    ticket: Ticket,
    nonce: [u8; 16],
    now: Timestamp,
    show: Show,
}

impl Render for Sealed {
    fn render(&self, done: &Done) -> Option<Vec<u8>> {
        let answer = (self.show)(done.clone(), self.now)?;
        let fits = answer.len() <= IDEMPOTENCY_ANSWER_BYTES_MAX;
        fits.then(|| self.ticket.seal(self.nonce, &answer))
    }
}
