//! One command inside the writer's transaction: reading a task's state, writing a step, and what
//! follows from it (counts, history, tasks that waited). The rules are `core::step`'s.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rusqlite::{Connection, Error, OptionalExtension, params};
use taskflow_core::lease::{LastFinish, Lease};
use taskflow_core::limits::ATTEMPTS_KEPT;
use taskflow_core::series::{Minute, cells};
use taskflow_core::{
    Attempt, Command, QueueName, State, Status, Step, TaskEvent, TaskId, TenantId, Timestamp, step,
};
use taskflow_store::Ready;
use taskflow_store::shape::Shape;

use crate::memory::{Lane, Memory};
use crate::rows::{self, Hot, hot_columns};

/// A command's surroundings.
pub(crate) struct Act<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) memory: &'a mut Memory,
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
    /// What became ready so far and still is.
    pub(crate) ready: BTreeMap<TaskId, Ready>,
    /// Queues in which a limit has room again.
    pub(crate) freed: BTreeSet<(TenantId, QueueName)>,
}

impl Act<'_> {
    /// The hot part of a task.
    pub(crate) fn hot(&self, id: TaskId) -> Result<Option<Hot>, Error> {
        self.connection
            .prepare_cached(concat!(
                "SELECT ",
                hot_columns!(),
                " FROM tasks WHERE id = ?1 AND tenant = ?2"
            ))?
            .query_row(params![id.get(), self.tenant.0], rows::hot)
            .optional()
    }

    /// Writes `step` of the task `old` and everything that follows from it.
    pub(crate) fn write(&mut self, old: &Hot, step: &Step) -> Result<(), Error> {
        if !step.changed {
            return Ok(());
        }
        self.write_state(old.id, &old.state, &step.state)?;
        if let Some(attempt) = &step.closed {
            self.record(old.id, attempt)?;
        }
        self.account(old, step)?;
        let (was, is) = (old.state.status, step.state.status);
        if self.memory.waits {
            let freed = old.state.blocked_by > 0 && step.state.blocked_by == 0;
            if freed || (was != is && is.is_ended()) {
                self.leave(old.id)?;
            }
            if was != is && is.is_ended() {
                self.resolve(old.id, is)?;
            }
        }
        Ok(())
    }

    /// Counts and hints after a state was written.
    fn account(&mut self, old: &Hot, step: &Step) -> Result<(), Error> {
        let (was, is) = (&old.state, &step.state);
        if self.memory.notes()
            && let Some(event) = TaskEvent::between(was, is)
        {
            self.note(&Hot { state: is.clone(), ..old.clone() }, event)?;
        }
        if was.status != is.status {
            self.memory.count(self.lane(old, was.status), -1);
            self.memory.count(self.lane(old, is.status), 1);
            let minute = Minute::of(is.updated_at);
            self.memory.series.note(self.tenant, &old.queue, minute, cells(was, is));
        }
        let waited = was.status == Status::Pending && was.blocked_by == 0;
        let waits = is.status == Status::Pending && is.blocked_by == 0;
        if !waits {
            self.ready.remove(&old.id);
        } else if !(waited && was.run_at == is.run_at) {
            self.tell(old, is.run_at);
        }
        match (&was.lease, &is.lease) {
            (None, Some(_)) => self.lease_begins(old),
            (Some(_), None) => self.lease_ends(old),
            _ => Ok(()),
        }
    }

    fn lease_begins(&mut self, of: &Hot) -> Result<(), Error> {
        if self.memory.gates.get(self.tenant, &of.queue).is_some() {
            let key = self.concurrency_key(of.id)?;
            self.memory.gates.take(self.tenant, &of.queue, key.as_deref(), self.now);
        }
        Ok(())
    }

    /// Those who wait for a limit may ask again.
    pub(crate) fn lease_ends(&mut self, of: &Hot) -> Result<(), Error> {
        let Some(gate) = self.memory.gates.get(self.tenant, &of.queue) else { return Ok(()) };
        if gate.queue.settings.counts_leases() {
            self.freed.insert((self.tenant, of.queue.clone()));
        }
        let key = self.concurrency_key(of.id)?;
        self.memory.gates.give_back(self.tenant, &of.queue, key.as_deref());
        Ok(())
    }

    fn concurrency_key(&self, id: TaskId) -> Result<Option<String>, Error> {
        self.connection
            .prepare_cached("SELECT concurrency_key FROM tasks WHERE id = ?1")?
            .query_row([id.get()], |row| row.get(0))
    }

    /// All that became ready, and what waits in the queues where a limit has room again.
    pub(crate) fn told(self) -> Result<Vec<Ready>, Error> {
        let mut told = Vec::new();
        for (tenant, queue) in &self.freed {
            told.extend(self.waiting(*tenant, queue)?);
        }
        told.retain(|free| !self.ready.values().any(|ready| ready == free));
        told.extend(self.ready.into_values());
        Ok(told)
    }

    /// Notes that a task waits from `run_at` on.
    pub(crate) fn tell(&mut self, task: &Hot, run_at: Timestamp) {
        let ready = Ready { queue: task.queue.clone(), kind: task.kind.clone(), run_at };
        self.ready.insert(task.id, ready);
    }

    pub(crate) fn lane(&self, of: &Hot, status: Status) -> Lane {
        Lane {
            tenant: self.tenant,
            status,
            queue: of.queue.clone(),
            kind: of.kind.clone(),
            priority: of.priority,
        }
    }

    /// Removes the edges on which a task itself waits.
    pub(crate) fn leave(&mut self, child: TaskId) -> Result<(), Error> {
        let parents: Option<String> = self
            .connection
            .prepare_cached("SELECT depends_on FROM tasks WHERE id = ?1")?
            .query_row([child.get()], |row| row.get(0))?;
        if parents.is_some() {
            self.connection
                .prepare_cached(
                    "DELETE FROM waits WHERE child = ?1 AND parent IN \
                     (SELECT value FROM json_each(?2))",
                )?
                .execute(params![child.get(), parents])?;
        }
        Ok(())
    }

    /// Tells the tasks that wait for `parent` how it ended, and theirs when they end by it, nearest
    /// first. A loop with its own queue: a chain may be as long as there are tasks.
    fn resolve(&mut self, parent: TaskId, end: Status) -> Result<(), Error> {
        let mut ends = VecDeque::from([(parent, end)]);
        while let Some((parent, end)) = ends.pop_front() {
            for child in self.take_children(parent)? {
                let Some(hot) = self.hot(child)? else { continue };
                let command = match end {
                    Status::Completed => Command::Unblock,
                    _ => Command::ParentLost(parent),
                };
                let Ok(step) = step(hot.id, &hot.terms, &hot.state, command, self.now) else {
                    continue;
                };
                self.write_state(child, &hot.state, &step.state)?;
                self.account(&hot, &step)?;
                if step.state.status.is_ended() {
                    self.leave(child)?;
                    ends.push_back((child, step.state.status));
                }
            }
        }
        Ok(())
    }

    fn take_children(&mut self, parent: TaskId) -> Result<Vec<TaskId>, Error> {
        let children: Result<Vec<_>, _> = self
            .connection
            .prepare_cached("SELECT child FROM waits WHERE parent = ?1 ORDER BY child")?
            .query_map([parent.get()], |row| row.get(0))?
            .collect();
        let children = children?;
        if !children.is_empty() {
            self.connection
                .prepare_cached("DELETE FROM waits WHERE parent = ?1")?
                .execute([parent.get()])?;
        }
        Ok(children.into_iter().filter_map(TaskId::new).collect())
    }

    /// Adds to a task's history and keeps it bounded.
    pub(crate) fn record(&self, task: TaskId, attempt: &Attempt) -> Result<(), Error> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO attempts\
                 (task, attempt, outcome, worker, started_at, ended_at, error) \
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                task.get(),
                attempt.attempt,
                attempt.outcome.number(),
                attempt.worker,
                attempt.started_at.micros(),
                attempt.ended_at.micros(),
                attempt.error,
            ])?;
        if attempt.attempt > ATTEMPTS_KEPT {
            self.connection
                .prepare_cached("DELETE FROM attempts WHERE task = ?1 AND attempt <= ?2")?
                .execute(params![task.get(), attempt.attempt - ATTEMPTS_KEPT])?;
        }
        Ok(())
    }

    fn write_state(&self, id: TaskId, old: &State, s: &State) -> Result<(), Error> {
        match (Shape::between(old, s), &s.lease, &s.last) {
            (Shape::Claimed, Some(lease), _) => self.write_claim(id, s, lease),
            (Shape::Completed, _, Some(last)) => self.write_completion(id, s, last),
            _ => self.write_whole(id, s),
        }
    }

    fn write_claim(&self, id: TaskId, s: &State, lease: &Lease) -> Result<(), Error> {
        self.connection
            .prepare_cached(
                "UPDATE tasks SET status = ?2, attempt = ?3, lease_token = ?4, lease_until = ?5, \
                 lease_length = ?6, worker = ?7, started_at = ?8, updated_at = ?8, version = ?9 \
                 WHERE id = ?1",
            )?
            .execute(params![
                id.get(),
                s.status.number(),
                s.attempt,
                lease.token.0,
                lease.until.micros(),
                lease.seconds,
                s.worker,
                s.updated_at.micros(),
                s.version,
            ])
            .map(drop)
    }

    fn write_completion(&self, id: TaskId, s: &State, last: &LastFinish) -> Result<(), Error> {
        self.connection
            .prepare_cached(
                "UPDATE tasks SET status = ?2, lease_token = NULL, lease_until = NULL, \
                 lease_length = NULL, last_token = ?3, last_call = ?4, last_outcome = ?5, \
                 completed_at = ?6, ended_at = ?6, updated_at = ?6, result = ?7, version = ?8 \
                 WHERE id = ?1",
            )?
            .execute(params![
                id.get(),
                s.status.number(),
                last.token.0,
                last.call,
                last.outcome.number(),
                s.updated_at.micros(),
                s.result.as_ref().map(taskflow_core::Json::as_str),
                s.version,
            ])
            .map(drop)
    }

    fn write_whole(&self, id: TaskId, s: &State) -> Result<(), Error> {
        let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
        self.connection
            .prepare_cached(
                "UPDATE tasks SET status = ?2, attempt = ?3, uncounted = ?4, run_at = ?5, \
                 retrying = ?6, blocked_by = ?7, lease_token = ?8, lease_until = ?9, \
                 lease_length = ?10, last_token = ?11, last_call = ?12, last_outcome = ?13, \
                 worker = ?14, started_at = ?15, completed_at = ?16, ended_at = ?17, result = ?18, \
                 error_message = ?19, cancel_reason = ?20, progress = ?21, progress_message = ?22, \
                 checkpoint = ?23, updated_at = ?24, version = ?25 WHERE id = ?1",
            )?
            .execute(params![
                id.get(),
                s.status.number(),
                s.attempt,
                s.uncounted,
                s.run_at.micros(),
                s.retrying,
                s.blocked_by,
                s.lease.as_ref().map(|l| l.token.0),
                s.lease.as_ref().map(|l| l.until.micros()),
                s.lease.as_ref().map(|l| l.seconds),
                s.last.as_ref().map(|l| l.token.0),
                s.last.as_ref().and_then(|l| l.call),
                s.last.as_ref().map(|l| l.outcome.number()),
                s.worker,
                micros(s.started_at),
                micros(s.completed_at),
                micros(s.ended_at),
                s.result.as_ref().map(taskflow_core::Json::as_str),
                s.error_message,
                s.cancel_reason,
                s.progress.as_ref().map(|p| p.percent),
                s.progress.as_ref().and_then(|p| p.message.as_deref()),
                s.checkpoint.as_ref().map(taskflow_core::Json::as_str),
                s.updated_at.micros(),
                s.version,
            ])
            .map(drop)
    }
}
