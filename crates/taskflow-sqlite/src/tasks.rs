//! The room of tasks: SQL of insert, edit, delete and the reads.

use rusqlite::{Connection, Error, OptionalExtension, params};
use taskflow_core::series::{Counter, Minute};
use taskflow_core::task::{OnConflict, UniqueKey};
use taskflow_core::{
    Attempt, Command, Json, NewTask, Plan, Priority, Status, Step, Task, TaskEvent, TaskId,
    TenantId, Timestamp, step,
};
use taskflow_store::{Counts, Delete, Deleted, Edit, Edited, Inserted, kept};

use crate::act::Act;
use crate::rows::{self, Hot, task_columns};

/// What happens to the holder of a wanted unique key.
enum Key {
    Free,
    Answer(Inserted),
    Replace(TaskId),
}

impl Act<'_> {
    /// Inserts one task.
    pub(crate) fn insert(&mut self, mut new: NewTask) -> Result<Inserted, Error> {
        without_doubles(&mut new.depends_on);
        let waiting = match self.parents(&new.depends_on)? {
            Ok(waiting) => waiting,
            Err(answer) => return Ok(answer),
        };
        match self.key(&new)? {
            Key::Free => self.give_birth(new, &waiting).map(Inserted::Created),
            Key::Answer(answer) => Ok(answer),
            Key::Replace(holder) => self.replace(holder, new),
        }
    }

    /// Cancels the holder and puts `new` in its place, unless `new` waits for what is lost by that:
    /// then nothing happens.
    fn replace(&mut self, holder: TaskId, new: NewTask) -> Result<Inserted, Error> {
        let (mark, ready) = (self.memory.mark(), self.ready.clone());
        self.connection.prepare_cached("SAVEPOINT replace_holder")?.execute([])?;
        self.cancel_replaced(holder)?;
        let answer = match self.parents(&new.depends_on)? {
            Ok(waiting) => {
                let task = self.give_birth(new, &waiting)?;
                Inserted::Replaced { task, cancelled: holder }
            }
            Err(answer) => {
                self.connection.prepare_cached("ROLLBACK TO replace_holder")?.execute([])?;
                self.memory.undo_to(mark);
                self.ready = ready;
                answer
            }
        };
        self.connection.prepare_cached("RELEASE replace_holder")?.execute([])?;
        Ok(answer)
    }

    fn give_birth(&mut self, new: NewTask, waiting: &[TaskId]) -> Result<Box<Task>, Error> {
        let id = TaskId::new(self.memory.next_id()).ok_or(Error::IntegralValueOutOfRange(0, 0))?;
        let blocked = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let task = Box::new(Task::born(id, new, blocked, self.now));
        insert_row(self.connection, self.tenant, &task)?;
        for parent in waiting {
            self.memory.waits = true;
            self.connection
                .prepare_cached("INSERT INTO waits(parent, child) VALUES(?1, ?2)")?
                .execute(params![parent.get(), id.get()])?;
        }
        let hot = Hot::of(&task);
        self.memory.count(self.lane(&hot, Status::Pending), 1);
        let created = std::iter::once(Counter::Created.cell());
        self.memory.series.note(self.tenant, &hot.queue, Minute::of(self.now), created);
        if self.memory.notes() {
            self.note_tagged(&hot, TaskEvent::Created, task.tags.clone());
        }
        if blocked == 0 {
            self.tell(&hot, task.state.run_at);
        }
        Ok(task)
    }

    /// The parents that have not completed, or why the task cannot wait for them.
    fn parents(&self, ids: &[TaskId]) -> Result<Result<Vec<TaskId>, Inserted>, Error> {
        let mut waiting = Vec::new();
        for &id in ids {
            match self.status(id)? {
                None => return Ok(Err(Inserted::NoParent(id))),
                Some(Status::Failed | Status::Cancelled) => {
                    return Ok(Err(Inserted::LostParent(id)));
                }
                Some(Status::Completed) => {}
                Some(Status::Pending | Status::InProgress) => waiting.push(id),
            }
        }
        Ok(Ok(waiting))
    }

    fn status(&self, id: TaskId) -> Result<Option<Status>, Error> {
        let status: Option<i64> = self
            .connection
            .prepare_cached("SELECT status FROM tasks WHERE id = ?1 AND tenant = ?2")?
            .query_row(params![id.get(), self.tenant.0], |row| row.get(0))
            .optional()?;
        Ok(status.and_then(Status::from_number))
    }

    fn key(&self, new: &NewTask) -> Result<Key, Error> {
        let Some(UniqueKey { key, on_conflict }) = &new.unique else { return Ok(Key::Free) };
        let Some(holder) = self.holder(new.queue.as_str(), key)? else { return Ok(Key::Free) };
        Ok(match on_conflict {
            OnConflict::Return => match task(self.connection, self.tenant, holder)? {
                Some(task) => Key::Answer(Inserted::Existing(Box::new(task))),
                None => Key::Free,
            },
            OnConflict::Replace if self.status(holder)? == Some(Status::Pending) => {
                Key::Replace(holder)
            }
            OnConflict::Replace | OnConflict::Reject => Key::Answer(Inserted::KeyHeld(holder)),
        })
    }

    /// The live task that holds a unique key.
    fn holder(&self, queue: &str, key: &str) -> Result<Option<TaskId>, Error> {
        let id: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT id FROM tasks WHERE tenant = ?1 AND queue = ?2 AND unique_key = ?3 \
                 AND status < 2",
            )?
            .query_row(params![self.tenant.0, queue, key], |row| row.get(0))
            .optional()?;
        Ok(id.and_then(TaskId::new))
    }

    fn cancel_replaced(&mut self, holder: TaskId) -> Result<(), Error> {
        let Some(hot) = self.hot(holder)? else { return Ok(()) };
        let command = Command::Move(Status::Cancelled);
        if let Ok(mut step) = step(hot.id, &hot.terms, &hot.state, command, self.now) {
            step.state.cancel_reason = Some("replaced".into());
            self.write(&hot, &step)?;
        }
        Ok(())
    }

    /// Edits one task.
    pub(crate) fn edit(&mut self, edit: &Edit) -> Result<Edited, Error> {
        let Some(old) = task(self.connection, self.tenant, edit.id)? else {
            return Ok(Edited::NotFound);
        };
        if edit.if_version.is_some_and(|version| version != old.state.version) {
            return Ok(Edited::Stale(old.state.version));
        }
        let Plan { task: mut new, step, fields, revived } = match edit.patch.plan(&old, self.now) {
            Ok(plan) => plan,
            Err(refusal) => return Ok(refusal.into()),
        };
        if revived
            && let Some(key) = &new.unique_key
            && let Some(holder) = self.holder(new.queue.as_str(), key)?
        {
            return Ok(Edited::KeyHeld(holder));
        }
        if fields {
            update_fields(self.connection, &new)?;
            if old.priority != new.priority {
                self.memory.count(self.lane(&Hot::of(&old), old.state.status), -1);
                self.memory.count(self.lane(&Hot::of(&new), old.state.status), 1);
            }
        }
        if fields || step.changed {
            let before = Hot { state: old.state, ..Hot::of(&new) };
            let step = Step { changed: true, ..step };
            self.write(&before, &step)?;
            new.state = step.state;
        }
        Ok(Edited::Done(Box::new(new)))
    }

    /// Deletes one task.
    pub(crate) fn delete(&mut self, delete: &Delete) -> Result<Deleted, Error> {
        let Some(hot) = self.hot(delete.id)? else { return Ok(Deleted::NotFound) };
        if delete.if_version.is_some_and(|version| version != hot.state.version) {
            return Ok(Deleted::Stale(hot.state.version));
        }
        let id = hot.id.get();
        let child: Option<i64> = self
            .connection
            .prepare_cached("SELECT min(child) FROM waits WHERE parent = ?1")?
            .query_row([id], |row| row.get(0))?;
        if let Some(child) = child.and_then(TaskId::new) {
            return Ok(Deleted::HasDependant(child));
        }
        self.note(&hot, TaskEvent::Deleted)?;
        self.leave(hot.id)?;
        if hot.state.lease.is_some() {
            self.lease_ends(&hot)?;
        }
        self.connection.prepare_cached("DELETE FROM attempts WHERE task = ?1")?.execute([id])?;
        self.connection.prepare_cached("DELETE FROM tasks WHERE id = ?1")?.execute([id])?;
        self.memory.count(self.lane(&hot, hot.state.status), -1);
        self.memory.forget_id();
        Ok(Deleted::Done)
    }
}

/// Keeps the first of equal ids.
fn without_doubles(ids: &mut Vec<TaskId>) {
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(*id));
}

fn insert_row(connection: &Connection, tenant: TenantId, task: &Task) -> Result<(), Error> {
    let (s, t) = (&task.state, &task.terms);
    connection
        .prepare_cached(
            "INSERT OR FAIL INTO tasks(id, tenant, status, priority, queue, kind, run_at, retrying, \
             blocked_by, attempt, uncounted, max_attempts, lease_seconds, timeout_seconds, \
             deadline_at, expires_at, retry, created_at, updated_at, version, unique_key, \
             concurrency_key, depends_on, tags, metadata, title, description, payload) \
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, 0, 0, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15, \
             ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)",
        )?
        .execute(params![
            task.id.get(),
            tenant.0,
            s.status.number(),
            task.priority.number(),
            task.queue.as_str(),
            task.kind.as_str(),
            s.run_at.micros(),
            s.blocked_by,
            t.max_attempts,
            t.lease_seconds,
            t.timeout_seconds,
            t.deadline_at.map(Timestamp::micros),
            t.expires_at.map(Timestamp::micros),
            kept::retry_text(&t.retry),
            task.created_at.micros(),
            s.version,
            task.unique_key,
            task.concurrency_key,
            kept::ids_text(&task.depends_on),
            kept::tags_text(&task.tags),
            task.metadata.as_ref().map(Json::as_str),
            task.title,
            task.description,
            task.payload.as_ref().map(Json::as_str),
        ])
        .map(drop)
}

fn update_fields(connection: &Connection, task: &Task) -> Result<(), Error> {
    let t = &task.terms;
    connection
        .prepare_cached(
            "UPDATE tasks SET title = ?2, description = ?3, priority = ?4, payload = ?5, \
             max_attempts = ?6, retry = ?7, timeout_seconds = ?8, deadline_at = ?9, \
             expires_at = ?10, lease_seconds = ?11, tags = ?12, metadata = ?13 WHERE id = ?1",
        )?
        .execute(params![
            task.id.get(),
            task.title,
            task.description,
            task.priority.number(),
            task.payload.as_ref().map(Json::as_str),
            t.max_attempts,
            kept::retry_text(&t.retry),
            t.timeout_seconds,
            t.deadline_at.map(Timestamp::micros),
            t.expires_at.map(Timestamp::micros),
            t.lease_seconds,
            kept::tags_text(&task.tags),
            task.metadata.as_ref().map(Json::as_str),
        ])
        .map(drop)
}

/// One whole task.
pub(crate) fn task(
    connection: &Connection,
    tenant: TenantId,
    id: TaskId,
) -> Result<Option<Task>, Error> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            task_columns!(),
            " FROM tasks WHERE id = ?1 AND tenant = ?2"
        ))?
        .query_row(params![id.get(), tenant.0], rows::task)
        .optional()
}

/// How many ready tasks of a task's queue and kind come before it.
pub(crate) fn ahead(
    connection: &Connection,
    tenant: TenantId,
    id: TaskId,
    now: Timestamp,
    max: u32,
) -> Result<Option<u32>, Error> {
    let Some(task) = task(connection, tenant, id)? else { return Ok(None) };
    let (run_at, id) = (task.state.run_at.micros(), id.get());
    connection
        .prepare_cached(&ahead_sql(task.priority))?
        .query_row(
            params![
                tenant.0,
                task.queue.as_str(),
                task.kind.as_str(),
                now.micros(),
                run_at,
                id,
                max
            ],
            |row| row.get(0),
        )
        .map(Some)
}

/// A range of the ready tasks per priority that comes first, and the beginning of the task's own.
fn ahead_sql(priority: Priority) -> String {
    let lane = "SELECT id FROM tasks INDEXED BY tasks_ready WHERE tenant = ?1 AND queue = ?2 \
                AND kind = ?3 AND status = 0 AND blocked_by = 0 AND run_at <= ?4 AND priority =";
    let higher = Priority::ALL.into_iter().filter(|other| *other > priority);
    let mut arms: Vec<String> = higher.map(|other| format!("{lane} {}", other.number())).collect();
    let own = priority.number();
    arms.push(format!("{lane} {own} AND run_at < ?5"));
    arms.push(format!("{lane} {own} AND run_at = ?5 AND id < ?6"));
    format!("SELECT count(*) FROM ({} LIMIT ?7 + 0)", arms.join(" UNION ALL "))
}

const COUNTED: &str = "SELECT status, sum(n) FROM task_counts WHERE tenant = ?1 GROUP BY status";

/// Tasks per status from the kept counts.
pub(crate) fn count(connection: &Connection, tenant: TenantId) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    let mut statement = connection.prepare_cached(COUNTED)?;
    let mut rows = statement.query([tenant.0])?;
    while let Some(row) = rows.next()? {
        if let Some(status) = Status::from_number(row.get(0)?) {
            counts.0[status as usize] = row.get(1)?;
        }
    }
    Ok(counts)
}

/// A task's ended attempts, oldest first.
pub(crate) fn attempts(
    connection: &Connection,
    tenant: TenantId,
    id: TaskId,
) -> Result<Option<Vec<Attempt>>, Error> {
    let Some(task) = task(connection, tenant, id)? else { return Ok(None) };
    let attempts: Vec<Attempt> = connection
        .prepare_cached(
            "SELECT attempt, outcome, worker, started_at, ended_at, error FROM attempts \
             WHERE task = ?1 ORDER BY attempt",
        )?
        .query_map([id.get()], rows::attempt)?
        .collect::<Result<_, _>>()?;
    Ok(Some(task.state.history(attempts)))
}

#[cfg(test)]
mod tests;
