//! The room of changes: what a transaction writes is noted while somebody watches, and told after its commit.
//! What another process writes into the file is not heard of, only that it did.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Error, OptionalExtension};
use taskflow_core::{Change, TaskChange, TaskEvent, TaskId};
use taskflow_store::{ChangeStore, Changes, StoreError, kept};

use crate::act::Act;
use crate::rows::Hot;
use crate::store::SqliteStore;

impl Act<'_> {
    /// Notes what happened to a task whose row is there.
    pub(crate) fn note(&mut self, task: &Hot, event: TaskEvent) -> Result<(), Error> {
        if self.memory.notes() {
            let tags = self.tags(task.id)?;
            self.note_tagged(task, event, tags);
        }
        Ok(())
    }

    /// The same when its tags are known.
    pub(crate) fn note_tagged(&mut self, task: &Hot, event: TaskEvent, tags: Vec<String>) {
        if self.memory.notes() {
            let lane = (&task.queue, &task.kind);
            let change = TaskChange::of(task.id, lane, event, &task.state, self.now);
            let change = Change::Task(Box::new(TaskChange { tags, ..change }));
            self.memory.note(self.tenant, change);
        }
    }

    /// Notes a change of something else.
    pub(crate) fn note_other(&mut self, change: impl FnOnce() -> Change) {
        if self.memory.notes() {
            self.memory.note(self.tenant, change());
        }
    }

    fn tags(&self, id: TaskId) -> Result<Vec<String>, Error> {
        let text: Option<Option<String>> = self
            .connection
            .prepare_cached("SELECT tags FROM tasks WHERE id = ?1")?
            .query_row([id.get()], |row| row.get(0))
            .optional()?;
        // What cannot be read is told by whoever reads the task.
        Ok(kept::tags_from(text.flatten().as_deref()).unwrap_or_default())
    }
}

#[async_trait]
impl ChangeStore for SqliteStore {
    fn changes(&self) -> Changes {
        self.watch.changes()
    }

    async fn watch(&self, time: Duration) -> Result<(), StoreError> {
        self.watch.extend(time);
        Ok(())
    }
}
