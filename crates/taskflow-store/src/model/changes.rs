//! The model's room of changes.

use std::time::Duration;

use async_trait::async_trait;
use taskflow_core::{Change, TaskChange, TaskEvent, TaskId, TenantId, Timestamp};

use super::{Model, Tables};
use crate::{ChangeStore, Changes, StoreError, Told};

impl Tables {
    /// Notes what happened to a task, which is there.
    pub(super) fn note(&mut self, id: TaskId, event: TaskEvent, now: Timestamp) {
        let row = &self.rows[&id];
        let (task, tenant) = (&row.task, row.tenant);
        let mut change = TaskChange::of(id, (&task.queue, &task.kind), event, &task.state, now);
        change.tags.clone_from(&task.tags);
        self.changed.push(Told { tenant, change: Change::Task(Box::new(change)) });
    }

    /// Notes a change of something else.
    pub(super) fn note_other(&mut self, tenant: TenantId, change: Change) {
        self.changed.push(Told { tenant, change });
    }
}

#[async_trait]
impl ChangeStore for Model {
    fn changes(&self) -> Changes {
        self.watch.changes()
    }

    async fn watch(&self, time: Duration) -> Result<(), StoreError> {
        self.watch.extend(time);
        Ok(())
    }
}
