//! What an open transaction works on: the locked tasks, their steps, and what follows from them
//! (counts, history, tasks that waited). The rules are `core::step`'s; rows are written in bulk.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use taskflow_core::series::{Minute, cells};
use taskflow_core::{
    Attempt, Command, Kind, Priority, QueueName, State, Status, Step, Task, TaskEvent, TaskId,
    TenantId, Timestamp, step,
};
use taskflow_store::{Ready, Told};
use tokio_postgres::types::Type;

use crate::changes;
use crate::columns::{Births, Deltas, History};
use crate::error::Failure;
use crate::gates::Gates;
use crate::lanes::Lanes;
use crate::queues;
use crate::rows::{self, Hot, get, hot_columns};
use crate::series::{Cells, Tallying};
use crate::session::Session;
use crate::states::States;

/// Where tasks are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub(crate) tenant: TenantId,
    pub(crate) status: Status,
    pub(crate) queue: QueueName,
    pub(crate) kind: Kind,
    pub(crate) priority: Priority,
}

/// What is added to each lane.
pub(crate) type Counting = BTreeMap<Lane, i64>;

/// A locked task.
#[derive(Debug)]
struct Seat {
    hot: Hot,
    /// What its row holds, when that is not `hot.state` any more.
    row: Option<State>,
}

/// An open transaction's work.
pub(crate) struct Desk<'a> {
    pub(crate) session: &'a Session,
    pub(crate) lanes: &'a Lanes,
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
    /// What became ready by the present command and still is.
    pub(crate) ready: BTreeMap<TaskId, Ready>,
    /// All that became ready: other nodes look at its queues, claims at its lanes.
    told: Vec<(TenantId, Ready)>,
    pub(crate) counts: Counting,
    /// What happened to tasks, by minute.
    tallied: Tallying,
    /// Tasks that were looked at and locked; none where there is no such task.
    seats: HashMap<TaskId, Option<Seat>>,
    history: BTreeMap<(TaskId, u32), Attempt>,
    /// Who waits for the tasks that were looked at.
    children: HashMap<TaskId, Vec<TaskId>>,
    /// What lets tasks through, once it is read.
    pub(crate) gates: Gates,
    /// Queues in which a limit has room again.
    freed: BTreeSet<(TenantId, QueueName)>,
    /// Whether anybody watches.
    pub(crate) watched: bool,
    /// What changed, as far as somebody watches.
    pub(crate) changed: Vec<Told>,
}

pub(crate) const LOCK: &str = concat!(
    "SELECT ",
    hot_columns!(),
    " FROM taskflow.tasks WHERE id = ANY($1) ORDER BY id FOR UPDATE"
);
const CHILDREN: &str =
    "SELECT parent, child FROM taskflow.waits WHERE parent = ANY($1) ORDER BY parent, child";

impl<'a> Desk<'a> {
    /// A desk in a transaction that is about to begin.
    pub(crate) fn new(session: &'a Session, lanes: &'a Lanes) -> Self {
        Self {
            session,
            lanes,
            tenant: TenantId::DEFAULT,
            now: Timestamp::from_micros(0),
            ready: BTreeMap::new(),
            told: Vec::new(),
            counts: BTreeMap::new(),
            tallied: Tallying::new(),
            seats: HashMap::new(),
            history: BTreeMap::new(),
            children: HashMap::new(),
            gates: Gates::default(),
            freed: BTreeSet::new(),
            watched: lanes.is_watched(),
            changed: Vec::new(),
        }
    }

    /// Begins and locks `ids`, in the order of the ids: two nodes that lock the same tasks wait for
    /// each other in one direction only.
    pub(crate) async fn begin(&mut self, ids: &[TaskId]) -> Result<(), Failure> {
        if ids.is_empty() {
            return Ok(self.session.begin().await?);
        }
        let begun = async { self.session.begin().await.map_err(Failure::from) };
        let (_, locked, children) =
            tokio::try_join!(biased; begun, lock(self.session, ids), children(self.session, ids),)?;
        self.seat(ids, locked);
        self.children.extend(children);
        Ok(())
    }

    /// Locks tasks that were not looked at yet.
    pub(crate) async fn lock(&mut self, ids: &[TaskId]) -> Result<(), Failure> {
        let new: Vec<_> = ids.iter().copied().filter(|id| !self.seats.contains_key(id)).collect();
        if !new.is_empty() {
            let locked = lock(self.session, &new).await?;
            self.seat(&new, locked);
        }
        Ok(())
    }

    fn seat(&mut self, ids: &[TaskId], locked: Vec<Hot>) {
        for &id in ids {
            self.seats.entry(id).or_insert(None);
        }
        for hot in locked {
            self.sit(hot);
        }
    }

    /// Takes a task that this transaction has locked.
    pub(crate) fn sit(&mut self, hot: Hot) {
        self.seats.insert(hot.id, Some(Seat { hot, row: None }));
    }

    /// A task that a statement has locked, as this transaction left it: what it did since that statement
    /// stands in no row that was read. None when it deleted it.
    pub(crate) fn seated(&mut self, hot: Hot) -> Option<Hot> {
        let seat = self.seats.entry(hot.id).or_insert(Some(Seat { hot, row: None }));
        seat.as_ref().map(|seat| seat.hot.clone())
    }

    /// A task that this transaction deleted.
    pub(crate) fn gone(&mut self, id: TaskId) {
        self.seats.insert(id, None);
    }

    /// A task of the present tenant, locked.
    pub(crate) async fn hot(&mut self, id: TaskId) -> Result<Option<Hot>, Failure> {
        self.lock(&[id]).await?;
        let seat = self.seats.get(&id).and_then(Option::as_ref);
        Ok(seat.map(|seat| &seat.hot).filter(|hot| hot.tenant == self.tenant).cloned())
    }

    /// Whether a task may be claimed, as far as this transaction is.
    pub(crate) fn waits(&self, id: TaskId) -> bool {
        let seat = self.seats.get(&id).and_then(Option::as_ref);
        seat.map(|seat| &seat.hot.state)
            .is_some_and(|state| state.status == Status::Pending && state.blocked_by == 0)
    }

    /// The tasks that this transaction looked at and that wait no more.
    pub(crate) fn handed_out(&self) -> impl Iterator<Item = i64> {
        let seats = self.seats.iter().filter_map(|(id, seat)| Some((id, seat.as_ref()?)));
        seats.filter(|(_, seat)| seat.hot.state.status != Status::Pending).map(|(id, _)| id.get())
    }

    /// Those of a queue and of lower priority, which no row tells of yet.
    pub(crate) fn handed_out_below(&self, queue: &QueueName, priority: i16) -> Vec<i64> {
        let hot = self.seats.values().flatten().map(|seat| &seat.hot);
        let handed = hot.filter(|hot| {
            hot.state.status != Status::Pending
                && hot.queue == *queue
                && rows::small(hot.priority.number()) < priority
        });
        handed.map(|hot| hot.id.get()).collect()
    }

    /// Whether a task waits no more, as far as this transaction is.
    pub(crate) fn is_handed_out(&self, id: TaskId) -> bool {
        let seat = self.seats.get(&id).and_then(Option::as_ref);
        seat.is_some_and(|seat| seat.hot.state.status != Status::Pending)
    }

    /// Notes `step` of the task `old` and everything that follows from it.
    pub(crate) async fn write(&mut self, old: &Hot, step: &Step) -> Result<(), Failure> {
        if !step.changed {
            return Ok(());
        }
        self.place(old.id, &step.state);
        if let Some(attempt) = &step.closed {
            self.history.insert((old.id, attempt.attempt), attempt.clone());
        }
        self.account(old, &step.state);
        let (was, is) = (&old.state, &step.state);
        let ended = was.status != is.status && is.status.is_ended();
        if was.blocked_by > 0 && (is.blocked_by == 0 || ended) {
            self.leave(old.id).await?;
        }
        if ended {
            self.resolve(old.id, is.status).await?;
        }
        Ok(())
    }

    fn place(&mut self, id: TaskId, state: &State) {
        if let Some(Some(seat)) = self.seats.get_mut(&id) {
            let before = std::mem::replace(&mut seat.hot.state, state.clone());
            seat.row.get_or_insert(before);
        }
    }

    /// Counts and hints after a state changed.
    fn account(&mut self, old: &Hot, is: &State) {
        let was = &old.state;
        if self.watched
            && let Some(event) = TaskEvent::between(was, is)
        {
            self.note(&Hot { state: is.clone(), ..old.clone() }, event);
        }
        if was.status != is.status {
            self.count(old, was.status, -1);
            self.count(old, is.status, 1);
            for cell in cells(was, is) {
                let minute = Minute::of(is.updated_at);
                let key = (self.tenant, old.queue.clone(), minute, cell);
                *self.tallied.entry(key).or_insert(0) += 1;
            }
        }
        let waited = was.status == Status::Pending && was.blocked_by == 0;
        let waits = is.status == Status::Pending && is.blocked_by == 0;
        if !waits {
            self.ready.remove(&old.id);
        } else if !(waited && was.run_at == is.run_at) {
            self.tell(old, is.run_at);
        }
        if was.lease.is_some() && is.lease.is_none() {
            self.lease_ends(old);
        }
    }

    /// Those who wait for a limit may ask again.
    pub(crate) fn lease_ends(&mut self, of: &Hot) {
        if self.lanes.gates.is_limited(self.tenant, &of.queue) {
            self.freed.insert((self.tenant, of.queue.clone()));
        }
    }

    /// Tells what waits in the queues where a limit has room again, a tenant each.
    pub(crate) async fn tell_freed(&mut self) -> Result<Vec<(TenantId, Ready)>, Failure> {
        if self.freed.is_empty() {
            return Ok(Vec::new());
        }
        self.write_down().await?;
        let mut free = Vec::new();
        for (tenant, queue) in std::mem::take(&mut self.freed) {
            let waiting = queues::waiting(self.session, tenant, &queue).await?;
            free.extend(waiting.into_iter().map(|ready| (tenant, ready)));
        }
        self.told.extend(free.iter().cloned());
        Ok(free)
    }

    /// What this transaction put into lanes.
    pub(crate) fn told(&self) -> &[(TenantId, Ready)] {
        &self.told
    }

    /// Lets every node know of what waits, without a change of it.
    pub(crate) fn announce(&mut self, ready: &[Ready]) {
        self.told.extend(ready.iter().map(|ready| (self.tenant, ready.clone())));
    }

    /// Notes that a task waits from `run_at` on.
    pub(crate) fn tell(&mut self, task: &Hot, run_at: Timestamp) {
        let ready = Ready { queue: task.queue.clone(), kind: task.kind.clone(), run_at };
        // Now for claims of this transaction, and after the commit for a look that did not see it.
        self.lanes.lower(self.tenant, std::slice::from_ref(&ready));
        self.told.push((self.tenant, ready.clone()));
        self.ready.insert(task.id, ready);
    }

    /// Notes that a waiting task stands in another line from now on, where nobody looks so far back.
    pub(crate) fn moved(&mut self, task: &Hot) {
        let state = &task.state;
        if state.status == Status::Pending && state.blocked_by == 0 {
            let (queue, kind) = (task.queue.clone(), task.kind.clone());
            let ready = Ready { queue, kind, run_at: state.run_at };
            self.lanes.lower(self.tenant, std::slice::from_ref(&ready));
            self.told.push((self.tenant, ready));
        }
    }

    pub(crate) fn count(&mut self, of: &Hot, status: Status, by: i64) {
        let lane = Lane {
            tenant: self.tenant,
            status,
            queue: of.queue.clone(),
            kind: of.kind.clone(),
            priority: of.priority,
        };
        *self.counts.entry(lane).or_insert(0) += by;
    }

    /// Removes the edges on which a task itself waits.
    pub(crate) async fn leave(&mut self, child: TaskId) -> Result<(), Failure> {
        let sql = "DELETE FROM taskflow.waits WHERE child = $1";
        self.session.query(sql, &[(&child.get(), Type::INT8)]).await?;
        Ok(())
    }

    /// Tells the tasks that wait for `parent` how it ended, and theirs when they end by it, nearest
    /// first. A few statements however many they are: a chain may be as long as there are tasks.
    async fn resolve(&mut self, parent: TaskId, end: Status) -> Result<(), Failure> {
        let mut waiting = self.waiting(parent, end).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let (mut parents, mut lost) = (Vec::new(), Vec::new());
        let mut ends = VecDeque::from([(parent, end)]);
        while let Some((parent, end)) = ends.pop_front() {
            parents.push(parent.get());
            for child in waiting.remove(&parent).unwrap_or_default() {
                let Some(hot) = self.hot(child).await? else { continue };
                let command = match end {
                    Status::Completed => Command::Unblock,
                    _ => Command::ParentLost(parent),
                };
                let Ok(step) = step(hot.id, &hot.terms, &hot.state, command, self.now) else {
                    continue;
                };
                self.place(child, &step.state);
                self.account(&hot, &step.state);
                if step.state.status.is_ended() {
                    lost.push(child.get());
                    ends.push_back((child, step.state.status));
                }
            }
        }
        let sql = "DELETE FROM taskflow.waits WHERE parent = ANY($1)";
        self.session.query(sql, &[(&parents, Type::INT8_ARRAY)]).await?;
        if !lost.is_empty() {
            let sql = "DELETE FROM taskflow.waits WHERE child = ANY($1)";
            self.session.query(sql, &[(&lost, Type::INT8_ARRAY)]).await?;
        }
        for id in parents.into_iter().filter_map(TaskId::new) {
            self.children.insert(id, Vec::new());
        }
        Ok(())
    }

    /// Who waits for `parent`, and when it is lost who waits for those, and so on: all of them locked
    /// before any edge is touched, the way that every other transaction goes.
    async fn waiting(
        &mut self,
        parent: TaskId,
        end: Status,
    ) -> Result<HashMap<TaskId, Vec<TaskId>>, Failure> {
        if self.children.get(&parent).is_some_and(Vec::is_empty) {
            return Ok(HashMap::new());
        }
        loop {
            let edges = match end {
                Status::Completed => children(self.session, &[parent]).await?,
                _ => below(self.session, parent).await?,
            };
            let mut new: Vec<TaskId> = edges.values().flatten().copied().collect();
            new.retain(|id| !self.seats.contains_key(id));
            if new.is_empty() {
                return Ok(edges);
            }
            // More may have come before the lock was there.
            new.sort_unstable();
            new.dedup();
            self.lock(&new).await?;
        }
    }

    /// Inserts a new task that waits for `parents`.
    pub(crate) async fn bear(
        &mut self,
        task: &mut Task,
        parents: &[TaskId],
    ) -> Result<(), Failure> {
        let mut births = Births::default();
        births.push(self.tenant, task);
        let ids = births.insert(self.session, &Deltas::default()).await?;
        let born = ids.first().copied().ok_or_else(|| rows::bad("an insert gave no id"))?;
        task.id = born;
        if !parents.is_empty() {
            let ids: Vec<i64> = parents.iter().map(|id| id.get()).collect();
            let sql =
                "INSERT INTO taskflow.waits(parent, child) SELECT p, $2 FROM unnest($1::int8[]) p";
            let params: [crate::session::Param<'_>; 2] =
                [(&ids, Type::INT8_ARRAY), (&born.get(), Type::INT8)];
            self.session.query(sql, &params).await?;
            for parent in parents {
                if let Some(children) = self.children.get_mut(parent) {
                    children.push(born);
                }
            }
        }
        let hot = Hot::of(self.tenant, task);
        self.note(&hot, TaskEvent::Created);
        self.count(&hot, Status::Pending, 1);
        if parents.is_empty() {
            self.tell(&hot, task.state.run_at);
        }
        self.sit(hot);
        Ok(())
    }

    /// Every state and history entry that is not written yet.
    fn unwritten(&self) -> (States<'_>, History<'_>) {
        let mut changed: Vec<_> = self
            .seats
            .iter()
            .filter_map(|(id, seat)| seat.as_ref().map(|seat| (id, seat)))
            .filter_map(|(id, seat)| seat.row.as_ref().map(|row| (*id, row, &seat.hot.state)))
            .collect();
        // In the order of the ids, like every lock.
        changed.sort_unstable_by_key(|(id, ..)| *id);
        let mut states = States::default();
        for (id, row, state) in changed {
            states.push(id, row, state);
        }
        let mut history = History::default();
        for ((task, _), entry) in &self.history {
            history.push(*task, entry);
        }
        (states, history)
    }

    fn written(&mut self) {
        self.history.clear();
        for seat in self.seats.values_mut().flatten() {
            seat.row = None;
        }
    }

    /// Writes down what the next statement must see.
    pub(crate) async fn write_down(&mut self) -> Result<(), Failure> {
        let (states, history) = self.unwritten();
        tokio::try_join!(biased; states.update(self.session), history.insert(self.session))?;
        drop((states, history));
        self.written();
        Ok(())
    }

    /// Writes down what is left, commits and wakes the other nodes. The commit goes when everything
    /// else is answered: a statement that has to be prepared first would come after it, outside.
    pub(crate) async fn commit(&mut self) -> Result<(), Failure> {
        let counts = std::mem::take(&mut self.counts);
        let tallied = std::mem::take(&mut self.tallied);
        let told = std::mem::take(&mut self.told);
        let (deltas, minutes) = (Deltas::of(&counts), Cells::of(&tallied));
        let changed = self.take_changed().await?;
        let changes = self.lanes.to_notify(&changed);
        let (states, history) = self.unwritten();
        tokio::try_join!(
            biased; states.update(self.session),
            history.insert(self.session),
            deltas.insert(self.session, &minutes),
            changes::tell(self.session, &changes),
        )?;
        drop((states, history));
        self.written();
        let committed = self.session.execute("COMMIT").await;
        committed.map_err(|error| Failure::from(error).committing())?;
        self.lanes.tell_here(changed);
        for (tenant, ready) in told {
            self.lanes.tell(tenant, &[ready]);
        }
        Ok(())
    }
}

async fn lock(session: &Session, ids: &[TaskId]) -> Result<Vec<Hot>, Failure> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let rows = session.query(LOCK, &[(&ids, Type::INT8_ARRAY)]).await?;
    rows.iter().map(rows::hot).collect()
}

/// Every edge below `parent`.
async fn below(session: &Session, parent: TaskId) -> Result<HashMap<TaskId, Vec<TaskId>>, Failure> {
    let sql = "WITH RECURSIVE edges AS (SELECT parent, child FROM taskflow.waits WHERE parent = $1 \
               UNION SELECT w.parent, w.child FROM edges JOIN taskflow.waits AS w \
               ON w.parent = edges.child) SELECT parent, child FROM edges ORDER BY parent, child";
    let mut found: HashMap<TaskId, Vec<TaskId>> = HashMap::new();
    for row in session.query(sql, &[(&parent.get(), Type::INT8)]).await? {
        let child = TaskId::new(get(&row, 1)?).ok_or_else(|| rows::bad("an id is not positive"))?;
        found.entry(rows::id(&row)?).or_default().push(child);
    }
    Ok(found)
}

/// Who waits for each of `ids`; every one of them has an entry.
async fn children(
    session: &Session,
    ids: &[TaskId],
) -> Result<HashMap<TaskId, Vec<TaskId>>, Failure> {
    let mut found: HashMap<TaskId, Vec<TaskId>> = ids.iter().map(|id| (*id, Vec::new())).collect();
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    for row in session.query(CHILDREN, &[(&ids, Type::INT8_ARRAY)]).await? {
        let child = TaskId::new(get(&row, 1)?).ok_or_else(|| rows::bad("an id is not positive"))?;
        found.entry(rows::id(&row)?).or_default().push(child);
    }
    Ok(found)
}
