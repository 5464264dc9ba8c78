//! Tasks for producers and operators: create, read, edit, delete, count.
//! It adds the actor's scope, the time and the wake-ups to what the store does.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::explain::{Around, Reason, explain};
use taskflow_core::limits::LINE_MAX;
use taskflow_core::{Attempt, Clock, Fault, Illegal, NewTask, Status, TaskId};
use taskflow_core::{Task, TaskPatch};
use taskflow_store::{
    AllInserted, Answers, Counts, Delete, Deleted, Edit, Edited, Inserted, Page, Paged, Store,
    Which,
};
use tokio::time::Instant;

use crate::actor::Actor;
use crate::bus::Bus;
use crate::clock::IdSource;
use crate::error::ServiceError;
use crate::serve;
use crate::workers::TAKERS_LOOKED_AT;

/// The use cases of tasks.
#[derive(Clone)]
pub struct Tasks {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    bus: Arc<Bus>,
}

/// A task that a create answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The task.
    pub task: Task,
    /// False when it was there already and held the unique key.
    pub new: bool,
}

impl Tasks {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        bus: Arc<Bus>,
    ) -> Self {
        Self { store, clock, ids, bus }
    }

    /// Creates a task. When this answers, the task is on disk.
    pub async fn create(&self, actor: Actor, new: NewTask) -> Result<Created, ServiceError> {
        let answers = self.insert(actor, vec![new]).await?;
        self.created(one(answers)?)
    }

    async fn insert(
        &self,
        actor: Actor,
        batch: Vec<NewTask>,
    ) -> Result<Answers<Inserted>, ServiceError> {
        let now = self.clock.now();
        let by = (&self.store, self.bus.as_ref(), self.ids.as_ref());
        let answers = serve::insert(by, actor.tenant, batch, now).await?;
        self.bus.ready(&answers.ready, now);
        Ok(answers)
    }

    /// Creates many tasks in one commit; an answer each. What is refused does not hinder the others.
    pub async fn create_many(
        &self,
        actor: Actor,
        batch: Vec<NewTask>,
    ) -> Result<Vec<Result<Created, ServiceError>>, ServiceError> {
        let answers = self.insert(actor, batch).await?;
        Ok(answers.items.into_iter().map(|inserted| self.created(inserted)).collect())
    }

    /// Creates many tasks in one commit, or none of them: then the first that was refused is named by
    /// its place.
    pub async fn create_all(
        &self,
        actor: Actor,
        batch: Vec<NewTask>,
    ) -> Result<Result<Vec<Created>, (usize, ServiceError)>, ServiceError> {
        let now = self.clock.now();
        let answer = self.store.insert_all(actor.tenant, batch, now).await?;
        if let AllInserted::Done(answers) = &answer {
            self.bus.ready(&answers.ready, now);
            answers.items.iter().for_each(|inserted| self.tell_replaced(inserted));
        }
        created_all(answer)
    }

    fn created(&self, inserted: Inserted) -> Result<Created, ServiceError> {
        self.tell_replaced(&inserted);
        created(inserted)
    }

    fn tell_replaced(&self, inserted: &Inserted) {
        if let Inserted::Replaced { cancelled, .. } = inserted {
            self.bus.ends.tell(std::iter::once(*cancelled));
        }
    }

    /// Reads a task.
    pub async fn get(&self, actor: Actor, id: TaskId) -> Result<Task, ServiceError> {
        let tasks = self.store.get(actor.tenant, vec![id]).await?;
        tasks.into_iter().next().flatten().ok_or(ServiceError::NotFound(id))
    }

    /// Reads a task as soon as it has ended, or after `wait` as it is then.
    pub async fn wait(
        &self,
        actor: Actor,
        id: TaskId,
        wait: Duration,
    ) -> Result<Task, ServiceError> {
        let until = Instant::now() + wait;
        let mut place = self.bus.ends.park(id).ok_or(ServiceError::TooManyWaiters)?;
        loop {
            let task = self.get(actor, id).await?;
            if task.state.status.is_ended() {
                return Ok(task);
            }
            tokio::select! {
                () = place.due() => {}
                () = tokio::time::sleep_until(until) => return self.get(actor, id).await,
                () = self.bus.closed() => return Ok(task),
            }
        }
    }

    /// Why a task is not running, or what became of it.
    pub async fn explain(
        &self,
        actor: Actor,
        id: TaskId,
    ) -> Result<(Task, Vec<Reason>), ServiceError> {
        let task = self.get(actor, id).await?;
        let now = task.state.updated_at.max(self.clock.now());
        let mut around = Around::default();
        if task.state.blocked_by > 0 {
            let parents = self.store.get(actor.tenant, task.depends_on.clone()).await?;
            let parents = parents.into_iter().flatten();
            around.parents = parents.map(|parent| (parent.id, parent.state.status)).collect();
        } else if task.state.status == Status::Pending {
            let ahead = self.store.ahead(actor.tenant, id, now, LINE_MAX).await?;
            around.ahead = ahead.unwrap_or(0);
            around.more = around.ahead == LINE_MAX;
            around.wanted = self.bus.wanted(&task.queue, &task.kind);
            if around.ahead == 0 && !around.wanted {
                let newest = Which::Newest(None, TAKERS_LOOKED_AT);
                let workers = self.store.workers(actor.tenant, newest).await?;
                let sort = (&task.queue, &task.kind);
                around.takers = self.bus.roll.takers(actor.tenant, &workers, sort, now);
            }
        }
        if task.state.status == Status::Pending {
            let key = task.concurrency_key.clone();
            let view = self.store.gate(actor.tenant, task.queue.clone(), key.clone()).await?;
            around.barred = view.gate.all_barred(key.as_deref(), now);
            around.pause = view.gate.queue.pause;
            around.settings = Some(view.gate.queue.settings);
            (around.holders, around.key_holders) = (view.holders, view.key_holders);
        }
        let reasons = explain(&task, &around, now);
        Ok((task, reasons))
    }

    /// One page of tasks, newest first.
    pub async fn list(&self, actor: Actor, page: Page) -> Result<Paged<Task>, ServiceError> {
        Ok(self.store.list(actor.tenant, page).await?)
    }

    /// Edits a task's fields and status.
    pub async fn edit(
        &self,
        actor: Actor,
        id: TaskId,
        if_version: Option<u64>,
        patch: TaskPatch,
    ) -> Result<Task, ServiceError> {
        let now = self.clock.now();
        let edit = Edit { id, if_version, patch };
        let answers = self.store.edit(actor.tenant, vec![edit], now).await?;
        self.bus.ready(&answers.ready, now);
        let task = edited(id, one(answers)?)?;
        if task.state.status.is_ended() {
            self.bus.ends.tell(std::iter::once(id));
        }
        Ok(task)
    }

    /// Deletes a task; a worker that holds it is fenced.
    pub async fn delete(
        &self,
        actor: Actor,
        id: TaskId,
        if_version: Option<u64>,
    ) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let answers = self.store.delete(actor.tenant, vec![Delete { id, if_version }], now).await?;
        self.bus.ready(&answers.ready, now);
        match one(answers)? {
            Deleted::Done => {
                self.bus.ends.tell(std::iter::once(id));
                Ok(())
            }
            Deleted::NotFound => Err(ServiceError::NotFound(id)),
            Deleted::Stale(version) => Err(ServiceError::Stale { id, version }),
            Deleted::HasDependant(child) => Err(ServiceError::HasDependant { id, child }),
        }
    }

    /// Tasks per status.
    pub async fn count(&self, actor: Actor) -> Result<Counts, ServiceError> {
        Ok(self.store.count(actor.tenant).await?)
    }

    /// A task's finished attempts, oldest first.
    pub async fn attempts(&self, actor: Actor, id: TaskId) -> Result<Vec<Attempt>, ServiceError> {
        self.store.attempts(actor.tenant, id).await?.ok_or(ServiceError::NotFound(id))
    }
}

/// What a new task's answer means.
pub(crate) fn created(inserted: Inserted) -> Result<Created, ServiceError> {
    match inserted {
        Inserted::Created(task) | Inserted::Replaced { task, .. } => {
            Ok(Created { task: *task, new: true })
        }
        Inserted::Existing(task) => Ok(Created { task: *task, new: false }),
        Inserted::KeyHeld(holder) => Err(ServiceError::KeyHeld(holder)),
        Inserted::NoParent(id) => Err(ServiceError::Invalid(vec![Fault::new(
            "/depends_on",
            "no-such-task",
            format!("names task {id}, which does not exist"),
        )])),
        Inserted::LostParent(id) => Err(ServiceError::Invalid(vec![Fault::new(
            "/depends_on",
            "parent-ended",
            format!("names task {id}, which failed or was cancelled"),
        )])),
    }
}

/// What the answer to tasks means that are stored together or not at all.
pub(crate) fn created_all(
    answer: AllInserted,
) -> Result<Result<Vec<Created>, (usize, ServiceError)>, ServiceError> {
    match answer {
        AllInserted::Done(answers) => {
            answers.items.into_iter().map(created).collect::<Result<_, _>>().map(Ok)
        }
        AllInserted::Refused { at, why } => match created(why) {
            Err(error) => Ok(Err((at, error))),
            Ok(_) => Err(ServiceError::Internal(taskflow_store::StoreError::Corrupt(
                "a task was refused that was not".into(),
            ))),
        },
    }
}

/// What an edit's answer means.
pub(crate) fn edited(id: TaskId, answer: Edited) -> Result<Task, ServiceError> {
    match answer {
        Edited::Done(task) => Ok(*task),
        Edited::NotFound => Err(ServiceError::NotFound(id)),
        Edited::Stale(version) => Err(ServiceError::Stale { id, version }),
        Edited::Refused(Illegal::Transition { from, to }) => {
            Err(ServiceError::IllegalTransition { from, to })
        }
        Edited::Refused(Illegal::NotEnded) => Err(ServiceError::NotEnded(id)),
        Edited::Refused(_) => Err(ServiceError::LeaseLost(id)),
        Edited::Pinned(faults) => Err(ServiceError::Invalid(faults)),
        Edited::KeyHeld(holder) => Err(ServiceError::KeyHeld(holder)),
    }
}

/// The one answer to a batch of one.
pub(crate) fn one<T>(answers: Answers<T>) -> Result<T, ServiceError> {
    answers.items.into_iter().next().ok_or_else(|| {
        ServiceError::Internal(taskflow_store::StoreError::Corrupt("no answer to an item".into()))
    })
}
