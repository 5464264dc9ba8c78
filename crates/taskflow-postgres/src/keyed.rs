//! What a claim finds in a queue where some `concurrency_key`s are full: first it passes over their tasks,
//! and when too many of those stand in front it takes the first task of each other key.

use std::sync::LazyLock;

use taskflow_core::Task;
use taskflow_core::limits::{KEYED_WALK_MAX, KEYS_WALK_MAX};
use tokio_postgres::types::Type;

use crate::desk::Desk;
use crate::error::Failure;
use crate::lanes::Places;
use crate::rows::{self, get, task_columns};
use crate::session::Param;
use crate::work::FullKeys;

/// A walk of one lane and priority in its order, as far as `$8` tasks; up to `$7` of other keys, locked,
/// each with how far the walk went when it found fewer. `$9` are passed over too.
///
/// It ends where it has found enough, and the full keys are hashed: hundreds of them, compared with each
/// of a thousand tasks, took longer than everything else in a claim.
pub(crate) static PASSING: LazyLock<String> = LazyLock::new(|| {
    let walk = "SELECT id, run_at, concurrency_key FROM taskflow.tasks \
         WHERE tenant = $1 AND queue = $2 AND kind = $3 AND priority = $4 AND status = 0 \
         AND blocked_by = 0 AND run_at <= $5 ORDER BY run_at, id LIMIT $8";
    format!(
        "WITH found AS MATERIALIZED (SELECT id FROM ({walk}) AS walk WHERE (concurrency_key IS NULL \
         OR concurrency_key NOT IN (SELECT unnest($6::text[]))) AND id <> ALL($9::int8[]) \
         ORDER BY run_at, id LIMIT $7) \
         SELECT {}, CASE WHEN (SELECT count(*) FROM found) >= $7 THEN $8::int8 \
         ELSE (SELECT count(*) FROM ({walk}) AS walk) END FROM taskflow.tasks \
         WHERE id = ANY(ARRAY(SELECT id FROM found)) AND status + 0 = 0 AND blocked_by = 0 \
         AND run_at <= $5 ORDER BY run_at, id FOR UPDATE SKIP LOCKED",
        task_columns!()
    )
});

/// The first ready task of each key of one lane and priority, key by key along the index, as far as `$8`
/// keys; then the tasks without a key among the first `$10`. Locks up to `$7` of them.
pub(crate) static KEYED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH RECURSIVE keys AS ((SELECT concurrency_key, id, run_at, 1 AS n FROM taskflow.tasks \
         WHERE tenant = $1 AND queue = $2 AND kind = $3 AND priority = $4 AND status = 0 \
         AND blocked_by = 0 AND concurrency_key IS NOT NULL \
         ORDER BY concurrency_key, run_at, id LIMIT 1) \
         UNION ALL SELECT next.*, keys.n + 1 FROM keys CROSS JOIN LATERAL \
         (SELECT concurrency_key, id, run_at FROM taskflow.tasks WHERE tenant = $1 AND queue = $2 \
         AND kind = $3 AND priority = $4 AND status = 0 AND blocked_by = 0 \
         AND concurrency_key IS NOT NULL AND concurrency_key > keys.concurrency_key \
         ORDER BY concurrency_key, run_at, id LIMIT 1) AS next WHERE keys.n < $8), \
         far AS MATERIALIZED (SELECT id, run_at, concurrency_key FROM taskflow.tasks WHERE tenant = $1 \
         AND queue = $2 AND kind = $3 AND priority = $4 AND status = 0 AND blocked_by = 0 \
         AND run_at <= $5 ORDER BY run_at, id LIMIT $10), \
         found AS MATERIALIZED (SELECT id FROM (SELECT id, run_at FROM keys WHERE run_at <= $5 \
         AND concurrency_key NOT IN (SELECT unnest($6::text[])) UNION ALL SELECT id, run_at FROM far \
         WHERE concurrency_key IS NULL) AS f WHERE id <> ALL($9::int8[]) \
         ORDER BY run_at, id LIMIT $7) \
         SELECT {} FROM taskflow.tasks WHERE id = ANY(ARRAY(SELECT id FROM found)) \
         AND status + 0 = 0 AND blocked_by = 0 AND run_at <= $5 ORDER BY run_at, id \
         FOR UPDATE SKIP LOCKED",
        task_columns!()
    )
});

/// Locks up to `wanted` tasks of each lane and priority of queues with full keys, highest priority first;
/// lower ones only when those above do not suffice, or when `oldest` says what is passed over on the search
/// for the oldest.
pub(crate) async fn candidates(
    desk: &Desk<'_>,
    places: &Places,
    (full_queues, full_keys): &FullKeys,
    wanted: usize,
    oldest: Option<&[i64]>,
) -> Result<Vec<Task>, Failure> {
    let handed = oldest.unwrap_or_default();
    let mut found = Vec::new();
    for priority in (0..4_i16).rev() {
        for (queue, kind) in places.queue.iter().zip(&places.kind) {
            let of = full_queues.iter().zip(full_keys).filter(|(of, _)| *of == queue);
            let keys: Vec<&str> = of.map(|(_, key)| key.as_str()).collect();
            found.extend(lane(desk, (queue, kind, priority), &keys, wanted, handed).await?);
        }
        if oldest.is_none() && found.len() >= wanted {
            break;
        }
    }
    Ok(found)
}

async fn lane(
    desk: &Desk<'_>,
    (queue, kind, priority): (&String, &String, i16),
    keys: &[&str],
    wanted: usize,
    handed: &[i64],
) -> Result<Vec<Task>, Failure> {
    let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
    let walk = limit.saturating_add(i64::from(KEYED_WALK_MAX));
    let far = i64::from(KEYED_WALK_MAX) * 20;
    let many = i32::try_from(KEYS_WALK_MAX).unwrap_or(i32::MAX);
    let now = desk.now.micros();
    let head: [Param<'_>; 7] = [
        (&desk.tenant.0, Type::INT8),
        (queue, Type::TEXT),
        (kind, Type::TEXT),
        (&priority, Type::INT2),
        (&now, Type::INT8),
        (&keys, Type::TEXT_ARRAY),
        (&limit, Type::INT8),
    ];
    let passing: [Param<'_>; 2] = [(&walk, Type::INT8), (&handed, Type::INT8_ARRAY)];
    let rows = desk.session.query(&PASSING, &[&head[..], &passing[..]].concat()).await?;
    let went: i64 = rows.first().map_or(Ok(walk), |row| get(row, row.len() - 1))?;
    let mut found: Vec<Task> = rows.iter().map(rows::task).collect::<Result<_, _>>()?;
    if found.len() >= wanted || went < walk {
        return Ok(found);
    }
    let keyed: [Param<'_>; 3] =
        [(&many, Type::INT4), (&handed, Type::INT8_ARRAY), (&far, Type::INT8)];
    for row in desk.session.query(&KEYED, &[&head[..], &keyed[..]].concat()).await? {
        let task = rows::task(&row)?;
        if !found.iter().any(|known| known.id == task.id) {
            found.push(task);
        }
    }
    Ok(found)
}
