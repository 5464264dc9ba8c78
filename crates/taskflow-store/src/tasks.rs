//! The room of tasks as producers and operators see them. Handing them out is in `work.rs`.

use std::collections::HashSet;

use async_trait::async_trait;
use taskflow_core::{
    Attempt, Fault, Illegal, NewTask, Refusal, Status, Task, TaskId, TaskPatch, TenantId, Timestamp,
};

use crate::{Answers, Claim, Page, Paged, Ready, StoreError, Synced};

/// Answer to one [`NewTask`].
#[derive(Debug, Clone, PartialEq)]
pub enum Inserted {
    /// It is stored.
    Created(Box<Task>),
    /// A live task holds its unique key; here it is.
    Existing(Box<Task>),
    /// It is stored in the place of a pending task that held its key and is cancelled now.
    Replaced {
        /// The new task.
        task: Box<Task>,
        /// The one that was cancelled.
        cancelled: TaskId,
    },
    /// A live task holds its unique key and the policy (or its running) forbids a second.
    KeyHeld(TaskId),
    /// It waits for a task that does not exist.
    NoParent(TaskId),
    /// It waits for a task that failed or was cancelled.
    LostParent(TaskId),
}

impl Inserted {
    /// Whether nothing was stored and no task is there either.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::KeyHeld(_) | Self::NoParent(_) | Self::LostParent(_))
    }
}

impl Answers<Inserted> {
    /// Takes those out of `ready` that were handed out in the same commit: nobody has to look for them.
    pub fn handed_out(&mut self, claimed: &HashSet<TaskId>) {
        let born = |item: &Inserted| match item {
            Inserted::Created(task) => Some(task.id),
            _ => None,
        };
        // One that took another's place may have made more ready than itself.
        if self.items.iter().any(|item| matches!(item, Inserted::Replaced { .. })) {
            return;
        }
        if !self.items.iter().filter_map(born).any(|id| claimed.contains(&id)) {
            return;
        }
        // Where something else became ready than the new tasks, it is told with all of them.
        let waiting = |task: &Task| task.state.blocked_by == 0;
        let mut left = Vec::new();
        let mut all = 0;
        for item in &self.items {
            match item {
                Inserted::Created(task) if waiting(task) => {
                    all += 1;
                    if !claimed.contains(&task.id) {
                        left.push(Ready::of(task));
                    }
                }
                _ => {}
            }
        }
        if all == self.ready.len() {
            self.ready = left;
        }
    }
}

/// New tasks, and what a claim got that waited for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// One per new task.
    pub inserted: Answers<Inserted>,
    /// The claim's answer; none when it was not looked at and should ask by itself.
    pub synced: Option<Synced>,
}

/// Answer to new tasks that are stored together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub enum AllInserted {
    /// All of them are there.
    Done(Answers<Inserted>),
    /// Nothing was stored, and nothing replaced.
    Refused {
        /// The first one that is refused, by its place in the batch.
        at: usize,
        /// Why.
        why: Inserted,
    },
}

/// Changes to one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The task.
    pub id: TaskId,
    /// Only when its version is this.
    pub if_version: Option<u64>,
    /// The changes.
    pub patch: TaskPatch,
}

/// Answer to one [`Edit`].
#[derive(Debug, Clone, PartialEq)]
pub enum Edited {
    /// The task as it is now, changed or not.
    Done(Box<Task>),
    /// No such task.
    NotFound,
    /// It has another version; nothing changed.
    Stale(u64),
    /// The status cannot be set; nothing changed.
    Refused(Illegal),
    /// A field that never changes was to change, or one breaks a rule that only the task can tell;
    /// nothing changed.
    Pinned(Vec<Fault>),
    /// Another live task holds the unique key that a retry would take again; nothing changed.
    KeyHeld(TaskId),
}

impl From<Refusal> for Edited {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Faults(faults) => Self::Pinned(faults),
            Refusal::Illegal(illegal) => Self::Refused(illegal),
        }
    }
}

/// Deletion of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// The task.
    pub id: TaskId,
    /// Only when its version is this.
    pub if_version: Option<u64>,
}

/// Answer to one [`Delete`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, with its history; a worker that held it is fenced.
    Done,
    /// No such task.
    NotFound,
    /// It has another version; nothing changed.
    Stale(u64),
    /// This task waits for it; nothing changed.
    HasDependant(TaskId),
}

/// How many tasks there are per status, in the order of [`Status::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts(pub [u64; 5]);

impl Counts {
    /// Tasks of one status.
    pub fn of(&self, status: Status) -> u64 {
        self.0[status as usize]
    }
}

/// Tasks: insert, read, edit, delete, count.
#[async_trait]
pub trait TaskStore: Send + Sync {
    /// Stores new tasks. Ids rise in the order of the batch.
    async fn insert(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<Answers<Inserted>, StoreError>;

    /// Stores new tasks and hands out to a claim that waited for them, in one commit where it can: the
    /// claim then saves a commit of its own. It takes what any claim at that instant would take, not
    /// only the new tasks. What it got is lost to the claimer when this fails, like a claim of its own.
    async fn insert_and_claim(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        claim: Claim,
        now: Timestamp,
    ) -> Result<Served, StoreError> {
        drop(claim);
        Ok(Served { inserted: self.insert(scope, batch, now).await?, synced: None })
    }

    /// Stores new tasks, all of them or none.
    async fn insert_all(
        &self,
        scope: TenantId,
        batch: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<AllInserted, StoreError>;

    /// Reads tasks; none where there is no such task.
    async fn get(&self, scope: TenantId, ids: Vec<TaskId>)
    -> Result<Vec<Option<Task>>, StoreError>;

    /// One page, newest first.
    async fn list(&self, scope: TenantId, page: Page) -> Result<Paged<Task>, StoreError>;

    /// Changes fields and status. All or nothing per task; fields first, then the status.
    async fn edit(
        &self,
        scope: TenantId,
        batch: Vec<Edit>,
        now: Timestamp,
    ) -> Result<Answers<Edited>, StoreError>;

    /// Deletes tasks with their history.
    async fn delete(
        &self,
        scope: TenantId,
        batch: Vec<Delete>,
        now: Timestamp,
    ) -> Result<Answers<Deleted>, StoreError>;

    /// Tasks per status, without counting rows.
    async fn count(&self, scope: TenantId) -> Result<Counts, StoreError>;

    /// How many ready tasks of a task's queue and kind come before it at `now`, counted up to `max`; none
    /// where there is no such task.
    async fn ahead(
        &self,
        scope: TenantId,
        id: TaskId,
        now: Timestamp,
        max: u32,
    ) -> Result<Option<u32>, StoreError>;

    /// A task's finished attempts, oldest first, at most `limits::ATTEMPTS_KEPT`; none where there is
    /// no such task.
    async fn attempts(
        &self,
        scope: TenantId,
        id: TaskId,
    ) -> Result<Option<Vec<Attempt>>, StoreError>;
}
