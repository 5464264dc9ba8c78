//! What a claim finds behind a crowd of tasks whose `concurrency_key` is full: the first task of each
//! other key, and those without one.

use std::sync::LazyLock;

use taskflow_core::Task;
use taskflow_core::limits::{KEYED_WALK_MAX, KEYS_WALK_MAX};
use tokio_postgres::types::Type;

use crate::desk::Desk;
use crate::error::Failure;
use crate::lanes::Places;
use crate::rows::{self, task_columns};
use crate::session::Param;
use crate::work::FullKeys;

/// The first ready task of each key of one queue's lane and priority, key by key along the index, as far
/// as `$8` keys; then the tasks without a key among the first `$9`. Locks up to `$7` of them.
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
         AND run_at <= $5 ORDER BY run_at, id LIMIT $9), \
         found AS MATERIALIZED (SELECT id FROM (SELECT id, run_at FROM keys WHERE run_at <= $5 \
         AND concurrency_key <> ALL($6::text[]) UNION ALL SELECT id, run_at FROM far \
         WHERE concurrency_key IS NULL) AS f ORDER BY run_at, id LIMIT $7) \
         SELECT {} FROM taskflow.tasks WHERE id = ANY(ARRAY(SELECT id FROM found)) \
         AND status + 0 = 0 AND blocked_by = 0 AND run_at <= $5 ORDER BY run_at, id \
         FOR UPDATE SKIP LOCKED",
        task_columns!()
    )
});

/// Locks what waits behind the tasks of full keys, lane by lane, highest priority first.
pub(crate) async fn candidates(
    desk: &Desk<'_>,
    places: &Places,
    (full_queues, full_keys): &FullKeys,
    wanted: usize,
) -> Result<Vec<Task>, Failure> {
    let mut found = Vec::new();
    let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
    let far = i64::from(KEYED_WALK_MAX) * 20;
    let many = i32::try_from(KEYS_WALK_MAX).unwrap_or(i32::MAX);
    for priority in (0..4_i16).rev() {
        for (queue, kind) in places.queue.iter().zip(&places.kind) {
            let of = full_queues.iter().zip(full_keys).filter(|(of, _)| *of == queue);
            let keys: Vec<&str> = of.map(|(_, key)| key.as_str()).collect();
            if keys.is_empty() {
                continue;
            }
            let params: [Param<'_>; 9] = [
                (&desk.tenant.0, Type::INT8),
                (queue, Type::TEXT),
                (kind, Type::TEXT),
                (&priority, Type::INT2),
                (&desk.now.micros(), Type::INT8),
                (&keys, Type::TEXT_ARRAY),
                (&limit, Type::INT8),
                (&many, Type::INT4),
                (&far, Type::INT8),
            ];
            for row in desk.session.query(&KEYED, &params).await? {
                found.push(rows::task(&row)?);
            }
        }
        if found.len() >= wanted {
            break;
        }
    }
    Ok(found)
}
