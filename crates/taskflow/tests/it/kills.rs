//! kill -9 in the middle of what takes several commits, while limits hold, and while workers hold leases:
//! on a file and on PostgreSQL. Kills under load are `crash.rs`'s business.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::postgres::Database;
use crate::server::{LOOK, PATIENCE, Server};

/// A server without a worker on one of the two databases.
struct Place {
    database: Option<(Database, String)>,
    more: Vec<(&'static str, &'static str)>,
}

impl Place {
    async fn all(more: &[(&'static str, &'static str)]) -> [Self; 2] {
        let database = Database::create().await;
        let url = database.url();
        [None, Some((database, url))].map(|database| Self { database, more: more.to_vec() })
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        let url = self.database.iter().map(|(_, url)| ("DATABASE_URL", url.as_str()));
        [("WORKER_ENABLED", "false")].into_iter().chain(url).chain(self.more.clone()).collect()
    }

    async fn start(&self) -> Server {
        Server::start(&self.settings()).await
    }

    async fn over(self) {
        if let Some((database, _)) = self.database {
            database.drop().await;
        }
    }
}

async fn pending(server: &Server) -> u64 {
    server.get("/api/v1/tasks/stats/summary").await.is(200)["pending"].as_u64().unwrap()
}

/// The counts say what the lists have.
async fn assert_counted(server: &Server) {
    let summary = server.get("/api/v1/tasks/stats/summary").await.is(200);
    for (status, count) in summary.as_object().unwrap() {
        let mut listed = 0;
        let mut after = i64::MAX;
        loop {
            let path = format!("/api/v1/tasks?status={status}&limit=1000&after={after}");
            let page = server.get(&path).await.is(200);
            let page = page.as_array().unwrap();
            listed += page.len() as u64;
            match page.last() {
                Some(last) => after = last["id"].as_i64().unwrap(),
                None => break,
            }
        }
        assert_eq!(count.as_u64(), Some(listed), "{status}");
    }
}

async fn fill(server: &Server, tasks: usize) {
    for _ in 0..tasks / 5_000 {
        let batch = vec![json!({"title": "t", "kind": "of-mine"}); 5_000];
        server.post("/api/v1/tasks/bulk", json!({"tasks": batch})).await.is(200);
    }
}

/// Starts a request that takes a while, and kills the server when some of it is done.
async fn killed_in(server: &mut Server, path: &str, body: &Value, all: u64) {
    let request = crate::server::client().post(format!("{}{path}", server.url)).json(body);
    let asked = tokio::spawn(async move { request.send().await.map(|answer| answer.status()) });
    let begin = Instant::now();
    loop {
        let left = pending(server).await;
        if left < all {
            assert!(left > 0, "it was done before the kill");
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{path} does nothing");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.kill();
    let answer = asked.await.unwrap();
    assert!(answer.is_err(), "{path} was answered: {answer:?}");
}

#[tokio::test]
async fn a_purge_and_a_bulk_action_that_are_killed_leave_whole_tasks_and_can_be_repeated() {
    let tasks = 15_000;
    for place in Place::all(&[]).await {
        let mut server = place.start().await;
        fill(&server, tasks).await;
        let all = json!({"filter": {"kind": "of-mine", "status": "pending"}});
        let mut left = tasks as u64;
        for (path, body) in [
            ("/api/v1/tasks/bulk/cancel", &all),
            ("/api/v1/tasks/bulk/delete", &all),
            ("/api/v1/queues/default/purge", &json!({})),
        ] {
            killed_in(&mut server, path, body, left).await;
            server = server.kill_and_restart(&place.settings()).await;
            assert_counted(&server).await;
            left = pending(&server).await;
            assert!(left > 0, "{path}");
        }
        // On a slow machine its time is over before it is through: then it says so.
        let mut more = true;
        while more {
            let purged = server.post("/api/v1/queues/default/purge", json!({})).await.is(200);
            more = purged["more"].as_bool().unwrap();
            assert!(purged["deleted"].as_u64() > Some(0) || !more, "{purged}");
        }
        assert_eq!(pending(&server).await, 0);
        assert_counted(&server).await;
        drop(server);
        place.over().await;
    }
}

#[tokio::test]
async fn a_retention_that_is_killed_goes_on_where_it_was() {
    let tasks = 10_000;
    for place in Place::all(&[("RETENTION_CANCELLED_SECONDS", "1")]).await {
        let mut server = place.start().await;
        fill(&server, tasks).await;
        let all = json!({"filter": {"kind": "of-mine"}});
        server.post("/api/v1/tasks/bulk/cancel", all).await.is(200);
        let cancelled = async |server: &Server| {
            let summary = server.get("/api/v1/tasks/stats/summary").await.is(200);
            summary["cancelled"].as_u64().unwrap()
        };
        let begin = Instant::now();
        let mut before = tasks as u64;
        for _ in 0..3 {
            while cancelled(&server).await >= before && before > 0 {
                assert!(begin.elapsed() < PATIENCE, "nothing is removed");
                tokio::time::sleep(LOOK).await;
            }
            server = server.kill_and_restart(&place.settings()).await;
            before = cancelled(&server).await;
            if before == 0 {
                break;
            }
        }
        while cancelled(&server).await > 0 {
            assert!(begin.elapsed() < PATIENCE * 2, "it does not go on");
            tokio::time::sleep(LOOK).await;
        }
        assert_counted(&server).await;
        drop(server);
        place.over().await;
    }
}

/// Ids and keys of what runs.
async fn running(server: &Server) -> Vec<(i64, String)> {
    let list = server.get("/api/v1/tasks?status=in_progress&limit=1000").await.is(200);
    let of = |task: &Value| {
        (task["id"].as_i64().unwrap(), task["concurrency_key"].as_str().unwrap().to_owned())
    };
    list.as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn limits_hold_through_kill_9() {
    for place in Place::all(&[]).await {
        let server = place.start().await;
        let limits = json!({"concurrency_limit": 3, "concurrency_key_limit": 1});
        server.put("/api/v1/queues/narrow", limits).await.is(200);
        for n in 0..12 {
            let task = json!({"title": "t", "kind": "of-mine", "queue": "narrow",
                              "lease_seconds": 3, "concurrency_key": format!("k{}", n % 4)});
            server.create(task).await;
        }
        let wish = json!({"worker": "w", "kinds": ["of-mine"], "limit": 20});
        let claim = async |server: &Server| {
            server.post("/api/v1/tasks/claim", wish.clone()).await.is(200)["tasks"].clone()
        };
        let held = claim(&server).await;
        assert_eq!(held.as_array().unwrap().len(), 3);
        let mut server = server.kill_and_restart(&place.settings()).await;
        assert_eq!(claim(&server).await, json!([]), "what was held before the kill still counts");
        let (id, token) = (held[0]["id"].as_i64().unwrap(), held[0]["lease_token"].clone());
        let beat = json!({"lease_token": token});
        server.post(&format!("/api/v1/tasks/{id}/heartbeat"), beat.clone()).await.is(200);
        server.post(&format!("/api/v1/tasks/{id}/complete"), beat).await.is(200);
        // The leases of the two others end; one kill more in the middle of it.
        let (begin, mut done, mut killed) = (Instant::now(), 0, false);
        while done < 12 {
            assert!(begin.elapsed() < PATIENCE, "{done} are done");
            let now = running(&server).await;
            let mut keys: Vec<&String> = now.iter().map(|(_, key)| key).collect();
            keys.sort();
            keys.dedup();
            assert!(now.len() <= 3 && keys.len() == now.len(), "{now:?}");
            for task in claim(&server).await.as_array().unwrap() {
                let path = format!("/api/v1/tasks/{}/complete", task["id"]);
                let end = json!({"lease_token": task["lease_token"]});
                server.post(&path, end).await.is(200);
            }
            if done > 4 && !std::mem::replace(&mut killed, done > 4) {
                server = server.kill_and_restart(&place.settings()).await;
            }
            let list = server.get("/api/v1/tasks?status=completed").await.is(200);
            done = list.as_array().unwrap().len();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(server);
        place.over().await;
    }
}

#[tokio::test]
async fn a_lease_outlives_the_server() {
    for place in Place::all(&[]).await {
        let mut server = place.start().await;
        let id = server.create(json!({"title": "x", "kind": "of-mine"})).await;
        let claimed = server.claim("of-mine", 30).await;
        let token = json!({"lease_token": claimed["lease_token"]});
        let path = |verb: &str| format!("/api/v1/tasks/{id}/{verb}");
        let mut ends = vec![claimed["lease_expires_at"].as_str().unwrap().to_owned()];
        for signal in [Signal::KILL, Signal::TERM] {
            server.process.signal(signal);
            server.process.ended(PATIENCE).await;
            server = server.kill_and_restart(&place.settings()).await;
            let beat = server.post(&path("heartbeat"), token.clone()).await.is(200);
            ends.push(beat["lease_expires_at"].as_str().unwrap().to_owned());
            assert_eq!(server.task(id).await["attempt"], 1);
        }
        assert!(ends.is_sorted() && ends.first() < ends.last(), "{ends:?}");
        let done = server.post(&path("complete"), token.clone()).await.is(200);
        assert_eq!(server.post(&path("complete"), token).await.is(200), done);
        assert_eq!(server.outcomes(id).await, ["completed"]);
        drop(server);
        place.over().await;
    }
}

#[tokio::test]
async fn a_cancel_while_the_worker_is_away_is_told_at_its_next_heartbeat() {
    for place in Place::all(&[]).await {
        let server = place.start().await;
        let id = server.create(json!({"title": "x", "kind": "of-mine"})).await;
        let claimed = server.claim("of-mine", 30).await;
        let token = json!({"lease_token": claimed["lease_token"]});
        server.post(&format!("/api/v1/tasks/{id}/cancel"), json!({})).await.is(200);
        let server = server.kill_and_restart(&place.settings()).await;
        let beat = server.post(&format!("/api/v1/tasks/{id}/heartbeat"), token.clone()).await;
        let told = match beat.status {
            200 => beat.body["cancel_requested"] == true,
            _ => beat.body["code"] == "lease-lost",
        };
        assert!(told, "{beat:?}");
        let mut late = token;
        late["error"] = json!("too late");
        let late = server.post(&format!("/api/v1/tasks/{id}/fail"), late).await;
        late.problem(409, "lease-lost");
        assert_eq!(server.task(id).await["status"], "cancelled");
        assert_eq!(server.outcomes(id).await, ["cancelled"]);
        drop(server);
        place.over().await;
    }
}
