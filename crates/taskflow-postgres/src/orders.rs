//! The flushers' transactions: new tasks, work, and edits with expiry. How each item is done is
//! in `tasks.rs` and `work.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use taskflow_core::{
    NewTask, QueueName, QueuePatch, Task, TaskId, TenantId, Timestamp, WorkerName,
};
use taskflow_store::{
    AllInserted, Answers, Claim, Delete, Deleted, Edit, Edited, Expired, Inserted, QueueSet, Ready,
    Sync, Synced, Told,
};

use crate::changes;
use crate::desk::Desk;
use crate::error::Failure;
use crate::lanes::Lanes;
use crate::serve::{self, Asked};
use crate::session::Session;
use crate::tasks;
use crate::work;
use crate::writer::Room;

/// New tasks of one caller.
#[derive(Debug)]
pub(crate) struct Insert {
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
    pub(crate) batch: Vec<NewTask>,
    /// All of them or none.
    pub(crate) all: bool,
    /// A claim that waits for them; not looked at where a task has a key or parents.
    pub(crate) claim: Option<Claim>,
}

/// The answer to an [`Insert`].
#[derive(Debug)]
pub(crate) struct Born {
    pub(crate) inserted: AllInserted,
    /// What the claim got.
    pub(crate) synced: Option<Synced>,
}

impl From<AllInserted> for Born {
    fn from(inserted: AllInserted) -> Self {
        Self { inserted, synced: None }
    }
}

/// The room of new tasks.
pub(crate) struct Inserts {
    pub(crate) lanes: Arc<Lanes>,
}

#[async_trait]
impl Room for Inserts {
    type Order = Insert;
    type Answer = Born;

    async fn attempt(&self, session: &Session, orders: &[Insert]) -> Result<Vec<Born>, Failure> {
        let keys = orders.iter().flat_map(|order| {
            order.batch.iter().map(|new| (order.tenant, new.queue.clone(), new.kind.clone()))
        });
        let new = self.lanes.new_among(keys);
        if !new.is_empty() {
            self.lanes.register(session, new).await?;
        }
        if orders.iter().all(|order| tasks::plain(&order.batch)) {
            if orders.iter().any(|order| order.claim.is_some()) {
                return serve::insert_and_claim(session, &self.lanes, orders).await;
            }
            let answers = insert_plain(session, &self.lanes, orders).await?;
            for (order, answer) in orders.iter().zip(&answers) {
                self.lanes.tell(order.tenant, &answer.ready);
            }
            return Ok(answers.into_iter().map(|done| AllInserted::Done(done).into()).collect());
        }
        if orders.len() > 1 && orders.iter().any(|order| order.all) {
            // What undoes its own may not undo its neighbours.
            return Err(Failure::Apart);
        }
        let mut desk = Desk::new(session, &self.lanes);
        desk.begin(&[]).await?;
        desk.take_keys(unique_keys(orders)).await?;
        desk.lock(&parents(orders)).await?;
        let mut answers = Vec::with_capacity(orders.len());
        for order in orders {
            (desk.tenant, desk.now) = (order.tenant, order.now);
            let mut items = Vec::with_capacity(order.batch.len());
            for (at, new) in order.batch.iter().enumerate() {
                let inserted = desk.insert(new.clone()).await?;
                if order.all && inserted.is_refused() {
                    session.execute("ROLLBACK").await?;
                    return Ok(vec![AllInserted::Refused { at, why: inserted }.into()]);
                }
                items.push(inserted);
            }
            let done = AllInserted::Done(Answers { items, ready: ready(&mut desk) });
            answers.push(done.into());
        }
        desk.commit().await?;
        Ok(answers)
    }
}

async fn insert_plain(
    session: &Session,
    lanes: &Lanes,
    orders: &[Insert],
) -> Result<Vec<Answers<Inserted>>, Failure> {
    // One statement needs no transaction around it, but the patience for locks is said in one, and what is
    // told of its ids goes with it.
    let watched = lanes.is_watched();
    let bracketed = session.is_hurried() || watched;
    if bracketed {
        session.begin().await?;
    }
    let born = tasks::insert_plain(session, batch(orders), !bracketed).await?;
    let changed = if watched { births(orders, &born) } else { Vec::new() };
    changes::tell(session, &lanes.to_notify(&changed)).await?;
    if bracketed {
        session.execute("COMMIT").await.map_err(|error| Failure::from(error).committing())?;
    }
    lanes.tell_here(changed);
    Ok(answers(orders, born))
}

/// The new tasks of all orders.
pub(crate) fn batch(orders: &[Insert]) -> Vec<(TenantId, Timestamp, NewTask)> {
    let of = |order: &Insert| {
        let (tenant, now) = (order.tenant, order.now);
        order.batch.clone().into_iter().map(move |new| (tenant, now, new))
    };
    orders.iter().flat_map(of).collect()
}

/// What the new tasks of all orders tell whoever watches.
pub(crate) fn births(orders: &[Insert], born: &[Box<Task>]) -> Vec<Told> {
    let tenants = orders.iter().flat_map(|o| std::iter::repeat_n(o.tenant, o.batch.len()));
    changes::births(tenants.zip(born.iter().map(AsRef::as_ref)))
}

/// An answer for each order from the tasks of all.
pub(crate) fn answers(
    orders: &[Insert],
    born: impl IntoIterator<Item = Box<Task>>,
) -> Vec<Answers<Inserted>> {
    let mut born = born.into_iter();
    let answer = |order: &Insert| {
        let tasks: Vec<Box<Task>> = born.by_ref().take(order.batch.len()).collect();
        let ready = tasks.iter().map(|task| Ready::of(task)).collect();
        Answers { items: tasks.into_iter().map(Inserted::Created).collect(), ready }
    };
    orders.iter().map(answer).collect()
}

fn unique_keys(orders: &[Insert]) -> BTreeSet<String> {
    let keys = orders
        .iter()
        .flat_map(|order| order.batch.iter().filter_map(|new| unique_key(order.tenant, new)));
    keys.collect()
}

/// What stands for a unique key among the locks of the whole database.
pub(crate) fn unique_key(tenant: TenantId, new: &NewTask) -> Option<String> {
    let key = &new.unique.as_ref()?.key;
    Some(format!("{} {} {key}", tenant.0, new.queue.as_str()))
}

fn parents(orders: &[Insert]) -> Vec<TaskId> {
    let parents = orders.iter().flat_map(|order| &order.batch).flat_map(|new| &new.depends_on);
    parents.copied().collect::<BTreeSet<_>>().into_iter().collect()
}

/// What the command that ends here made ready.
pub(crate) fn ready(desk: &mut Desk<'_>) -> Vec<Ready> {
    std::mem::take(&mut desk.ready).into_values().collect()
}

/// What one worker says and asks.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
    pub(crate) sync: Sync,
}

/// The room of work.
pub(crate) struct Works {
    pub(crate) lanes: Arc<Lanes>,
}

#[async_trait]
impl Room for Works {
    type Order = Work;
    type Answer = Synced;

    async fn attempt(&self, session: &Session, orders: &[Work]) -> Result<Vec<Synced>, Failure> {
        let ids = orders.iter().flat_map(|o| work::ids(&o.sync.finish, &o.sync.extend));
        let ids: BTreeSet<TaskId> = ids.collect();
        let ids: Vec<TaskId> = ids.into_iter().collect();
        let mut desk = Desk::new(session, &self.lanes);
        if orders.iter().any(|order| order.sync.claim.is_some()) {
            let gates = self.lanes.gates.read(session);
            ((), desk.gates) = tokio::try_join!(biased; desk.begin(&ids), gates)?;
        } else {
            desk.begin(&ids).await?;
        }
        let mut answers = Vec::with_capacity(orders.len());
        let mut claims: Vec<Asked> = Vec::new();
        let mut freed = Vec::with_capacity(orders.len());
        for (at, order) in orders.iter().enumerate() {
            (desk.tenant, desk.now) = (order.tenant, order.now);
            let mut synced = Synced::default();
            for item in &order.sync.finish {
                synced.finished.push(desk.end_attempt(item.clone()).await?);
            }
            for item in &order.sync.extend {
                let (extended, holder) = desk.extend(item.clone()).await?;
                synced.extended.push(extended);
                synced.holders.push(holder);
            }
            freed.push(std::mem::take(&mut desk.ready));
            answers.push(synced);
            if let Some(claim) = &order.sync.claim {
                let (tenant, now) = (order.tenant, order.now);
                claims.push(Asked { at, tenant, now, claim: claim.clone() });
            }
        }
        // Claims come after every finish of the batch, so that none passes over what it freed.
        desk.serve(&claims, &mut answers, &mut freed).await?;
        // What was handed out again, or ended on the way, waits for nobody.
        freed.iter_mut().for_each(|freed| freed.retain(|id, _| desk.waits(*id)));
        let room = desk.tell_freed().await?;
        desk.gates.write(session).await?;
        desk.commit().await?;
        for (answer, freed) in answers.iter_mut().zip(freed) {
            answer.ready = freed.into_values().collect();
        }
        let tenants = orders.iter().map(|order| Some(order.tenant));
        share(room, tenants, |at, ready| add(&mut answers[at].ready, ready));
        Ok(answers)
    }
}

/// Gives each of `room` to the first order of its tenant; an order without one takes all.
pub(crate) fn share(
    room: Vec<(TenantId, Ready)>,
    tenants: impl Iterator<Item = Option<TenantId>>,
    mut tell: impl FnMut(usize, Ready),
) {
    let tenants: Vec<Option<TenantId>> = tenants.collect();
    for (tenant, ready) in room {
        if let Some(at) = tenants.iter().position(|of| of.is_none_or(|of| of == tenant)) {
            tell(at, ready);
        }
    }
}

pub(crate) fn add(told: &mut Vec<Ready>, ready: Ready) {
    if !told.contains(&ready) {
        told.push(ready);
    }
}

/// What people and time do to tasks.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
    pub(crate) what: What,
}

/// Which change.
#[derive(Debug)]
pub(crate) enum What {
    Edit(Vec<Edit>),
    Delete(Vec<Delete>),
    /// How many, and from which instant on.
    Expire(u32, i64),
    SetQueue(QueueName, Option<u64>, Box<QueuePatch>),
    /// From a worker, these.
    Release(WorkerName, Vec<TaskId>),
}

/// The answers to a [`Change`].
#[derive(Debug)]
pub(crate) enum Changed {
    Edited(Answers<Edited>),
    Deleted(Answers<Deleted>),
    Expired(Answers<Expired>),
    Released(Answers<TaskId>),
    QueueSet(QueueSet),
}

impl Changed {
    fn ready(&mut self) -> Option<&mut Vec<Ready>> {
        match self {
            Self::Edited(answers) => Some(&mut answers.ready),
            Self::Deleted(answers) => Some(&mut answers.ready),
            Self::Expired(answers) => Some(&mut answers.ready),
            Self::Released(answers) => Some(&mut answers.ready),
            Self::QueueSet(QueueSet::Done(_, ready)) => Some(ready),
            Self::QueueSet(_) => None,
        }
    }
}

/// The room of changes.
pub(crate) struct Changes {
    pub(crate) lanes: Arc<Lanes>,
}

#[async_trait]
impl Room for Changes {
    type Order = Change;
    type Answer = Changed;

    async fn attempt(&self, session: &Session, orders: &[Change]) -> Result<Vec<Changed>, Failure> {
        let ids: BTreeSet<TaskId> = orders.iter().flat_map(changed_ids).collect();
        let ids: Vec<TaskId> = ids.into_iter().collect();
        let mut desk = Desk::new(session, &self.lanes);
        desk.begin(&ids).await?;
        let mut answers = Vec::with_capacity(orders.len());
        for order in orders {
            (desk.tenant, desk.now) = (order.tenant, order.now);
            answers.push(change(&mut desk, &order.what).await?);
        }
        let room = desk.tell_freed().await?;
        desk.commit().await?;
        for (order, answer) in orders.iter().zip(&answers) {
            if let Changed::QueueSet(QueueSet::Done(queue, _)) = answer {
                self.lanes.gates.set(order.tenant, queue);
            }
        }
        // Expiry goes over all tenants.
        let tenants =
            orders.iter().map(|o| (!matches!(o.what, What::Expire(..))).then_some(o.tenant));
        share(room, tenants, |at, ready| {
            if let Some(told) = answers[at].ready() {
                add(told, ready);
            }
        });
        Ok(answers)
    }
}

async fn change(desk: &mut Desk<'_>, what: &What) -> Result<Changed, Failure> {
    Ok(match what {
        What::Edit(batch) => {
            let mut items = Vec::with_capacity(batch.len());
            for edit in batch {
                items.push(desk.edit(edit).await?);
            }
            Changed::Edited(Answers { items, ready: ready(desk) })
        }
        What::Delete(batch) => {
            let mut items = Vec::with_capacity(batch.len());
            for delete in batch {
                items.push(desk.delete(delete).await?);
            }
            Changed::Deleted(Answers { items, ready: ready(desk) })
        }
        What::SetQueue(name, if_version, patch) => {
            Changed::QueueSet(desk.set_queue(name, *if_version, patch).await?)
        }
        What::Expire(limit, from) => {
            let items = desk.expire(*limit, *from).await?;
            Changed::Expired(Answers { items, ready: ready(desk) })
        }
        What::Release(worker, ids) => {
            let items = desk.release(worker, ids).await?;
            Changed::Released(Answers { items, ready: ready(desk) })
        }
    })
}

fn changed_ids(change: &Change) -> Vec<TaskId> {
    match &change.what {
        What::Edit(batch) => batch.iter().map(|edit| edit.id).collect(),
        What::Delete(batch) => batch.iter().map(|delete| delete.id).collect(),
        What::Expire(..) | What::SetQueue(..) => Vec::new(),
        What::Release(_, ids) => ids.clone(),
    }
}
