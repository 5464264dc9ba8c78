//! The model's room of retention.

use async_trait::async_trait;
use taskflow_core::limits::PRUNE_BYTES_MAX;
use taskflow_core::{Json, Retention, Task, TaskId, Timestamp};

use super::{Model, Tables};
use crate::{Pruned, RetentionStore, StoreError};

impl Tables {
    fn prune(&mut self, retention: &Retention, now: Timestamp, limit: usize) -> Pruned {
        let mut over: Vec<(Timestamp, TaskId)> = self
            .rows
            .values()
            .map(|row| &row.task)
            .filter_map(|task| {
                let until = retention.until(&task.queue, task.state.status, now)?;
                task.state.ended_at.filter(|at| *at <= until).map(|at| (at, task.id))
            })
            .filter(|(_, id)| self.children(*id).is_empty())
            .collect();
        over.sort_unstable();
        let (mut deleted, mut bytes) = (0, 0);
        for (_, id) in over.iter().take(limit) {
            if bytes >= PRUNE_BYTES_MAX {
                break;
            }
            bytes += weight(&self.rows[id].task);
            self.leave(*id);
            self.rows.remove(id);
            deleted += 1;
        }
        Pruned { deleted, more: (deleted as usize) < over.len() }
    }
}

fn weight(task: &Task) -> u64 {
    let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.len() as u64);
    json(&task.payload) + json(&task.state.checkpoint) + json(&task.state.result)
}

#[async_trait]
impl RetentionStore for Model {
    async fn prune(
        &self,
        retention: &Retention,
        now: Timestamp,
        limit: u32,
    ) -> Result<Pruned, StoreError> {
        Ok(self.call(|tables| tables.prune(retention, now, limit as usize)).0)
    }
}
