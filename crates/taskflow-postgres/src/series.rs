//! What happened minute by minute: collected at the desk, written with each commit as a row of its own, and
//! folded by the keeper. What counts as what is core's to say; `stats.rs` reads it.

use std::collections::BTreeMap;

use taskflow_core::limits::{SERIES_MINUTES_MAX, SERIES_QUEUES_MAX};
use taskflow_core::series::{Cell, Minute};
use taskflow_core::{QueueName, TenantId};
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::session::{Param, Session};

/// What a transaction did.
pub(crate) type Tallying = BTreeMap<(TenantId, QueueName, Minute, Cell), i64>;

/// The same as columns.
#[derive(Default)]
pub(crate) struct Cells<'a> {
    pub(crate) tenant: Vec<i64>,
    pub(crate) queue: Vec<&'a str>,
    pub(crate) minute: Vec<i32>,
    pub(crate) cell: Vec<i16>,
    pub(crate) n: Vec<i64>,
}

impl<'a> Cells<'a> {
    pub(crate) fn of(tallying: &'a Tallying) -> Self {
        let mut cells = Self::default();
        for ((tenant, queue, minute, cell), n) in tallying {
            cells.tenant.push(tenant.0);
            cells.queue.push(queue.as_str());
            cells.minute.push(minute.0);
            cells.cell.push(*cell);
            cells.n.push(*n);
        }
        cells
    }
}

/// Takes what transactions added to the minutes and adds it to the kept ones: to the queue's, when the
/// minute has one of it or room for one, and to that of all together. Two nodes take different rows, and
/// the order of the kept ones is the same everywhere, so that two never wait for each other.
pub(crate) const FOLD: &str = "WITH taken AS (DELETE FROM taskflow.series_deltas \
     WHERE ctid = ANY(ARRAY(SELECT ctid FROM taskflow.series_deltas WHERE id >= $1 ORDER BY id \
     LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING id, tenant, queue, minute, cells, n), \
     ranked AS (SELECT tenant, queue, minute, row_number() OVER (PARTITION BY minute \
     ORDER BY tenant, queue) + (SELECT count(*) FROM taskflow.series AS s \
     WHERE s.minute = d.minute AND s.queue <> '') AS place, EXISTS(SELECT FROM taskflow.series AS s \
     WHERE s.tenant = d.tenant AND s.queue = d.queue AND s.minute = d.minute) AS there \
     FROM (SELECT DISTINCT tenant, queue, minute FROM taken) AS d), \
     spread AS (SELECT t.tenant, '' COLLATE \"C\" AS queue, t.minute, c.cell, c.n FROM taken AS t \
     CROSS JOIN LATERAL unnest(t.cells, t.n) AS c(cell, n) \
     UNION ALL SELECT t.tenant, t.queue, t.minute, c.cell, c.n FROM ranked AS r JOIN taken AS t \
     ON t.tenant = r.tenant AND t.queue = r.queue AND t.minute = r.minute \
     CROSS JOIN LATERAL unnest(t.cells, t.n) AS c(cell, n) WHERE r.there OR r.place <= $3), \
     summed AS (SELECT tenant, queue, minute, cell, sum(n)::int8 AS n FROM spread \
     GROUP BY tenant, queue, minute, cell), \
     folded AS (INSERT INTO taskflow.series AS s (tenant, queue, minute, cells, n) \
     SELECT tenant, queue, minute, array_agg(cell ORDER BY cell), array_agg(n ORDER BY cell) \
     FROM summed GROUP BY tenant, queue, minute ORDER BY tenant, queue, minute \
     ON CONFLICT (tenant, queue, minute) DO UPDATE SET (cells, n) = (\
     SELECT array_agg(m.cell ORDER BY m.cell), array_agg(m.n ORDER BY m.cell) FROM (\
     SELECT b.cell, sum(b.n)::int8 AS n FROM (SELECT * FROM unnest(s.cells, s.n) AS old(cell, n) \
     UNION ALL SELECT * FROM unnest(excluded.cells, excluded.n) AS new(cell, n)) AS b(cell, n) \
     GROUP BY b.cell) AS m)) \
     SELECT max(id) FROM taken";

/// How many rows one statement folds.
pub(crate) const FOLD_MAX: i64 = 5_000;

/// Most queues that a minute has a row of.
pub(crate) const QUEUES_MAX: i64 = SERIES_QUEUES_MAX as i64;

/// Most rows that one statement removes when they are too old: more than a look's worth.
const FORGET_MAX: i64 = 10_000;

/// Removes minutes that are too old, counted from the latest that there is.
pub(crate) async fn forget(session: &Session) -> Result<(), Failure> {
    let kept = i32::try_from(SERIES_MINUTES_MAX).unwrap_or(i32::MAX);
    let sql = "DELETE FROM taskflow.series WHERE ctid = ANY(ARRAY(SELECT ctid FROM taskflow.series \
               WHERE minute < (SELECT max(minute) FROM taskflow.series) - $1 ORDER BY minute LIMIT $2 FOR UPDATE SKIP LOCKED))";
    let params: [Param<'_>; 2] = [(&kept, Type::INT4), (&FORGET_MAX, Type::INT8)];
    session.query(sql, &params).await?;
    Ok(())
}
