//! The contract as a program: a naive store in memory, plain scans over maps, nothing clever.
//! Stores are compared with it command by command (`conformance/random.rs`), so where the prose of
//! the traits leaves a question open, this is the answer. It is not durable and not fast.

mod changes;
mod idempotency;
mod lists;
mod queues;
mod retention;
mod search;
mod sessions;
mod stats;
mod tasks;
mod work;
mod workers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use taskflow_core::series::{self, Cell, Minute, Tally};
use taskflow_core::{
    Attempt, Command, Illegal, KeyHash, Queue, QueueName, RateWindow, Session, SessionHash, Status,
    Step, Task, TaskEvent, TaskId, TenantId, Timestamp, WorkerName, step as core_step,
};
use tokio::sync::watch;

use crate::{Hints, Ready, Store, Told, Watch, Worker};

/// A store whose database is a handful of maps.
#[derive(Debug)]
pub struct Model {
    tables: Mutex<Tables>,
    watch: Watch,
    hints: watch::Sender<u64>,
}

impl Model {
    /// An empty one.
    pub fn new() -> Self {
        Self { tables: Mutex::default(), watch: Watch::default(), hints: watch::Sender::new(0) }
    }

    /// As if it was closed and opened again.
    pub fn reopen(&self) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).starts.clear();
    }

    /// As if another process had written something.
    pub fn miss(&self) {
        self.watch.missed();
    }

    /// The next task gets this id: stores may leave out those that a refused batch took.
    pub fn next_id_is(&self, id: TaskId) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).last_id = id.get() - 1;
    }

    /// One call of the contract: what `act` answers and which tasks became ready by it.
    fn call<T>(&self, act: impl FnOnce(&mut Tables) -> T) -> (T, Vec<Ready>) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, held) = (tables.waiting(), tables.limited_leases());
        let answer = act(&mut tables);
        let changed = std::mem::take(&mut tables.changed);
        if self.watch.is_on() {
            self.watch.tell(changed);
        }
        let (after, holds) = (tables.waiting(), tables.limited_leases());
        let fresh = after.iter().filter(|(id, run_at)| before.get(id) != Some(run_at));
        let mut told: Vec<Ready> = fresh.map(|(id, _)| ready(&tables.rows[id].task)).collect();
        let freed: BTreeSet<_> =
            held.iter().filter(|lease| !holds.contains(*lease)).map(|(_, _, of)| of).collect();
        for (scope, queue) in freed {
            let waiting = tables.first_waiting(*scope, queue);
            for ready in waiting {
                if !told.contains(&ready) {
                    told.push(ready);
                }
            }
        }
        (answer, told)
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait::async_trait]
impl Store for Model {
    async fn health(&self) -> Result<crate::Health, crate::StoreError> {
        Ok(crate::Health { schema: 1, known: 1, clock_lead_ms: None })
    }

    fn hints(&self) -> Hints {
        self.hints.subscribe()
    }
}

/// The whole database.
#[derive(Debug, Clone, Default)]
struct Tables {
    last_id: i64,
    rows: BTreeMap<TaskId, Row>,
    /// (parent, child): from the child's birth until the parent ends or the child waits no more.
    edges: BTreeSet<(TaskId, TaskId)>,
    /// Queues that were set, with their latest starts.
    queues: BTreeMap<(TenantId, QueueName), (Queue, RateWindow)>,
    /// How many tasks each queue has handed out since the store was opened.
    starts: BTreeMap<(TenantId, QueueName), u64>,
    workers: BTreeMap<(TenantId, WorkerName), Worker>,
    kept: BTreeMap<(TenantId, KeyHash), idempotency::Kept>,
    sessions: BTreeMap<(TenantId, SessionHash), Session>,
    /// What happened, by tenant and minute; none is every queue.
    series: BTreeMap<(TenantId, Option<QueueName>, Minute), Tally>,
    /// What the present call changed.
    changed: Vec<Told>,
}

#[derive(Debug, Clone)]
struct Row {
    tenant: TenantId,
    task: Task,
    /// The attempts that steps closed, oldest first. All of them: `State::history` knows how many
    /// an answer has.
    history: Vec<Attempt>,
}

impl Tables {
    fn next_id(&mut self) -> TaskId {
        self.last_id += 1;
        TaskId::new(self.last_id).expect("counted up from zero")
    }

    fn task(&self, scope: TenantId, id: TaskId) -> Option<&Task> {
        self.rows.get(&id).filter(|row| row.tenant == scope).map(|row| &row.task)
    }

    /// The tasks of one tenant, oldest first.
    fn tasks(&self, scope: TenantId) -> impl DoubleEndedIterator<Item = &Task> {
        self.rows.values().filter(move |row| row.tenant == scope).map(|row| &row.task)
    }

    /// Every task that a claim may take at or after its `run_at`, of all tenants.
    fn waiting(&self) -> BTreeMap<TaskId, Timestamp> {
        let tasks = self.rows.values().map(|row| &row.task).filter(|task| waits(task));
        tasks.map(|task| (task.id, task.state.run_at)).collect()
    }

    /// One step of one task, with all that follows for the tasks that wait for it.
    fn advance(&mut self, id: TaskId, command: Command, now: Timestamp) -> Result<Step, Illegal> {
        let task = &self.rows[&id].task;
        let step = core_step(id, &task.terms, &task.state, command, now)?;
        self.write(id, &step, now);
        Ok(step)
    }

    /// Writes a step, then tells the tasks that wait for this one how it ended, and theirs when they
    /// end by it, nearest first and in the order of their ids.
    fn write(&mut self, id: TaskId, step: &Step, now: Timestamp) {
        let mut ends = VecDeque::new();
        ends.extend(self.put(id, step, now));
        while let Some((parent, end)) = ends.pop_front() {
            for child in self.children(parent) {
                self.edges.remove(&(parent, child));
                let command = match end {
                    Status::Completed => Command::Unblock,
                    _ => Command::ParentLost(parent),
                };
                let task = &self.rows[&child].task;
                // Refused when a person works on the child: its parents are nothing to it then.
                if let Ok(step) = core_step(child, &task.terms, &task.state, command, now) {
                    ends.extend(self.put(child, &step, now));
                }
            }
        }
    }

    /// Writes a step of one task; the task and its end when it ended by it.
    fn put(&mut self, id: TaskId, step: &Step, now: Timestamp) -> Option<(TaskId, Status)> {
        let row = self.rows.get_mut(&id).expect("the caller found the task");
        let was = std::mem::replace(&mut row.task.state, step.state.clone());
        let (tenant, queue) = (row.tenant, row.task.queue.clone());
        let cells: Vec<Cell> = series::cells(&was, &step.state).collect();
        row.history.extend(step.closed.clone());
        let event = TaskEvent::between(&was, &step.state);
        let was = was.status;
        let (is, blocked_by) = (step.state.status, step.state.blocked_by);
        self.tally(tenant, &queue, step.state.updated_at, &cells);
        if let Some(event) = event {
            self.note(id, event, now);
        }
        if is.is_ended() || blocked_by == 0 {
            self.leave(id);
        }
        (was != is && is.is_ended()).then_some((id, is))
    }

    /// The task waits for nobody any more: it ended, is deleted, or a person started or retried it.
    fn leave(&mut self, child: TaskId) {
        self.edges.retain(|(_, c)| *c != child);
    }

    fn children(&self, parent: TaskId) -> Vec<TaskId> {
        self.edges.iter().filter(|(p, _)| *p == parent).map(|(_, child)| *child).collect()
    }
}

/// Whether only time or a free worker is missing.
fn waits(task: &Task) -> bool {
    task.state.status == Status::Pending && task.state.blocked_by == 0
}

fn ready(task: &Task) -> Ready {
    Ready { queue: task.queue.clone(), kind: task.kind.clone(), run_at: task.state.run_at }
}

/// A task's finished attempts; the one that completed it is in the task itself.
fn attempts(row: &Row) -> Vec<Attempt> {
    row.task.state.history(row.history.clone())
}
