//! The room of statistics: reads of the kept counts and of the minutes, of what was folded and what was
//! added since.

use std::collections::{BTreeMap, HashMap};

use taskflow_core::series::{Minute, Tally};
use taskflow_core::{Kind, QueueName, TenantId, Timestamp};
use taskflow_store::{Counts, Narrow, Overview};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::lanes::{LOOK, Places};
use crate::rows::{self, get};
use crate::session::{Param, Session};

/// The counts by queue and kind: all of them, then those of each queue, then those of each kind.
const OVERVIEW: &str = "WITH lane AS MATERIALIZED (SELECT queue, kind, status, sum(n)::int8 AS n FROM (\
     SELECT queue, kind, status, n FROM taskflow.task_counts WHERE tenant = $1 \
     UNION ALL SELECT queue, kind, status, n FROM taskflow.task_count_deltas WHERE tenant = $1) AS kept \
     WHERE ($2::text IS NULL OR queue = $2) AND ($3::text IS NULL OR kind = $3) \
     GROUP BY queue, kind, status), \
     counted AS MATERIALIZED (SELECT queue, kind, sum(n) FILTER (WHERE status = 0) AS a, \
     sum(n) FILTER (WHERE status = 1) AS b, sum(n) FILTER (WHERE status = 2) AS c, \
     sum(n) FILTER (WHERE status = 3) AS d, sum(n) FILTER (WHERE status = 4) AS e \
     FROM lane WHERE n <> 0 GROUP BY queue, kind), \
     listed AS (SELECT 0 AS list, '' COLLATE \"C\" AS name, sum(a) AS a, sum(b) AS b, sum(c) AS c, \
     sum(d) AS d, sum(e) AS e FROM counted \
     UNION ALL (SELECT 1, queue, sum(a), sum(b), sum(c), sum(d), sum(e) FROM counted \
     WHERE queue > $4 GROUP BY queue ORDER BY queue LIMIT $6) \
     UNION ALL (SELECT 2, kind, sum(a), sum(b), sum(c), sum(d), sum(e) FROM counted \
     WHERE kind > $5 GROUP BY kind ORDER BY kind LIMIT $6)) \
     SELECT list::int4, name, coalesce(a, 0)::int8, coalesce(b, 0)::int8, coalesce(c, 0)::int8, \
     coalesce(d, 0)::int8, coalesce(e, 0)::int8 FROM listed ORDER BY list, name";

/// Tasks by queue and kind.
pub(crate) async fn overview(
    session: &Session,
    tenant: TenantId,
    narrow: &Narrow,
    limit: u32,
) -> Result<Overview, Failure> {
    let of_queue = narrow.queue.as_ref().map(QueueName::as_str);
    let of_kind = narrow.kind.as_ref().map(Kind::as_str);
    let after_queue = narrow.after_queue.as_ref().map_or("", QueueName::as_str);
    let after_kind = narrow.after_kind.as_ref().map_or("", Kind::as_str);
    let params: [Param<'_>; 6] = [
        (&tenant.0, Type::INT8),
        (&of_queue, Type::TEXT),
        (&of_kind, Type::TEXT),
        (&after_queue, Type::TEXT),
        (&after_kind, Type::TEXT),
        (&(i64::from(limit) + 1), Type::INT8),
    ];
    let mut overview = Overview::default();
    for row in session.query(OVERVIEW, &params).await? {
        match get::<i32>(&row, 0)? {
            0 => overview.total = counts(&row)?,
            1 => overview.queues.push((rows::queue(&row, 1)?, counts(&row)?)),
            _ => overview.kinds.push((rows::kind(&row, 1)?, counts(&row)?)),
        }
    }
    let limit = limit as usize;
    overview.more_queues = overview.queues.len() > limit;
    overview.more_kinds = overview.kinds.len() > limit;
    overview.queues.truncate(limit);
    overview.kinds.truncate(limit);
    Ok(overview)
}

fn counts(row: &Row) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    for (at, count) in counts.0.iter_mut().enumerate() {
        *count = u64::try_from(get::<i64>(row, 2 + at)?)
            .map_err(|_| rows::bad("a count is negative"))?;
    }
    Ok(counts)
}

/// What was folded, and what was added since: of one queue, or of all together.
const SERIES: &str = "SELECT minute, cells, n FROM taskflow.series WHERE tenant = $1 AND queue = $2 \
     AND minute BETWEEN $3 AND $4 UNION ALL SELECT minute, cells, n FROM taskflow.series_deltas \
     WHERE tenant = $1 AND ($2 = '' OR queue = $2) AND minute BETWEEN $3 AND $4";

/// What happened minute by minute.
pub(crate) async fn series(
    session: &Session,
    tenant: TenantId,
    queue: Option<&QueueName>,
    first: Minute,
    last: Minute,
) -> Result<Vec<(Minute, Tally)>, Failure> {
    let queue = queue.map_or("", QueueName::as_str);
    let params: [Param<'_>; 4] = [
        (&tenant.0, Type::INT8),
        (&queue, Type::TEXT),
        (&first.0, Type::INT4),
        (&last.0, Type::INT4),
    ];
    let mut minutes: BTreeMap<Minute, Tally> = BTreeMap::new();
    for row in session.query(SERIES, &params).await? {
        add(&row, minutes.entry(Minute(get(&row, 0)?)).or_default())?;
    }
    Ok(minutes.into_iter().collect())
}

/// The same of some queues, with their names.
const TALLIES: &str = "SELECT queue, cells, n FROM taskflow.series WHERE tenant = $1 AND queue = ANY($2) \
     AND minute BETWEEN $3 AND $4 UNION ALL SELECT queue, cells, n FROM taskflow.series_deltas \
     WHERE tenant = $1 AND queue = ANY($2) AND minute BETWEEN $3 AND $4";

/// What happened in each queue, all minutes together.
pub(crate) async fn tallies(
    session: &Session,
    tenant: TenantId,
    queues: &[QueueName],
    (first, last): (Minute, Minute),
) -> Result<Vec<Tally>, Failure> {
    let names: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
    let params: [Param<'_>; 4] = [
        (&tenant.0, Type::INT8),
        (&names, Type::TEXT_ARRAY),
        (&first.0, Type::INT4),
        (&last.0, Type::INT4),
    ];
    let mut sums: HashMap<String, Tally> = HashMap::new();
    for row in session.query(TALLIES, &params).await? {
        add(&row, sums.entry(get(&row, 0)?).or_default())?;
    }
    Ok(names.iter().map(|name| sums.get(*name).cloned().unwrap_or_default()).collect())
}

/// Adds the cells of a row, which are its second and third column, to a tally.
fn add(row: &Row, tally: &mut Tally) -> Result<(), Failure> {
    let (cells, n) = (get::<Vec<i16>>(row, 1)?, get::<Vec<i64>>(row, 2)?);
    for (cell, n) in cells.into_iter().zip(n) {
        tally.add(cell, u64::try_from(n).map_err(|_| rows::bad("a number is negative"))?);
    }
    Ok(())
}

/// The first `run_at` of each queue's ready tasks: the first entry of each lane of the index that claims walk,
/// from where a claim begins.
pub(crate) async fn oldest(
    session: &Session,
    tenant: TenantId,
    places: &Places,
    queues: &[QueueName],
    now: Timestamp,
) -> Result<Vec<Option<Timestamp>>, Failure> {
    let tenants = vec![tenant.0; places.queue.len()];
    let [low, medium, high, urgent] = &places.floors;
    let params: [Param<'_>; 7] = [
        (&tenants, Type::INT8_ARRAY),
        (&places.queue, Type::TEXT_ARRAY),
        (&places.kind, Type::TEXT_ARRAY),
        (low, Type::INT8_ARRAY),
        (medium, Type::INT8_ARRAY),
        (high, Type::INT8_ARRAY),
        (urgent, Type::INT8_ARRAY),
    ];
    let mut oldest: HashMap<&str, i64> = HashMap::new();
    for (row, queue) in session.query(&LOOK, &params).await?.iter().zip(&places.queue) {
        for priority in 0..places.floors.len() {
            if let Some(run_at) = get::<Option<i64>>(row, priority)? {
                let first = oldest.entry(queue).or_insert(run_at);
                *first = run_at.min(*first);
            }
        }
    }
    let of = |queue: &QueueName| oldest.get(queue.as_str()).copied().map(Timestamp::from_micros);
    Ok(queues.iter().map(|queue| of(queue).filter(|run_at| *run_at <= now)).collect())
}

/// Leases that ended and were not rescued, by the index that the sweep walks.
pub(crate) const OVERDUE: &str = "SELECT count(*) FROM (SELECT 1 FROM taskflow.tasks \
     WHERE lease_until < $2 AND lease_until >= $3 AND tenant = $1 ORDER BY lease_until, id LIMIT $4) AS l";

/// Counts leases that ended before `before`, up to `limit`; none ended before `from`.
pub(crate) async fn overdue(
    session: &Session,
    tenant: TenantId,
    from: i64,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Failure> {
    let params: [Param<'_>; 4] = [
        (&tenant.0, Type::INT8),
        (&before.micros(), Type::INT8),
        (&from, Type::INT8),
        (&i64::from(limit), Type::INT8),
    ];
    let rows = session.query(OVERDUE, &params).await?;
    let counted: i64 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
    u64::try_from(counted).map_err(|_| rows::bad("a count is negative"))
}
