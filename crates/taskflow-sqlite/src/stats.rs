//! The room of statistics: reads of the kept counts and of the minutes. They are written by `memory.rs` and
//! `series.rs`.

use rusqlite::{Connection, Error, Row, params};
use taskflow_core::series::{Minute, Tally};
use taskflow_core::{Kind, QueueName, TenantId, Timestamp};
use taskflow_store::{Counts, Narrow, Overview};

use crate::memory::lane;
use crate::series::cells;
use crate::work::first_after;

/// The counts by queue and kind: all of them, then those of each queue, then those of each kind.
const OVERVIEW: &str = "WITH counted AS MATERIALIZED (SELECT queue, kind, \
     sum(CASE status WHEN 0 THEN n ELSE 0 END) AS pending, \
     sum(CASE status WHEN 1 THEN n ELSE 0 END) AS in_progress, \
     sum(CASE status WHEN 2 THEN n ELSE 0 END) AS completed, \
     sum(CASE status WHEN 3 THEN n ELSE 0 END) AS failed, \
     sum(CASE status WHEN 4 THEN n ELSE 0 END) AS cancelled \
     FROM task_counts WHERE tenant = ?1 AND (?2 IS NULL OR queue = ?2) \
     AND (?3 IS NULL OR kind = ?3) GROUP BY queue, kind) \
     SELECT 0, '', sum(pending), sum(in_progress), sum(completed), sum(failed), sum(cancelled) \
     FROM counted WHERE true HAVING count(*) > 0 \
     UNION ALL SELECT * FROM (SELECT 1, queue, sum(pending), sum(in_progress), sum(completed), \
     sum(failed), sum(cancelled) FROM counted WHERE queue > ?4 GROUP BY queue ORDER BY queue LIMIT ?6 + 0) \
     UNION ALL SELECT * FROM (SELECT 2, kind, sum(pending), sum(in_progress), sum(completed), \
     sum(failed), sum(cancelled) FROM counted WHERE kind > ?5 GROUP BY kind ORDER BY kind LIMIT ?6 + 0)";

/// Tasks by queue and kind from the kept counts.
pub(crate) fn overview(
    connection: &Connection,
    tenant: TenantId,
    narrow: &Narrow,
    limit: u32,
) -> Result<Overview, Error> {
    let queue = |name: &Option<QueueName>| name.as_ref().map(|name| name.as_str().to_owned());
    let kind = |name: &Option<Kind>| name.as_ref().map(|name| name.as_str().to_owned());
    let mut statement = connection.prepare_cached(OVERVIEW)?;
    let mut rows = statement.query(params![
        tenant.0,
        queue(&narrow.queue),
        kind(&narrow.kind),
        queue(&narrow.after_queue).unwrap_or_default(),
        kind(&narrow.after_kind).unwrap_or_default(),
        i64::from(limit) + 1,
    ])?;
    let bad = || Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, "no name".into());
    let mut overview = Overview::default();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_str()?;
        match row.get(0)? {
            0 => overview.total = counts(row)?,
            1 => overview.queues.push((QueueName::parse(name).map_err(|_| bad())?, counts(row)?)),
            _ => overview.kinds.push((Kind::parse(name).map_err(|_| bad())?, counts(row)?)),
        }
    }
    let limit = limit as usize;
    overview.more_queues = overview.queues.len() > limit;
    overview.more_kinds = overview.kinds.len() > limit;
    overview.queues.truncate(limit);
    overview.kinds.truncate(limit);
    Ok(overview)
}

fn counts(row: &Row<'_>) -> Result<Counts, Error> {
    Ok(Counts([row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?]))
}

const SERIES: &str = "SELECT minute, cells FROM series \
     WHERE tenant = ?1 AND queue = ?2 AND minute BETWEEN ?3 AND ?4 ORDER BY minute";

/// What happened minute by minute.
pub(crate) fn series(
    connection: &Connection,
    tenant: TenantId,
    queue: Option<&QueueName>,
    first: Minute,
    last: Minute,
) -> Result<Vec<(Minute, Tally)>, Error> {
    let queue = queue.map_or("", QueueName::as_str);
    connection
        .prepare_cached(SERIES)?
        .query_map(params![tenant.0, queue, first.0, last.0], |row| {
            let mut tally = Tally::default();
            for (cell, n) in cells(row.get_ref(1)?.as_str()?)? {
                tally.add(cell, n);
            }
            Ok((Minute(row.get(0)?), tally))
        })?
        .collect()
}

/// What happened in each queue, all minutes together.
pub(crate) fn tallies(
    connection: &Connection,
    tenant: TenantId,
    queues: &[QueueName],
    first: Minute,
    last: Minute,
) -> Result<Vec<Tally>, Error> {
    let sum = |queue| {
        let mut sum = Tally::default();
        let minutes = series(connection, tenant, Some(queue), first, last)?;
        minutes.iter().for_each(|(_, tally)| sum.merge(tally));
        Ok(sum)
    };
    queues.iter().map(sum).collect()
}

/// The lanes of a queue in which tasks are pending.
const PENDING: &str = "SELECT tenant, status, queue, kind, priority FROM task_counts \
     WHERE tenant = ?1 AND status = 0 AND queue = ?2 AND n > 0";

/// The first `run_at` of each queue's ready tasks: the first entry of each lane of the index that claims walk.
pub(crate) fn oldest(
    connection: &Connection,
    tenant: TenantId,
    queues: &[QueueName],
    now: Timestamp,
) -> Result<Vec<Option<Timestamp>>, Error> {
    let mut pending = connection.prepare_cached(PENDING)?;
    let mut oldest = Vec::with_capacity(queues.len());
    for queue in queues {
        let mut first: Option<Timestamp> = None;
        for lane in pending.query_map(params![tenant.0, queue.as_str()], lane)? {
            let run_at = first_after(connection, &lane?, Timestamp::from_micros(i64::MIN))?;
            first = [first, run_at].into_iter().flatten().min();
        }
        oldest.push(first.filter(|run_at| *run_at <= now));
    }
    Ok(oldest)
}

/// Leases that ended and were not rescued, by the index that the sweep walks.
pub(crate) fn overdue(
    connection: &Connection,
    tenant: TenantId,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM tasks INDEXED BY tasks_leased \
             WHERE lease_until < ?2 AND tenant = ?1 LIMIT ?3 + 0)",
        )?
        .query_row(params![tenant.0, before.micros(), limit], |row| row.get(0))
}
