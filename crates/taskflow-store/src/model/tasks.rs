//! The model's room of tasks: insert, read, edit, delete, count.

use async_trait::async_trait;
use taskflow_core::series::Counter;
use taskflow_core::task::OnConflict;
use taskflow_core::{
    Attempt, Command, NewTask, Plan, QueueName, Status, Task, TaskEvent, TaskId, TenantId,
    Timestamp,
};

use super::{Model, Row, Tables, attempts};
use crate::{
    AllInserted, Answers, Claim, Counts, Delete, Deleted, Edit, Edited, Inserted, Page, Paged,
    Served, StoreError, Sync, TaskStore, WorkStore,
};

impl Tables {
    pub(super) fn insert(&mut self, scope: TenantId, mut new: NewTask, now: Timestamp) -> Inserted {
        new.depends_on = without_doubles(&new.depends_on);
        for &parent in &new.depends_on {
            match self.task(scope, parent) {
                None => return Inserted::NoParent(parent),
                Some(task) if is_lost(task) => return Inserted::LostParent(parent),
                Some(_) => {}
            }
        }
        let Some(unique) = &new.unique else {
            return Inserted::Created(Box::new(self.give_birth(scope, new, now)));
        };
        let Some(holder) = self.holder(scope, &new.queue, &unique.key) else {
            return Inserted::Created(Box::new(self.give_birth(scope, new, now)));
        };
        match unique.on_conflict {
            OnConflict::Return => Inserted::Existing(Box::new(holder.clone())),
            OnConflict::Replace if holder.state.status == Status::Pending => {
                self.replace(scope, holder.id, new, now)
            }
            OnConflict::Reject | OnConflict::Replace => Inserted::KeyHeld(holder.id),
        }
    }

    /// The answers, or the refusal that takes back everything.
    pub(super) fn insert_all(
        &mut self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>, AllInserted> {
        let mut after = self.clone();
        let mut items = Vec::with_capacity(batch.len());
        for (at, new) in batch.into_iter().enumerate() {
            let why = after.insert(scope, new, now);
            if why.is_refused() {
                return Err(AllInserted::Refused { at, why });
            }
            items.push(why);
        }
        *self = after;
        Ok(items)
    }

    /// Cancels the holder and puts `new` in its place, unless `new` waits for a task that is lost by
    /// that: then nothing happens at all.
    fn replace(
        &mut self,
        scope: TenantId,
        holder: TaskId,
        new: NewTask,
        now: Timestamp,
    ) -> Inserted {
        let mut tables = self.clone();
        tables
            .advance(holder, Command::Move(Status::Cancelled), now)
            .expect("a pending task can be cancelled");
        let row = tables.rows.get_mut(&holder).expect("the holder was found");
        row.task.state.cancel_reason = Some("replaced".into());
        let lost = new.depends_on.iter().find(|&&id| tables.task(scope, id).is_some_and(is_lost));
        if let Some(&lost) = lost {
            return Inserted::LostParent(lost);
        }
        let task = Box::new(tables.give_birth(scope, new, now));
        *self = tables;
        Inserted::Replaced { task, cancelled: holder }
    }

    fn give_birth(&mut self, scope: TenantId, new: NewTask, now: Timestamp) -> Task {
        let open = |id: &TaskId| {
            self.task(scope, *id).is_some_and(|task| task.state.status != Status::Completed)
        };
        let parents: Vec<TaskId> = new.depends_on.iter().copied().filter(open).collect();
        let blocked_by = u32::try_from(parents.len()).expect("at most DEPENDENCIES_MAX parents");
        let id = self.next_id();
        let task = Task::born(id, new, blocked_by, now);
        self.edges.extend(parents.into_iter().map(|parent| (parent, id)));
        self.tally(scope, &task.queue, now, &[Counter::Created.cell()]);
        self.rows.insert(id, Row { tenant: scope, task: task.clone(), history: Vec::new() });
        self.note(id, TaskEvent::Created, now);
        task
    }

    /// The live task of `queue` that holds `key`.
    fn holder(&self, scope: TenantId, queue: &QueueName, key: &str) -> Option<&Task> {
        self.tasks(scope).find(|task| {
            !task.state.status.is_ended()
                && task.queue == *queue
                && task.unique_key.as_deref() == Some(key)
        })
    }

    pub(super) fn edit(&mut self, scope: TenantId, edit: &Edit, now: Timestamp) -> Edited {
        let Some(task) = self.task(scope, edit.id) else {
            return Edited::NotFound;
        };
        if edit.if_version.is_some_and(|version| version != task.state.version) {
            return Edited::Stale(task.state.version);
        }
        let Plan { task: next, step, revived, .. } = match edit.patch.plan(task, now) {
            Ok(plan) => plan,
            Err(refusal) => return refusal.into(),
        };
        if revived
            && let Some(key) = &task.unique_key
            && let Some(holder) = self.holder(scope, &task.queue, key)
        {
            return Edited::KeyHeld(holder.id);
        }
        let state = task.state.clone();
        let row = self.rows.get_mut(&edit.id).expect("the task was found");
        row.task = Task { state, ..next };
        self.write(edit.id, &step, now);
        Edited::Done(Box::new(self.rows[&edit.id].task.clone()))
    }

    pub(super) fn delete(&mut self, scope: TenantId, delete: &Delete, now: Timestamp) -> Deleted {
        let Some(task) = self.task(scope, delete.id) else {
            return Deleted::NotFound;
        };
        if delete.if_version.is_some_and(|version| version != task.state.version) {
            return Deleted::Stale(task.state.version);
        }
        if let Some(&child) = self.children(delete.id).first() {
            return Deleted::HasDependant(child);
        }
        self.leave(delete.id);
        self.note(delete.id, TaskEvent::Deleted, now);
        self.rows.remove(&delete.id);
        Deleted::Done
    }
}

fn is_lost(task: &Task) -> bool {
    matches!(task.state.status, Status::Failed | Status::Cancelled)
}

fn without_doubles(ids: &[TaskId]) -> Vec<TaskId> {
    let mut seen = Vec::with_capacity(ids.len());
    for id in ids {
        if !seen.contains(id) {
            seen.push(*id);
        }
    }
    seen
}

#[async_trait]
impl TaskStore for Model {
    async fn insert(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<Answers<Inserted>, StoreError> {
        let (items, ready) =
            self.call(|t| batch.into_iter().map(|new| t.insert(scope, new, now)).collect());
        Ok(Answers { items, ready })
    }

    async fn insert_and_claim(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        claim: Claim,
        now: Timestamp,
    ) -> Result<Served, StoreError> {
        let mut inserted = self.insert(scope, batch, now).await?;
        let sync = Sync { claim: Some(claim), ..Sync::default() };
        let synced = self.sync(scope, sync, now).await?;
        inserted.handed_out(&synced.claimed.iter().map(|claimed| claimed.task.id).collect());
        Ok(Served { inserted, synced: Some(synced) })
    }

    async fn insert_all(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<AllInserted, StoreError> {
        let (done, ready) = self.call(|tables| tables.insert_all(scope, batch, now));
        Ok(match done {
            Ok(items) => AllInserted::Done(Answers { items, ready }),
            Err(refused) => refused,
        })
    }

    async fn get(
        &self,
        scope: TenantId,
        ids: Vec<TaskId>,
    ) -> Result<Vec<Option<Task>>, StoreError> {
        Ok(self.call(|t| ids.iter().map(|id| t.task(scope, *id).cloned()).collect()).0)
    }

    async fn list(&self, scope: TenantId, page: Page) -> Result<Paged<Task>, StoreError> {
        let found = self.call(|t| t.page(scope, &page).cloned().collect()).0;
        Ok(Paged::full(found, page.limit, |task| task.id))
    }

    async fn edit(
        &self,
        scope: TenantId,
        batch: Vec<Edit>,
        now: Timestamp,
    ) -> Result<Answers<Edited>, StoreError> {
        let (items, ready) =
            self.call(|t| batch.iter().map(|edit| t.edit(scope, edit, now)).collect());
        Ok(Answers { items, ready })
    }

    async fn delete(
        &self,
        scope: TenantId,
        batch: Vec<Delete>,
        now: Timestamp,
    ) -> Result<Answers<Deleted>, StoreError> {
        let (items, ready) =
            self.call(|t| batch.iter().map(|delete| t.delete(scope, delete, now)).collect());
        Ok(Answers { items, ready })
    }

    async fn ahead(
        &self,
        scope: TenantId,
        id: TaskId,
        now: Timestamp,
        max: u32,
    ) -> Result<Option<u32>, StoreError> {
        let turn = |task: &Task| (std::cmp::Reverse(task.priority), task.state.run_at, task.id);
        let before = |tables: &mut Tables| {
            let task = tables.task(scope, id)?.clone();
            let before = tables.tasks(scope).filter(|other| {
                (&other.queue, &other.kind) == (&task.queue, &task.kind)
                    && other.state.status == Status::Pending
                    && other.state.blocked_by == 0
                    && other.state.run_at <= now
                    && turn(other) < turn(&task)
            });
            Some(u32::try_from(before.take(max as usize).count()).expect("at most `max`"))
        };
        Ok(self.call(before).0)
    }

    async fn count(&self, scope: TenantId) -> Result<Counts, StoreError> {
        let count = |t: &mut Tables| {
            let mut counts = Counts::default();
            for task in t.tasks(scope) {
                counts.0[task.state.status as usize] += 1;
            }
            counts
        };
        Ok(self.call(count).0)
    }

    async fn attempts(
        &self,
        scope: TenantId,
        id: TaskId,
    ) -> Result<Option<Vec<Attempt>>, StoreError> {
        let read = |t: &mut Tables| t.task(scope, id).map(|task| attempts(&t.rows[&task.id]));
        Ok(self.call(read).0)
    }
}
