//! What a claim finds in a queue where some `concurrency_key`s are full: first it passes over their tasks,
//! and when too many of those stand in front it takes the first task of each other key.

use rusqlite::types::Value;
use rusqlite::{Connection, Error, params};
use taskflow_core::Timestamp;
use taskflow_core::limits::{KEYED_WALK_MAX, KEYS_WALK_MAX};

use crate::memory::Lane;

/// A walk of the lane in its order, as far as `?6` tasks.
const WALK: &str = "SELECT run_at, id, concurrency_key FROM tasks INDEXED BY tasks_ready \
     WHERE tenant = ?1 AND queue = ?2 AND kind = ?3 AND priority = ?4 AND run_at <= ?5 \
     AND status = 0 AND blocked_by = 0 ORDER BY run_at, id LIMIT ?6 + 0";

/// The next key of a lane after one, and its first task.
const NEXT_KEY: &str = "SELECT concurrency_key, run_at, id FROM tasks INDEXED BY tasks_keyed \
     WHERE tenant = ?1 AND queue = ?2 AND kind = ?3 AND priority = ?4 AND concurrency_key > ?5 \
     AND status = 0 AND blocked_by = 0 AND concurrency_key IS NOT NULL \
     ORDER BY concurrency_key, run_at, id LIMIT 1";

/// The first tasks without a key among the first `?7`.
const UNKEYED: &str = "SELECT run_at, id FROM (SELECT run_at, id, concurrency_key \
     FROM tasks INDEXED BY tasks_ready \
     WHERE tenant = ?1 AND queue = ?2 AND kind = ?3 AND priority = ?4 AND run_at <= ?5 \
     AND status = 0 AND blocked_by = 0 ORDER BY run_at, id LIMIT ?7 + 0) \
     WHERE concurrency_key IS NULL LIMIT ?6 + 0";

/// Up to `wanted` tasks of a lane whose key is not among `full`, by their instants and ids.
pub(crate) fn first(
    connection: &Connection,
    lane: &Lane,
    full: &[&str],
    now: Timestamp,
    wanted: i64,
) -> Result<Vec<(i64, i64)>, Error> {
    let (tenant, queue, kind) = (lane.tenant.0, lane.queue.as_str(), lane.kind.as_str());
    let priority = lane.priority.number();
    let walk = wanted.max(i64::from(KEYED_WALK_MAX));
    let mut seen = 0;
    let mut found: Vec<(i64, i64)> = Vec::new();
    let mut statement = connection.prepare_cached(WALK)?;
    let mut rows = statement.query(params![tenant, queue, kind, priority, now.micros(), walk])?;
    while let Some(row) = rows.next()? {
        seen += 1;
        let key: Option<String> = row.get(2)?;
        if key.is_none_or(|key| full.binary_search(&key.as_str()).is_err()) {
            found.push((row.get(0)?, row.get(1)?));
            if i64::try_from(found.len()).is_ok_and(|n| n >= wanted) {
                return Ok(found);
            }
        }
    }
    if seen < walk {
        return Ok(found);
    }
    // Each other key once: what follows of it comes with the next look.
    let mut after = Value::Text(String::new());
    let mut next = connection.prepare_cached(NEXT_KEY)?;
    for _ in 0..KEYS_WALK_MAX {
        let mut rows = next.query(params![tenant, queue, kind, priority, after])?;
        let Some(row) = rows.next()? else { break };
        let (key, run_at, id): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if run_at <= now.micros() && full.binary_search(&key.as_str()).is_err() {
            found.push((run_at, id));
        }
        after = Value::Text(key);
    }
    let mut statement = connection.prepare_cached(UNKEYED)?;
    let far = KEYED_WALK_MAX * 20;
    let params = params![tenant, queue, kind, priority, now.micros(), wanted, far];
    let rows = statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?;
    for row in rows {
        found.push(row?);
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
    Ok(found)
}
