//! How SQLite means to carry out the reads that grow with the number of tasks. Plans only, no times.

use super::*;
use crate::{connect, migrate};

/// The steps of `sql`, as SQLite explains them.
fn plan(connection: &Connection, sql: &str, parameters: &[i64]) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("is SQL");
    let steps = statement
        .query_map(rusqlite::params_from_iter(parameters), |row| row.get("detail"))
        .expect("is explained");
    steps.collect::<Result<_, _>>().expect("steps")
}

fn database() -> (tempfile::TempDir, Connection) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.db");
    let mut connection = connect::writer(&path).expect("opens");
    migrate::migrate(&mut connection, &path).expect("migrates");
    (folder, connection)
}

/// No table or index is read from end to end, and nothing is sorted.
fn walks_ranges(plan: &[String]) -> bool {
    plan.iter().any(|step| step.starts_with("SEARCH "))
        && !plan.iter().any(|step| step.starts_with("SCAN ") || step.contains("TEMP B-TREE"))
}

#[test]
fn statistics_read_the_counts_of_one_tenant_and_no_task() {
    let (_folder, connection) = database();
    let plan = plan(&connection, COUNTED, &[1]);
    assert!(walks_ranges(&plan), "{plan:#?}");
    assert!(!plan.iter().any(|step| step.contains(" tasks ")), "{plan:#?}");
}
