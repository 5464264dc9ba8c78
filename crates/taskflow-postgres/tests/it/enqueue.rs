//! `taskflow.enqueue`: tasks created by SQL inside an application's own transaction.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::queue::Defaults;
use taskflow_core::task::{State, Terms};
use taskflow_core::{
    Json, Kind, NewTask, Priority, QueueName, QueuePatch, RetryPolicy, Strategy, Task, TaskId,
    TenantId,
};
use taskflow_postgres::{PoolMode, PostgresStore};
use taskflow_store::{QueueStore, Store, TaskStore, WorkStore};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::databases::{Databases, connect, url_of};

/// A store, and an application's own connection to its database.
async fn open() -> (Arc<PostgresStore>, Client) {
    let (store, name) = Databases(PoolMode::Session).named().await;
    (store, connect(&url_of(&name)).await)
}

async fn enqueue(client: &Client, arguments: &str) -> Result<i64, tokio_postgres::Error> {
    let sql = format!("SELECT taskflow.enqueue({arguments})");
    client.query_one(&sql, &[]).await.map(|row| row.get(0))
}

async fn task(store: &PostgresStore, id: i64) -> Option<Task> {
    let id = TaskId::new(id).expect("positive");
    store.get(TenantId::DEFAULT, vec![id]).await.expect("reads").remove(0)
}

#[tokio::test]
async fn a_task_from_sql_has_the_defaults_of_the_api() {
    let (store, client) = open().await;
    let id = enqueue(&client, "'a title'").await.expect("is created");
    let found = task(&store, id).await.expect("is there");
    let now = found.created_at;
    let like = Task::born(found.id, NewTask::titled("a title", now), 0, now);
    assert_eq!(found, like);
    assert_eq!(found.state, State::born(now, 0, now));
}

#[tokio::test]
async fn null_says_the_same_as_leaving_a_parameter_out() {
    let (store, client) = open().await;
    let nothing = "'a title', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
                   NULL";
    let id = enqueue(&client, nothing).await.expect("is created");
    let found = task(&store, id).await.expect("is there");
    let now = found.created_at;
    assert_eq!(found, Task::born(found.id, NewTask::titled("a title", now), 0, now));
    let id = enqueue(&client, "'t', metadata => 'null'").await.expect("is created");
    assert_eq!(task(&store, id).await.expect("is there").metadata, None);
}

#[tokio::test]
async fn a_task_from_sql_has_the_defaults_of_its_queue() {
    let (store, client) = open().await;
    let retry =
        RetryPolicy { strategy: Strategy::Fixed, base_seconds: 2.5, ..RetryPolicy::default() };
    let defaults = Defaults {
        priority: Some(Priority::High),
        max_attempts: Some(2),
        retry: Some(retry),
        timeout_seconds: Some(8),
        lease_seconds: Some(9),
    };
    let patch = QueuePatch { defaults: Some(defaults), ..QueuePatch::default() };
    let queue = QueueName::parse("mail").expect("a name");
    let now = store.clock().now();
    store.set_queue(TenantId::DEFAULT, queue, None, patch, now).await.expect("is set");
    let id = enqueue(&client, "'t', queue => 'mail'").await.expect("is created");
    let found = task(&store, id).await.expect("is there");
    assert_eq!((found.priority, &found.terms), (Priority::High, &defaults.terms()));
    let own = "'t', queue => 'mail', priority => 'low', max_attempts => 7, lease_seconds => 3, \
               timeout_seconds => 4";
    let id = enqueue(&client, own).await.expect("is created");
    let found = task(&store, id).await.expect("is there");
    let terms = Terms {
        max_attempts: 7,
        lease_seconds: 3,
        timeout_seconds: Some(4),
        retry,
        ..Terms::default()
    };
    assert_eq!((found.priority, found.terms), (Priority::Low, terms));
}

#[tokio::test]
async fn a_task_from_sql_keeps_every_field_as_it_was_given() {
    let (store, client) = open().await;
    let id = enqueue(
        &client,
        "'t', kind => 'mail', payload => '{\"n\": 12345678901234567890.10}', queue => 'q', \
         priority => 'urgent', run_at => '2100-01-01 00:00:00.5+00', max_attempts => 7, \
         lease_seconds => 60, timeout_seconds => 9, description => 'd', \
         tags => ARRAY['b', 'a', 'b'], metadata => '{\"k\": \"v\"}', unique_key => 'u'",
    )
    .await
    .expect("is created");
    let found = task(&store, id).await.expect("is there");
    assert_eq!((found.title.as_str(), found.description.as_deref()), ("t", Some("d")));
    assert_eq!((found.queue.as_str(), found.kind.as_str()), ("q", "mail"));
    assert_eq!(found.priority, Priority::Urgent);
    assert_eq!(found.payload.as_ref().map(Json::as_str), Some("{\"n\": 12345678901234567890.10}"));
    assert_eq!(found.state.run_at.to_string(), "2100-01-01T00:00:00.500000Z");
    let terms =
        Terms { max_attempts: 7, lease_seconds: 60, timeout_seconds: Some(9), ..Terms::default() };
    assert_eq!(found.terms, terms);
    assert_eq!(found.tags, ["b", "a"]);
    assert_eq!(found.metadata.as_ref().map(Json::as_str), Some("{\"k\": \"v\"}"));
    assert_eq!(found.unique_key.as_deref(), Some("u"));
}

#[tokio::test]
async fn a_task_from_sql_exists_when_its_transaction_commits_and_not_before() {
    let (store, mut client) = open().await;
    let transaction = client.transaction().await.expect("begins");
    let sql = "SELECT taskflow.enqueue('kept')";
    let id: i64 = transaction.query_one(sql, &[]).await.expect("is created").get(0);
    assert_eq!(task(&store, id).await, None);
    transaction.commit().await.expect("commits");
    assert!(task(&store, id).await.is_some());
    let transaction = client.transaction().await.expect("begins");
    let id: i64 = transaction.query_one(sql, &[]).await.expect("is created").get(0);
    transaction.rollback().await.expect("rolls back");
    assert_eq!(task(&store, id).await, None);
    let counts = store.count(TenantId::DEFAULT).await.expect("counts");
    assert_eq!(counts.0, [1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_commit_of_a_task_from_sql_wakes_every_node_and_the_task_can_be_claimed() {
    let (store, client) = open().await;
    let mut hints = store.hints();
    // Not before the store listens.
    tokio::time::timeout(Duration::from_secs(20), hints.changed()).await.expect("listens").ok();
    hints.mark_unchanged();
    enqueue(&client, "'t', kind => 'new.kind', queue => 'new.queue'").await.expect("is created");
    let claim = || taskflow_store::Claim {
        worker: taskflow_core::WorkerName::parse("w").expect("a name"),
        queues: Some(vec![QueueName::parse("new.queue").expect("a name")]),
        kinds: taskflow_store::Kinds::Named(vec![Kind::parse("new.kind").expect("a name")]),
        lease_seconds: None,
        tokens: vec![taskflow_core::LeaseToken::new([1; 16])],
    };
    for _ in 0..10 {
        let heard = tokio::time::timeout(Duration::from_secs(20), hints.changed()).await;
        heard.expect("a commit is heard").expect("the store lives");
        let sync = taskflow_store::Sync { claim: Some(claim()), ..Default::default() };
        let now = store.clock().now();
        let synced = store.sync(TenantId::DEFAULT, sync, now).await.expect("claims");
        if synced.claimed.len() == 1 {
            return;
        }
    }
    panic!("the task was never found");
}

#[tokio::test]
async fn a_unique_key_from_sql_is_the_same_key_as_from_the_api() {
    let (store, client) = open().await;
    let id = enqueue(&client, "'t', unique_key => 'k'").await.expect("is created");
    assert_eq!(enqueue(&client, "'t', unique_key => 'k'").await.expect("is answered"), id);
    let refused = enqueue(&client, "'t', unique_key => 'k', on_conflict => 'reject'").await;
    assert_eq!(refused.err().and_then(|e| e.code().cloned()), Some(SqlState::UNIQUE_VIOLATION));
    let unique = taskflow_core::task::UniqueKey {
        key: "k".into(),
        on_conflict: taskflow_core::task::OnConflict::Reject,
    };
    let now = store.clock().now();
    let new = NewTask { unique: Some(unique), ..NewTask::titled("t", now) };
    let answers = store.insert(TenantId::DEFAULT, vec![new], now).await.expect("answers");
    let held = TaskId::new(id).expect("positive");
    assert_eq!(answers.items, [taskflow_store::Inserted::KeyHeld(held)]);
}

#[tokio::test]
async fn what_the_api_refuses_is_refused_in_sql_with_the_field_and_leaves_nothing() {
    let (store, client) = open().await;
    let refused = [
        ("NULL", "title"),
        ("''", "title"),
        ("E' \\u2003 '", "title"),
        ("repeat('x', 256)", "title"),
        ("'t', queue => ''", "queue"),
        ("'t', queue => 'a b'", "queue"),
        ("'t', queue => repeat('q', 101)", "queue"),
        ("'t', kind => '-x'", "kind"),
        ("'t', priority => 'top'", "priority"),
        ("'t', max_attempts => 0", "max_attempts"),
        ("'t', max_attempts => 101", "max_attempts"),
        ("'t', lease_seconds => 86401", "lease_seconds"),
        ("'t', timeout_seconds => 0", "timeout_seconds"),
        ("'t', description => repeat('x', 65537)", "description"),
        ("'t', run_at => 'infinity'", "run_at"),
        ("'t', tags => ARRAY['a,b']", "tags"),
        ("'t', tags => ARRAY[NULL]", "tags"),
        ("'t', tags => array_fill('x'::text, ARRAY[51])", "tags"),
        ("'t', unique_key => ''", "unique_key"),
        ("'t', unique_key => E'a\\nb'", "unique_key"),
        ("'t', unique_key => 'k', on_conflict => 'replace'", "on_conflict"),
        ("'t', on_conflict => 'reject'", "on_conflict"),
        ("'t', metadata => '[]'", "metadata"),
        ("'t', payload => to_jsonb(repeat('x', 1048575))", "payload"),
        ("'t', payload => (repeat('[', 65) || repeat(']', 65))::jsonb", "payload"),
        ("'t', payload => '[1e400]'", "payload"),
    ];
    for (arguments, field) in refused {
        let error = enqueue(&client, arguments).await.expect_err(arguments);
        let error = error.as_db_error().expect("the database says it");
        assert_eq!(*error.code(), SqlState::INVALID_PARAMETER_VALUE, "{arguments}: {error}");
        assert!(error.message().starts_with(field), "{arguments}: {error}");
    }
    let allowed = [
        "'t', payload => (repeat('[', 64) || repeat(']', 64))::jsonb",
        "'t', payload => '[1e308, 1e-400, \"[[[\\\"]\"]'",
        "repeat('ä', 255), queue => 'q.1:2-3_4'",
    ];
    for arguments in allowed {
        enqueue(&client, arguments).await.expect(arguments);
    }
    let counts = store.count(TenantId::DEFAULT).await.expect("counts");
    assert_eq!(counts.0, [3, 0, 0, 0, 0]);
}

#[tokio::test]
async fn an_old_snapshot_is_told_so_and_never_answered_from() {
    let (store, mut client) = open().await;
    let level = tokio_postgres::IsolationLevel::RepeatableRead;
    let keyed = "'t', unique_key => 'k'";
    // A holder that has ended since.
    let holder = enqueue(&client, keyed).await.expect("is created");
    let old = client.build_transaction().isolation_level(level).start().await.expect("begins");
    old.query("SELECT FROM taskflow.tasks", &[]).await.expect("sees");
    let edit = taskflow_store::Edit {
        id: TaskId::new(holder).expect("positive"),
        if_version: None,
        patch: taskflow_core::TaskPatch {
            status: Some(taskflow_core::Status::Completed),
            ..Default::default()
        },
    };
    let now = store.clock().now();
    store.edit(TenantId::DEFAULT, vec![edit], now).await.expect("completes");
    let sql = format!("SELECT taskflow.enqueue({keyed})");
    let refused = old.query_one(&sql, &[]).await.expect_err("the holder has ended");
    assert_eq!(refused.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE), "{refused:?}");
    old.rollback().await.expect("rolls back");
    // A holder that came since.
    let old = client.build_transaction().isolation_level(level).start().await.expect("begins");
    old.query("SELECT FROM taskflow.tasks", &[]).await.expect("sees");
    let unique = taskflow_core::task::UniqueKey {
        key: "k".into(),
        on_conflict: taskflow_core::task::OnConflict::Reject,
    };
    let new = NewTask { unique: Some(unique), ..NewTask::titled("t", now) };
    store.insert(TenantId::DEFAULT, vec![new], now).await.expect("creates");
    let refused = old.query_one(&sql, &[]).await.expect_err("a holder came");
    assert_eq!(refused.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE), "{refused:?}");
    old.rollback().await.expect("rolls back");
    // Repeated, it is answered; and a holder that did not change is no failure.
    let old = client.build_transaction().isolation_level(level).start().await.expect("begins");
    old.query_one(&sql, &[]).await.expect("is answered");
    old.commit().await.expect("commits");
}
