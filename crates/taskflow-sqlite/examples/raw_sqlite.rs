//! The yardstick of SQLite: what the barest queue on this machine reaches, to which `scripts/measure` relates
//! the server's rates. One table with the columns of a task, an index to claim by and one to list by, prepared statements, no rules, no HTTP: each commit
//! (`synchronous=FULL`) inserts, claims and completes a hundred tasks. Prints tasks/s and one-row commits/s.
//!
//!     cargo run --release -p taskflow-sqlite --example raw_sqlite -- [FOLDER] [SECONDS]

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

/// Tasks a commit.
const BATCH: i64 = 100;

const SCHEMA: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -32768; \
     CREATE TABLE tasks(id INTEGER PRIMARY KEY, title TEXT NOT NULL, description TEXT, \
     priority INTEGER NOT NULL, status INTEGER NOT NULL, queue TEXT NOT NULL, kind TEXT NOT NULL, \
     payload TEXT, result TEXT, error TEXT, attempt INTEGER NOT NULL, run_at INTEGER NOT NULL, \
     worker TEXT, lease_until INTEGER, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, \
     started_at INTEGER, ended_at INTEGER); \
     CREATE INDEX ready ON tasks(queue, priority DESC, run_at, id) WHERE status = 0; \
     CREATE INDEX listed ON tasks(status, id);";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().unwrap_or_else(|| ".".into());
    let seconds = words.next().map_or(Ok(2.0), |word| word.parse())?;
    let folder = tempfile::tempdir_in(folder)?;
    let connection = Connection::open(folder.path().join("raw.db"))?;
    connection.execute_batch(SCHEMA)?;
    let limit = Duration::from_secs_f64(seconds);
    let cycle = rate(limit, BATCH, |at| cycle(&connection, at))?;
    let commit = rate(limit, 1, |at| insert(&connection, at, 1))?;
    println!("{{\"cycle_per_second\": {cycle}, \"one_row_commits_per_second\": {commit}}}");
    Ok(())
}

/// How many tasks `step` does in a second, with `batch` a call.
fn rate(
    limit: Duration,
    batch: i64,
    mut step: impl FnMut(i64) -> rusqlite::Result<()>,
) -> rusqlite::Result<u64> {
    let (begun, mut done) = (Instant::now(), 0);
    while begun.elapsed() < limit {
        step(done)?;
        done += batch;
    }
    Ok((done as f64 / begun.elapsed().as_secs_f64()) as u64)
}

fn insert(connection: &Connection, at: i64, many: i64) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO tasks(title, description, priority, status, queue, kind, payload, attempt, \
         run_at, created_at, updated_at) VALUES('a task of the benchmark', 'what it is for', 1, 0, \
         'bench', 'bench.noop', '{\"to\":\"ada@example.org\",\"number\":12345}', 0, ?1, ?1, ?1)",
    )?;
    for number in 0..many {
        insert.execute([at + number])?;
    }
    Ok(())
}

fn cycle(connection: &Connection, at: i64) -> rusqlite::Result<()> {
    connection.execute("BEGIN IMMEDIATE", [])?;
    insert(connection, at, BATCH)?;
    let claimed: Vec<i64> = connection
        .prepare_cached(
            "UPDATE tasks SET status = 1, attempt = attempt + 1, worker = 'w', lease_until = ?1, \
             started_at = ?1, updated_at = ?1 WHERE id IN (SELECT id FROM tasks WHERE status = 0 \
             AND queue = 'bench' ORDER BY priority DESC, run_at, id LIMIT 100) RETURNING *",
        )?
        .query_map([at], |row| {
            (1..18).try_for_each(|column| row.get_ref(column).map(drop))?;
            row.get(0)
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut complete = connection.prepare_cached(
        "UPDATE tasks SET status = 2, lease_until = NULL, result = '{\"ok\":true}', ended_at = ?2, \
         updated_at = ?2 WHERE id = ?1 AND status = 1 AND worker = 'w'",
    )?;
    for id in claimed {
        complete.execute(params![id, at])?;
    }
    connection.execute("COMMIT", []).map(drop)
}
