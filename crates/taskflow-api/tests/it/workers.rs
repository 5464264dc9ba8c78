//! Workers over HTTP: the list, drain and resume, release, and what the workers are answered.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{Answer, TestApp, at, path};

const JSON: (&str, &str) = ("content-type", "application/json");

/// A claim of one process.
async fn claim(app: &TestApp, worker: &str, process: &str, limit: u32) -> Answer {
    let headers = [JSON, ("worker-instance", process), ("user-agent", "mine/1.2")];
    let body = json!({"worker": worker, "kinds": ["job"], "queues": ["q"], "limit": limit});
    app.call("POST", "/api/v1/tasks/claim", &headers, body.to_string()).await
}

async fn job(app: &TestApp) -> Value {
    app.create(&json!({"title": "t", "kind": "job", "queue": "q"})).await
}

async fn tell(app: &TestApp, worker: &str, word: &str) -> Answer {
    app.call("POST", &format!("/api/v1/workers/{worker}/{word}"), &[], "").await
}

#[tokio::test]
async fn a_worker_is_listed_with_what_it_is_takes_and_holds() {
    let app = TestApp::new();
    assert_eq!(app.get("/api/v1/workers").await.ok(200), json!([]));
    let task = job(&app).await;
    claim(&app, "host:1/a@b", "p-1", 5).await.ok(200);
    app.clock.advance(2.0);
    app.post("/api/v1/workers/w2/sync", &json!({"claim": {}})).await.ok(200);
    let all = app.get("/api/v1/workers").await.ok(200);
    let one = json!({
        "worker": "host:1/a@b", "first_seen_at": at(0.0), "last_seen_at": at(0.0),
        "version": "mine/1.2", "instance": "p-1", "node": null, "queues": ["q"],
        "kinds": ["job"], "draining": false, "holds": 1,
        "tasks": [{"id": task["id"], "attempt": 1, "lease_expires_at": at(30.0)}],
    });
    assert_eq!(all[1], one);
    assert_eq!(app.get("/api/v1/workers/host:1%2Fa@b").await.ok(200), one);
    assert_eq!(all[0]["worker"], "w2", "the latest call first");
    let unsaid = ["version", "instance", "queues", "kinds"].map(|field| all[0][field].clone());
    assert_eq!(unsaid, [Value::Null, Value::Null, Value::Null, Value::Null]);
}

#[tokio::test]
async fn a_list_of_workers_goes_on_where_a_page_ended() {
    let app = TestApp::new();
    for n in 0..5 {
        claim(&app, &format!("w{n}"), "p", 1).await.ok(200);
        app.clock.advance(f64::from(n % 2));
    }
    let (mut next, mut names) = ("/api/v1/workers?limit=2".to_owned(), Vec::new());
    loop {
        let page = app.get(&next).await;
        let link = page.header("link").to_owned();
        let page = page.ok(200);
        let page = page.as_array().expect("a list");
        names.extend(page.iter().map(|w| w["worker"].as_str().expect("a name").to_owned()));
        match link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) {
            Some(path) => next = path.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, ["w4", "w2", "w3", "w0", "w1"]);
}

#[tokio::test]
async fn a_drained_worker_is_told_so_with_every_answer_until_it_is_resumed() {
    let app = TestApp::new();
    let held = job(&app).await;
    let claimed = claim(&app, "w1", "p1", 1).await.ok(200);
    assert_eq!(claimed["command"], Value::Null);
    let token = &claimed["tasks"][0]["lease_token"];
    for _ in 0..2 {
        let drained = tell(&app, "w1", "drain").await.ok(200);
        assert_eq!((&drained["draining"], &drained["holds"]), (&json!(true), &json!(1)));
    }
    job(&app).await;
    let answer = claim(&app, "w1", "p1", 1).await.ok(200);
    assert_eq!(answer, json!({"tasks": [], "command": "drain"}));
    let headers = [JSON, ("worker-instance", "p1")];
    let body = json!({
        "claim": {"kinds": ["job"]}, "heartbeats": [{"id": held["id"], "lease_token": token}],
    });
    let sync = |body: &Value| {
        let body = body.to_string();
        app.call("POST", "/api/v1/workers/w1/sync", &headers, body)
    };
    let answer = sync(&body).await.ok(200);
    assert_eq!((&answer["tasks"], &answer["command"]), (&json!([]), &json!("drain")));
    assert_eq!(answer["heartbeats"][0]["status"], 200, "what it holds goes on");
    let beat = json!({"lease_token": token});
    let answer = app.post(&path(&held["id"], "/heartbeat"), &beat).await.ok(200);
    assert_eq!(answer["command"], "drain");
    app.post(&path(&held["id"], "/complete"), &beat).await.ok(200);
    let other = claim(&app, "w1", "p2", 1).await.ok(200);
    assert_eq!(
        (other["tasks"].as_array().map(Vec::len), &other["command"]),
        (Some(1), &json!(null))
    );
    job(&app).await;
    for _ in 0..2 {
        assert_eq!(tell(&app, "w1", "resume").await.ok(200)["draining"], false);
    }
    let answer = sync(&json!({"claim": {"kinds": ["job"]}})).await.ok(200);
    assert_eq!(
        (answer["tasks"].as_array().map(Vec::len), &answer["command"]),
        (Some(1), &json!(null))
    );
}

#[tokio::test]
async fn a_process_can_be_drained_by_its_own_name() {
    let app = TestApp::new();
    claim(&app, "w1", "p2", 1).await.ok(200);
    let answer = tell(&app, "w1", "drain?instance=p1").await.ok(200);
    assert_eq!(answer["draining"], false, "p2 is the one that called last");
    assert_eq!(claim(&app, "w1", "p1", 1).await.ok(200)["command"], "drain");
    assert_eq!(claim(&app, "w1", "p2", 1).await.ok(200)["command"], Value::Null);
    tell(&app, "w1", "drain?instance=p%201").await.blames("?instance", "name");
    tell(&app, "w1", "drain?instance=").await.blames("?instance", "name");
    tell(&app, "w1", "drain?process=p1").await.blames("?process", "unknown-parameter");
}

#[tokio::test]
async fn a_parked_claim_is_answered_when_its_worker_is_drained() {
    let app = std::sync::Arc::new(TestApp::new());
    let parked = tokio::spawn({
        let app = std::sync::Arc::clone(&app);
        async move {
            let body = json!({"worker": "w1", "wait_seconds": 60}).to_string();
            app.call("POST", "/api/v1/tasks/claim", &[JSON], body).await.ok(200)
        }
    });
    while app.services.bus.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    tell(&app, "w1", "drain").await.ok(200);
    let answer = tokio::time::timeout(Duration::from_secs(20), parked).await;
    let answer = answer.expect("it is answered long before its wait ends").expect("no panic");
    assert_eq!(answer, json!({"tasks": [], "command": "drain"}));
}

#[tokio::test]
async fn a_release_frees_what_a_worker_holds_and_fences_it() {
    let app = TestApp::new();
    job(&app).await;
    job(&app).await;
    let held = claim(&app, "w1", "p1", 2).await.ok(200)["tasks"].clone();
    assert_eq!(tell(&app, "w1", "release").await.ok(200), json!({"released": 2}));
    assert_eq!(tell(&app, "w1", "release").await.ok(200), json!({"released": 0}));
    let id = &held[0]["id"];
    let token = json!({"lease_token": held[0]["lease_token"]});
    app.post(&path(id, "/complete"), &token).await.refused(409, "lease-lost");
    let task = app.task(id).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("pending"), &json!(1)));
    let attempts = app.get(&path(id, "/attempts")).await.ok(200);
    assert_eq!(
        (&attempts[0]["outcome"], &attempts[0]["worker"]),
        (&json!("released"), &json!("w1"))
    );
    assert_eq!(claim(&app, "w2", "p1", 5).await.ok(200)["tasks"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn nobody_knows_an_unknown_worker() {
    let app = TestApp::new();
    let problem = app.get("/api/v1/workers/w1").await.refused(404, "not-found");
    assert_eq!(problem["detail"], "no worker w1 called within the last day");
    for word in ["drain", "drain?instance=p", "resume", "release"] {
        tell(&app, "w1", word).await.refused(404, "not-found");
    }
    assert_eq!(app.get("/api/v1/workers").await.ok(200), json!([]), "it leaves no trace");
}

#[tokio::test]
async fn bad_names_and_parameters_are_told() {
    let app = TestApp::new();
    let long = "w".repeat(201);
    for bad in ["-w", "a%20b", "%C3%A9", long.as_str()] {
        app.get(&format!("/api/v1/workers/{bad}")).await.blames("/worker", "name");
        for word in ["drain", "resume", "release"] {
            tell(&app, bad, word).await.blames("/worker", "name");
        }
    }
    for (query, at, code) in [
        ("limit=0", "?limit", "out-of-range"),
        ("limit=1001", "?limit", "out-of-range"),
        ("limit=%2B5", "?limit", "out-of-range"),
        ("limit=", "?limit", "out-of-range"),
        ("after=7", "?after", "not-a-cursor"),
        ("after=7.", "?after", "not-a-cursor"),
        ("after=-7.w", "?after", "not-a-cursor"),
        ("after=99999999999999999999.w", "?after", "not-a-cursor"),
        ("skip=1", "?skip", "unknown-parameter"),
    ] {
        app.get(&format!("/api/v1/workers?{query}")).await.blames(at, code);
    }
    for bad in ["", " ", "a b", "-p", "p/1", &"p".repeat(65)] {
        claim(&app, "w1", bad, 1).await.blames("/Worker-Instance", "name");
    }
    let twice = [JSON, ("worker-instance", "a"), ("worker-instance", "b")];
    let answer = app.call("POST", "/api/v1/workers/w1/sync", &twice, "{}").await;
    answer.blames("/Worker-Instance", "repeated");
    assert_eq!(app.get("/api/v1/workers").await.ok(200), json!([]), "it leaves no trace");
}
