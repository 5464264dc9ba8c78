//! The room of moving: fills an empty database in one transaction. It decides nothing about tasks.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use taskflow_core::{KeyHash, State, TaskId, TenantId};
use taskflow_store::StoreError;
use taskflow_store::moving::{BATCH_BYTES_MAX, KeptKey, MoveFrom, MoveTo, OwnQueue, Whole};
use tokio_postgres::types::Type;

use crate::columns::{Births, Deltas, History};
use crate::connect::{self, Pool};
use crate::desk::{Counting, Lane};
use crate::error::{Failure, OpenError};
use crate::lanes::Lanes;
use crate::options::Options;
use crate::rows::{self, get, small, task_columns};
use crate::session::{Param, Session};
use crate::states::States;
use crate::{idempotency, migrate, queues, tasks};

/// A database that is filled. What was loaded is kept by `commit` and by nothing else.
pub struct Target(Session);

impl Target {
    /// Opens a database, brings its schema up to date and begins.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let server = connect::server(&options, "taskflow move")?;
        migrate::migrate(&server).await?;
        let pool = Pool::new(server, &options, 1)?;
        let session = pool.take().await.map_err(|error| OpenError::Unreachable(Box::new(error)))?;
        session.begin().await.map_err(OpenError::Refused)?;
        Ok(Self(session))
    }
}

fn failed(failure: Failure) -> StoreError {
    failure.into_error()
}

#[async_trait]
impl MoveFrom for Target {
    async fn dump(&self, after: i64, limit: u32) -> Result<Vec<Whole>, StoreError> {
        dump(&self.0, after, limit).await.map_err(failed)
    }

    async fn queues(&self) -> Result<Vec<OwnQueue>, StoreError> {
        queues::own(&self.0).await.map_err(failed)
    }

    async fn keys(
        &self,
        after: (TenantId, KeyHash),
        limit: u32,
    ) -> Result<Vec<KeptKey>, StoreError> {
        idempotency::dump(&self.0, after, limit).await.map_err(failed)
    }

    async fn next_id(&self) -> Result<i64, StoreError> {
        let sql = "SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END \
                   FROM taskflow.task_ids";
        let rows = self.0.query(sql, &[]).await.map_err(|error| failed(error.into()))?;
        rows.first().map_or(Ok(1), |row| get(row, 0)).map_err(failed)
    }
}

#[async_trait]
impl MoveTo for Target {
    async fn load(&self, batch: Vec<Whole>) -> Result<(), StoreError> {
        load(&self.0, &batch).await.map_err(failed)
    }

    async fn load_queues(&self, queues: Vec<OwnQueue>) -> Result<(), StoreError> {
        for OwnQueue { tenant, queue, window } in queues {
            queues::write(&self.0, tenant, &queue, &window).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn load_keys(&self, batch: Vec<KeptKey>) -> Result<(), StoreError> {
        idempotency::load(&self.0, &batch).await.map_err(failed)
    }

    async fn commit(&self, next: i64) -> Result<(), StoreError> {
        // What the target had before is in no sketch of what came now.
        let sql = "TRUNCATE taskflow.search_sketches, taskflow.search_edits";
        self.0.query(sql, &[]).await.map_err(|error| failed(error.into()))?;
        // An id that was given once is never given again, not even one of the target's own.
        let sql = "SELECT setval('taskflow.task_ids', greatest($1, last_value + is_called::int), false) \
                   FROM taskflow.task_ids";
        let set = self.0.query(sql, &[(&next, Type::INT8)]).await;
        set.map_err(|error| failed(error.into()))?;
        let committed = self.0.execute("COMMIT").await;
        committed.map_err(|error| failed(Failure::from(error).committing()))
    }
}

async fn load(session: &Session, batch: &[Whole]) -> Result<(), Failure> {
    let lanes =
        batch.iter().map(|whole| (whole.tenant, whole.task.queue.clone(), whole.task.kind.clone()));
    let lanes: BTreeSet<_> = lanes.collect();
    Lanes::default().register(session, lanes.into_iter().collect()).await?;
    let (mut births, mut states, mut history) =
        (Births::default(), States::default(), History::default());
    let (mut counts, mut ids) = (Counting::new(), Vec::with_capacity(batch.len()));
    // Ended tasks hold no key: they are never pending, not even for a moment.
    let mut statuses = Vec::with_capacity(batch.len());
    let (mut parents, mut children): (Vec<i64>, Vec<i64>) = (Vec::new(), Vec::new());
    for Whole { tenant, task, attempts, waits } in batch {
        ids.push(task.id.get());
        statuses.push(small(task.state.status.number()));
        births.push(*tenant, task);
        let born = State::born(task.state.run_at, task.state.blocked_by, task.created_at);
        states.push(task.id, &born, &task.state);
        attempts.iter().for_each(|attempt| history.push(task.id, attempt));
        parents.extend(waits.iter().map(|parent| parent.get()));
        children.resize(parents.len(), task.id.get());
        let (status, queue) = (task.state.status, task.queue.clone());
        let (kind, priority) = (task.kind.clone(), task.priority);
        let lane = Lane { tenant: *tenant, status, queue, kind, priority };
        *counts.entry(lane).or_insert(0) += 1;
    }
    births.insert_as(session, &ids, &statuses, &Deltas::of(&counts)).await?;
    states.update(session).await?;
    history.insert(session).await?;
    let sql =
        "INSERT INTO taskflow.waits(parent, child) SELECT * FROM unnest($1::int8[], $2::int8[])";
    let edges: [Param<'_>; 2] = [(&parents, Type::INT8_ARRAY), (&children, Type::INT8_ARRAY)];
    session.query(sql, &edges).await?;
    births_of(session, batch).await
}

/// What `task_births` says of a batch: the trigger does not know that nobody else writes.
async fn births_of(session: &Session, batch: &[Whole]) -> Result<(), Failure> {
    let ids = || batch.iter().map(|whole| whole.task.id.get());
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else { return Ok(()) };
    let created = batch.iter().map(|whole| whole.task.created_at.micros()).max();
    let sql = "DELETE FROM taskflow.task_births WHERE id >= $1";
    session.query(sql, &[(&first, Type::INT8)]).await?;
    let sql = "INSERT INTO taskflow.task_births(at, id) \
               SELECT greatest($1, max(at)), $2 FROM taskflow.task_births ON CONFLICT DO NOTHING";
    session.query(sql, &[(&created, Type::INT8), (&last, Type::INT8)]).await?;
    Ok(())
}

async fn dump(session: &Session, after: i64, limit: u32) -> Result<Vec<Whole>, Failure> {
    let sql = concat!(
        "SELECT ",
        task_columns!(),
        " FROM taskflow.tasks WHERE id > $1 ORDER BY id LIMIT $2"
    );
    let params: [Param<'_>; 2] = [(&after, Type::INT8), (&i64::from(limit), Type::INT8)];
    let (mut all, mut bytes) = (Vec::new(), 0);
    for row in session.query(sql, &params).await? {
        let task = rows::task(&row)?;
        let tenant = TenantId(get(&row, 1)?);
        let attempts = tasks::written(session, task.id).await?;
        let whole = Whole { tenant, task, attempts, waits: Vec::new() };
        bytes += whole.bytes();
        all.push(whole);
        if bytes >= BATCH_BYTES_MAX {
            break;
        }
    }
    let ids: Vec<i64> = all.iter().map(|whole| whole.task.id.get()).collect();
    let sql =
        "SELECT child, parent FROM taskflow.waits WHERE child = ANY($1) ORDER BY child, parent";
    let mut waits: HashMap<TaskId, Vec<TaskId>> = HashMap::new();
    for row in session.query(sql, &[(&ids, Type::INT8_ARRAY)]).await? {
        let parent =
            TaskId::new(get(&row, 1)?).ok_or_else(|| rows::bad("an id is not positive"))?;
        waits.entry(rows::id(&row)?).or_default().push(parent);
    }
    for whole in &mut all {
        whole.waits = waits.remove(&whole.task.id).unwrap_or_default();
    }
    Ok(all)
}
