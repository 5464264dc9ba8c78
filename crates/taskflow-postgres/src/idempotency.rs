//! The room of repeated requests: acts of the other rooms in one transaction with the rows that keep
//! their answers. A key that another node works on is noticed and not waited for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use taskflow_core::{
    Fingerprint, KeyHash, NewTask, Status, Task, TaskEvent, TaskId, TenantId, Timestamp,
};
use taskflow_store::idempotency::{again, forgotten};
use taskflow_store::moving::{BATCH_BYTES_MAX, KeptKey};
use taskflow_store::{
    AllInserted, Answers, Deed, Done, Inserted, Once, Onced, Ready, StoreError, Sync, Synced,
};
use tokio_postgres::types::Type;

use crate::columns::{Births, Deltas};
use crate::desk::Desk;
use crate::error::Failure;
use crate::lanes::Lanes;
use crate::orders::{ready, unique_key};
use crate::rows::{self, Hot, get};
use crate::session::{Param, Session};
use crate::tasks;
use crate::work;
use crate::writer::Room;

/// An act with its key, of one caller.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
    pub(crate) once: Once,
}

impl Keyed {
    fn place(&self) -> (TenantId, KeyHash) {
        (self.tenant, self.once.key)
    }

    /// What stands for the key among the locks of the whole database.
    fn lock(&self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.once.key.0;
        i64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ self.tenant.0
    }
}

/// The room of repeated requests.
pub(crate) struct Onces {
    pub(crate) lanes: Arc<Lanes>,
}

/// What is kept for a key, and since when.
struct Kept {
    request: [u8; 32],
    at: Timestamp,
    answer: Vec<u8>,
}

/// Answers of one transaction, in bytes, beyond which each act gets one of its own.
const ANSWERS_BYTES_MAX: usize = 64 * 1024 * 1024;

#[async_trait]
impl Room for Onces {
    type Order = Keyed;
    type Answer = Onced;

    async fn attempt(&self, session: &Session, orders: &[Keyed]) -> Result<Vec<Onced>, Failure> {
        let lanes = orders.iter().flat_map(|order| {
            let lane = |new: &NewTask| (order.tenant, new.queue.clone(), new.kind.clone());
            news(&order.once.deed).iter().map(lane)
        });
        let new = self.lanes.new_among(lanes);
        if !new.is_empty() {
            self.lanes.register(session, new).await?;
        }
        let mut desk = Desk::new(session, &self.lanes);
        desk.begin(&[]).await?;
        // One after the other: what the holder of a lock committed must be seen once it is taken.
        let taken = take(session, orders).await?;
        let mut kept = known(session, orders).await?;
        let fresh: Vec<&Keyed> =
            orders.iter().filter(|order| lasting(&kept, order).is_none()).collect();
        desk.take_keys(unique_keys(&fresh)).await?;
        desk.lock(&ids(&fresh)).await?;
        if fresh.iter().any(|order| claims(&order.once.deed)) {
            desk.gates = self.lanes.gates.read(session).await?;
        }
        let (mut answers, mut new, mut bytes) = (Vec::with_capacity(orders.len()), Vec::new(), 0);
        for (order, taken) in orders.iter().zip(taken) {
            if !taken {
                answers.push(Onced::InProgress);
                continue;
            }
            if let Some(before) = lasting(&kept, order) {
                answers.push(again(order.once.request, before.request, before.answer.clone()));
                continue;
            }
            (desk.tenant, desk.now) = (order.tenant, order.now);
            let done = perform(&mut desk, &order.once.deed).await?;
            let answer = (!is_refused(&done)).then(|| order.once.render.render(&done)).flatten();
            let Some(answer) = answer else {
                if orders.len() > 1 {
                    // What undoes its own may not undo its neighbours.
                    return Err(Failure::Apart);
                }
                session.execute("ROLLBACK").await?;
                return Ok(vec![Onced::Undone(done)]);
            };
            bytes += answer.len();
            if bytes > ANSWERS_BYTES_MAX && orders.len() > 1 {
                return Err(Failure::Apart);
            }
            let request = order.once.request.0;
            kept.insert(order.place(), Kept { request, at: order.now, answer: answer.clone() });
            new.push(order.place());
            answers.push(Onced::Done { answer, done });
        }
        let room = desk.tell_freed().await?;
        desk.gates.write(session).await?;
        keep(session, &new, &kept).await?;
        desk.commit().await?;
        let tenants = orders.iter().zip(&answers).map(|(order, answer)| match answer {
            Onced::Done { .. } => Some(order.tenant),
            // It tells nothing of what became ready.
            _ => None,
        });
        let tenants: Vec<Option<TenantId>> = tenants.collect();
        for (tenant, free) in room {
            let at = tenants.iter().position(|of| *of == Some(tenant));
            if let Some(Onced::Done { done, .. }) = at.map(|at| &mut answers[at])
                && let Some(told) = told(done)
                && !told.contains(&free)
            {
                told.push(free);
            }
        }
        Ok(answers)
    }
}

/// Whether an act hands out tasks.
fn claims(deed: &Deed) -> bool {
    matches!(deed, Deed::Sync(sync) if sync.claim.is_some())
}

/// Where an answer tells what became ready.
fn told(done: &mut Done) -> Option<&mut Vec<Ready>> {
    match done {
        Done::Inserted(answers) => Some(&mut answers.ready),
        Done::AllInserted(AllInserted::Done(answers)) => Some(&mut answers.ready),
        Done::AllInserted(AllInserted::Refused { .. }) => None,
        Done::Edited(answers) => Some(&mut answers.ready),
        Done::Deleted(answers) => Some(&mut answers.ready),
        Done::Synced(synced) => Some(&mut synced.ready),
        Done::Noted => None,
    }
}

/// The new tasks of an act.
fn news(deed: &Deed) -> &[NewTask] {
    match deed {
        Deed::Insert(batch) | Deed::InsertAll(batch) => batch,
        Deed::Edit(_) | Deed::Delete(_) | Deed::Sync(_) | Deed::Note => &[],
    }
}

fn unique_keys(orders: &[&Keyed]) -> BTreeSet<String> {
    let keys = orders.iter().flat_map(|order| {
        news(&order.once.deed).iter().filter_map(|new| unique_key(order.tenant, new))
    });
    keys.collect()
}

/// The tasks that these acts lock, in the order of their ids.
fn ids(orders: &[&Keyed]) -> Vec<TaskId> {
    let mut ids = BTreeSet::new();
    for order in orders {
        match &order.once.deed {
            Deed::Insert(batch) | Deed::InsertAll(batch) => {
                ids.extend(batch.iter().flat_map(|new| &new.depends_on).copied());
            }
            Deed::Edit(batch) => ids.extend(batch.iter().map(|edit| edit.id)),
            Deed::Delete(batch) => ids.extend(batch.iter().map(|delete| delete.id)),
            Deed::Sync(sync) => ids.extend(work::ids(&sync.finish, &sync.extend)),
            Deed::Note => {}
        }
    }
    ids.into_iter().collect()
}

/// Whether a batch was refused that is stored whole or not at all.
fn is_refused(done: &Done) -> bool {
    matches!(done, Done::AllInserted(AllInserted::Refused { .. }))
}

async fn perform(desk: &mut Desk<'_>, deed: &Deed) -> Result<Done, Failure> {
    Ok(match deed {
        Deed::Insert(batch) => {
            let items = match tasks::plain(batch) {
                true => bear_all(desk, batch).await?,
                false => insert_each(desk, batch, |_| false).await?,
            };
            Done::Inserted(Answers { items, ready: ready(desk) })
        }
        Deed::InsertAll(batch) => {
            let mut items = match tasks::plain(batch) {
                true => bear_all(desk, batch).await?,
                false => insert_each(desk, batch, Inserted::is_refused).await?,
            };
            Done::AllInserted(match items.pop_if(|last| last.is_refused()) {
                Some(why) => AllInserted::Refused { at: items.len(), why },
                None => AllInserted::Done(Answers { items, ready: ready(desk) }),
            })
        }
        Deed::Edit(batch) => {
            let mut items = Vec::with_capacity(batch.len());
            for edit in batch {
                items.push(desk.edit(edit).await?);
            }
            Done::Edited(Answers { items, ready: ready(desk) })
        }
        Deed::Delete(batch) => {
            let mut items = Vec::with_capacity(batch.len());
            for delete in batch {
                items.push(desk.delete(delete).await?);
            }
            Done::Deleted(Answers { items, ready: ready(desk) })
        }
        Deed::Sync(sync) => Done::Synced(Box::new(report(desk, sync).await?)),
        Deed::Note => Done::Noted,
    })
}

/// Inserts tasks one by one, up to the first answer that ends it.
async fn insert_each(
    desk: &mut Desk<'_>,
    batch: &[NewTask],
    ends: fn(&Inserted) -> bool,
) -> Result<Vec<Inserted>, Failure> {
    let mut items = Vec::with_capacity(batch.len());
    for new in batch {
        let inserted = desk.insert(new.clone()).await?;
        let over = ends(&inserted);
        items.push(inserted);
        if over {
            break;
        }
    }
    Ok(items)
}

/// Inserts tasks that depend on nothing, in one statement.
async fn bear_all(desk: &mut Desk<'_>, batch: &[NewTask]) -> Result<Vec<Inserted>, Failure> {
    let unborn = batch.iter().map(|new| tasks::unborn(new.clone(), 0, desk.now));
    let mut born: Vec<Box<Task>> = unborn.collect::<Result<_, _>>()?;
    let mut births = Births::default();
    born.iter().for_each(|task| births.push(desk.tenant, task));
    let ids = births.insert(desk.session, &Deltas::default()).await?;
    drop(births);
    if ids.len() != born.len() {
        return Err(rows::bad("an insert gave another number of ids"));
    }
    for (task, id) in born.iter_mut().zip(ids) {
        task.id = id;
        let hot = Hot::of(desk.tenant, task);
        desk.note(&hot, TaskEvent::Created);
        desk.count(&hot, Status::Pending, 1);
        desk.tell(&hot, task.state.run_at);
        desk.sit(hot);
    }
    Ok(born.into_iter().map(Inserted::Created).collect())
}

async fn report(desk: &mut Desk<'_>, sync: &Sync) -> Result<Synced, Failure> {
    let mut synced = Synced::default();
    for item in &sync.finish {
        synced.finished.push(desk.end_attempt(item.clone()).await?);
    }
    for item in &sync.extend {
        let (extended, holder) = desk.extend(item.clone()).await?;
        synced.extended.push(extended);
        synced.holders.push(holder);
    }
    if let Some(claim) = &sync.claim {
        let (mut handed, later) = desk.claim(&[claim]).await?;
        synced.claimed = handed.pop().unwrap_or_default();
        synced.later = later;
    }
    // What was handed out again, or ended on the way, waits for nobody.
    let mut freed = std::mem::take(&mut desk.ready);
    freed.retain(|id, _| desk.waits(*id));
    synced.ready = freed.into_values().collect();
    Ok(synced)
}

/// Tries to take the keys; false where another transaction holds one.
async fn take(session: &Session, orders: &[Keyed]) -> Result<Vec<bool>, Failure> {
    let locks: Vec<i64> = orders.iter().map(Keyed::lock).collect();
    let sql = "SELECT pg_try_advisory_xact_lock(lock) FROM unnest($1::int8[]) \
               WITH ORDINALITY AS l(lock, place) ORDER BY place";
    let rows = session.query(sql, &[(&locks, Type::INT8_ARRAY)]).await?;
    if rows.len() != orders.len() {
        return Err(rows::bad("a lock gave no answer"));
    }
    rows.iter().map(|row| get(row, 0)).collect()
}

/// The rows of keys.
pub(crate) const KNOWN: &str = "SELECT k.place, i.request, i.at, i.answer \
     FROM unnest($1::int8[], $2::bytea[]) WITH ORDINALITY AS k(tenant, key, place) \
     CROSS JOIN LATERAL (SELECT request, at, answer FROM taskflow.idempotency \
     WHERE tenant = k.tenant AND key = k.key LIMIT 1) AS i";

/// What is kept for the keys of these acts.
async fn known(
    session: &Session,
    orders: &[Keyed],
) -> Result<HashMap<(TenantId, KeyHash), Kept>, Failure> {
    let places: Vec<_> = orders.iter().map(Keyed::place).collect();
    look(session, &places).await
}

async fn look(
    session: &Session,
    places: &[(TenantId, KeyHash)],
) -> Result<HashMap<(TenantId, KeyHash), Kept>, Failure> {
    let tenants: Vec<i64> = places.iter().map(|(tenant, _)| tenant.0).collect();
    let keys: Vec<&[u8]> = places.iter().map(|(_, key)| key.0.as_slice()).collect();
    let params: [Param<'_>; 2] = [(&tenants, Type::INT8_ARRAY), (&keys, Type::BYTEA_ARRAY)];
    let mut kept = HashMap::new();
    for row in session.query(KNOWN, &params).await? {
        let place = usize::try_from(get::<i64>(&row, 0)? - 1).ok();
        let place = place.and_then(|place| places.get(place));
        let request = <[u8; 32]>::try_from(get::<&[u8]>(&row, 1)?).ok();
        let (Some(place), Some(request)) = (place, request) else {
            return Err(rows::bad("a kept answer is not one"));
        };
        let at = Timestamp::from_micros(get(&row, 2)?);
        kept.insert(*place, Kept { request, at, answer: get(&row, 3)? });
    }
    Ok(kept)
}

/// What was answered with a key before.
pub(crate) async fn recall(
    session: &Session,
    tenant: TenantId,
    key: KeyHash,
    request: Fingerprint,
    now: Timestamp,
) -> Result<Option<Onced>, Failure> {
    let kept = look(session, &[(tenant, key)]).await?.remove(&(tenant, key));
    let kept = kept.filter(|kept| kept.at > forgotten(now));
    Ok(kept.map(|kept| again(request, kept.request, kept.answer)))
}

/// What is kept for an act's key and still lasts.
fn lasting<'k>(kept: &'k HashMap<(TenantId, KeyHash), Kept>, order: &Keyed) -> Option<&'k Kept> {
    kept.get(&order.place()).filter(|kept| kept.at > forgotten(order.now))
}

/// A row that lasts is never replaced: the act is tried again then, and finds it.
const KEEP: &str = "INSERT INTO taskflow.idempotency AS i (tenant, key, request, at, answer) \
     SELECT * FROM unnest($1::int8[], $2::bytea[], $3::bytea[], $4::int8[], $5::bytea[]) \
     ON CONFLICT (tenant, key) DO UPDATE SET request = excluded.request, at = excluded.at, \
     answer = excluded.answer WHERE i.at <= excluded.at - $6 RETURNING 1";

/// Keeps rows; fails when one is there that lasts.
async fn keep(
    session: &Session,
    new: &[(TenantId, KeyHash)],
    kept: &HashMap<(TenantId, KeyHash), Kept>,
) -> Result<(), Failure> {
    if new.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::default();
    for (place, kept) in new.iter().filter_map(|place| Some((place, kept.get(place)?))) {
        columns.push(place.0, &place.1, &kept.request, kept.at, &kept.answer);
    }
    if columns.insert(session).await? == new.len() {
        return Ok(());
    }
    Err(Failure::Again(StoreError::Failed("another node kept an answer for the key".into())))
}

/// Rows to write, an array a column.
#[derive(Default)]
struct Columns<'a> {
    tenant: Vec<i64>,
    key: Vec<&'a [u8]>,
    request: Vec<&'a [u8]>,
    at: Vec<i64>,
    answer: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn push(
        &mut self,
        tenant: TenantId,
        key: &'a KeyHash,
        request: &'a [u8],
        at: Timestamp,
        answer: &'a [u8],
    ) {
        self.tenant.push(tenant.0);
        self.key.push(&key.0);
        self.request.push(request);
        self.at.push(at.micros());
        self.answer.push(answer);
    }

    /// How many were written.
    async fn insert(&self, session: &Session) -> Result<usize, Failure> {
        let epoch = Timestamp::from_micros(0);
        let lasts = epoch.micros() - forgotten(epoch).micros();
        let params: [Param<'_>; 6] = [
            (&self.tenant, Type::INT8_ARRAY),
            (&self.key, Type::BYTEA_ARRAY),
            (&self.request, Type::BYTEA_ARRAY),
            (&self.at, Type::INT8_ARRAY),
            (&self.answer, Type::BYTEA_ARRAY),
            (&lasts, Type::INT8),
        ];
        Ok(session.query(KEEP, &params).await?.len())
    }
}

/// Writes keys that were kept elsewhere.
pub(crate) async fn load(session: &Session, batch: &[KeptKey]) -> Result<(), Failure> {
    let mut columns = Columns::default();
    for kept in batch {
        columns.push(kept.tenant, &kept.key, &kept.request.0, kept.at, &kept.answer);
    }
    columns.insert(session).await.map(drop)
}

/// The next keys after a place, up to a batch's weight.
pub(crate) async fn dump(
    session: &Session,
    after: (TenantId, KeyHash),
    limit: u32,
) -> Result<Vec<KeptKey>, Failure> {
    let sql = "SELECT tenant, key, request, at, answer FROM taskflow.idempotency \
               WHERE (tenant, key) > ($1, $2) ORDER BY tenant, key LIMIT $3";
    let params: [Param<'_>; 3] = [
        (&after.0.0, Type::INT8),
        (&after.1.0.as_slice(), Type::BYTEA),
        (&i64::from(limit), Type::INT8),
    ];
    let hash = |bytes: &[u8]| bytes.try_into().map_err(|_| rows::bad("a hash has another length"));
    let (mut all, mut bytes) = (Vec::new(), 0);
    for row in session.query(sql, &params).await? {
        let answer: Vec<u8> = get(&row, 4)?;
        bytes += answer.len();
        all.push(KeptKey {
            tenant: TenantId(get(&row, 0)?),
            key: KeyHash(hash(get(&row, 1)?)?),
            request: Fingerprint(hash(get(&row, 2)?)?),
            at: Timestamp::from_micros(get(&row, 3)?),
            answer,
        });
        if bytes >= BATCH_BYTES_MAX {
            break;
        }
    }
    Ok(all)
}

/// Removes keys that do not last any more, oldest first.
pub(crate) const FORGET: &str = "DELETE FROM taskflow.idempotency WHERE ctid = ANY(ARRAY(\
     SELECT ctid FROM taskflow.idempotency WHERE at <= $1 ORDER BY at LIMIT $2 \
     FOR UPDATE SKIP LOCKED)) RETURNING 1";

/// Removes keys that do not last any more; how many.
pub(crate) async fn forget(session: &Session, now: Timestamp, limit: u32) -> Result<u32, Failure> {
    let params: [Param<'_>; 2] =
        [(&forgotten(now).micros(), Type::INT8), (&i64::from(limit), Type::INT8)];
    let removed = session.query(FORGET, &params).await?;
    Ok(u32::try_from(removed.len()).unwrap_or(limit))
}
