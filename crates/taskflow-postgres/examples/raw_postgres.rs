//! The yardstick of PostgreSQL: what the barest queue on this server reaches, to which `scripts/measure`
//! relates TaskFlow's rates. One table with
//! the columns of a task, an index to claim by and one to list by, prepared statements, no rules, no HTTP: four connections,
//! each inserting, claiming and completing a hundred tasks in three commits. Prints tasks/s and one-row
//! commits/s. It makes a schema `taskflow_raw` in the database and drops it.
//!
//!     cargo run --release -p taskflow-postgres --example raw_postgres -- postgres://… [SECONDS]

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Error, NoTls, Statement};

/// Tasks a statement.
const BATCH: i64 = 100;
/// More connections make claims slower.
const CONNECTIONS: usize = 4;

const SCHEMA: &str = "DROP SCHEMA IF EXISTS taskflow_raw CASCADE; CREATE SCHEMA taskflow_raw; \
     CREATE TABLE taskflow_raw.tasks(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
     title text NOT NULL, description text, priority smallint NOT NULL, status smallint NOT NULL, \
     queue text NOT NULL, kind text NOT NULL, payload text, result text, error text, \
     attempt int NOT NULL, run_at bigint NOT NULL, worker text, lease_until bigint, \
     created_at bigint NOT NULL, updated_at bigint NOT NULL, started_at bigint, ended_at bigint); \
     CREATE INDEX ready ON taskflow_raw.tasks(queue, priority DESC, run_at, id) WHERE status = 0; \
     CREATE INDEX listed ON taskflow_raw.tasks(status, id);";
const INSERT: &str = "INSERT INTO taskflow_raw.tasks(title, description, priority, status, queue, kind, \
     payload, attempt, run_at, created_at, updated_at) SELECT 'a task of the benchmark', 'what it is for', \
     1, 0, 'bench', 'bench.noop', '{\"to\":\"ada@example.org\",\"number\":12345}', 0, at, at, at \
     FROM unnest($1::int8[]) AS at";
const CLAIM: &str = "UPDATE taskflow_raw.tasks SET status = 1, attempt = attempt + 1, worker = 'w', \
     lease_until = $1, started_at = $1, updated_at = $1 \
     WHERE id = ANY(ARRAY(SELECT id FROM taskflow_raw.tasks WHERE status = 0 AND queue = 'bench' \
     ORDER BY priority DESC, run_at, id LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING *";
// `status + 0`: under old statistics the planner would take an index of the status.
const COMPLETE: &str = "UPDATE taskflow_raw.tasks SET status = 2, lease_until = NULL, \
     result = '{\"ok\":true}', ended_at = $2, updated_at = $2 \
     WHERE id = ANY($1) AND status + 0 = 1 AND worker = 'w'";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let url = words.next().ok_or("the URL of a database is missing")?;
    let seconds = words.next().map_or(Ok(2.0), |word| word.parse())?;
    let limit = Duration::from_secs_f64(seconds);
    let control = connect(&url).await?;
    control.batch_execute(SCHEMA).await?;
    let cycle = cycles(&url, limit).await?;
    let (begun, mut commits) = (Instant::now(), 0_u64);
    let insert = control.prepare(INSERT).await?;
    while begun.elapsed() < limit {
        control.execute(&insert, &[&vec![1_i64]]).await?;
        commits += 1;
    }
    let commit = (commits as f64 / begun.elapsed().as_secs_f64()) as u64;
    control.batch_execute("DROP SCHEMA taskflow_raw CASCADE").await?;
    println!("{{\"cycle_per_second\": {cycle}, \"one_row_commits_per_second\": {commit}}}");
    Ok(())
}

async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        .await?;
    Ok(client)
}

async fn cycles(url: &str, limit: Duration) -> Result<u64, Box<dyn std::error::Error>> {
    let (done, clock) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicI64::new(0)));
    let begun = Instant::now();
    let mut running = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = connect(url).await?;
        let (done, clock) = (Arc::clone(&done), Arc::clone(&clock));
        running.push(tokio::spawn(async move {
            let statements = [
                client.prepare(INSERT).await?,
                client.prepare(CLAIM).await?,
                client.prepare(COMPLETE).await?,
            ];
            while begun.elapsed() < limit {
                let at = clock.fetch_add(BATCH, Ordering::Relaxed);
                done.fetch_add(cycle(&client, &statements, at).await?, Ordering::Relaxed);
            }
            Ok::<(), Error>(())
        }));
    }
    for task in running {
        task.await??;
    }
    Ok((done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()) as u64)
}

/// Inserts, claims and completes; how many were completed.
async fn cycle(
    client: &Client,
    [insert, claim, complete]: &[Statement; 3],
    at: i64,
) -> Result<u64, Error> {
    let instants: Vec<i64> = (at..at + BATCH).collect();
    client.execute(insert, &[&instants]).await?;
    let claimed = client.query(claim, &[&at, &BATCH]).await?;
    let ids: Vec<i64> = claimed.iter().map(|row| row.get(0)).collect();
    client.execute(complete, &[&ids, &at]).await
}
