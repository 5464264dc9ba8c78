//! Opening: nodes that start at once, schemas of the future, servers and roles that will not do.

use taskflow_postgres::{OpenError, Options, PoolMode, PostgresStore, SCHEMA};
use taskflow_store::Store;
use tokio_postgres::Client;

use crate::databases::{connect, url_of};

/// An empty database of this test's own.
async fn database(word: &str) -> (Client, String) {
    let name = format!("tf_test_{}_{word}", std::process::id());
    let server = connect(&url_of("postgres")).await;
    server
        .batch_execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"))
        .await
        .expect("drops");
    server.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await.expect("creates");
    (server, name)
}

async fn drop_database(server: &Client, name: &str) {
    let drop = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
    server.batch_execute(&drop).await.expect("drops");
}

async fn open(url: String, pool_mode: PoolMode) -> Result<PostgresStore, OpenError> {
    PostgresStore::open(Options { url, pool_mode, pool_size: 3 }).await
}

#[tokio::test]
async fn nodes_that_start_at_once_on_an_empty_database_migrate_it_once() {
    let (server, name) = database("at_once").await;
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..6 {
        opening.spawn(open(url_of(&name), PoolMode::Session));
    }
    while let Some(opened) = opening.join_next().await {
        let store = opened.expect("no panic").expect("opens");
        assert_eq!(store.health().await.expect("answers").schema, i64::from(SCHEMA));
    }
    let client = connect(&url_of(&name)).await;
    let sql = "SELECT count(*) FROM taskflow.migrations";
    let steps: i64 = client.query_one(sql, &[]).await.expect("counts").get(0);
    assert_eq!(steps, i64::from(SCHEMA));
    drop_database(&server, &name).await;
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_refused_and_left_alone() {
    let (server, name) = database("newer").await;
    drop(open(url_of(&name), PoolMode::Session).await.expect("opens"));
    let client = connect(&url_of(&name)).await;
    let sql = "INSERT INTO taskflow.migrations(version, name, applied_on, checksum) \
               VALUES (9999, 'future', '2030-01-01T00:00:00Z', '1')";
    client.batch_execute(sql).await.expect("inserts");
    let refused = open(url_of(&name), PoolMode::Session).await.err();
    assert!(matches!(refused, Some(OpenError::TooNew { found: 9999, .. })), "{refused:?}");
    drop_database(&server, &name).await;
}

#[tokio::test]
async fn a_database_that_acknowledges_too_early_is_told_better_or_refused() {
    let (server, name) = database("early").await;
    let sql = format!("ALTER DATABASE \"{name}\" SET synchronous_commit = off");
    server.batch_execute(&sql).await.expect("alters");
    let refused = open(url_of(&name), PoolMode::Transaction).await.err();
    assert!(matches!(refused, Some(OpenError::NotDurable)), "{refused:?}");
    // A connection of its own says itself what it wants.
    drop(open(url_of(&name), PoolMode::Session).await.expect("opens"));
    drop_database(&server, &name).await;
}

#[tokio::test]
async fn a_role_that_may_not_create_is_refused_without_its_password() {
    let (server, name) = database("rights").await;
    let role = format!("tf_test_{}_nobody", std::process::id());
    let sql = format!(
        "CREATE ROLE \"{role}\" LOGIN PASSWORD 'sesame-open'; \
         REVOKE CREATE ON DATABASE \"{name}\" FROM PUBLIC"
    );
    server.batch_execute(&sql).await.expect("creates");
    let url = url_of(&name);
    let (_, place) = url.split_once('@').expect("a URL with a user");
    let url = format!("postgresql://{role}:sesame-open@{place}");
    let refused = open(url, PoolMode::Session).await.err();
    drop_database(&server, &name).await;
    server.batch_execute(&format!("DROP ROLE \"{role}\"")).await.expect("drops");
    let Some(refused @ OpenError::Refused(_)) = refused else { panic!("{refused:?}") };
    let cause = std::error::Error::source(&refused).expect("the server said why");
    let text = format!("{refused} {cause:?} {cause}");
    assert!(text.contains("permission denied"), "{text}");
    assert!(!text.contains("sesame"), "{text}");
}
