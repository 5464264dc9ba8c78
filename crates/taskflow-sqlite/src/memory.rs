//! What the writer keeps in memory beside its connection: counts per lane and the next id.
//! The tables are the truth: it is read anew whenever another process has written.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Error, params};
use taskflow_core::limits::EVENTS_KEPT;
use taskflow_core::{Change, Kind, Priority, QueueName, Status, TenantId};
use taskflow_store::Told;

use crate::gates::Gates;
use crate::series::Series;

/// Where tasks are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub(crate) tenant: TenantId,
    pub(crate) status: Status,
    pub(crate) queue: QueueName,
    pub(crate) kind: Kind,
    pub(crate) priority: Priority,
}

/// Counts, the next id, and what of them the open transaction must write.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    version: Option<i64>,
    /// It was read before: what changed since it was forgotten may be another process's.
    read: bool,
    counts: BTreeMap<Lane, i64>,
    dirty: BTreeSet<Lane>,
    undo: Vec<(Lane, i64)>,
    next_id: i64,
    ids_lost: bool,
    /// Whether any task waits for another; true may be stale, false never is.
    pub(crate) waits: bool,
    /// Queues that are paused or limited.
    pub(crate) gates: Gates,
    /// What happened in the present minutes.
    pub(crate) series: Series,
    /// Whether anybody watches what this transaction changes.
    pub(crate) watched: bool,
    /// What it changed, as far as somebody watches.
    changed: Vec<Told>,
    /// How many of them are of commands that succeeded.
    kept: usize,
}

impl Memory {
    /// Reads the tables unless nobody else has written since. Called inside a transaction.
    pub(crate) fn refresh(&mut self, connection: &Connection) -> Result<bool, Error> {
        let version: i64 =
            connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.version == Some(version) {
            self.gates.refresh(connection)?;
            return Ok(false);
        }
        let foreign = std::mem::replace(&mut self.read, true);
        self.forget();
        self.next_id = connection
            .prepare_cached(
                "SELECT max(next, (SELECT ifnull(max(id), 0) + 1 FROM tasks)) \
                 FROM sequences WHERE name = 'task'",
            )?
            .query_row([], |row| row.get(0))?;
        self.waits = connection
            .prepare_cached("SELECT EXISTS(SELECT 1 FROM waits)")?
            .query_row([], |row| row.get(0))?;
        let mut statement = connection
            .prepare_cached("SELECT tenant, status, queue, kind, priority, n FROM task_counts")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let lane = lane(row)?;
            self.counts.insert(lane, row.get(5)?);
        }
        self.gates.refresh(connection)?;
        self.version = Some(version);
        Ok(foreign)
    }

    /// Forgets everything: the transaction was lost.
    pub(crate) fn forget(&mut self) {
        self.gates.forget();
        let (gates, read) = (std::mem::take(&mut self.gates), self.read);
        *self = Self { gates, read, ..Self::default() };
    }

    /// A fresh id.
    pub(crate) fn next_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// A task goes: the table of tasks may stop telling which ids were given, so the transaction
    /// writes the sequence.
    pub(crate) fn forget_id(&mut self) {
        self.ids_lost = true;
    }

    /// Adds `by` to a lane's count.
    pub(crate) fn count(&mut self, lane: Lane, by: i64) {
        *self.counts.entry(lane.clone()).or_insert(0) += by;
        self.undo.push((lane, by));
    }

    /// Lanes of a tenant with pending tasks, and how many each has.
    pub(crate) fn pending(&self, tenant: TenantId) -> impl Iterator<Item = &Lane> {
        self.counts
            .iter()
            .filter(move |(lane, n)| {
                **n > 0 && lane.status == Status::Pending && lane.tenant == tenant
            })
            .map(|(lane, _)| lane)
    }

    /// The command succeeded: its counts stay. Given ids stay given even when it did not.
    pub(crate) fn keep(&mut self) {
        self.dirty.extend(self.undo.drain(..).map(|(lane, _)| lane));
        self.gates.keep();
        self.series.keep();
        self.kept = self.changed.len();
    }

    /// The command failed: its counts go.
    pub(crate) fn undo(&mut self) {
        self.undo_to((0, 0, 0, self.kept));
    }

    /// How much the command has counted so far, for `undo_to`.
    pub(crate) fn mark(&self) -> (usize, usize, usize, usize) {
        (self.undo.len(), self.gates.mark(), self.series.mark(), self.changed.len())
    }

    /// Takes back what the command counted since `mark`.
    pub(crate) fn undo_to(
        &mut self,
        (counts, gates, noted, changed): (usize, usize, usize, usize),
    ) {
        self.changed.truncate(changed);
        self.series.undo_to(noted);
        for (lane, by) in self.undo.split_off(counts) {
            *self.counts.entry(lane).or_insert(0) -= by;
        }
        self.gates.undo_to(gates);
    }

    /// Whether somebody watches, and this transaction did not change more already than is told.
    pub(crate) fn notes(&self) -> bool {
        self.watched && self.changed.len() <= EVENTS_KEPT
    }

    /// Notes a change for whoever watches.
    pub(crate) fn note(&mut self, tenant: TenantId, change: Change) {
        if self.notes() {
            self.changed.push(Told { tenant, change });
        }
    }

    /// What the transaction that was committed changed.
    pub(crate) fn take_changed(&mut self) -> Vec<Told> {
        self.kept = 0;
        std::mem::take(&mut self.changed)
    }

    /// Writes what the transaction changed.
    pub(crate) fn write(&mut self, connection: &Connection) -> Result<(), Error> {
        if std::mem::take(&mut self.ids_lost) {
            connection
                .prepare_cached("UPDATE sequences SET next = ?1 WHERE name = 'task'")?
                .execute([self.next_id])?;
        }
        self.gates.write(connection)?;
        for lane in std::mem::take(&mut self.dirty) {
            let n = self.counts.get(&lane).copied().unwrap_or(0);
            write_count(connection, &lane, n)?;
            if n == 0 {
                self.counts.remove(&lane);
            }
        }
        self.series.write(connection)
    }
}

fn write_count(connection: &Connection, lane: &Lane, n: i64) -> Result<(), Error> {
    let tenant = lane.tenant.0;
    let (status, priority) = (lane.status.number(), lane.priority.number());
    let (queue, kind) = (lane.queue.as_str(), lane.kind.as_str());
    if n == 0 {
        connection
            .prepare_cached(
                "DELETE FROM task_counts WHERE tenant = ?1 AND status = ?2 AND queue = ?3 \
                 AND kind = ?4 AND priority = ?5",
            )?
            .execute(params![tenant, status, queue, kind, priority])?;
    } else {
        connection
            .prepare_cached(
                "INSERT INTO task_counts(tenant, status, queue, kind, priority, n) \
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT(tenant, status, queue, kind, priority) DO UPDATE SET n = excluded.n",
            )?
            .execute(params![tenant, status, queue, kind, priority, n])?;
    }
    Ok(())
}

/// Maps a row of `tenant, status, queue, kind, priority`.
pub(crate) fn lane(row: &rusqlite::Row<'_>) -> Result<Lane, Error> {
    lane_at(row, 0)
}

/// The same from a later column on.
pub(crate) fn lane_at(row: &rusqlite::Row<'_>, first: usize) -> Result<Lane, Error> {
    let bad = |column: usize| {
        Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, "not a lane".into())
    };
    Ok(Lane {
        tenant: TenantId(row.get(first)?),
        status: Status::from_number(row.get(first + 1)?).ok_or_else(|| bad(first + 1))?,
        queue: QueueName::parse(row.get_ref(first + 2)?.as_str()?).map_err(|_| bad(first + 2))?,
        kind: Kind::parse(row.get_ref(first + 3)?.as_str()?).map_err(|_| bad(first + 3))?,
        priority: Priority::from_number(row.get(first + 4)?).ok_or_else(|| bad(first + 4))?,
    })
}
