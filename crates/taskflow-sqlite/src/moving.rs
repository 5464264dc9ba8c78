//! The room of moving: reads a whole file out. While it is open nobody writes to the file.

use std::path::Path;

use crate::error::{OpenError, refused};
use crate::migrate::unreadable;
use crate::{connect, idempotency, migrate, queues, rows, tasks};
use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::{Connection, Error, OptionalExtension, params};
use taskflow_core::{KeyHash, TaskId, TenantId};
use taskflow_store::StoreError;
use taskflow_store::moving::{BATCH_BYTES_MAX, KeptKey, MoveFrom, OwnQueue, Whole};

/// A file whose tasks are moved away. Nobody else may have it open, before or meanwhile: what they wrote
/// after the move would stay behind.
#[derive(Debug)]
pub struct Source(Mutex<Connection>);

impl Source {
    /// Opens a file that is there and locks it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if !path.is_file() {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(OpenError::NotOpened { path: path.into(), source: Box::new(source) });
        }
        let mut connection = connect::alone(path)?;
        migrate::migrate(&mut connection, path)?;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| {
            match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseBusy) => OpenError::Busy(path.into()),
                _ => unreadable(error, path),
            }
        })?;
        Ok(Self(Mutex::new(connection)))
    }
}

#[async_trait]
impl MoveFrom for Source {
    async fn dump(&self, after: i64, limit: u32) -> Result<Vec<Whole>, StoreError> {
        dump(&self.0.lock(), after, limit).map_err(refused)
    }

    async fn queues(&self) -> Result<Vec<OwnQueue>, StoreError> {
        queues::own(&self.0.lock()).map_err(refused)
    }

    async fn keys(
        &self,
        after: (TenantId, KeyHash),
        limit: u32,
    ) -> Result<Vec<KeptKey>, StoreError> {
        idempotency::dump(&self.0.lock(), after, limit).map_err(refused)
    }

    async fn next_id(&self) -> Result<i64, StoreError> {
        let sql = "SELECT max(next, (SELECT ifnull(max(id), 0) + 1 FROM tasks)) \
                   FROM sequences WHERE name = 'task'";
        self.0.lock().query_row(sql, [], |row| row.get(0)).map_err(refused)
    }
}

fn dump(connection: &Connection, after: i64, limit: u32) -> Result<Vec<Whole>, Error> {
    let ids: Vec<(i64, i64)> = connection
        .prepare_cached("SELECT id, tenant FROM tasks WHERE id > ?1 ORDER BY id LIMIT ?2 + 0")?
        .query_map(params![after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let (mut all, mut bytes) = (Vec::with_capacity(ids.len()), 0);
    for (id, tenant) in ids {
        let found = TaskId::new(id)
            .map(|id| tasks::task(connection, TenantId(tenant), id))
            .transpose()?
            .flatten();
        let Some(task) = found else { continue };
        let attempts = connection
            .prepare_cached(
                "SELECT attempt, outcome, worker, started_at, ended_at, error FROM attempts \
                 WHERE task = ?1 ORDER BY attempt",
            )?
            .query_map([id], rows::attempt)?
            .collect::<Result<_, _>>()?;
        let mut waits = Vec::new();
        for parent in &task.depends_on {
            let edge: Option<i64> = connection
                .prepare_cached("SELECT 1 FROM waits WHERE parent = ?1 AND child = ?2")?
                .query_row([parent.get(), id], |row| row.get(0))
                .optional()?;
            waits.extend(edge.map(|_| *parent));
        }
        waits.sort_unstable();
        let whole = Whole { tenant: TenantId(tenant), task, attempts, waits };
        bytes += whole.bytes();
        all.push(whole);
        if bytes >= BATCH_BYTES_MAX {
            break;
        }
    }
    Ok(all)
}
