//! Brings the schema up to date, by refinery (it keeps the number in `taskflow.migrations`).
//! It refuses a newer schema, and commits that would not be durable.

use refinery::{Migration, Runner, Target};
use tokio_postgres::Client;

use crate::connect::Server;
use crate::error::OpenError;

const STEPS: &[(&str, &str)] = &[
    ("V1__tasks", include_str!("../migrations/0001_tasks.sql")),
    ("V2__walks", include_str!("../migrations/0002_walks.sql")),
    ("V3__queues", include_str!("../migrations/0003_queues.sql")),
    ("V4__lists", include_str!("../migrations/0004_lists.sql")),
    ("V5__workers", include_str!("../migrations/0005_workers.sql")),
    ("V6__idempotency", include_str!("../migrations/0006_idempotency.sql")),
    ("V7__stats", include_str!("../migrations/0007_stats.sql")),
    ("V8__search", include_str!("../migrations/0008_search.sql")),
    ("V9__lanes", include_str!("../migrations/0009_lanes.sql")),
    ("V10__sessions", include_str!("../migrations/0010_sessions.sql")),
];

/// The newest schema that this program knows.
pub const SCHEMA: i32 = STEPS.len() as i32;

/// Nodes that start at once migrate one after the other.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('taskflow migration', 0))";

/// Applies what is missing, on connections of its own.
pub(crate) async fn migrate(server: &Server) -> Result<(), OpenError> {
    let server = &server.patient();
    let guard = connect(server).await?;
    check_durable(&guard).await?;
    if found(&guard).await? == Some(SCHEMA) {
        return Ok(());
    }
    // Held by a transaction, which a pooler keeps on one connection, until the guard goes.
    guard.batch_execute("BEGIN").await.map_err(OpenError::Refused)?;
    guard.batch_execute(LOCK).await.map_err(OpenError::Refused)?;
    let mut client = connect(server).await?;
    match found(&client).await? {
        Some(found) if found > SCHEMA => return Err(OpenError::TooNew { found, known: SCHEMA }),
        Some(found) if found == SCHEMA => return Ok(()),
        _ => {}
    }
    client
        .batch_execute("CREATE SCHEMA IF NOT EXISTS taskflow")
        .await
        .map_err(OpenError::Refused)?;
    run(&mut client, Target::Latest).await?;
    guard.batch_execute("COMMIT").await.map_err(OpenError::Refused)
}

/// Applies what is missing up to a step.
pub(crate) async fn run(client: &mut Client, target: Target) -> Result<(), OpenError> {
    let steps: Result<Vec<Migration>, _> =
        STEPS.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect();
    let failed = |error: refinery::Error| OpenError::Migration(Box::new(error));
    let mut runner = Runner::new(&steps.map_err(failed)?).set_target(target);
    runner.set_migration_table_name("taskflow.migrations");
    runner.run_async(client).await.map_err(failed)?;
    Ok(())
}

/// A connection that lives as long as its client.
async fn connect(server: &Server) -> Result<Client, OpenError> {
    let (client, connection) =
        server.connect().await.map_err(|error| match error.as_db_error() {
            Some(_) => OpenError::Refused(error),
            None if error.to_string().contains("TLS") => OpenError::Handshake(error),
            None => OpenError::Unreachable(Box::new(error)),
        })?;
    crate::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %crate::error::chain(&error), "a connection ended");
        }
    });
    Ok(client)
}

/// The schema that is there; none before the first migration.
async fn found(client: &Client) -> Result<Option<i32>, OpenError> {
    let there = client
        .query_typed("SELECT to_regclass('taskflow.migrations') IS NOT NULL", &[])
        .await
        .map_err(OpenError::Refused)?;
    if !there.first().is_some_and(|row| row.get(0)) {
        return Ok(None);
    }
    let rows = client
        .query_typed("SELECT max(version)::int4 FROM taskflow.migrations", &[])
        .await
        .map_err(OpenError::Refused)?;
    Ok(rows.first().and_then(|row| row.get(0)))
}

/// An acknowledged commit must be on disk.
async fn check_durable(client: &Client) -> Result<(), OpenError> {
    let sql = "SELECT current_setting('synchronous_commit'), current_setting('fsync'), \
               current_setting('full_page_writes'), current_setting('server_encoding')";
    let rows = client.query_typed(sql, &[]).await.map_err(OpenError::Refused)?;
    for row in &rows {
        let setting = |column| row.get::<_, &str>(column);
        if setting(0) == "off" {
            return Err(OpenError::NotDurable);
        }
        if setting(3) != "UTF8" {
            return Err(OpenError::Encoding(setting(3).to_owned()));
        }
        if setting(1) == "off" || setting(2) == "off" {
            tracing::warn!(
                "the PostgreSQL server runs with fsync or full_page_writes off: \
                 a crash of its machine can lose acknowledged tasks"
            );
        }
    }
    Ok(())
}
