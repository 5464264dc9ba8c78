//! The room of queues: SQL of their settings, counts and holders. What a claim makes of the settings is
//! in `work.rs`.

use std::collections::BTreeMap;

use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Row, params};
use taskflow_core::limits::{HOLDERS_MAX, QUEUES_MAX};
use taskflow_core::queue::{Pause, Settings};
use taskflow_core::{
    Change, Gate, Queue, QueueName, QueuePatch, RateWindow, TaskId, TenantId, Timestamp,
};
use taskflow_store::moving::OwnQueue;
use taskflow_store::{Counts, GateView, QueueSet, QueueView, Ready, kept};

use crate::act::Act;
use crate::work;

/// Columns of [`queue`].
macro_rules! queue_columns {
    () => {
        "name, paused_at, pause_reason, settings, starts, version, updated_at"
    };
}

fn bad(column: usize, what: &str) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, what.to_owned().into())
}

/// A queue's name in a column.
pub(crate) fn name(row: &Row<'_>, column: usize) -> Result<QueueName, Error> {
    QueueName::parse(row.get_ref(column)?.as_str()?).map_err(|_| bad(column, "not a queue name"))
}

/// Maps a row of `queue_columns`.
fn queue(row: &Row<'_>) -> Result<(Queue, RateWindow), Error> {
    let since: Option<i64> = row.get(1)?;
    let reason = row.get(2)?;
    let settings = kept::settings_from(row.get_ref(3)?.as_str()?);
    let window = RateWindow::from_text(row.get_ref(4)?.as_str()?);
    let queue = Queue {
        name: name(row, 0)?,
        pause: since.map(|since| Pause { reason, since: Timestamp::from_micros(since) }),
        settings: settings.ok_or_else(|| bad(3, "not settings"))?,
        version: row.get(5)?,
        updated_at: Some(Timestamp::from_micros(row.get(6)?)),
    };
    Ok((queue, window.ok_or_else(|| bad(4, "not starts"))?))
}

/// Every gate, without its leases.
pub(crate) fn gates(
    connection: &Connection,
) -> Result<BTreeMap<(TenantId, QueueName), Gate>, Error> {
    let mut gates = BTreeMap::new();
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        queue_columns!(),
        ", tenant FROM queues WHERE gated"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (queue, window) = queue(row)?;
        let of = (TenantId(row.get(7)?), queue.name.clone());
        gates.insert(of, Gate::new(queue, window));
    }
    Ok(gates)
}

fn find(
    connection: &Connection,
    tenant: TenantId,
    name: &QueueName,
) -> Result<(Queue, RateWindow), Error> {
    let found = connection
        .prepare_cached(concat!(
            "SELECT ",
            queue_columns!(),
            " FROM queues WHERE tenant = ?1 AND name = ?2"
        ))?
        .query_row(params![tenant.0, name.as_str()], queue)
        .optional()?;
    Ok(found.unwrap_or_else(|| (Queue::plain(name.clone()), RateWindow::default())))
}

impl Act<'_> {
    /// Changes a queue's settings.
    pub(crate) fn set_queue(
        &mut self,
        name: QueueName,
        if_version: Option<u64>,
        patch: &QueuePatch,
    ) -> Result<QueueSet, Error> {
        let (old, stored) = find(self.connection, self.tenant, &name)?;
        if if_version.is_some_and(|version| version != old.version) {
            return Ok(QueueSet::Stale(old.version));
        }
        let (new, changed) = old.patched(patch, self.now);
        if !changed {
            return Ok(QueueSet::Done(Box::new(old), Vec::new()));
        }
        if old.version == 0 && self.is_crowded()? {
            return Ok(QueueSet::TooMany);
        }
        // The writer knows of starts that are not written yet.
        let known = self.memory.gates.get(self.tenant, &name).map(|gate| gate.window.clone());
        let window = known.unwrap_or(stored);
        match new.is_plain() {
            true => self
                .connection
                .prepare_cached("DELETE FROM queues WHERE tenant = ?1 AND name = ?2")?
                .execute(params![self.tenant.0, name.as_str()])
                .map(drop)?,
            false => write(self.connection, self.tenant, &new, &window)?,
        }
        let gate = match new.is_gated() {
            true => Some(view(self.connection, self.tenant, &name, None)?.gate),
            false => None,
        };
        let ready = self.waiting(self.tenant, &name)?;
        self.note_other(|| Change::Queue(name.clone()));
        self.memory.gates.replace(self.tenant, name, gate);
        Ok(QueueSet::Done(Box::new(new), ready))
    }

    fn is_crowded(&self) -> Result<bool, Error> {
        let many: i64 = self
            .connection
            .prepare_cached("SELECT count(*) FROM queues WHERE tenant = ?1")?
            .query_row([self.tenant.0], |row| row.get(0))?;
        Ok(many >= i64::try_from(QUEUES_MAX).unwrap_or(i64::MAX))
    }

    /// What waits in a queue: the first task of each kind.
    pub(crate) fn waiting(&self, tenant: TenantId, name: &QueueName) -> Result<Vec<Ready>, Error> {
        let mut ready: BTreeMap<_, Ready> = BTreeMap::new();
        for lane in self.memory.pending(tenant).filter(|lane| lane.queue == *name) {
            let first = work::first_after(self.connection, lane, Timestamp::from_micros(i64::MIN))?;
            let Some(run_at) = first else { continue };
            let found = Ready { queue: name.clone(), kind: lane.kind.clone(), run_at };
            let known = ready.entry(lane.kind.clone()).or_insert(found);
            known.run_at = known.run_at.min(run_at);
        }
        Ok(ready.into_values().collect())
    }
}

fn write(
    connection: &Connection,
    tenant: TenantId,
    queue: &Queue,
    window: &RateWindow,
) -> Result<(), Error> {
    let settings: &Settings = &queue.settings;
    let settings = kept::settings_text(settings).ok_or_else(|| bad(3, "settings without text"))?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO queues(tenant, name, gated, paused_at, pause_reason, settings, \
             starts, version, updated_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            tenant.0,
            queue.name.as_str(),
            queue.is_gated(),
            queue.pause.as_ref().map(|pause| pause.since.micros()),
            queue.pause.as_ref().and_then(|pause| pause.reason.as_deref()),
            settings,
            window.to_text(),
            queue.version,
            queue.updated_at.map(Timestamp::micros),
        ])
        .map(drop)
}

/// Every queue with settings of its own.
pub(crate) fn settings(connection: &Connection, tenant: TenantId) -> Result<Vec<Queue>, Error> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            queue_columns!(),
            " FROM queues WHERE tenant = ?1 ORDER BY name"
        ))?
        .query_map([tenant.0], |row| queue(row).map(|(queue, _)| queue))?
        .collect()
}

/// Those of all tenants, for a move.
pub(crate) fn own(connection: &Connection) -> Result<Vec<OwnQueue>, Error> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            queue_columns!(),
            ", tenant FROM queues ORDER BY tenant, name"
        ))?
        .query_map([], |row| {
            let (queue, window) = queue(row)?;
            Ok(OwnQueue { tenant: TenantId(row.get(7)?), queue, window })
        })?
        .collect()
}

/// Queues with their tasks, in the order of `names`.
pub(crate) fn views(
    connection: &Connection,
    tenant: TenantId,
    names: &[QueueName],
) -> Result<Vec<QueueView>, Error> {
    let view = |name| {
        let (queue, _) = find(connection, tenant, name)?;
        Ok(QueueView { queue, counts: counts(connection, tenant, name)? })
    };
    names.iter().map(view).collect()
}

/// One page by name.
pub(crate) fn page(
    connection: &Connection,
    tenant: TenantId,
    after: Option<&QueueName>,
    limit: u32,
) -> Result<Vec<QueueView>, Error> {
    let names: Vec<QueueName> = connection
        .prepare_cached(
            "SELECT queue FROM task_counts WHERE tenant = ?1 AND queue > ?2 \
             UNION SELECT name FROM queues WHERE tenant = ?1 AND name > ?2 ORDER BY 1 LIMIT ?3 + 0",
        )?
        .query_map(params![tenant.0, after.map_or("", QueueName::as_str), limit], |row| {
            name(row, 0)
        })?
        .collect::<Result<_, _>>()?;
    views(connection, tenant, &names)
}

fn counts(connection: &Connection, tenant: TenantId, name: &QueueName) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    let mut statement = connection.prepare_cached(
        "SELECT status, sum(n) FROM task_counts WHERE tenant = ?1 AND status IN (0, 1, 2, 3, 4) \
         AND queue = ?2 GROUP BY status",
    )?;
    let mut rows = statement.query(params![tenant.0, name.as_str()])?;
    while let Some(row) = rows.next()? {
        let status: usize = row.get(0)?;
        if let Some(n) = counts.0.get_mut(status) {
            *n = row.get(1)?;
        }
    }
    Ok(counts)
}

/// What a queue lets through, and who holds it.
pub(crate) fn view(
    connection: &Connection,
    tenant: TenantId,
    name: &QueueName,
    key: Option<&str>,
) -> Result<GateView, Error> {
    let (queue, window) = find(connection, tenant, name)?;
    let mut gate = Gate::new(queue, window);
    let mut leases: Vec<(TaskId, Option<String>)> = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT id, concurrency_key FROM tasks INDEXED BY tasks_leased \
         WHERE lease_until IS NOT NULL AND tenant = ?1 AND queue = ?2",
    )?;
    let mut rows = statement.query(params![tenant.0, name.as_str()])?;
    while let Some(row) = rows.next()? {
        let held: Option<String> = row.get(1)?;
        gate.take(held.as_deref(), None);
        leases.extend(TaskId::new(row.get(0)?).map(|id| (id, held)));
    }
    leases.sort_unstable();
    let some = |leases: &mut dyn Iterator<Item = &(TaskId, Option<String>)>| {
        leases.take(HOLDERS_MAX as usize).map(|(id, _)| *id).collect()
    };
    Ok(GateView {
        gate,
        holders: some(&mut leases.iter()),
        key_holders: some(&mut leases.iter().filter(|(_, k)| key.is_some() && k.as_deref() == key)),
    })
}
