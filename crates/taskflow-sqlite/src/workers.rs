//! The room of workers: who called, who drains, what they hold and what is taken from them.

use async_trait::async_trait;
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Row, params};
use taskflow_core::limits::HOLDS_SHOWN;
use taskflow_core::workers::{Call, Drained};
use taskflow_core::{Change, Command, Instance, TaskId, TenantId, Timestamp, WorkerName, step};
use taskflow_store::{
    Answers, Drain, Held, Holding, Sighting, StoreError, Which, Worker, WorkerStore, kept, weight,
};

use crate::act::Act;
use crate::store::{SqliteStore, mixed_up};
use crate::writer::{Said, What};

/// What the writer does about workers.
#[derive(Debug)]
pub(crate) enum Order {
    See(Vec<Sighting>),
    Drain(Vec<(WorkerName, Drain)>),
    /// These tasks, unless they changed hands meanwhile.
    Release(WorkerName, Vec<TaskId>),
    Forget(Timestamp, u32),
}

/// What it answers.
#[derive(Debug)]
pub(crate) enum Told {
    Seen,
    Drained(Vec<Option<Worker>>),
    Released(Answers<TaskId>),
    Forgotten(u32),
}

impl Act<'_> {
    /// Carries out one order.
    pub(crate) fn workers(mut self, order: Order) -> Result<Told, Error> {
        Ok(match order {
            Order::See(batch) => {
                for sighting in batch {
                    let known = worker(self.connection, self.tenant, &sighting.worker)?;
                    let seen = Worker::seen(known.clone(), &sighting);
                    write(self.connection, self.tenant, &seen)?;
                    self.note_worker(known.as_ref(), &seen);
                }
                Told::Seen
            }
            Order::Drain(batch) => {
                let told = batch.into_iter().map(|(name, drain)| {
                    let known = worker(self.connection, self.tenant, &name)?;
                    let Some(mut worker) = known.clone() else { return Ok(None) };
                    worker.told(&drain);
                    write(self.connection, self.tenant, &worker)?;
                    self.note_worker(known.as_ref(), &worker);
                    Ok(Some(worker))
                });
                Told::Drained(told.collect::<Result<_, Error>>()?)
            }
            Order::Release(name, ids) => {
                let items = self.release(&name, ids)?;
                Told::Released(Answers { items, ready: self.told()? })
            }
            Order::Forget(before, limit) => {
                Told::Forgotten(forget(self.connection, before, limit)?)
            }
        })
    }

    fn note_worker(&mut self, known: Option<&Worker>, now: &Worker) {
        if now.is_news(known) {
            self.note_other(|| Change::Worker(now.name.clone()));
        }
    }

    fn release(&mut self, name: &WorkerName, ids: Vec<TaskId>) -> Result<Vec<TaskId>, Error> {
        let mut released = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(hot) = self.hot(id)? else { continue };
            let command = Command::Withdraw(name.clone());
            if let Ok(step) = step(hot.id, &hot.terms, &hot.state, command, self.now) {
                self.write(&hot, &step)?;
                released.push(id);
            }
        }
        Ok(released)
    }
}

macro_rules! columns {
    () => {
        "name, first_seen, last_seen, instance, version, takes, node, drained"
    };
}

/// Maps a row of `columns!` that begin at `from`.
fn row(row: &Row<'_>, from: usize) -> Result<Worker, Error> {
    let bad = |column: usize, what: &str| {
        Error::FromSqlConversionFailure(from + column, Type::Text, what.to_owned().into())
    };
    let text = |column: usize| row.get::<_, Option<String>>(from + column);
    let instance = text(3)?.map(|name| Instance::parse(&name)).transpose();
    let takes = text(5)?.map(|text| kept::takes_from(&text).ok_or_else(|| bad(5, "not a wish")));
    Ok(Worker {
        name: WorkerName::parse(row.get_ref(from)?.as_str()?).map_err(|_| bad(0, "not a name"))?,
        first_seen: Timestamp::from_micros(row.get(from + 1)?),
        last_seen: Timestamp::from_micros(row.get(from + 2)?),
        call: Call {
            instance: instance.map_err(|_| bad(3, "not an instance"))?,
            version: text(4)?,
        },
        takes: takes.transpose()?,
        node: text(6)?,
        drained: Drained::from_text(text(7)?.as_deref()).ok_or_else(|| bad(7, "not a drain"))?,
    })
}

fn worker(
    connection: &Connection,
    tenant: TenantId,
    name: &WorkerName,
) -> Result<Option<Worker>, Error> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            columns!(),
            " FROM workers WHERE tenant = ?1 AND name = ?2"
        ))?
        .query_row(params![tenant.0, name.as_str()], |found| row(found, 0))
        .optional()
}

fn write(connection: &Connection, tenant: TenantId, worker: &Worker) -> Result<(), Error> {
    connection
        .prepare_cached(concat!(
            "INSERT OR REPLACE INTO workers(tenant, ",
            columns!(),
            ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        ))?
        .execute(params![
            tenant.0,
            worker.name.as_str(),
            worker.first_seen.micros(),
            worker.last_seen.micros(),
            worker.call.instance.as_ref().map(Instance::as_str),
            worker.call.version,
            worker.takes.as_ref().and_then(kept::takes_text),
            worker.node,
            worker.drained.to_text(),
        ])
        .map(drop)
}

fn forget(connection: &Connection, before: Timestamp, limit: u32) -> Result<u32, Error> {
    // The names that hold something are collected once: the leases are few beside the tasks.
    let gone = connection
        .prepare_cached(
            "DELETE FROM workers WHERE (tenant, name) IN (SELECT tenant, name FROM workers \
             WHERE last_seen < ?1 AND (tenant, name) NOT IN (SELECT tenant, worker \
             FROM tasks INDEXED BY tasks_leased WHERE lease_until IS NOT NULL \
             AND worker IS NOT NULL) LIMIT ?2 + 0)",
        )?
        .execute(params![before.micros(), limit])?;
    Ok(u32::try_from(gone).unwrap_or(u32::MAX))
}

fn read(connection: &Connection, scope: TenantId, which: Which) -> Result<Vec<Worker>, Error> {
    let (after, limit) = match which {
        Which::Named(name) => {
            return Ok(worker(connection, scope, &name)?.into_iter().collect());
        }
        Which::Newest(after, limit) => (after, limit),
    };
    let (at, name) = match &after {
        Some((at, name)) => (at.micros(), name.as_str()),
        None => (i64::MAX, ""),
    };
    connection
        .prepare_cached(concat!(
            "SELECT ",
            columns!(),
            " FROM workers WHERE tenant = ?1 AND (last_seen < ?2 OR last_seen = ?2 AND name > ?3) \
             ORDER BY last_seen DESC, name LIMIT ?4 + 0"
        ))?
        .query_map(params![scope.0, at, name, limit], |found| row(found, 0))?
        .collect()
}

fn holds(
    connection: &Connection,
    scope: TenantId,
    workers: &[WorkerName],
) -> Result<Vec<Holding>, Error> {
    let mut held: std::collections::HashMap<&str, Holding> =
        workers.iter().map(|name| (name.as_str(), Holding::default())).collect();
    let mut leases = connection.prepare_cached(
        "SELECT id, attempt, lease_until, worker FROM tasks INDEXED BY tasks_leased \
         WHERE lease_until IS NOT NULL AND tenant = ?1",
    )?;
    let mut rows = leases.query([scope.0])?;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(3)?.as_str_or_null()?;
        let Some(holding) = name.and_then(|name| held.get_mut(name)) else { continue };
        holding.count += 1;
        let Some(id) = TaskId::new(row.get(0)?) else { continue };
        let until = Timestamp::from_micros(row.get(2)?);
        holding.tasks.push(Held { id, attempt: row.get(1)?, until });
    }
    for holding in held.values_mut() {
        holding.tasks.sort_unstable_by_key(|held| held.id);
        holding.tasks.truncate(HOLDS_SHOWN);
    }
    Ok(workers.iter().map(|name| held.get(name.as_str()).cloned().unwrap_or_default()).collect())
}

fn drained(connection: &Connection, since: Timestamp) -> Result<Vec<(TenantId, Worker)>, Error> {
    connection
        .prepare_cached(concat!(
            "SELECT tenant, ",
            columns!(),
            " FROM workers INDEXED BY workers_drained WHERE drained IS NOT NULL \
             AND (last_seen >= ?1 OR instr(drained, '*') > 0)"
        ))?
        .query_map([since.micros()], |found| Ok((TenantId(found.get(0)?), row(found, 1)?)))?
        .collect()
}

/// What a worker holds of what started by `now`.
fn held(
    connection: &Connection,
    scope: TenantId,
    worker: &WorkerName,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<TaskId>, Error> {
    let ids: Vec<i64> = connection
        .prepare_cached(
            "SELECT id FROM tasks INDEXED BY tasks_leased WHERE lease_until IS NOT NULL \
             AND tenant = ?1 AND worker = ?2 AND started_at <= ?3 ORDER BY id LIMIT ?4 + 0",
        )?
        .query_map(params![scope.0, worker.as_str(), now.micros(), limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ids.into_iter().filter_map(TaskId::new).collect())
}

fn anyone_gone(connection: &Connection, before: Timestamp) -> Result<bool, Error> {
    connection
        .prepare_cached("SELECT EXISTS(SELECT 1 FROM workers WHERE last_seen < ?1)")?
        .query_row([before.micros()], |row| row.get(0))
}

#[async_trait]
impl WorkerStore for SqliteStore {
    async fn see(&self, scope: TenantId, batch: Vec<Sighting>) -> Result<(), StoreError> {
        let bytes = weight::TASK_BYTES * batch.len();
        let what = What::Workers(Order::See(batch));
        match self.order(scope, Timestamp::from_micros(0), what, bytes).await? {
            Said::Workers(Told::Seen) => Ok(()),
            _ => mixed_up(),
        }
    }

    async fn workers(&self, scope: TenantId, which: Which) -> Result<Vec<Worker>, StoreError> {
        self.readers.read(move |connection| read(connection, scope, which)).await
    }

    async fn holds(
        &self,
        scope: TenantId,
        workers: Vec<WorkerName>,
    ) -> Result<Vec<Holding>, StoreError> {
        self.readers.read(move |connection| holds(connection, scope, &workers)).await
    }

    async fn drain(
        &self,
        scope: TenantId,
        batch: Vec<(WorkerName, Drain)>,
    ) -> Result<Vec<Option<Worker>>, StoreError> {
        let bytes = weight::TASK_BYTES * batch.len();
        let what = What::Workers(Order::Drain(batch));
        match self.order(scope, Timestamp::from_micros(0), what, bytes).await? {
            Said::Workers(Told::Drained(workers)) => Ok(workers),
            _ => mixed_up(),
        }
    }

    async fn drained(&self, since: Timestamp) -> Result<Vec<(TenantId, Worker)>, StoreError> {
        self.duties.read(move |connection| drained(connection, since)).await
    }

    async fn release(
        &self,
        scope: TenantId,
        worker: WorkerName,
        limit: u32,
        now: Timestamp,
    ) -> Result<Answers<TaskId>, StoreError> {
        // Found by a reader: the writer looks at nothing but these.
        let name = worker.clone();
        let found = self.readers.read(move |c| held(c, scope, &name, limit, now)).await?;
        if found.is_empty() {
            return Ok(Answers::default());
        }
        let bytes = weight::TASK_BYTES + size_of::<TaskId>() * found.len();
        let what = What::Workers(Order::Release(worker, found));
        match self.order(scope, now, what, bytes).await? {
            Said::Workers(Told::Released(answers)) => Ok(answers),
            _ => mixed_up(),
        }
    }

    async fn forget_workers(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        if !self.duties.read(move |connection| anyone_gone(connection, before)).await? {
            return Ok(0);
        }
        let what = What::Workers(Order::Forget(before, limit));
        match self.order(TenantId::DEFAULT, before, what, weight::TASK_BYTES).await? {
            Said::Workers(Told::Forgotten(n)) => Ok(n),
            _ => mixed_up(),
        }
    }
}
