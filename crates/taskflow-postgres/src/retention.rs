//! The room of retention: SQL that finds and removes what ended long ago. How long tasks are kept is
//! core's to say, when somebody looks the janitor's.

use taskflow_core::limits::{PRUNE_BYTES_MAX, PRUNE_LANES_MAX};
use taskflow_core::{QueueName, Retention, Status, Timestamp};
use taskflow_store::Pruned;
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::rows::{self, get, small};
use crate::session::{Param, Session};

/// Each queue and ended status with its oldest end: one probe of the index for each.
pub(crate) const OLDEST: &str = "WITH RECURSIVE ended(queue, status, ended_at) AS (\
     (SELECT queue, status, ended_at FROM taskflow.tasks WHERE ended_at IS NOT NULL \
     ORDER BY queue, status, ended_at LIMIT 1) \
     UNION ALL SELECT next.queue, next.status, next.ended_at FROM ended AS e CROSS JOIN LATERAL (\
     SELECT t.queue, t.status, t.ended_at FROM taskflow.tasks AS t WHERE t.ended_at IS NOT NULL \
     AND (t.queue, t.status) > (e.queue, e.status) \
     ORDER BY t.queue, t.status, t.ended_at LIMIT 1) AS next) \
     SELECT queue, status, ended_at FROM ended";

/// Removes what ended first in each of these queues and statuses, in one statement, which is one commit.
///
/// The walk of each index range, cut where the texts become too heavy; then the rows themselves, locked
/// when nobody else holds them, with a second look at whether it is still the same end; then all that
/// goes with them. Deletes wait for no lock, so that nodes that do it at once do not meet.
pub(crate) const PRUNE: &str = "WITH walked AS MATERIALIZED (\
     SELECT t.id, t.ended_at, sum(t.bytes) OVER (ORDER BY l.place, t.ended_at, t.id) - t.bytes \
     AS before FROM unnest($1::text[], $2::int2[], $3::int8[]) WITH ORDINALITY \
     AS l(queue, status, until, place) CROSS JOIN LATERAL (SELECT id, ended_at, \
     coalesce(pg_column_size(payload), 0)::int8 + coalesce(pg_column_size(checkpoint), 0) \
     + coalesce(pg_column_size(result), 0) AS bytes FROM taskflow.tasks AS e \
     WHERE e.queue = l.queue AND e.status = l.status AND e.ended_at <= l.until \
     AND NOT EXISTS (SELECT FROM taskflow.waits AS w WHERE w.parent = e.id) \
     ORDER BY e.ended_at LIMIT $4 + 1) AS t ORDER BY l.place, t.ended_at, t.id LIMIT $4 + 1), \
     going AS MATERIALIZED (SELECT id, ended_at FROM walked WHERE before < $5 LIMIT $4), \
     held AS MATERIALIZED (SELECT t.id FROM going AS g JOIN taskflow.tasks AS t \
     ON t.id = g.id AND t.ended_at = g.ended_at FOR UPDATE OF t SKIP LOCKED), \
     gone AS (DELETE FROM taskflow.tasks WHERE id = ANY(ARRAY(SELECT id FROM held)) \
     RETURNING id, tenant, status, queue, kind, priority), \
     history AS (DELETE FROM taskflow.attempts WHERE task = ANY(ARRAY(SELECT id FROM gone))), \
     counted AS (INSERT INTO taskflow.task_count_deltas(tenant, status, queue, kind, priority, n) \
     SELECT tenant, status, queue, kind, priority, -count(*) FROM gone \
     GROUP BY tenant, status, queue, kind, priority) \
     SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM walked) > (SELECT count(*) FROM going)";

/// Removes up to `limit` tasks that are over their time, the oldest end of each queue and status first.
pub(crate) async fn prune(
    session: &Session,
    retention: &Retention,
    now: Timestamp,
    limit: u32,
) -> Result<Pruned, Failure> {
    let mut over: Vec<(i64, QueueName, Status, Timestamp)> = Vec::new();
    for row in session.query(OLDEST, &[]).await? {
        let (queue, oldest) = (rows::queue(&row, 0)?, get::<i64>(&row, 2)?);
        let status = Status::from_number(get::<i16>(&row, 1)?.into());
        let status = status.ok_or_else(|| rows::bad("a number stands for no status"))?;
        let until = retention.until(&queue, status, now);
        if let Some(until) = until.filter(|until| oldest <= until.micros()) {
            over.push((oldest, queue, status, until));
        }
    }
    if over.is_empty() || limit == 0 {
        return Ok(Pruned { deleted: 0, more: !over.is_empty() });
    }
    over.sort_by_key(|(oldest, ..)| *oldest);
    let places = &over[..over.len().min(PRUNE_LANES_MAX)];
    let queues: Vec<&str> = places.iter().map(|(_, queue, ..)| queue.as_str()).collect();
    let statuses: Vec<i16> = places.iter().map(|(.., status, _)| small(status.number())).collect();
    let until: Vec<i64> = places.iter().map(|(.., until)| until.micros()).collect();
    let bytes = i64::try_from(PRUNE_BYTES_MAX).unwrap_or(i64::MAX);
    let params: [Param<'_>; 5] = [
        (&queues, Type::TEXT_ARRAY),
        (&statuses, Type::INT2_ARRAY),
        (&until, Type::INT8_ARRAY),
        (&i64::from(limit), Type::INT8),
        (&bytes, Type::INT8),
    ];
    let rows = session.query(PRUNE, &params).await?;
    let Some(row) = rows.first() else { return Ok(Pruned::default()) };
    Ok(Pruned {
        deleted: u32::try_from(get::<i64>(row, 0)?).unwrap_or(limit),
        more: get::<bool>(row, 1)? || over.len() > places.len(),
    })
}
