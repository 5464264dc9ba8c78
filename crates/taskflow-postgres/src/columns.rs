//! Many rows as one statement: arrays, a column each. What is in them is decided elsewhere.

use taskflow_core::{Attempt, Json, Task, TaskId, TenantId, Timestamp};
use taskflow_store::kept;
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::rows::{get, int, small};
use crate::series::Cells;
use crate::session::{Param, Session};

/// New tasks, in the order of their ids to be.
#[derive(Default)]
pub(crate) struct Births<'a> {
    tenant: Vec<i64>,
    priority: Vec<i16>,
    queue: Vec<&'a str>,
    kind: Vec<&'a str>,
    run_at: Vec<i64>,
    blocked_by: Vec<i32>,
    max_attempts: Vec<i32>,
    lease_seconds: Vec<i32>,
    timeout_seconds: Vec<Option<i32>>,
    deadline_at: Vec<Option<i64>>,
    expires_at: Vec<Option<i64>>,
    retry: Vec<Option<String>>,
    created_at: Vec<i64>,
    unique_key: Vec<Option<&'a str>>,
    concurrency_key: Vec<Option<&'a str>>,
    depends_on: Vec<Option<String>>,
    tags: Vec<Option<String>>,
    metadata: Vec<Option<&'a str>>,
    title: Vec<&'a str>,
    description: Vec<Option<&'a str>>,
    payload: Vec<Option<&'a str>>,
}

fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::micros)
}

/// What the new tasks add to their minutes.
macro_rules! tallied {
    () => {
        "tallied AS (INSERT INTO taskflow.series_deltas(tenant, queue, minute, cells, n) \
         SELECT tenant, queue, created_at / 60000000, ARRAY[0], ARRAY[count(*)] FROM born \
         GROUP BY tenant, queue, created_at / 60000000), "
    };
}

/// Inserts and counts in one statement, which is one commit where no transaction is open.
const INSERT: &str = concat!(
    "WITH born AS (INSERT INTO taskflow.tasks(id, tenant, status, priority, queue, kind, \
     run_at, blocked_by, max_attempts, lease_seconds, timeout_seconds, deadline_at, expires_at, \
     retry, created_at, updated_at, version, unique_key, concurrency_key, depends_on, tags, \
     metadata, title, description, payload) \
     SELECT nextval('taskflow.task_ids'), tenant, 0, priority, queue, kind, run_at, blocked_by, \
     max_attempts, lease_seconds, timeout_seconds, deadline_at, expires_at, retry, created_at, \
     created_at, 1, unique_key, concurrency_key, depends_on, tags, metadata, title, description, \
     payload FROM unnest($1::int8[], $2::int2[], $3::text[], $4::text[], $5::int8[], $6::int4[], \
     $7::int4[], $8::int4[], $9::int4[], $10::int8[], $11::int8[], $12::text[], $13::int8[], \
     $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], \
     $21::text[]) WITH ORDINALITY AS new(tenant, priority, queue, kind, run_at, blocked_by, \
     max_attempts, lease_seconds, timeout_seconds, deadline_at, expires_at, retry, created_at, \
     unique_key, concurrency_key, depends_on, tags, metadata, title, description, payload, place) \
     ORDER BY place RETURNING id, tenant, queue, created_at), ",
    tallied!(),
    "\
     counted AS (INSERT INTO taskflow.task_count_deltas(tenant, status, queue, kind, priority, n) \
     SELECT * FROM unnest($22::int8[], $23::int2[], $24::text[], $25::text[], $26::int2[], \
     $27::int8[])) \
     SELECT id FROM born"
);

impl<'a> Births<'a> {
    pub(crate) fn push(&mut self, tenant: TenantId, task: &'a Task) {
        let t = &task.terms;
        self.tenant.push(tenant.0);
        self.priority.push(small(task.priority.number()));
        self.queue.push(task.queue.as_str());
        self.kind.push(task.kind.as_str());
        self.run_at.push(task.state.run_at.micros());
        self.blocked_by.push(int(task.state.blocked_by));
        self.max_attempts.push(int(t.max_attempts));
        self.lease_seconds.push(int(t.lease_seconds));
        self.timeout_seconds.push(t.timeout_seconds.map(int));
        self.deadline_at.push(micros(t.deadline_at));
        self.expires_at.push(micros(t.expires_at));
        self.retry.push(kept::retry_text(&t.retry));
        self.created_at.push(task.created_at.micros());
        self.unique_key.push(task.unique_key.as_deref());
        self.concurrency_key.push(task.concurrency_key.as_deref());
        self.depends_on.push(kept::ids_text(&task.depends_on));
        self.tags.push(kept::tags_text(&task.tags));
        self.metadata.push(task.metadata.as_ref().map(Json::as_str));
        self.title.push(&task.title);
        self.description.push(task.description.as_deref());
        self.payload.push(task.payload.as_ref().map(Json::as_str));
    }

    /// Inserts them with what they add to the counts. The ids are in the order of the tasks.
    pub(crate) async fn insert(
        &self,
        session: &Session,
        deltas: &Deltas<'_>,
    ) -> Result<Vec<TaskId>, Failure> {
        let params = self.params(deltas);
        let rows = session.query(INSERT, &params).await?;
        let mut ids: Vec<i64> = rows.iter().map(|row| get(row, 0)).collect::<Result<_, _>>()?;
        // The sequence is asked in the order of the tasks, so the smallest is the first one's.
        ids.sort_unstable();
        Ok(ids.into_iter().filter_map(TaskId::new).collect())
    }
}

impl Births<'_> {
    /// Inserts them with ids and statuses that they have already.
    pub(crate) async fn insert_as(
        &self,
        session: &Session,
        ids: &[i64],
        statuses: &[i16],
        deltas: &Deltas<'_>,
    ) -> Result<(), Failure> {
        let sql = INSERT
            .replace("SELECT nextval('taskflow.task_ids'), tenant, 0", "SELECT id, tenant, status")
            .replace("unnest($1::int8[],", "unnest($28::int8[], $29::int2[], $1::int8[],")
            .replace("AS new(tenant,", "AS new(id, status, tenant,")
            // They were created when they were, and somewhere else.
            .replace(tallied!(), "");
        let mut params = self.params(deltas);
        params.push((&ids, Type::INT8_ARRAY));
        params.push((&statuses, Type::INT2_ARRAY));
        session.query(&sql, &params).await?;
        Ok(())
    }

    fn params<'p>(&'p self, deltas: &'p Deltas<'_>) -> Vec<Param<'p>> {
        vec![
            (&self.tenant, Type::INT8_ARRAY),
            (&self.priority, Type::INT2_ARRAY),
            (&self.queue, Type::TEXT_ARRAY),
            (&self.kind, Type::TEXT_ARRAY),
            (&self.run_at, Type::INT8_ARRAY),
            (&self.blocked_by, Type::INT4_ARRAY),
            (&self.max_attempts, Type::INT4_ARRAY),
            (&self.lease_seconds, Type::INT4_ARRAY),
            (&self.timeout_seconds, Type::INT4_ARRAY),
            (&self.deadline_at, Type::INT8_ARRAY),
            (&self.expires_at, Type::INT8_ARRAY),
            (&self.retry, Type::TEXT_ARRAY),
            (&self.created_at, Type::INT8_ARRAY),
            (&self.unique_key, Type::TEXT_ARRAY),
            (&self.concurrency_key, Type::TEXT_ARRAY),
            (&self.depends_on, Type::TEXT_ARRAY),
            (&self.tags, Type::TEXT_ARRAY),
            (&self.metadata, Type::TEXT_ARRAY),
            (&self.title, Type::TEXT_ARRAY),
            (&self.description, Type::TEXT_ARRAY),
            (&self.payload, Type::TEXT_ARRAY),
            (&deltas.tenant, Type::INT8_ARRAY),
            (&deltas.status, Type::INT2_ARRAY),
            (&deltas.queue, Type::TEXT_ARRAY),
            (&deltas.kind, Type::TEXT_ARRAY),
            (&deltas.priority, Type::INT2_ARRAY),
            (&deltas.n, Type::INT8_ARRAY),
        ]
    }
}

/// What a transaction adds to the counts.
#[derive(Default)]
pub(crate) struct Deltas<'a> {
    tenant: Vec<i64>,
    status: Vec<i16>,
    queue: Vec<&'a str>,
    kind: Vec<&'a str>,
    priority: Vec<i16>,
    n: Vec<i64>,
}

impl<'a> Deltas<'a> {
    pub(crate) fn of(counts: &'a crate::desk::Counting) -> Self {
        let mut deltas = Self::default();
        for (lane, n) in counts.iter().filter(|(_, n)| **n != 0) {
            deltas.tenant.push(lane.tenant.0);
            deltas.status.push(small(lane.status.number()));
            deltas.queue.push(lane.queue.as_str());
            deltas.kind.push(lane.kind.as_str());
            deltas.priority.push(small(lane.priority.number()));
            deltas.n.push(*n);
        }
        deltas
    }

    /// Inserts them with what the transaction adds to the minutes: a row a queue and minute.
    pub(crate) async fn insert(&self, session: &Session, cells: &Cells<'_>) -> Result<(), Failure> {
        if self.n.is_empty() && cells.n.is_empty() {
            return Ok(());
        }
        let sql = "WITH tallied AS (INSERT INTO taskflow.series_deltas(tenant, queue, minute, cells, n) \
                   SELECT tenant, queue, minute, array_agg(cell), array_agg(n) \
                   FROM unnest($7::int8[], $8::text[], $9::int4[], $10::int2[], $11::int8[]) \
                   AS c(tenant, queue, minute, cell, n) GROUP BY tenant, queue, minute) \
                   INSERT INTO taskflow.task_count_deltas(tenant, status, queue, kind, priority, n) \
                   SELECT * FROM unnest($1::int8[], $2::int2[], $3::text[], $4::text[], \
                   $5::int2[], $6::int8[])";
        let params: [Param<'_>; 11] = [
            (&self.tenant, Type::INT8_ARRAY),
            (&self.status, Type::INT2_ARRAY),
            (&self.queue, Type::TEXT_ARRAY),
            (&self.kind, Type::TEXT_ARRAY),
            (&self.priority, Type::INT2_ARRAY),
            (&self.n, Type::INT8_ARRAY),
            (&cells.tenant, Type::INT8_ARRAY),
            (&cells.queue, Type::TEXT_ARRAY),
            (&cells.minute, Type::INT4_ARRAY),
            (&cells.cell, Type::INT2_ARRAY),
            (&cells.n, Type::INT8_ARRAY),
        ];
        session.query(sql, &params).await?;
        Ok(())
    }
}

/// Entries for the history.
#[derive(Default)]
pub(crate) struct History<'a> {
    task: Vec<i64>,
    attempt: Vec<i32>,
    outcome: Vec<i16>,
    worker: Vec<Option<&'a str>>,
    started_at: Vec<i64>,
    ended_at: Vec<i64>,
    error: Vec<Option<&'a str>>,
    /// Of the same tasks: the newest attempt that is not kept any more.
    over: Vec<i32>,
}

const RECORD: &str = "WITH trimmed AS (DELETE FROM taskflow.attempts AS a \
     USING unnest($1::int8[], $8::int4[]) AS o(task, over) \
     WHERE a.task = o.task AND a.attempt <= o.over AND o.over > 0) \
     INSERT INTO taskflow.attempts(task, attempt, outcome, worker, started_at, ended_at, error) \
     SELECT * FROM unnest($1::int8[], $2::int4[], $3::int2[], $4::text[], $5::int8[], $6::int8[], \
     $7::text[]) \
     ON CONFLICT (task, attempt) DO UPDATE SET outcome = excluded.outcome, \
     worker = excluded.worker, started_at = excluded.started_at, ended_at = excluded.ended_at, \
     error = excluded.error";

impl<'a> History<'a> {
    pub(crate) fn push(&mut self, task: TaskId, entry: &'a Attempt) {
        self.task.push(task.get());
        self.attempt.push(int(entry.attempt));
        self.outcome.push(small(entry.outcome.number()));
        self.worker.push(entry.worker.as_deref());
        self.started_at.push(entry.started_at.micros());
        self.ended_at.push(entry.ended_at.micros());
        self.error.push(entry.error.as_deref());
        self.over.push(int(entry.attempt.saturating_sub(taskflow_core::limits::ATTEMPTS_KEPT)));
    }

    pub(crate) async fn insert(&self, session: &Session) -> Result<(), Failure> {
        if self.task.is_empty() {
            return Ok(());
        }
        let params: [Param<'_>; 8] = [
            (&self.task, Type::INT8_ARRAY),
            (&self.attempt, Type::INT4_ARRAY),
            (&self.outcome, Type::INT2_ARRAY),
            (&self.worker, Type::TEXT_ARRAY),
            (&self.started_at, Type::INT8_ARRAY),
            (&self.ended_at, Type::INT8_ARRAY),
            (&self.error, Type::TEXT_ARRAY),
            (&self.over, Type::INT4_ARRAY),
        ];
        session.query(RECORD, &params).await?;
        Ok(())
    }
}
