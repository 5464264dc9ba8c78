//! The model's room of lists.

use async_trait::async_trait;
use taskflow_core::{Task, TenantId};

use super::{Model, Tables};
use crate::{Found, ListStore, Page, Paged, StoreError};

impl Tables {
    /// The tasks of a page, newest first.
    pub(super) fn page(&self, scope: TenantId, page: &Page) -> impl Iterator<Item = &Task> {
        let fits = move |task: &&Task| {
            page.filter.takes(task, page.now) && page.before.is_none_or(|id| task.id < id)
        };
        let tasks = self.tasks(scope).rev().filter(fits);
        tasks.skip(page.skip as usize).take(page.limit as usize)
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
}
