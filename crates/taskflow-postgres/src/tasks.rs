//! The room of tasks: insert, edit, delete and the reads.

use std::collections::{BTreeSet, HashSet};

use taskflow_core::task::{OnConflict, UniqueKey};
use taskflow_core::{
    Attempt, Command, Json, NewTask, Plan, Priority, Status, Step, Task, TaskId, TenantId,
    Timestamp, step,
};
use taskflow_store::{Counts, Delete, Deleted, Edit, Edited, Inserted, kept};
use tokio_postgres::types::Type;

use crate::columns::{Births, Deltas};
use crate::desk::{Counting, Desk, Lane};
use crate::error::Failure;
use crate::rows::{self, Hot, get, int, small, task_columns};
use crate::session::{Param, Session};

/// What happens to the holder of a wanted unique key.
enum Key {
    Free,
    Answer(Inserted),
    Replace(TaskId),
}

/// The id of a task that is not stored yet.
const UNBORN: i64 = i64::MAX;

/// A new task before the database gave it an id.
pub(crate) fn unborn(new: NewTask, blocked: u32, now: Timestamp) -> Result<Box<Task>, Failure> {
    let id = TaskId::new(UNBORN).ok_or_else(|| rows::bad("an id is not positive"))?;
    Ok(Box::new(Task::born(id, new, blocked, now)))
}

/// Whether nothing of these tasks depends on another one: one statement inserts them all.
pub(crate) fn plain(batch: &[NewTask]) -> bool {
    batch.iter().all(|new| new.depends_on.is_empty() && new.unique.is_none())
}

/// Inserts tasks that depend on nothing in one statement; `alone` says that it is its own commit, not part of a
/// transaction. The tasks come back with their ids, in order.
pub(crate) async fn insert_plain(
    session: &Session,
    batch: Vec<(TenantId, Timestamp, NewTask)>,
    alone: bool,
) -> Result<Vec<Box<Task>>, Failure> {
    let mut tasks = Vec::with_capacity(batch.len());
    for (tenant, now, new) in batch {
        tasks.push((tenant, unborn(new, 0, now)?));
    }
    let mut births = Births::default();
    let mut counts = Counting::new();
    for (tenant, task) in &tasks {
        births.push(*tenant, task);
        *counts.entry(lane(*tenant, task)).or_insert(0) += 1;
    }
    let ids = births.insert(session, &Deltas::of(&counts)).await;
    let ids = ids.map_err(|failure| if alone { failure.committing() } else { failure })?;
    drop(births);
    if ids.len() != tasks.len() {
        return Err(rows::bad("an insert gave another number of ids"));
    }
    Ok(tasks
        .into_iter()
        .zip(ids)
        .map(|((_, mut task), id)| {
            task.id = id;
            task
        })
        .collect())
}

fn lane(tenant: TenantId, task: &Task) -> Lane {
    Lane {
        tenant,
        status: Status::Pending,
        queue: task.queue.clone(),
        kind: task.kind.clone(),
        priority: task.priority,
    }
}

impl Desk<'_> {
    /// Takes the unique keys of a batch, in one order on every node: creates that want the same key
    /// follow each other.
    pub(crate) async fn take_keys(&self, keys: BTreeSet<String>) -> Result<(), Failure> {
        if keys.is_empty() {
            return Ok(());
        }
        let keys: Vec<String> = keys.into_iter().collect();
        let sql = "SELECT pg_advisory_xact_lock(hashtextextended('taskflow:' || key, 0)) \
                   FROM unnest($1::text[]) WITH ORDINALITY AS k(key, place) ORDER BY place";
        self.session.query(sql, &[(&keys, Type::TEXT_ARRAY)]).await?;
        Ok(())
    }

    /// Inserts one task.
    pub(crate) async fn insert(&mut self, mut new: NewTask) -> Result<Inserted, Failure> {
        let mut seen = HashSet::new();
        new.depends_on.retain(|id| seen.insert(*id));
        let waiting = match self.parents(&new.depends_on).await? {
            Ok(waiting) => waiting,
            Err(answer) => return Ok(answer),
        };
        match self.key(&new).await? {
            Key::Free => self.give_birth(new, &waiting).await.map(Inserted::Created),
            Key::Answer(answer) => Ok(answer),
            Key::Replace(holder) => self.replace(holder, new).await,
        }
    }

    /// Cancels the holder and puts `new` in its place, unless `new` waits for what is lost by that:
    /// then nothing happens.
    async fn replace(&mut self, holder: TaskId, new: NewTask) -> Result<Inserted, Failure> {
        let lost = self.lost_by(holder, &new.depends_on).await?;
        if let Some(&lost) = new.depends_on.iter().find(|id| lost.contains(id)) {
            return Ok(Inserted::LostParent(lost));
        }
        self.cancel_replaced(holder).await?;
        self.write_down().await?;
        let waiting = match self.parents(&new.depends_on).await? {
            Ok(waiting) => waiting,
            Err(answer) => return Ok(answer),
        };
        let task = self.give_birth(new, &waiting).await?;
        Ok(Inserted::Replaced { task, cancelled: holder })
    }

    /// Which of `parents` the holder's cancellation would end: itself and all that waits for it.
    async fn lost_by(
        &mut self,
        holder: TaskId,
        parents: &[TaskId],
    ) -> Result<HashSet<TaskId>, Failure> {
        if parents.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = "WITH RECURSIVE lost(id) AS (SELECT $1::int8 UNION \
                   SELECT w.child FROM lost JOIN taskflow.waits w ON w.parent = lost.id) \
                   SELECT id FROM lost WHERE id = ANY($2)";
        let ids: Vec<i64> = parents.iter().map(|id| id.get()).collect();
        let params: [Param<'_>; 2] = [(&holder.get(), Type::INT8), (&ids, Type::INT8_ARRAY)];
        self.session.query(sql, &params).await?.iter().map(rows::id).collect()
    }

    async fn give_birth(&mut self, new: NewTask, waiting: &[TaskId]) -> Result<Box<Task>, Failure> {
        let blocked = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let mut task = unborn(new, blocked, self.now)?;
        self.bear(&mut task, waiting).await?;
        Ok(task)
    }

    /// The parents that have not completed, or why the task cannot wait for them.
    async fn parents(&mut self, ids: &[TaskId]) -> Result<Result<Vec<TaskId>, Inserted>, Failure> {
        let mut waiting = Vec::new();
        for &id in ids {
            match self.hot(id).await?.map(|hot| hot.state.status) {
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

    async fn key(&mut self, new: &NewTask) -> Result<Key, Failure> {
        let Some(UniqueKey { key, on_conflict }) = &new.unique else { return Ok(Key::Free) };
        let Some(holder) = self.holder(new.queue.as_str(), key).await? else {
            return Ok(Key::Free);
        };
        let status = self.hot(holder).await?.map(|hot| hot.state.status);
        Ok(match (on_conflict, status) {
            // It ended between the look and the lock.
            (_, None | Some(Status::Completed | Status::Failed | Status::Cancelled)) => Key::Free,
            (OnConflict::Return, _) => match self.whole(holder).await? {
                Some(task) => Key::Answer(Inserted::Existing(task)),
                None => Key::Free,
            },
            (OnConflict::Replace, Some(Status::Pending)) => Key::Replace(holder),
            (OnConflict::Replace | OnConflict::Reject, _) => Key::Answer(Inserted::KeyHeld(holder)),
        })
    }

    /// The live task that holds a unique key.
    async fn holder(&mut self, queue: &str, key: &str) -> Result<Option<TaskId>, Failure> {
        self.write_down().await?;
        let params: [Param<'_>; 3] =
            [(&self.tenant.0, Type::INT8), (&queue, Type::TEXT), (&key, Type::TEXT)];
        self.session.query(HOLDER, &params).await?.first().map(rows::id).transpose()
    }

    async fn cancel_replaced(&mut self, holder: TaskId) -> Result<(), Failure> {
        let Some(hot) = self.hot(holder).await? else { return Ok(()) };
        let command = Command::Move(Status::Cancelled);
        if let Ok(mut step) = step(hot.id, &hot.terms, &hot.state, command, self.now) {
            step.state.cancel_reason = Some("replaced".into());
            self.write(&hot, &step).await?;
        }
        Ok(())
    }

    /// A locked task with everything, as this transaction has made it.
    async fn whole(&mut self, id: TaskId) -> Result<Option<Box<Task>>, Failure> {
        if self.hot(id).await?.is_none() {
            return Ok(None);
        }
        self.write_down().await?;
        let tasks = read(self.session, self.tenant, &[id]).await?;
        Ok(tasks.into_iter().flatten().next().map(Box::new))
    }

    /// Edits one task.
    pub(crate) async fn edit(&mut self, edit: &Edit) -> Result<Edited, Failure> {
        let Some(old) = self.whole(edit.id).await? else { return Ok(Edited::NotFound) };
        if edit.if_version.is_some_and(|version| version != old.state.version) {
            return Ok(Edited::Stale(old.state.version));
        }
        let Plan { task: mut new, step, fields, revived } = match edit.patch.plan(&old, self.now) {
            Ok(plan) => plan,
            Err(refusal) => return Ok(refusal.into()),
        };
        if revived
            && let Some(key) = &new.unique_key
            && let Some(holder) = self.holder(new.queue.as_str(), key).await?
        {
            return Ok(Edited::KeyHeld(holder));
        }
        if fields {
            update_fields(self.session, &new).await?;
            if old.priority != new.priority {
                self.count(&Hot::of(self.tenant, &old), old.state.status, -1);
                self.count(&Hot::of(self.tenant, &new), old.state.status, 1);
            }
        }
        if fields || step.changed {
            let before = Hot { state: old.state, ..Hot::of(self.tenant, &new) };
            self.sit(before.clone());
            let step = Step { changed: true, ..step };
            self.write(&before, &step).await?;
            new.state = step.state;
            if fields && old.priority != new.priority {
                self.moved(&Hot::of(self.tenant, &new));
            }
        }
        Ok(Edited::Done(Box::new(new)))
    }

    /// Deletes one task.
    pub(crate) async fn delete(&mut self, delete: &Delete) -> Result<Deleted, Failure> {
        let Some(hot) = self.hot(delete.id).await? else { return Ok(Deleted::NotFound) };
        if delete.if_version.is_some_and(|version| version != hot.state.version) {
            return Ok(Deleted::Stale(hot.state.version));
        }
        self.write_down().await?;
        let id = hot.id.get();
        let one: [Param<'_>; 1] = [(&id, Type::INT8)];
        let sql = "SELECT child FROM taskflow.waits WHERE parent = $1 ORDER BY child LIMIT 1";
        if let Some(child) = self.session.query(sql, &one).await?.first() {
            return Ok(Deleted::HasDependant(rows::id(child)?));
        }
        self.leave(hot.id).await?;
        self.session.query("DELETE FROM taskflow.attempts WHERE task = $1", &one).await?;
        let sql = "DELETE FROM taskflow.tasks WHERE id = $1 RETURNING tags";
        let gone = self.session.query(sql, &one).await?;
        self.note_deleted(&hot, gone.first())?;
        self.count(&hot, hot.state.status, -1);
        if hot.state.lease.is_some() {
            self.lease_ends(&hot);
        }
        self.gone(hot.id);
        Ok(Deleted::Done)
    }
}

async fn update_fields(session: &Session, task: &Task) -> Result<(), Failure> {
    let sql = "UPDATE taskflow.tasks SET title = $2, description = $3, priority = $4, payload = $5, \
               max_attempts = $6, retry = $7, timeout_seconds = $8, deadline_at = $9, \
               expires_at = $10, lease_seconds = $11, tags = $12, metadata = $13 WHERE id = $1";
    let t = &task.terms;
    let params: [Param<'_>; 13] = [
        (&task.id.get(), Type::INT8),
        (&task.title, Type::TEXT),
        (&task.description, Type::TEXT),
        (&small(task.priority.number()), Type::INT2),
        (&task.payload.as_ref().map(Json::as_str), Type::TEXT),
        (&int(t.max_attempts), Type::INT4),
        (&kept::retry_text(&t.retry), Type::TEXT),
        (&t.timeout_seconds.map(int), Type::INT4),
        (&t.deadline_at.map(Timestamp::micros), Type::INT8),
        (&t.expires_at.map(Timestamp::micros), Type::INT8),
        (&int(t.lease_seconds), Type::INT4),
        (&kept::tags_text(&task.tags), Type::TEXT),
        (&task.metadata.as_ref().map(Json::as_str), Type::TEXT),
    ];
    session.query(sql, &params).await?;
    Ok(())
}

/// Tasks in the order of `ids`; none where there is no such task.
pub(crate) async fn read(
    session: &Session,
    tenant: TenantId,
    ids: &[TaskId],
) -> Result<Vec<Option<Task>>, Failure> {
    let sql = concat!(
        "SELECT ",
        task_columns!(),
        " FROM taskflow.tasks WHERE id = ANY($1) AND tenant = $2"
    );
    let wanted: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let params: [Param<'_>; 2] = [(&wanted, Type::INT8_ARRAY), (&tenant.0, Type::INT8)];
    let mut found = std::collections::HashMap::new();
    for row in session.query(sql, &params).await? {
        let task = rows::task(&row)?;
        found.insert(task.id, task);
    }
    // An id may be asked for twice.
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}

/// The live task that holds a unique key.
pub(crate) const HOLDER: &str = "SELECT id FROM taskflow.tasks WHERE tenant = $1 AND queue = $2 \
     AND unique_key = $3 AND status < 2";

/// How many ready tasks of a task's queue and kind come before it.
pub(crate) async fn ahead(
    session: &Session,
    tenant: TenantId,
    id: TaskId,
    now: Timestamp,
    max: u32,
) -> Result<Option<u32>, Failure> {
    let Some(task) = read(session, tenant, &[id]).await?.into_iter().flatten().next() else {
        return Ok(None);
    };
    let params: [Param<'_>; 7] = [
        (&tenant.0, Type::INT8),
        (&task.queue.as_str(), Type::TEXT),
        (&task.kind.as_str(), Type::TEXT),
        (&now.micros(), Type::INT8),
        (&task.state.run_at.micros(), Type::INT8),
        (&id.get(), Type::INT8),
        (&i64::from(max), Type::INT8),
    ];
    let rows = session.query(&ahead_sql(task.priority), &params).await?;
    let counted: i64 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
    Ok(Some(u32::try_from(counted).unwrap_or(max)))
}

/// A range of the ready tasks per priority that comes first, and the beginning of the task's own.
pub(crate) fn ahead_sql(priority: Priority) -> String {
    let lane = "SELECT id FROM taskflow.tasks WHERE tenant = $1 AND queue = $2 AND kind = $3 \
                AND status = 0 AND blocked_by = 0 AND run_at <= $4 AND priority =";
    let higher = Priority::ALL.into_iter().filter(|other| *other > priority);
    let mut arms: Vec<String> = higher.map(|other| format!("{lane} {}", other.number())).collect();
    arms.push(format!("{lane} {} AND (run_at, id) < ($5, $6)", priority.number()));
    format!("SELECT count(*) FROM ({} LIMIT $7) AS ahead", arms.join(" UNION ALL "))
}

/// Tasks per status: what was folded and what was added since.
pub(crate) async fn count(session: &Session, tenant: TenantId) -> Result<Counts, Failure> {
    let sql = "SELECT status, sum(n)::int8 FROM (SELECT status, n FROM taskflow.task_counts \
               WHERE tenant = $1 UNION ALL SELECT status, n FROM taskflow.task_count_deltas \
               WHERE tenant = $1) AS counted GROUP BY status";
    let mut counts = Counts::default();
    for row in session.query(sql, &[(&tenant.0, Type::INT8)]).await? {
        if let Some(status) = Status::from_number(get::<i16>(&row, 0)?.into()) {
            let n: i64 = get(&row, 1)?;
            counts.0[status as usize] =
                u64::try_from(n).map_err(|_| rows::bad("a count is negative"))?;
        }
    }
    Ok(counts)
}

/// A task's ended attempts, oldest first.
pub(crate) async fn attempts(
    session: &Session,
    tenant: TenantId,
    id: TaskId,
) -> Result<Option<Vec<Attempt>>, Failure> {
    let Some(task) = read(session, tenant, &[id]).await?.into_iter().flatten().next() else {
        return Ok(None);
    };
    let attempts = written(session, id).await?;
    Ok(Some(task.state.history(attempts)))
}

/// A task's written history, oldest first.
pub(crate) async fn written(session: &Session, id: TaskId) -> Result<Vec<Attempt>, Failure> {
    let sql = "SELECT attempt, outcome, worker, started_at, ended_at, error \
               FROM taskflow.attempts WHERE task = $1 ORDER BY attempt";
    let rows = session.query(sql, &[(&id.get(), Type::INT8)]).await?;
    rows.iter().map(rows::attempt).collect()
}
