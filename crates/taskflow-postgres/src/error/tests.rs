//! What each of PostgreSQL's refusals means for the transaction that met it, asked of a real server.
//! It needs one (`TEST_DATABASE_URL`), as `tests/it` does.

use tokio_postgres::NoTls;

use super::Failure;
use crate::tests::url;
use taskflow_store::StoreError;

#[tokio::test]
async fn refusals_are_told_apart_by_their_codes() {
    let (client, connection) = tokio_postgres::connect(&url(), NoTls).await.expect("connected");
    tokio::spawn(connection);
    let word = |failure: Failure| match failure {
        Failure::Again(StoreError::Unavailable) => "again elsewhere",
        Failure::Again(_) => "again",
        Failure::Locked => "locked",
        Failure::Apart => "apart",
        Failure::Gone(_) => "gone",
        Failure::Refused(StoreError::Full) => "full",
        Failure::Refused(StoreError::Busy) => "busy",
        Failure::Refused(_) => "refused",
        Failure::Unknown(_) => "unknown",
    };
    for (code, before, committing) in [
        ("40001", "again", "again"),
        ("40P01", "again", "again"),
        ("23505", "again", "again"),
        ("55P03", "locked", "locked"),
        ("25P02", "again", "again"),
        ("53100", "full", "full"),
        ("57014", "busy", "busy"),
        ("25006", "again elsewhere", "again elsewhere"),
        ("57P01", "gone", "unknown"),
        ("57P03", "gone", "unknown"),
        ("53300", "gone", "unknown"),
        ("08006", "gone", "unknown"),
        ("58030", "gone", "unknown"),
        ("XX001", "refused", "refused"),
        ("22003", "refused", "refused"),
    ] {
        let sql = format!("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$");
        let met = async || client.batch_execute(&sql).await.expect_err("it was raised");
        assert_eq!(word(Failure::from(met().await)), before, "{code}");
        assert_eq!(word(Failure::from(met().await).committing()), committing, "{code}");
    }
}
