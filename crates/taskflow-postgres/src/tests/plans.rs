//! How PostgreSQL plans the statements that walk the tasks, whatever its statistics say.
//! It needs a server (`TEST_DATABASE_URL`), as `tests/it` does.

use std::collections::BTreeSet;

use taskflow_core::Priority;
use taskflow_store::lists::Off;
use tokio_postgres::{Client, NoTls};

use super::url;
use crate::options::{Options, PoolMode};
use crate::{
    connect, desk, gates, guard, idempotency, keyed, lanes, lists, migrate, queues, retention,
    search, states, stats, tasks, work, workers,
};

/// A statement, the types of its parameters, values for them, and the indexes it may walk.
struct Walk {
    name: &'static str,
    sql: String,
    types: &'static str,
    values: &'static str,
    indexes: &'static [&'static str],
}

fn walk(
    name: &'static str,
    sql: impl Into<String>,
    types: &'static str,
    values: &'static str,
    indexes: &'static [&'static str],
) -> Walk {
    Walk { name, sql: sql.into(), types, values, indexes }
}

fn walks() -> Vec<Walk> {
    let mut walks = short_walks();
    walks.extend(changes());
    walks.extend(limited_walks());
    walks.extend(lists());
    walks.extend(leases());
    walks
}

/// The parameters of a look at sketches.
const LOOKED: &str = "900,32,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16";

/// The walks of lists: where they begin, with what they look up in rows and tags.
fn lists() -> Vec<Walk> {
    let types = "int8,int8,int8,int8,int8,int4[],text,text,text,int8,int8,int4[]";
    let values = "1,50,0,9000,10,'{0,1,2,3,20}','q0','k','t',5,30000,'{20,21,22,23}'";
    let lanes = "int8,text[],text[],int4[],int8[],int8[],int8,text,int8,int8";
    let of = "1,'{q0,q1}','{k,k}','{0,20}','{9000,9000}','{50,50}',10,'t',5,30000";
    let mut walks = Vec::new();
    for off in [None, Some(Off::Due), Some(Off::Later)] {
        let indexes = &["tasks_lanes", "task_tags_pkey"];
        walks.push(walk("lanes", lists::range(off), lanes, of, indexes));
    }
    for off in [Off::Due, Off::Later] {
        let indexes = &["tasks_delayed", "task_tags_pkey"];
        walks.push(walk("put off", lists::put_off(off), types, values, indexes));
    }
    walks.push(walk("all", lists::all(), types, values, &["tasks_id", "task_tags_pkey"]));
    for off in [None, Some(Off::Due), Some(Off::Later)] {
        walks.push(walk(
            "window",
            lists::window("id, title", off),
            types,
            values,
            &["tasks_id", "task_tags_pkey"],
        ));
    }
    let tag = lists::tagged(Some(Off::Due));
    walks.push(walk("tag", tag, types, values, &["tasks_id", "task_tags_pkey"]));
    walks.push(walk("tagged", lists::TAGGED, types, values, &["task_tags_pkey"]));
    for off in [Off::Due, Off::Later] {
        let sql = lists::few_sql(off);
        walks.push(walk("few", sql, "int8,int8,int8", "1,30000,10000", &["tasks_delayed"]));
    }
    walks.push(walk("failed", lists::FAILED, "int8[],int4", "'{1,2}',1000", &["tasks_id"]));
    walks.push(walk("floor", lists::FLOOR, "int8", "5", &["task_births_pkey"]));
    let indexes = &["task_births_pkey", "tasks_id"];
    walks.push(walk("births", lists::BIRTHS, "int8,int8,int8", "5,7,32", indexes));
    walks.push(walk("newest", lists::NEWEST, "", "", &["tasks_id"]));
    let between = search::TEXTS_BETWEEN;
    walks.push(walk("texts", between, "int8,int8,int8,int8", "1,10,900,256", &["tasks_id"]));
    walks.push(walk(
        "texts after",
        search::TEXTS_AFTER,
        "int8,int8,int8",
        "10,900,256",
        &["tasks_id"],
    ));
    walks.push(walk("enough", search::ENOUGH, "int8,int8,int8", "10,900,256", &["tasks_id"]));
    let types = ["int8"; 18].join(",");
    let look = walk("look", search::LOOK.as_str(), types.leak(), LOOKED, &["search_sketches_pkey"]);
    walks.push(look);
    walks
}

/// Those of claims from queues with limits.
fn limited_walks() -> Vec<Walk> {
    vec![
        walk(
            "past full keys",
            keyed::PASSING.as_str(),
            "int8,text,text,int2,int8,text[],int8,int8,int8[]",
            "1,'q','k',1,5,'{c}',10,1000,'{7}'",
            &["tasks_ready", "tasks_id"],
        ),
        walk(
            "behind full keys",
            keyed::KEYED.as_str(),
            "int8,text,text,int2,int8,text[],int8,int4,int8[],int8",
            "1,'q','k',1,5,'{c}',10,100,'{7}',1000",
            &["tasks_keyed", "tasks_ready", "tasks_id"],
        ),
        walk("take", guard::TAKE, "int8,int8", "1,5", &["tasks_id"]),
        walk(
            "elder",
            guard::ELDER.as_str(),
            "int8,text[],text[],int8,int8,int8,int8[],int8[],int8[],int8[],int2,int8[]",
            "1,'{q}','{k}',5,8,16,'{1}','{1}','{1}','{1}',3,'{7}'",
            &["tasks_ready"],
        ),
        walk("waiting", queues::WAITING, "int8,text", "1,'q'", &["lanes_key", "tasks_ready"]),
        walk("counted leases", gates::LEASES, "text[]", "'{q}'", &["tasks_leased"]),
    ]
}

/// Those of changes of state.
fn changes() -> Vec<Walk> {
    vec![
        walk("lock", desk::LOCK, "int8[]", "'{1,2}'", &["tasks_id"]),
        walk(
            "claimed",
            states::CLAIMED,
            "int8[],int4[],bytea[],int8[],int4[],text[],int8[],int8[]",
            "'{1}','{1}','{x}','{9}','{30}','{w}','{5}','{2}'",
            &["tasks_id"],
        ),
        walk(
            "completed",
            states::COMPLETED,
            "int8[],bytea[],bytea[],int2[],int8[],text[],int8[]",
            "'{1}','{x}','{x}','{0}','{5}','{1}','{3}'",
            &["tasks_id"],
        ),
        walk("update", states::UPDATE, UPDATE_TYPES, UPDATE_VALUES, &["tasks_id"]),
    ]
}

fn short_walks() -> Vec<Walk> {
    let lane = "'{1}','{q}','{k}','{1}','{1}','{1}','{1}'";
    let [leases, deadlines, expiring] = work::EXPIRING.map(|from| format!("SELECT id {from}"));
    let ran_out = ("int8,int8,int8", "5,10,1");
    vec![
        walk(
            "kept answers",
            idempotency::KNOWN,
            "int8[],bytea[]",
            "'{1}','{x}'",
            &["idempotency_pkey"],
        ),
        walk(
            "old keys",
            idempotency::FORGET,
            "int8,int8",
            "5,10",
            &["idempotency", "idempotency_at"],
        ),
        walk(
            "claim",
            work::CLAIM.as_str(),
            "int8,text[],text[],int8,int8,int8,int8[],int8[],int8[],int8[]",
            "1,'{q}','{k}',5,10,30,'{1}','{1}','{1}','{1}'",
            &["tasks_ready", "tasks_id"],
        ),
        walk(
            "look",
            lanes::LOOK.as_str(),
            "int8[],text[],text[],int8[],int8[],int8[],int8[]",
            lane,
            &["tasks_ready"],
        ),
        walk(
            "due",
            work::DUE.as_str(),
            "int8,int8,int8[],text[],text[]",
            "1,5,'{1}','{q}','{k}'",
            &["tasks_ready"],
        ),
        walk(
            "overdue",
            work::OVERDUE,
            "int8,int8",
            "5,1",
            &["tasks_leased", "tasks_deadline", "tasks_expiring"],
        ),
        walk("leases", leases, ran_out.0, ran_out.1, &["tasks_leased"]),
        walk("deadlines", deadlines, ran_out.0, ran_out.1, &["tasks_deadline"]),
        walk("expiring", expiring, ran_out.0, ran_out.1, &["tasks_expiring"]),
        walk("holder", tasks::HOLDER, "int8,text,text", "1,'q','key'", &["tasks_unique"]),
        walk(
            "ahead",
            tasks::ahead_sql(Priority::Medium),
            "int8,text,text,int8,int8,int8,int8",
            "1,'q','k',5,5,5,10",
            &["tasks_ready"],
        ),
        walk("ended", retention::OLDEST, "", "", &["tasks_ended"]),
        walk(
            "prune",
            retention::PRUNE,
            "text[],int2[],int8[],int8,int8",
            "'{q1}','{2}','{5}',10,1000",
            &["tasks_ended", "waits_pkey", "tasks_id", "attempts_pkey"],
        ),
    ]
}

/// Those of leases that somebody looks at.
fn leases() -> Vec<Walk> {
    let overdue = ("int8,int8,int8,int8", "1,10,5,100");
    vec![
        walk("not rescued", stats::OVERDUE, overdue.0, overdue.1, &["tasks_leased"]),
        walk("holds", workers::HOLDS, "int8,text[]", "1,'{w}'", &["tasks_leased"]),
        walk("held", workers::HELD, "int8,text,int8,int8", "1,'w',5,500", &["tasks_leased"]),
    ]
}

const UPDATE_TYPES: &str = "int8[],int2[],int4[],int4[],int8[],bool[],int4[],bytea[],int8[],int4[],\
    bytea[],bytea[],int2[],text[],int8[],int8[],int8[],text[],text[],float8[],text[],int8[],int8[],\
    bool[],text[],bool[],text[]";
const UPDATE_VALUES: &str = "'{1}','{1}','{1}','{1}','{1}','{f}','{1}','{x}','{1}','{1}',\
    '{x}','{x}','{1}','{x}','{1}','{1}','{1}','{x}','{x}','{1}','{x}','{1}','{1}',\
    '{f}','{x}','{f}','{x}'";

/// The indexes and tables that a plan reads.
fn read_by(plan: &str) -> BTreeSet<String> {
    let memory = ["Function Scan", "Values Scan", "Subquery Scan", "CTE Scan", "WorkTable Scan"];
    plan.lines()
        .filter(|line| line.contains(" on ") && line.contains("Scan"))
        .filter(|line| !memory.iter().any(|scan| line.contains(scan)))
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let after = |word| words.iter().position(|w| *w == word).map(|at| words[at + 1]);
            after("using").or_else(|| after("on")).map(str::to_owned)
        })
        .collect()
}

async fn plan(client: &Client, walk: &Walk) -> String {
    let Walk { name, sql, types, values, .. } = walk;
    let (types, values) = match types.is_empty() {
        true => (String::new(), String::new()),
        false => (format!("({types})"), format!("({values})")),
    };
    let prepare = format!("DEALLOCATE ALL; PREPARE walk{types} AS {sql}");
    client.batch_execute(&prepare).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let rows = client.simple_query(&format!("EXPLAIN EXECUTE walk{values}")).await.expect(name);
    let mut lines = Vec::new();
    for row in rows {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = row {
            lines.push(row.get(0).expect("a line").to_owned());
        }
    }
    lines.join("\n")
}

/// Tasks `from..=to`: waiting, or ended with dead index entries where they waited.
async fn fill(client: &Client, from: u32, to: u32, ended: bool) {
    let mut sql = format!(
        "INSERT INTO taskflow.tasks(id, tenant, status, priority, queue, kind, run_at, max_attempts, \
         lease_seconds, created_at, updated_at, version, title, unique_key, deadline_at, expires_at, \
         concurrency_key) \
         SELECT i, 1, 0, i % 4, 'q' || i % 3, 'k', i, 5, 30, i, i - i % 2, 1, 't', \
         CASE WHEN i % 10 = 0 THEN 'key' || i END, CASE WHEN i % 10 = 1 THEN i END, \
         CASE WHEN i % 10 = 2 THEN i END, CASE WHEN i % 2 = 0 THEN 'c' || i % 7 END FROM generate_series({from}, {to}) AS i;"
    );
    if ended {
        sql += "UPDATE taskflow.tasks SET status = 1, lease_until = run_at WHERE status = 0;\
                UPDATE taskflow.tasks SET status = 2, lease_until = NULL, ended_at = run_at \
                WHERE status = 1;";
    }
    client.batch_execute(&sql).await.expect("fills");
}

async fn check(client: &Client, when: &str) {
    for walk in walks() {
        let plan = plan(client, &walk).await;
        let read = read_by(&plan);
        let allowed = walk.indexes.iter().map(|index| (*index).to_owned()).collect();
        assert_eq!(read, allowed, "{} {when}:\n{plan}", walk.name);
    }
}

#[tokio::test]
async fn every_walk_keeps_its_index_whatever_the_statistics_say() {
    let name = format!("tf_test_{}_plans", std::process::id());
    let server = server(&url()).await;
    server.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await.expect("creates");
    let options = Options { url: url(), pool_size: 4, pool_mode: PoolMode::Session };
    let mut reached = connect::server(&options, "plans").expect("a configuration");
    reached.config.dbname(&name);
    migrate::migrate(&reached).await.expect("migrates");
    {
        let (client, connection) = reached.connect().await.expect("connects");
        tokio::spawn(async move { drop(connection.await) });
        client
            .batch_execute("ALTER TABLE taskflow.tasks SET (autovacuum_enabled = off)")
            .await
            .expect("alters");
        check(&client, "on an empty table").await;
        fill(&client, 1, 20_000, true).await;
        check(&client, "never analyzed").await;
        client.batch_execute("ANALYZE taskflow.tasks").await.expect("analyzes");
        check(&client, "analyzed when nothing waited").await;
        fill(&client, 20_001, 40_000, false).await;
        check(&client, "analyzed before everything came").await;
        client.batch_execute("ANALYZE taskflow.tasks").await.expect("analyzes");
        check(&client, "analyzed when half of it waited").await;
    }
    let drop = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
    server.batch_execute(&drop).await.expect("drops");
}

async fn server(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
    tokio::spawn(async move { drop(connection.await) });
    client
}
