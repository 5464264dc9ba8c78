//! The room of queues: SQL of their settings, counts and holders. What a claim makes of the settings is
//! in `gates.rs` and `work.rs`.

use std::collections::HashMap;

use taskflow_core::limits::{HOLDERS_MAX, QUEUES_MAX};
use taskflow_core::queue::Pause;
use taskflow_core::{
    Change, Gate, Queue, QueueName, QueuePatch, RateWindow, TaskId, TenantId, Timestamp,
};
use taskflow_store::moving::OwnQueue;
use taskflow_store::{Counts, GateView, QueueSet, QueueView, Ready, kept};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::desk::Desk;
use crate::error::Failure;
use crate::rows::{self, get};
use crate::session::{Param, Session};

/// Columns of [`queue`].
macro_rules! queue_columns {
    () => {
        "name, paused_at, pause_reason, settings, starts, version, updated_at"
    };
}
pub(crate) use queue_columns;

/// Maps a row of `queue_columns`.
pub(crate) fn queue(row: &Row) -> Result<(Queue, RateWindow), Failure> {
    let since: Option<i64> = get(row, 1)?;
    let reason = get(row, 2)?;
    let queue = Queue {
        name: rows::queue(row, 0)?,
        pause: since.map(|since| Pause { reason, since: Timestamp::from_micros(since) }),
        settings: kept::settings_from(get(row, 3)?).ok_or_else(|| rows::bad("not settings"))?,
        version: u64::try_from(get::<i64>(row, 5)?).map_err(|_| rows::bad("a version"))?,
        updated_at: Some(Timestamp::from_micros(get(row, 6)?)),
    };
    let window = RateWindow::from_text(get(row, 4)?).ok_or_else(|| rows::bad("not starts"))?;
    Ok((queue, window))
}

async fn find(
    session: &Session,
    tenant: TenantId,
    name: &QueueName,
) -> Result<(Queue, RateWindow), Failure> {
    let sql = concat!(
        "SELECT ",
        queue_columns!(),
        " FROM taskflow.queues WHERE tenant = $1 AND name = $2"
    );
    let params: [Param<'_>; 2] = [(&tenant.0, Type::INT8), (&name.as_str(), Type::TEXT)];
    let rows = session.query(sql, &params).await?;
    let plain = || (Queue::plain(name.clone()), RateWindow::default());
    rows.first().map_or_else(|| Ok(plain()), queue)
}

/// One change of settings at a time: a first one has no row to lock. Then the row, which a claim holds
/// while it counts.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('taskflow queues', 0))";
const LOCK_ROW: &str = "SELECT FROM taskflow.queues WHERE tenant = $1 AND name = $2 FOR UPDATE";

impl Desk<'_> {
    /// Changes a queue's settings.
    pub(crate) async fn set_queue(
        &mut self,
        name: &QueueName,
        if_version: Option<u64>,
        patch: &QueuePatch,
    ) -> Result<QueueSet, Failure> {
        self.session.query(LOCK, &[]).await?;
        let of: [Param<'_>; 2] = [(&self.tenant.0, Type::INT8), (&name.as_str(), Type::TEXT)];
        self.session.query(LOCK_ROW, &of).await?;
        let (old, window) = find(self.session, self.tenant, name).await?;
        if if_version.is_some_and(|version| version != old.version) {
            return Ok(QueueSet::Stale(old.version));
        }
        let (new, changed) = old.patched(patch, self.now);
        if !changed {
            return Ok(QueueSet::Done(Box::new(old), Vec::new()));
        }
        if old.version == 0 && self.is_crowded().await? {
            return Ok(QueueSet::TooMany);
        }
        if new.is_plain() {
            let sql = "DELETE FROM taskflow.queues WHERE tenant = $1 AND name = $2";
            self.session.query(sql, &of).await?;
        } else {
            write(self.session, self.tenant, &new, &window).await?;
        }
        self.write_down().await?;
        let ready = waiting(self.session, self.tenant, name).await?;
        self.announce(&ready);
        self.note_other(|| Change::Queue(name.clone()));
        Ok(QueueSet::Done(Box::new(new), ready))
    }

    async fn is_crowded(&self) -> Result<bool, Failure> {
        let sql = "SELECT count(*) FROM taskflow.queues WHERE tenant = $1";
        let rows = self.session.query(sql, &[(&self.tenant.0, Type::INT8)]).await?;
        let many: i64 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
        Ok(many >= i64::try_from(QUEUES_MAX).unwrap_or(i64::MAX))
    }
}

/// The first task of each kind that waits in a queue.
pub(crate) const WAITING: &str = "SELECT l.kind, (SELECT min(f.run_at) FROM \
     (VALUES (0), (1), (2), (3)) AS p(priority) CROSS JOIN LATERAL (SELECT run_at FROM taskflow.tasks \
     WHERE tenant = l.tenant AND queue = l.queue AND kind = l.kind AND priority = p.priority::int2 \
     AND status = 0 AND blocked_by = 0 ORDER BY run_at LIMIT 1) AS f) \
     FROM (SELECT DISTINCT tenant, queue, kind FROM taskflow.lanes WHERE tenant = $1 AND queue = $2) \
     AS l ORDER BY l.kind";

/// What waits in a queue.
pub(crate) async fn waiting(
    session: &Session,
    tenant: TenantId,
    name: &QueueName,
) -> Result<Vec<Ready>, Failure> {
    let params: [Param<'_>; 2] = [(&tenant.0, Type::INT8), (&name.as_str(), Type::TEXT)];
    let mut ready = Vec::new();
    for row in session.query(WAITING, &params).await? {
        if let Some(run_at) = get::<Option<i64>>(&row, 1)?.map(Timestamp::from_micros) {
            ready.push(Ready { queue: name.clone(), kind: rows::kind(&row, 0)?, run_at });
        }
    }
    Ok(ready)
}

pub(crate) async fn write(
    session: &Session,
    tenant: TenantId,
    queue: &Queue,
    window: &RateWindow,
) -> Result<(), Failure> {
    let sql = "INSERT INTO taskflow.queues(tenant, name, gated, paused_at, pause_reason, settings, \
               starts, version, updated_at) VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               ON CONFLICT (tenant, name) DO UPDATE SET gated = excluded.gated, \
               paused_at = excluded.paused_at, pause_reason = excluded.pause_reason, \
               settings = excluded.settings, version = excluded.version, \
               updated_at = excluded.updated_at";
    let settings = kept::settings_text(&queue.settings);
    let settings = settings.ok_or_else(|| rows::bad("settings without a text"))?;
    let version = i64::try_from(queue.version).map_err(|_| rows::bad("a version"))?;
    let pause = queue.pause.as_ref();
    let params: [Param<'_>; 9] = [
        (&tenant.0, Type::INT8),
        (&queue.name.as_str(), Type::TEXT),
        (&queue.is_gated(), Type::BOOL),
        (&pause.map(|pause| pause.since.micros()), Type::INT8),
        (&pause.and_then(|pause| pause.reason.as_deref()), Type::TEXT),
        (&settings, Type::TEXT),
        (&window.to_text(), Type::TEXT),
        (&version, Type::INT8),
        (&queue.updated_at.map(Timestamp::micros), Type::INT8),
    ];
    session.query(sql, &params).await?;
    Ok(())
}

/// Tasks per status of each queue, what was added since the last fold included.
const COUNTS: &str = "SELECT queue, status, sum(n)::int8 FROM (SELECT queue, status, n \
     FROM taskflow.task_counts WHERE tenant = $1 AND queue = ANY($2) UNION ALL SELECT queue, status, n \
     FROM taskflow.task_count_deltas WHERE tenant = $1 AND queue = ANY($2)) AS counted \
     GROUP BY queue, status";

/// The names of queues with tasks or settings.
const NAMES: &str = "SELECT name FROM (SELECT queue AS name FROM (SELECT queue, n \
     FROM taskflow.task_counts WHERE tenant = $1 AND queue > $2 UNION ALL SELECT queue, n \
     FROM taskflow.task_count_deltas WHERE tenant = $1 AND queue > $2) AS counted \
     GROUP BY queue HAVING sum(n) <> 0 UNION SELECT name FROM taskflow.queues WHERE tenant = $1 \
     AND name > $2) AS named ORDER BY name LIMIT $3";

/// Every queue with settings of its own.
pub(crate) async fn settings(session: &Session, tenant: TenantId) -> Result<Vec<Queue>, Failure> {
    let sql = concat!(
        "SELECT ",
        queue_columns!(),
        " FROM taskflow.queues WHERE tenant = $1 ORDER BY name"
    );
    let rows = session.query(sql, &[(&tenant.0, Type::INT8)]).await?;
    rows.iter().map(|row| queue(row).map(|(queue, _)| queue)).collect()
}

/// Those of all tenants, for a move.
pub(crate) async fn own(session: &Session) -> Result<Vec<OwnQueue>, Failure> {
    let sql =
        concat!("SELECT ", queue_columns!(), ", tenant FROM taskflow.queues ORDER BY tenant, name");
    let rows = session.query(sql, &[]).await?;
    let own = rows.iter().map(|row| {
        let (queue, window) = queue(row)?;
        Ok(OwnQueue { tenant: TenantId(get(row, 7)?), queue, window })
    });
    own.collect()
}

/// Queues with their tasks, in the order of `names`.
pub(crate) async fn views(
    session: &Session,
    tenant: TenantId,
    names: &[QueueName],
) -> Result<Vec<QueueView>, Failure> {
    let texts: Vec<&str> = names.iter().map(QueueName::as_str).collect();
    let params: [Param<'_>; 2] = [(&tenant.0, Type::INT8), (&texts, Type::TEXT_ARRAY)];
    let mut settings: HashMap<QueueName, Queue> = HashMap::new();
    let sql = concat!(
        "SELECT ",
        queue_columns!(),
        " FROM taskflow.queues WHERE tenant = $1 AND name = ANY($2)"
    );
    for row in session.query(sql, &params).await? {
        let (queue, _) = queue(&row)?;
        settings.insert(queue.name.clone(), queue);
    }
    let mut counts: HashMap<QueueName, Counts> = HashMap::new();
    for row in session.query(COUNTS, &params).await? {
        let status = usize::try_from(get::<i16>(&row, 1)?).unwrap_or(usize::MAX);
        let n = u64::try_from(get::<i64>(&row, 2)?).map_err(|_| rows::bad("a count"))?;
        if let Some(count) = counts.entry(rows::queue(&row, 0)?).or_default().0.get_mut(status) {
            *count = n;
        }
    }
    let view = |name: &QueueName| QueueView {
        queue: settings.get(name).cloned().unwrap_or_else(|| Queue::plain(name.clone())),
        counts: counts.get(name).copied().unwrap_or_default(),
    };
    Ok(names.iter().map(view).collect())
}

/// One page by name.
pub(crate) async fn page(
    session: &Session,
    tenant: TenantId,
    after: Option<&QueueName>,
    limit: u32,
) -> Result<Vec<QueueView>, Failure> {
    let after = after.map_or("", QueueName::as_str);
    let params: [Param<'_>; 3] =
        [(&tenant.0, Type::INT8), (&after, Type::TEXT), (&i64::from(limit), Type::INT8)];
    let rows = session.query(NAMES, &params).await?;
    let names: Vec<QueueName> =
        rows.iter().map(|row| rows::queue(row, 0)).collect::<Result<_, _>>()?;
    views(session, tenant, &names).await
}

/// What a queue lets through, and who holds it.
pub(crate) async fn view(
    session: &Session,
    tenant: TenantId,
    name: &QueueName,
    key: Option<&str>,
) -> Result<GateView, Failure> {
    let (queue, window) = find(session, tenant, name).await?;
    let mut gate = Gate::new(queue, window);
    let sql = "SELECT id, concurrency_key FROM taskflow.tasks WHERE lease_until IS NOT NULL \
               AND tenant = $1 AND queue = $2 ORDER BY id";
    let params: [Param<'_>; 2] = [(&tenant.0, Type::INT8), (&name.as_str(), Type::TEXT)];
    let mut holders: Vec<TaskId> = Vec::new();
    let mut key_holders: Vec<TaskId> = Vec::new();
    for row in session.query(sql, &params).await? {
        let held: Option<&str> = get(&row, 1)?;
        gate.take(held, None);
        let id = rows::id(&row)?;
        if key.is_some() && held == key {
            key_holders.push(id);
        }
        holders.push(id);
    }
    holders.truncate(HOLDERS_MAX as usize);
    key_holders.truncate(HOLDERS_MAX as usize);
    Ok(GateView { gate, holders, key_holders })
}
