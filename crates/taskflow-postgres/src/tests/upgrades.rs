//! A database of the schema before, brought up to date by the program of today. It needs a server
//! (`TEST_DATABASE_URL`), as `tests/it` does.

use refinery::Target;
use tokio_postgres::NoTls;

use super::url;
use crate::connect;
use crate::migrate;
use crate::options::{Options, PoolMode};

#[tokio::test]
async fn tasks_of_schema_2_have_their_tags_and_births() {
    let name = format!("tf_test_{}_upgrades", std::process::id());
    let (server, connection) = tokio_postgres::connect(&url(), NoTls).await.expect("connects");
    tokio::spawn(async move { drop(connection.await) });
    server.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await.expect("creates");
    let options = Options { url: url(), pool_size: 4, pool_mode: PoolMode::Session };
    let mut reached = connect::server(&options, "upgrades").expect("a configuration");
    reached.config.dbname(&name);
    {
        let (mut client, connection) = reached.connect().await.expect("connects");
        tokio::spawn(async move { drop(connection.await) });
        client.batch_execute("CREATE SCHEMA taskflow").await.expect("creates");
        migrate::run(&mut client, Target::Version(2)).await.expect("the schema of before");
        client
            .batch_execute(
                "INSERT INTO taskflow.tasks(id, tenant, status, priority, queue, kind, run_at, \
                 max_attempts, lease_seconds, created_at, updated_at, version, title, tags) \
                 SELECT i, 1, 0, 1, 'q', 'k', i, 5, 30, \
                 CASE WHEN i < 10 THEN 9000 ELSE i END, i, 1, 't', \
                 CASE i WHEN 7 THEN '[\"a\",\"é\"]' END FROM generate_series(1, 3000) AS i",
            )
            .await
            .expect("fills");
        migrate::migrate(&reached).await.expect("migrates");
        let sql = "SELECT task FROM taskflow.task_tags WHERE tenant = 1 AND tag = 'é'";
        let tagged: i64 = client.query_one(sql, &[]).await.expect("one").get(0);
        assert_eq!(tagged, 7);
        let sql = "SELECT at, id FROM taskflow.task_births ORDER BY id";
        let births = client.query(sql, &[]).await.expect("births");
        let births: Vec<(i64, i64)> = births.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(births, [(9_000, 1_024), (9_000, 2_048)]);
    }
    let drop = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
    server.batch_execute(&drop).await.expect("drops");
}
