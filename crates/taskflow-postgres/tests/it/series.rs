//! What happened minute by minute, as the keepers fold it: nothing is lost, counted twice or kept too
//! long, and a crowd of queues stays small.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskflow_core::series::{Counter, Minute};
use taskflow_core::{NewTask, QueueName, TenantId};
use taskflow_postgres::{Options, PoolMode, PostgresStore};
use taskflow_store::{StatsStore, TaskStore};
use tokio_postgres::Client;

use crate::databases::{Databases, connect, url_of};

const ME: TenantId = TenantId::DEFAULT;

async fn open() -> (Arc<PostgresStore>, Client) {
    let (store, name) = Databases(PoolMode::Session).named().await;
    (store, connect(&url_of(&name)).await)
}

fn in_queue(store: &PostgresStore, name: &str) -> NewTask {
    let queue = QueueName::parse(name).expect("a name");
    NewTask { queue, ..NewTask::titled("t", store.clock().now()) }
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.expect("counts").get(0)
}

/// Waits until the keeper has folded everything.
async fn folded(client: &Client) {
    let begun = Instant::now();
    while number(client, "SELECT count(*) FROM taskflow.series_deltas").await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody folds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many tasks were created in the last two minutes.
async fn created(store: &PostgresStore, queue: Option<&str>) -> u64 {
    let last = Minute::of(store.clock().now());
    let queue = queue.map(|name| QueueName::parse(name).expect("a name"));
    let series = store.series(ME, queue, last.plus(-2), last).await.expect("reads");
    series.iter().map(|(_, tally)| tally.of(Counter::Created)).sum()
}

/// The same of some queues, by their sums.
async fn created_in<const N: usize>(store: &PostgresStore, queues: [&str; N]) -> [u64; N] {
    let last = Minute::of(store.clock().now());
    let queues = queues.map(|name| QueueName::parse(name).expect("a name"));
    let tallies = store.tallies(ME, queues.to_vec(), last.plus(-2), last).await.expect("reads");
    std::array::from_fn(|at| tallies[at].of(Counter::Created))
}

#[tokio::test]
async fn folding_keeps_every_number() {
    let (store, client) = open().await;
    for round in 1..=3 {
        for queue in ["a", "b"] {
            let batch = vec![in_queue(&store, queue); 5];
            store.insert(ME, batch, store.clock().now()).await.expect("creates");
        }
        assert_eq!(created(&store, None).await, round * 10, "before it is folded");
        assert_eq!(created_in(&store, ["a", "none", "b"]).await, [round * 5, 0, round * 5]);
        folded(&client).await;
        assert_eq!(created(&store, None).await, round * 10, "after it is folded");
        assert_eq!(created(&store, Some("a")).await, round * 5);
        assert_eq!(created_in(&store, ["a", "none", "b"]).await, [round * 5, 0, round * 5]);
    }
}

#[tokio::test]
async fn a_task_from_sql_is_counted_in_its_minute() {
    let (store, client) = open().await;
    let sql = "SELECT taskflow.enqueue('t', queue => 'from-sql')";
    client.query_one(sql, &[]).await.expect("is created");
    assert_eq!(created(&store, Some("from-sql")).await, 1);
    folded(&client).await;
    assert_eq!((created(&store, Some("from-sql")).await, created(&store, None).await), (1, 1));
}

#[tokio::test]
async fn a_minute_has_rows_of_a_hundred_queues_and_the_sum_of_all() {
    let (store, client) = open().await;
    let batch: Vec<NewTask> =
        (0..250).map(|n| in_queue(&store, &format!("customer-{n}"))).collect();
    store.insert(ME, batch, store.clock().now()).await.expect("creates");
    folded(&client).await;
    let again = vec![in_queue(&store, "customer-0"), in_queue(&store, "another")];
    store.insert(ME, again, store.clock().now()).await.expect("creates");
    folded(&client).await;
    assert_eq!(created(&store, None).await, 252);
    let crowded = "SELECT coalesce(max(queues), 0) FROM (SELECT count(*) FILTER (WHERE queue <> '') AS queues \
                   FROM taskflow.series GROUP BY minute) AS of_minutes";
    assert!(number(&client, crowded).await <= 100);
}

#[tokio::test]
async fn minutes_of_the_day_before_are_removed() {
    let (store, name) = Databases(PoolMode::Session).named().await;
    let client = connect(&url_of(&name)).await;
    let now = Minute::of(store.clock().now());
    for (minutes, queue) in [(-1_500, ""), (-1_500, "q"), (-1_000, ""), (0, "")] {
        let sql = "INSERT INTO taskflow.series VALUES (1, $1, $2, ARRAY[0], ARRAY[1])";
        client.execute(sql, &[&queue, &now.plus(minutes).0]).await.expect("inserts");
    }
    // A keeper looks at all of it when it begins.
    let options = Options { url: url_of(&name), pool_mode: PoolMode::Session, pool_size: 5 };
    let second = PostgresStore::open(options).await.expect("opens");
    let begun = Instant::now();
    while number(&client, "SELECT count(*) FROM taskflow.series").await > 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "they stay");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let old = format!("SELECT count(*) FROM taskflow.series WHERE minute = {}", now.plus(-1_000).0);
    assert_eq!(number(&client, &old).await, 1, "what is younger than a day stays");
    drop((store, second));
}
