//! Who watches on one node hears of what another commits, of what an application enqueues by itself, and that
//! something was missed when its connection broke.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::{Change, Kind, NewTask, QueueName, TaskEvent, TenantId};
use taskflow_postgres::{Options, PoolMode, PostgresStore};
use taskflow_store::TaskStore;
use taskflow_store::{ChangeStore, Changes, Heard, Told};

use crate::databases::{Databases, connect, url_of};

/// What anything may take that is told at all.
const SOON: Duration = Duration::from_secs(30);

/// Two nodes on one database.
async fn nodes() -> (Arc<PostgresStore>, PostgresStore, String) {
    let (one, name) = Databases(PoolMode::Session).named().await;
    let options = Options { url: url_of(&name), pool_size: 4, pool_mode: PoolMode::Session };
    let two = PostgresStore::open(options).await.expect("opens");
    (one, two, name)
}

async fn create(store: &PostgresStore) {
    let kind = Kind::parse("job").expect("a name");
    let now = store.clock().now();
    let new = NewTask { kind, tags: vec!["far".into()], ..NewTask::titled("a task", now) };
    store.insert(TenantId::DEFAULT, vec![new], now).await.expect("inserts");
}

async fn next(changes: &mut Changes) -> Heard {
    tokio::time::timeout(SOON, changes.recv()).await.expect("told").expect("it is open")
}

#[tokio::test]
async fn what_one_node_commits_is_heard_on_another() {
    let (here, there, _) = nodes().await;
    let mut changes = here.changes();
    here.watch(SOON).await.expect("watches");
    // The other node hears a moment later that somebody watches: it asks when it begins to listen.
    let heard = tokio::time::timeout(SOON, async {
        loop {
            create(&there).await;
            let heard = tokio::time::timeout(Duration::from_millis(50), changes.recv()).await;
            if let Ok(heard) = heard {
                return heard.expect("it is open");
            }
        }
    });
    let Heard::Changes(told) = heard.await.expect("it is heard") else { panic!("missed") };
    let Change::Task(task) = &told[0].change else { panic!("no task: {told:?}") };
    assert_eq!((task.event, &task.tags[..]), (TaskEvent::Created, &["far".to_owned()][..]));
}

#[tokio::test]
async fn what_an_application_enqueues_by_itself_is_told_of_its_queue() {
    let (here, _there, name) = nodes().await;
    let mut changes = here.changes();
    here.watch(SOON).await.expect("watches");
    let application = connect(&url_of(&name)).await;
    let sql = "SELECT taskflow.enqueue('theirs', kind => 'job', queue => 'mail')";
    application.batch_execute(sql).await.expect("enqueues");
    let change = Change::Queue(QueueName::parse("mail").expect("a name"));
    let told = vec![Told { tenant: TenantId::DEFAULT, change }];
    assert_eq!(next(&mut changes).await, Heard::Changes(told.into()));
}

#[tokio::test]
async fn one_whose_connection_broke_is_told_that_it_missed_something() {
    let (here, _there, name) = nodes().await;
    let mut changes = here.changes();
    here.watch(SOON).await.expect("watches");
    let server = connect(&url_of("postgres")).await;
    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = '{name}' AND query ~ 'taskflow_(watch|ready)' AND pid <> pg_backend_pid()"
    );
    server.query(&sql, &[]).await.expect("cuts");
    assert_eq!(next(&mut changes).await, Heard::Missed);
    create(&here).await;
    assert!(matches!(next(&mut changes).await, Heard::Changes(_)), "and hears again");
}

#[tokio::test]
async fn nothing_is_told_while_nobody_watches() {
    let (here, there, _) = nodes().await;
    let mut changes = here.changes();
    create(&here).await;
    create(&there).await;
    here.watch(SOON).await.expect("watches");
    create(&here).await;
    let Heard::Changes(told) = next(&mut changes).await else { panic!("missed") };
    let Change::Task(task) = &told[0].change else { panic!("no task: {told:?}") };
    assert_eq!(task.id.get(), 3);
}
