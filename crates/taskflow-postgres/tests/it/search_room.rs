//! Sketches and what happens beside them: transactions that are open for long, edits of what has no sketch
//! yet, tasks that are gone, databases that are filled by a move.

use std::sync::Arc;

use taskflow_core::search::Search;
use taskflow_core::{NewTask, TaskId, TaskPatch, TenantId, Timestamp};
use taskflow_postgres::{Options, PoolMode, PostgresStore, Target};
use taskflow_store::moving::{MoveTo, Whole};
use taskflow_store::{Delete, Edit, Filter, ListStore, Page, SearchStore, TaskStore};
use tokio_postgres::Client;

use crate::databases::{Databases, connect, url_of};

const ME: TenantId = TenantId::DEFAULT;
const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

async fn open() -> (Arc<PostgresStore>, Client, String) {
    let (store, name) = Databases(PoolMode::Session).named().await;
    let client = connect(&url_of(&name)).await;
    (store, client, name)
}

async fn create(store: &PostgresStore, tasks: usize) {
    let new = |n: usize| NewTask::titled(&format!("haystack {n}"), NOW);
    store.insert(ME, (0..tasks).map(new).collect(), NOW).await.expect("inserts");
}

/// Sketches until nothing more comes of it.
async fn sketch(store: &PostgresStore) -> u32 {
    let (mut texts, mut idle) = (0, 0);
    while idle < 4 {
        let sketched = store.sketch(1).await.expect("sketches");
        texts += sketched.texts;
        idle = if sketched.texts > 0 { 0 } else { idle + 1 };
    }
    texts
}

async fn found(store: &PostgresStore, text: &str) -> Vec<i64> {
    let search = Some(Search::parse(text).expect("a search"));
    let filter = Filter { search, ..Filter::default() };
    let page = Page { filter, before: None, skip: 0, limit: 1000, now: NOW };
    let page = store.find(ME, page).await.expect("finds");
    assert_eq!(page.rest, None);
    page.items.iter().map(|found| found.id.get()).collect()
}

async fn rows(client: &Client, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM taskflow.{table}");
    client.query_one(&sql, &[]).await.expect("counts").get(0)
}

/// Its id is smaller than those of tasks that were committed before it.
#[tokio::test]
async fn a_task_that_is_committed_late_is_found_all_the_same() {
    let (store, mut application, _) = open().await;
    create(&store, 10).await;
    let late = application.transaction().await.expect("begins");
    let sql = "SELECT taskflow.enqueue('the needle', kind => 'job', queue => 'default')";
    late.batch_execute(sql).await.expect("enqueues");
    create(&store, 10).await;
    assert!(sketch(&store).await <= 10, "nothing behind an open transaction is sketched");
    assert_eq!(found(&store, "needle").await, [0_i64; 0]);
    late.commit().await.expect("commits");
    assert_eq!(found(&store, "needle").await, [11]);
    sketch(&store).await;
    assert_eq!(found(&store, "needle").await, [11]);
    assert_eq!(found(&store, "haystack").await.len(), 20);
}

#[tokio::test]
async fn nodes_that_sketch_at_once_make_each_sketch_once() {
    let (store, client, name) = open().await;
    let options = Options { url: url_of(&name), pool_size: 3, pool_mode: PoolMode::Transaction };
    let other = Arc::new(PostgresStore::open(options).await.expect("opens"));
    create(&store, 3_000).await;
    let mut steps = tokio::task::JoinSet::new();
    for n in 0..24 {
        let store = if n % 2 == 0 { Arc::clone(&store) } else { Arc::clone(&other) };
        steps.spawn(async move { store.sketch(1).await.expect("sketches").texts });
    }
    let mut texts = 0;
    while let Some(step) = steps.join_next().await {
        texts += step.expect("no panic");
    }
    assert_eq!(texts + sketch(&store).await, 3_000);
    let sql = "SELECT count(*) FROM (SELECT first, lag(last) OVER (ORDER BY first) AS before \
               FROM taskflow.search_sketches) AS s WHERE first <> coalesce(before, 0) + 1";
    let holes: i64 = client.query_one(sql, &[]).await.expect("counts").get(0);
    assert_eq!(holes, 0);
    assert_eq!(found(&other, "2999").await, [3_000]);
}

#[tokio::test]
async fn what_is_kept_for_searches_does_not_grow_with_edits_and_goes_with_the_tasks() {
    let (store, client, _) = open().await;
    create(&store, 4).await;
    let id = |n| TaskId::new(n).expect("an id");
    for n in 0..50 {
        let patch = TaskPatch { title: Some(format!("edited {n}")), ..TaskPatch::default() };
        let edit = Edit { id: id(2), if_version: None, patch };
        store.edit(ME, vec![edit], NOW).await.expect("edits");
    }
    store.sketch(1_000).await.expect("sketches");
    assert_eq!(rows(&client, "search_edits").await, 1, "the latest of a task without a sketch");
    assert_eq!(found(&store, "\"edited 49\"").await, [2]);
    sketch(&store).await;
    assert_eq!(rows(&client, "search_edits").await, 0);
    assert_eq!(found(&store, "\"edited 49\"").await, [2]);
    create(&store, 4).await;
    sketch(&store).await;
    assert_eq!(rows(&client, "search_sketches").await, 2);
    for n in 1..=8 {
        let delete = Delete { id: id(n), if_version: None };
        store.delete(ME, vec![delete], NOW).await.expect("deletes");
    }
    sketch(&store).await;
    assert_eq!(rows(&client, "search_sketches").await, 1, "the last one says how far they go");
}

#[tokio::test]
async fn what_a_move_brought_is_found_where_other_tasks_were_before() {
    let (from, _, _) = open().await;
    create(&from, 30).await;
    // Held to the end: a database whose store is gone is dropped by the next case that looks.
    let (held, client, name) = open().await;
    create(&held, 40).await;
    sketch(&held).await;
    for n in 1..=40 {
        let delete = Delete { id: TaskId::new(n).expect("an id"), if_version: None };
        held.delete(ME, vec![delete], NOW).await.expect("deletes");
    }
    sketch(&held).await;
    let options = || Options { url: url_of(&name), pool_size: 3, pool_mode: PoolMode::Session };
    let to = Target::open(options()).await.expect("opens");
    let ids = (1..=30).map(|n| TaskId::new(n).expect("an id")).collect();
    let tasks = from.get(ME, ids).await.expect("reads").into_iter().flatten();
    let whole = |task| Whole { tenant: ME, task, attempts: Vec::new(), waits: Vec::new() };
    to.load(tasks.map(whole).collect()).await.expect("loads");
    to.commit(31).await.expect("commits");
    drop(to);
    let store = PostgresStore::open(options()).await.expect("opens");
    assert_eq!(found(&store, "\"haystack 7\"").await, [8]);
    assert_eq!(sketch(&store).await, 30, "no task has to come first");
    assert_eq!(found(&store, "\"haystack 7\"").await, [8]);
    assert!(rows(&client, "search_sketches").await > 0);
}

/// One task and one step.
async fn another(store: &PostgresStore) {
    create(store, 1).await;
    store.sketch(1).await.expect("sketches");
}

#[tokio::test]
async fn sketches_of_tasks_that_are_gone_go_while_every_step_makes_one() {
    let (store, client, _) = open().await;
    for _ in 0..8 {
        another(&store).await;
    }
    for n in 1..=5 {
        let delete = Delete { id: TaskId::new(n).expect("an id"), if_version: None };
        store.delete(ME, vec![delete], NOW).await.expect("deletes");
    }
    for _ in 0..4 {
        another(&store).await;
    }
    let sql = "SELECT count(*), count(*) FILTER (WHERE last <= 5) FROM taskflow.search_sketches";
    let row = client.query_one(sql, &[]).await.expect("counts");
    let (all, gone): (i64, i64) = (row.get(0), row.get(1));
    assert!(all > 3, "every step made one, and {all} are left");
    assert_eq!(gone, 0);
}

/// Removes the tasks of some ids.
async fn remove(store: &PostgresStore, ids: std::ops::RangeInclusive<i64>) {
    let delete = |n| Delete { id: TaskId::new(n).expect("an id"), if_version: None };
    store.delete(ME, ids.map(delete).collect(), NOW).await.expect("deletes");
}

async fn births(client: &Client) -> Vec<i64> {
    let sql = "SELECT id FROM taskflow.task_births ORDER BY at, id";
    let rows = client.query(sql, &[]).await.expect("reads");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn what_tells_when_tasks_were_created_goes_with_them_but_for_the_last() {
    let (store, client, _) = open().await;
    create(&store, 4_200).await;
    assert_eq!(births(&client).await, [1_024, 2_048, 3_072, 4_096]);
    remove(&store, 1..=2_048).await;
    remove(&store, 3_073..=4_096).await;
    store.sketch(10_000).await.expect("works");
    assert_eq!(births(&client).await, [3_072, 4_096]);
    let after = Some(NOW.plus_seconds(-1.0));
    let filter = Filter { created_after: after, ..Filter::default() };
    let page = Page { filter, before: None, skip: 0, limit: 5_000, now: NOW };
    assert_eq!(store.find(ME, page).await.expect("finds").items.len(), 1_024 + 104);
    remove(&store, 2_049..=4_200).await;
    store.sketch(10_000).await.expect("works");
    assert_eq!(births(&client).await, [4_096]);
}
