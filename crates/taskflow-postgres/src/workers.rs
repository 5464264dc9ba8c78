//! The room of workers: who called, who drains, what they hold. What is taken from them is a change like
//! others (`orders.rs`); everything else is small transactions of its own, which may be repeated.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use taskflow_core::limits::HOLDS_SHOWN;
use taskflow_core::workers::{Call, Drained};
use taskflow_core::{Command, Instance, TaskId, TenantId, Timestamp, WorkerName, step};
use taskflow_store::{
    Answers, Drain, Held, Holding, Sighting, StoreError, Told, Which, Worker, WorkerStore, kept,
    weight,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::changes;
use crate::desk::Desk;
use crate::error::Failure;
use crate::lanes::Lanes;
use crate::orders::{Change, Changed, What};
use crate::rows::{self, bad, get};
use crate::session::{Param, Session};
use crate::store::{PostgresStore, mixed_up};

macro_rules! columns {
    () => {
        "name, first_seen, last_seen, instance, version, takes, node, drained"
    };
}

/// Maps a row of `columns!` that begin at `from`.
fn worker(row: &Row, from: usize) -> Result<Worker, Failure> {
    let text = |column: usize| get::<Option<String>>(row, from + column);
    let instant = |column: usize| get(row, from + column).map(Timestamp::from_micros);
    let name = WorkerName::parse(get(row, from)?).map_err(|_| bad("a worker's name is none"))?;
    let instance = text(3)?.map(|name| Instance::parse(&name)).transpose();
    let takes = text(5)?.map(|text| kept::takes_from(&text).ok_or_else(|| bad("a wish is none")));
    Ok(Worker {
        name,
        first_seen: instant(1)?,
        last_seen: instant(2)?,
        call: Call {
            instance: instance.map_err(|_| bad("an instance is none"))?,
            version: text(4)?,
        },
        takes: takes.transpose()?,
        node: text(6)?,
        drained: Drained::from_text(text(7)?.as_deref()).ok_or_else(|| bad("a drain is none"))?,
    })
}

/// Locks the known ones of these workers, in the order of their names as every node does.
async fn lock(
    session: &Session,
    tenant: TenantId,
    names: &[&str],
) -> Result<HashMap<WorkerName, Worker>, Failure> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM taskflow.workers WHERE tenant = $1 AND name = ANY($2) ORDER BY name FOR UPDATE"
    );
    let params: [Param<'_>; 2] = [(&tenant.0, Type::INT8), (&names, Type::TEXT_ARRAY)];
    let mut found = HashMap::new();
    for row in session.query(sql, &params).await? {
        let worker = worker(&row, 0)?;
        found.insert(worker.name.clone(), worker);
    }
    Ok(found)
}

const WRITE: &str = concat!(
    "INSERT INTO taskflow.workers(tenant, ",
    columns!(),
    ") SELECT $1, * FROM unnest($2::text[], $3::int8[], $4::int8[], $5::text[], $6::text[], $7::text[], \
     $8::text[], $9::text[]) ON CONFLICT (tenant, name) DO UPDATE SET first_seen = excluded.first_seen, \
     last_seen = excluded.last_seen, instance = excluded.instance, version = excluded.version, \
     takes = excluded.takes, node = excluded.node, drained = excluded.drained"
);

/// Writes workers, which stand in the order of their names.
async fn write(session: &Session, tenant: TenantId, workers: &[Worker]) -> Result<(), Failure> {
    let text = |of: fn(&Worker) -> Option<String>| workers.iter().map(of).collect::<Vec<_>>();
    let micros = |of: fn(&Worker) -> i64| workers.iter().map(of).collect::<Vec<_>>();
    let names = text(|w| Some(w.name.as_str().to_owned()));
    let (first, last) = (micros(|w| w.first_seen.micros()), micros(|w| w.last_seen.micros()));
    let instances = text(|w| w.call.instance.as_ref().map(|i| i.as_str().to_owned()));
    let versions = text(|w| w.call.version.clone());
    let takes = text(|w| w.takes.as_ref().and_then(kept::takes_text));
    let (nodes, drained) = (text(|w| w.node.clone()), text(|w| w.drained.to_text()));
    let params: [Param<'_>; 9] = [
        (&tenant.0, Type::INT8),
        (&names, Type::TEXT_ARRAY),
        (&first, Type::INT8_ARRAY),
        (&last, Type::INT8_ARRAY),
        (&instances, Type::TEXT_ARRAY),
        (&versions, Type::TEXT_ARRAY),
        (&takes, Type::TEXT_ARRAY),
        (&nodes, Type::TEXT_ARRAY),
        (&drained, Type::TEXT_ARRAY),
    ];
    session.query(WRITE, &params).await?;
    Ok(())
}

/// Two nodes that see a new worker at the same moment each write it; the second one's word stands.
async fn see(
    session: &Session,
    lanes: &Lanes,
    tenant: TenantId,
    batch: &[Sighting],
) -> Result<(), Failure> {
    let names: Vec<&str> = batch.iter().map(|sighting| sighting.worker.as_str()).collect();
    session.begin().await?;
    let mut known = lock(session, tenant, &names).await?;
    let mut news = Vec::new();
    let seen = batch.iter().map(|sighting| {
        let known = known.remove(&sighting.worker);
        let seen = Worker::seen(known.clone(), sighting);
        news.extend(seen.is_news(known.as_ref()).then(|| seen.name.clone()));
        seen
    });
    let mut seen: Vec<Worker> = seen.collect();
    seen.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    write(session, tenant, &seen).await?;
    commit(session, lanes, tenant, news).await
}

/// Commits, and tells whoever watches which workers are news.
async fn commit(
    session: &Session,
    lanes: &Lanes,
    tenant: TenantId,
    news: Vec<WorkerName>,
) -> Result<(), Failure> {
    let mut changed = Vec::new();
    if lanes.is_watched() {
        let told = |name| Told { tenant, change: taskflow_core::Change::Worker(name) };
        changed.extend(news.into_iter().map(told));
    }
    changes::tell(session, &lanes.to_notify(&changed)).await?;
    session.execute("COMMIT").await?;
    lanes.tell_here(changed);
    Ok(())
}

async fn tell(
    session: &Session,
    lanes: &Lanes,
    tenant: TenantId,
    batch: &[(WorkerName, Drain)],
) -> Result<Vec<Option<Worker>>, Failure> {
    let names: Vec<&str> = batch.iter().map(|(name, _)| name.as_str()).collect();
    session.begin().await?;
    let mut known = lock(session, tenant, &names).await?;
    let (mut answers, mut news) = (Vec::with_capacity(batch.len()), Vec::new());
    for (name, drain) in batch {
        let worker = known.get_mut(name);
        answers.push(worker.map(|worker| {
            let before = worker.clone();
            worker.told(drain);
            news.extend(worker.is_news(Some(&before)).then(|| name.clone()));
            worker.clone()
        }));
    }
    let mut told: Vec<Worker> = known.into_values().collect();
    told.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    write(session, tenant, &told).await?;
    commit(session, lanes, tenant, news).await?;
    Ok(answers)
}

async fn newest(
    session: &Session,
    tenant: TenantId,
    after: Option<&(Timestamp, WorkerName)>,
    limit: u32,
) -> Result<Vec<Worker>, Failure> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM taskflow.workers WHERE tenant = $1 AND (last_seen < $2 OR last_seen = $2 AND name > $3) \
         ORDER BY last_seen DESC, name LIMIT $4"
    );
    let at = after.map_or(i64::MAX, |(at, _)| at.micros());
    let name = after.map_or("", |(_, name)| name.as_str());
    let params: [Param<'_>; 4] = [
        (&tenant.0, Type::INT8),
        (&at, Type::INT8),
        (&name, Type::TEXT),
        (&i64::from(limit), Type::INT8),
    ];
    session.query(sql, &params).await?.iter().map(|row| worker(row, 0)).collect()
}

async fn one(
    session: &Session,
    tenant: TenantId,
    name: &WorkerName,
) -> Result<Vec<Worker>, Failure> {
    let sql =
        concat!("SELECT ", columns!(), " FROM taskflow.workers WHERE tenant = $1 AND name = $2");
    let name = name.as_str();
    let params: [Param<'_>; 2] = [(&tenant.0, Type::INT8), (&name, Type::TEXT)];
    session.query(sql, &params).await?.iter().map(|row| worker(row, 0)).collect()
}

/// All leases of these workers: the index of leases is walked, whatever else there is.
pub(crate) const HOLDS: &str = "SELECT id, attempt, lease_until, worker FROM taskflow.tasks \
     WHERE lease_until IS NOT NULL AND tenant = $1 AND worker = ANY($2)";

async fn holds(
    session: &Session,
    tenant: TenantId,
    workers: &[WorkerName],
) -> Result<Vec<Holding>, Failure> {
    let names: Vec<&str> = workers.iter().map(WorkerName::as_str).collect();
    let params: [Param<'_>; 2] = [(&tenant.0, Type::INT8), (&names, Type::TEXT_ARRAY)];
    let mut held: HashMap<String, Holding> = HashMap::new();
    for row in session.query(HOLDS, &params).await? {
        let holding = held.entry(get(&row, 3)?).or_default();
        holding.count += 1;
        let attempt = u32::try_from(get::<i32>(&row, 1)?).map_err(|_| bad("an attempt is none"))?;
        let until = Timestamp::from_micros(get(&row, 2)?);
        holding.tasks.push(Held { id: rows::id(&row)?, attempt, until });
    }
    for holding in held.values_mut() {
        holding.tasks.sort_unstable_by_key(|held| held.id);
        holding.tasks.truncate(HOLDS_SHOWN);
    }
    Ok(names.iter().map(|name| held.get(*name).cloned().unwrap_or_default()).collect())
}

async fn drained(session: &Session, since: Timestamp) -> Result<Vec<(TenantId, Worker)>, Failure> {
    let sql = concat!(
        "SELECT tenant, ",
        columns!(),
        " FROM taskflow.workers WHERE drained IS NOT NULL \
         AND (last_seen >= $1 OR strpos(drained, '*') > 0)"
    );
    let rows = session.query(sql, &[(&since.micros(), Type::INT8)]).await?;
    rows.iter().map(|row| Ok((TenantId(get(row, 0)?), worker(row, 1)?))).collect()
}

/// What a worker holds of what started by an instant.
pub(crate) const HELD: &str = "SELECT id FROM taskflow.tasks WHERE lease_until IS NOT NULL \
     AND tenant = $1 AND worker = $2 AND started_at <= $3 ORDER BY id LIMIT $4";

async fn held(
    session: &Session,
    tenant: TenantId,
    worker: &WorkerName,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<TaskId>, Failure> {
    let name = worker.as_str();
    let params: [Param<'_>; 4] = [
        (&tenant.0, Type::INT8),
        (&name, Type::TEXT),
        (&now.micros(), Type::INT8),
        (&i64::from(limit), Type::INT8),
    ];
    session.query(HELD, &params).await?.iter().map(rows::id).collect()
}

/// Forgets who is gone. The names that hold something are collected once.
const FORGET: &str = "DELETE FROM taskflow.workers WHERE (tenant, name) IN (SELECT tenant, name \
     FROM taskflow.workers WHERE last_seen < $1 AND (tenant, name) NOT IN (SELECT tenant, worker \
     FROM taskflow.tasks WHERE lease_until IS NOT NULL AND worker IS NOT NULL) LIMIT $2) \
     AND last_seen < $1 RETURNING 1";

async fn forget(session: &Session, before: Timestamp, limit: u32) -> Result<u32, Failure> {
    let sql = "SELECT EXISTS(SELECT 1 FROM taskflow.workers WHERE last_seen < $1)";
    let rows = session.query(sql, &[(&before.micros(), Type::INT8)]).await?;
    if !rows.first().map_or(Ok(false), |row| get(row, 0))? {
        return Ok(0);
    }
    let params: [Param<'_>; 2] = [(&before.micros(), Type::INT8), (&i64::from(limit), Type::INT8)];
    let gone = session.query(FORGET, &params).await?.len();
    Ok(u32::try_from(gone).unwrap_or(u32::MAX))
}

impl Desk<'_> {
    /// Takes tasks from a worker, those that it still holds.
    pub(crate) async fn release(
        &mut self,
        worker: &WorkerName,
        ids: &[TaskId],
    ) -> Result<Vec<TaskId>, Failure> {
        let mut released = Vec::with_capacity(ids.len());
        for &id in ids {
            let Some(hot) = self.hot(id).await? else { continue };
            let command = Command::Withdraw(worker.clone());
            if let Ok(step) = step(hot.id, &hot.terms, &hot.state, command, self.now) {
                self.write(&hot, &step).await?;
                released.push(id);
            }
        }
        Ok(released)
    }
}

#[async_trait]
impl WorkerStore for PostgresStore {
    async fn see(&self, scope: TenantId, batch: Vec<Sighting>) -> Result<(), StoreError> {
        let batch = Arc::new(batch);
        self.duty(|session| {
            let (batch, lanes) = (Arc::clone(&batch), Arc::clone(&self.lanes));
            async move { see(&session, &lanes, scope, &batch).await }
        })
        .await
    }

    async fn workers(&self, scope: TenantId, which: Which) -> Result<Vec<Worker>, StoreError> {
        let which = Arc::new(which);
        self.read(|session| {
            let which = Arc::clone(&which);
            async move {
                match &*which {
                    Which::Named(name) => one(&session, scope, name).await,
                    Which::Newest(after, limit) => {
                        newest(&session, scope, after.as_ref(), *limit).await
                    }
                }
            }
        })
        .await
    }

    async fn holds(
        &self,
        scope: TenantId,
        workers: Vec<WorkerName>,
    ) -> Result<Vec<Holding>, StoreError> {
        let workers = Arc::new(workers);
        self.read(|session| {
            let workers = Arc::clone(&workers);
            async move { holds(&session, scope, &workers).await }
        })
        .await
    }

    async fn drain(
        &self,
        scope: TenantId,
        batch: Vec<(WorkerName, Drain)>,
    ) -> Result<Vec<Option<Worker>>, StoreError> {
        let batch = Arc::new(batch);
        self.read(|session| {
            let (batch, lanes) = (Arc::clone(&batch), Arc::clone(&self.lanes));
            async move { tell(&session, &lanes, scope, &batch).await }
        })
        .await
    }

    async fn drained(&self, since: Timestamp) -> Result<Vec<(TenantId, Worker)>, StoreError> {
        self.duty(move |session| async move { drained(&session, since).await }).await
    }

    async fn release(
        &self,
        scope: TenantId,
        worker: WorkerName,
        limit: u32,
        now: Timestamp,
    ) -> Result<Answers<TaskId>, StoreError> {
        let name = Arc::new(worker);
        let ids = self
            .read(|session| {
                let name = Arc::clone(&name);
                async move { held(&session, scope, &name, limit, now).await }
            })
            .await?;
        if ids.is_empty() {
            return Ok(Answers::default());
        }
        let bytes = weight::TASK_BYTES + size_of::<TaskId>() * ids.len();
        let what = What::Release(WorkerName::clone(&name), ids);
        match self.changes.submit(Change { tenant: scope, now, what }, bytes).await? {
            Changed::Released(answers) => Ok(answers),
            _ => mixed_up(),
        }
    }

    async fn forget_workers(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.duty(move |session| async move { forget(&session, before, limit).await }).await
    }
}
