//! The model's room of lists.

use async_trait::async_trait;
use taskflow_core::limits::FAILURE_ERROR_CHARS_MAX;
use taskflow_core::{Status, Task, TaskId, TenantId};

use super::{Model, Tables};
use crate::{Failure, Found, ListStore, Page, Paged, StoreError};

impl Tables {
    /// The tasks of a page, newest first.
    pub(super) fn page(&self, scope: TenantId, page: &Page) -> impl Iterator<Item = &Task> {
        let fits = move |task: &&Task| {
            page.filter.takes(task, page.now) && page.before.is_none_or(|id| task.id < id)
        };
        let tasks = self.tasks(scope).rev().filter(fits);
        tasks.skip(page.skip as usize).take(page.limit as usize)
    }

    fn failures(
        &self,
        scope: TenantId,
        before: Option<TaskId>,
    ) -> impl Iterator<Item = Failure> + use<'_> {
        let fits = move |task: &&Task| {
            task.state.status == Status::Failed && before.is_none_or(|id| task.id < id)
        };
        self.tasks(scope).rev().filter(fits).map(failure)
    }
}

fn failure(task: &Task) -> Failure {
    let state = &task.state;
    let begin = |text: &String| text.chars().take(FAILURE_ERROR_CHARS_MAX as usize).collect();
    Failure {
        id: task.id,
        version: state.version,
        queue: task.queue.clone(),
        kind: task.kind.clone(),
        attempts_used: state.attempts_used(),
        worker: state.worker.clone(),
        error: state.error_message.as_ref().map(begin),
        ended_at: state.ended_at.unwrap_or(state.updated_at),
    }
}

#[async_trait]
impl ListStore for Model {
    async fn find(&self, scope: TenantId, page: Page) -> Result<Paged<Found>, StoreError> {
        let found = |task: &Task| Found {
            id: task.id,
            version: task.state.version,
            status: task.state.status,
        };
        let found = self.call(|t| t.page(scope, &page).map(found).collect()).0;
        Ok(Paged::full(found, page.limit, |found| found.id))
    }

    async fn failures(
        &self,
        scope: TenantId,
        before: Option<TaskId>,
        limit: u32,
    ) -> Result<Paged<Failure>, StoreError> {
        let page = |t: &mut Tables| t.failures(scope, before).take(limit as usize).collect();
        Ok(Paged::full(self.call(page).0, limit, |failure| failure.id))
    }
}
