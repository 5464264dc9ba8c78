//! The room of retention: SQL that finds and removes what ended long ago. How long tasks are kept is
//! core's to say, when somebody looks the janitor's.

use rusqlite::{Connection, Error, OptionalExtension, params};
use taskflow_core::limits::{PRUNE_BYTES_MAX, PRUNE_LANES_MAX};
use taskflow_core::{QueueName, Retention, Status, Timestamp};
use taskflow_store::Pruned;

use crate::act::Act;
use crate::memory::{Lane, lane_at};

/// A queue and a status with tasks that ended at `until` or before.
#[derive(Debug)]
pub(crate) struct Over {
    queue: QueueName,
    status: Status,
    until: Timestamp,
    oldest: Timestamp,
}

/// The next queue and ended status, and its oldest end: of the same queue first, then of the next one. Not as
/// `(queue, status) > (?1, ?2)`: SQLite begins such a walk at the first of the queue and reads all of it.
const NEXT: [&str; 2] = [
    "SELECT queue, status, ended_at FROM tasks INDEXED BY tasks_ended \
     WHERE ended_at IS NOT NULL AND queue = ?1 AND status > ?2 ORDER BY status, ended_at LIMIT 1",
    "SELECT queue, status, ended_at FROM tasks INDEXED BY tasks_ended \
     WHERE ended_at IS NOT NULL AND queue > ?1 AND ?2 IS NOT NULL \
     ORDER BY queue, status, ended_at LIMIT 1",
];

/// The oldest of a queue and status, with what they weigh: the length of a text is read without it.
const OLDEST: &str = "SELECT id, ifnull(octet_length(payload), 0) + ifnull(octet_length(checkpoint), 0) \
     + ifnull(octet_length(result), 0), tenant, status, queue, kind, priority \
     FROM tasks INDEXED BY tasks_ended \
     WHERE queue = ?1 AND status = ?2 AND ended_at IS NOT NULL AND ended_at <= ?3 \
     AND NOT EXISTS (SELECT 1 FROM waits WHERE parent = tasks.id) ORDER BY ended_at, id LIMIT ?4 + 0";

/// Where anything is over its time, the oldest end first: one probe of the index per queue and status.
pub(crate) fn over(
    connection: &Connection,
    retention: &Retention,
    now: Timestamp,
) -> Result<Vec<Over>, Error> {
    let mut found = Vec::new();
    let [mut same, mut other] =
        [connection.prepare_cached(NEXT[0])?, connection.prepare_cached(NEXT[1])?];
    let place = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    };
    let (mut queue, mut status) = (String::new(), 0_i64);
    loop {
        let mut next = same.query_row(params![queue, status], place).optional()?;
        if next.is_none() {
            next = other.query_row(params![queue, status], place).optional()?;
        }
        let Some((next_queue, next_status, oldest)) = next else { break };
        (queue, status) = (next_queue, next_status);
        let (Ok(name), Some(word)) = (QueueName::parse(&queue), Status::from_number(status)) else {
            continue;
        };
        let oldest = Timestamp::from_micros(oldest);
        if let Some(until) = retention.until(&name, word, now).filter(|until| oldest <= *until) {
            found.push(Over { queue: name, status: word, until, oldest });
        }
    }
    found.sort_by_key(|over| over.oldest);
    Ok(found)
}

/// A task that goes.
struct Going {
    id: i64,
    bytes: u64,
    lane: Lane,
}

impl Act<'_> {
    /// Removes up to `limit` tasks from where a look found them, if they are still there.
    pub(crate) fn prune(&mut self, over: &[Over], limit: u32) -> Result<Pruned, Error> {
        let mut pruned = Pruned { deleted: 0, more: over.len() > PRUNE_LANES_MAX };
        let mut bytes = 0;
        for place in over.iter().take(PRUNE_LANES_MAX) {
            let left = limit - pruned.deleted;
            // One more than may go tells whether there is more.
            for going in self.oldest(place, u64::from(left) + 1)? {
                if pruned.deleted == limit || bytes >= PRUNE_BYTES_MAX {
                    pruned.more = true;
                    return Ok(pruned);
                }
                bytes += going.bytes;
                self.remove(going)?;
                pruned.deleted += 1;
            }
        }
        Ok(pruned)
    }

    fn oldest(&self, over: &Over, limit: u64) -> Result<Vec<Going>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.connection
            .prepare_cached(OLDEST)?
            .query_map(
                params![over.queue.as_str(), over.status.number(), over.until.micros(), limit],
                |row| Ok(Going { id: row.get(0)?, bytes: row.get(1)?, lane: lane_at(row, 2)? }),
            )?
            .collect()
    }

    /// What a delete does to a task that has ended: it waits for nobody and nobody for it.
    fn remove(&mut self, going: Going) -> Result<(), Error> {
        let Going { id, lane, .. } = going;
        self.connection.prepare_cached("DELETE FROM attempts WHERE task = ?1")?.execute([id])?;
        self.connection.prepare_cached("DELETE FROM tasks WHERE id = ?1")?.execute([id])?;
        self.memory.count(lane, -1);
        self.memory.forget_id();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;
    use taskflow_core::retention::Periods;

    use super::*;
    use crate::{connect, migrate};

    /// Counted in steps of SQLite's machine: a time would say little about five thousand tasks.
    #[test]
    fn a_look_costs_the_same_however_many_tasks_a_queue_has_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.db");
        let mut connection = connect::writer(&path).expect("opens");
        migrate::migrate(&mut connection, &path).expect("migrates");
        let many = "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < ?3) \
             INSERT INTO tasks(tenant, title, queue, kind, priority, status, run_at, retrying, blocked_by, \
             attempt, uncounted, max_attempts, lease_seconds, created_at, updated_at, version, ended_at) \
             SELECT 0, 'x', ?1, 'k', 1, ?2, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, value FROM n";
        let (completed, failed) = (Status::Completed.number(), Status::Failed.number());
        for (queue, status, tasks) in
            [("a", completed, 5_000), ("a", failed, 1), ("b", completed, 1)]
        {
            connection.execute(many, params![queue, status, tasks]).expect("inserts");
        }
        let steps = |sql: &str, queue: &str, status: i64| {
            let mut statement = connection.prepare(sql).expect("is SQL");
            statement.query_row(params![queue, status], |_| Ok(())).expect("finds the next");
            statement.get_status(StatementStatus::VmStep)
        };
        assert!(steps(NEXT[0], "a", completed) < 100);
        assert!(steps(NEXT[1], "a", completed) < 100);
        let everywhere = Periods { completed: Some(1), ..Periods::default() };
        let kept = Retention { everywhere, ..Retention::default() };
        let over = over(&connection, &kept, Timestamp::from_micros(10_000_000)).expect("looks");
        let places: Vec<_> = over.iter().map(|over| over.queue.as_str()).collect();
        assert_eq!(places, ["a", "b"]);
    }
}
