//! One process of the test as it speaks to the server: every call is recorded before it is sent and
//! after it was answered. It repeats nothing and decides nothing; `load` does.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::history::{Ask, Kind, Learnt, Op, Recorder};
use crate::view::{AttemptView, Lease, TaskView, micros_of, token_hash};
use crate::wire::{Answer, Sent, Wire};

/// What the answer to a call is.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Task,
    List,
    Claimed,
    Beat,
    Attempts,
    Anything,
}

/// What a caller gets to know.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) kind: Kind,
    pub(crate) status: Option<u16>,
    /// The JSON of the answer; null when there is none.
    pub(crate) body: Value,
}

impl Reply {
    /// Whether the server has spoken: a 2xx or a 4xx. Otherwise a repetition makes sense.
    pub(crate) fn is_definite(&self) -> bool {
        self.kind == Kind::Ok || (self.kind == Kind::Fail && self.status.is_some())
    }
}

/// One process.
#[derive(Debug)]
pub(crate) struct Caller {
    wire: Wire,
    recorder: Arc<Recorder>,
    proc: String,
}

impl Caller {
    /// A process named `proc` that speaks to `address`.
    pub(crate) fn new(address: SocketAddr, recorder: Arc<Recorder>, proc: String) -> Self {
        Self { wire: Wire::new(address), recorder, proc }
    }

    /// Its name.
    pub(crate) fn proc(&self) -> &str {
        &self.proc
    }

    /// Creates a task; `body` is its whole form.
    pub(crate) async fn create(&mut self, body: Value) -> Reply {
        let ask = Ask::new(Op::Create, body.clone(), &[]);
        self.one(ask, Shape::Task, "POST", "/api/v1/tasks", Some(&body)).await
    }

    /// Reads a task.
    pub(crate) async fn get(&mut self, id: i64) -> Reply {
        let ask = Ask::new(Op::Get, Value::Null, &[id]);
        self.one(ask, Shape::Task, "GET", &format!("/api/v1/tasks/{id}"), None).await
    }

    /// Reads a page of tasks, newest first.
    pub(crate) async fn list(&mut self, skip: usize, limit: usize) -> Reply {
        let ask = Ask::new(Op::List, json!({"skip": skip, "limit": limit}), &[]);
        let path = format!("/api/v1/tasks?skip={skip}&limit={limit}");
        self.one(ask, Shape::List, "GET", &path, None).await
    }

    /// Sets a title.
    pub(crate) async fn edit(&mut self, id: i64, title: &str) -> Reply {
        let body = json!({"title": title});
        let ask = Ask::new(Op::Edit, body.clone(), &[id]);
        self.one(ask, Shape::Task, "PUT", &format!("/api/v1/tasks/{id}"), Some(&body)).await
    }

    /// Deletes a task.
    pub(crate) async fn delete(&mut self, id: i64) -> Reply {
        let ask = Ask::new(Op::Delete, Value::Null, &[id]);
        self.one(ask, Shape::Anything, "DELETE", &format!("/api/v1/tasks/{id}"), None).await
    }

    /// Reads the finished attempts of a task.
    pub(crate) async fn attempts(&mut self, id: i64) -> Reply {
        let ask = Ask::new(Op::Attempts, Value::Null, &[id]);
        self.one(ask, Shape::Attempts, "GET", &format!("/api/v1/tasks/{id}/attempts"), None).await
    }

    /// Claims tasks; `want` is the claim part of a sync.
    pub(crate) async fn claim(&mut self, want: &Value) -> Reply {
        let mut body = want.clone();
        body["worker"] = json!(self.proc);
        let ask = Ask::new(Op::Claim, want.clone(), &[]);
        self.one(ask, Shape::Claimed, "POST", "/api/v1/tasks/claim", Some(&body)).await
    }

    /// Extends a lease.
    pub(crate) async fn heartbeat(&mut self, lease: &Lease) -> Reply {
        let body = json!({"lease_token": lease.token});
        let path = format!("/api/v1/tasks/{}/heartbeat", lease.id);
        self.one(held(Op::Heartbeat, Value::Null, lease), Shape::Beat, "POST", &path, Some(&body))
            .await
    }

    /// Ends an attempt: completes it, or fails it, with `args`.
    pub(crate) async fn finish(&mut self, op: Op, lease: &Lease, args: &Value) -> Reply {
        let verb = if op == Op::Complete { "complete" } else { "fail" };
        let mut body = args.clone();
        body["lease_token"] = json!(lease.token);
        let path = format!("/api/v1/tasks/{}/{verb}", lease.id);
        self.one(held(op, args.clone(), lease), Shape::Anything, "POST", &path, Some(&body)).await
    }

    /// Ends attempts, extends leases and claims in one round trip.
    pub(crate) async fn sync(
        &mut self,
        finished: &[(Op, Lease, Value)],
        beats: &[Lease],
        claim: Option<&Value>,
    ) -> Reply {
        let counts = json!({
            "finished": finished.len(), "heartbeats": beats.len(), "claim": claim.is_some(),
        });
        let whole = self.recorder.invoke(&self.proc, Ask::new(Op::Sync, counts, &[]));
        let mut parts = Parts::default();
        for (op, lease, args) in finished {
            let ask = held(*op, args.clone(), lease);
            parts.finished.push((self.recorder.invoke(&self.proc, ask), lease.id));
        }
        for lease in beats {
            let ask = held(Op::Heartbeat, Value::Null, lease);
            parts.beats.push((self.recorder.invoke(&self.proc, ask), lease.id));
        }
        if let Some(want) = claim {
            let ask = Ask::new(Op::Claim, want.clone(), &[]);
            parts.claim = Some(self.recorder.invoke(&self.proc, ask));
        }
        let body = sync_body(finished, beats, claim);
        let path = format!("/api/v1/workers/{}/sync", self.proc);
        let sent = self.wire.call("POST", &path, Some(&body)).await;
        let (learnt, body) = learn(&sent, Shape::Anything);
        parts.record(&self.recorder, &learnt, &body);
        let reply = Reply { kind: learnt.kind, status: learnt.status, body };
        self.recorder.complete(whole, learnt);
        reply
    }

    /// Reads something that is not part of the history.
    pub(crate) async fn peek(&mut self, path: &str) -> Reply {
        let sent = self.wire.call("GET", path, None).await;
        let (learnt, body) = learn(&sent, Shape::Anything);
        Reply { kind: learnt.kind, status: learnt.status, body }
    }

    async fn one(
        &mut self,
        ask: Ask,
        shape: Shape,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Reply {
        let number = self.recorder.invoke(&self.proc, ask);
        let sent = self.wire.call(method, path, body).await;
        let (learnt, body) = learn(&sent, shape);
        let reply = Reply { kind: learnt.kind, status: learnt.status, body };
        self.recorder.complete(number, learnt);
        reply
    }
}

fn held(op: Op, args: Value, lease: &Lease) -> Ask {
    Ask {
        op,
        args,
        ids: vec![lease.id],
        attempt: Some(lease.attempt),
        token_hash: Some(token_hash(&lease.token)),
    }
}

fn sync_body(finished: &[(Op, Lease, Value)], beats: &[Lease], claim: Option<&Value>) -> Value {
    let finished: Vec<Value> = finished
        .iter()
        .map(|(op, lease, args)| {
            let mut item = args.clone();
            item["id"] = json!(lease.id);
            item["lease_token"] = json!(lease.token);
            item["outcome"] = json!(if *op == Op::Complete { "completed" } else { "failed" });
            item
        })
        .collect();
    let beats: Vec<Value> =
        beats.iter().map(|l| json!({"id": l.id, "lease_token": l.token})).collect();
    let mut body = json!({"finished": finished, "heartbeats": beats});
    if let Some(want) = claim {
        body["claim"] = want.clone();
    }
    body
}

/// Numbers of the calls that a sync consists of.
#[derive(Default)]
struct Parts {
    finished: Vec<(usize, i64)>,
    beats: Vec<(usize, i64)>,
    claim: Option<usize>,
}

impl Parts {
    fn record(&self, recorder: &Recorder, whole: &Learnt, body: &Value) {
        for (parts, name) in [(&self.finished, "finished"), (&self.beats, "heartbeats")] {
            for (number, id) in parts {
                recorder.complete(*number, part(whole, &body[name], *id));
            }
        }
        if let Some(number) = self.claim {
            let mut learnt = whole.clone();
            if learnt.kind == Kind::Ok {
                read_into(&mut learnt, Shape::Claimed, body);
            }
            recorder.complete(number, learnt);
        }
    }
}

/// What a sync's answer says of one item.
fn part(whole: &Learnt, items: &Value, id: i64) -> Learnt {
    let mut learnt = whole.clone();
    if whole.kind != Kind::Ok {
        return learnt;
    }
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    let item = items.iter().find(|item| item["id"] == json!(id));
    let status = item.and_then(|i| i["status"].as_u64()).and_then(|s| u16::try_from(s).ok());
    let (Some(item), Some(status)) = (item, status) else {
        learnt.kind = Kind::Info;
        learnt.odd = Some(format!("a sync answered nothing for task {id}"));
        return learnt;
    };
    learnt.kind = kind_of(status);
    learnt.status = Some(status);
    learnt.note = item["code"].as_str().map(str::to_owned);
    if let Some(end) = item["lease_expires_at"].as_str() {
        match micros_of(end) {
            Ok(end) => learnt.lease_expires_at = Some(end),
            Err(error) => learnt.odd = Some(error),
        }
    }
    learnt
}

fn kind_of(status: u16) -> Kind {
    match status {
        200..=299 => Kind::Ok,
        400..=499 => Kind::Fail,
        _ => Kind::Info,
    }
}

fn learn(sent: &Sent, shape: Shape) -> (Learnt, Value) {
    let mut learnt = Learnt {
        kind: Kind::Info,
        status: None,
        tasks: Vec::new(),
        lease_expires_at: None,
        note: None,
        odd: None,
    };
    match sent {
        Sent::Refused(error) => {
            learnt.kind = Kind::Fail;
            learnt.note = Some(error.clone());
            (learnt, Value::Null)
        }
        Sent::Unknown(error) => {
            learnt.note = Some(error.clone());
            (learnt, Value::Null)
        }
        Sent::Answered(answer) => {
            learnt.kind = kind_of(answer.status);
            learnt.status = Some(answer.status);
            let body = json_of(answer, &mut learnt);
            if learnt.kind == Kind::Ok {
                read_into(&mut learnt, shape, &body);
            } else {
                learnt.note = body["code"].as_str().map(str::to_owned);
            }
            (learnt, body)
        }
    }
}

fn json_of(answer: &Answer, learnt: &mut Learnt) -> Value {
    let is_error = learnt.kind != Kind::Ok;
    if is_error && !answer.content_type.starts_with("application/problem+json") {
        learnt.odd = Some(format!("an error as {:?}, not problem+json", answer.content_type));
    }
    if answer.body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| {
        learnt.odd = Some(format!("a body that is not JSON: {error}"));
        Value::Null
    })
}

fn read_into(learnt: &mut Learnt, shape: Shape, body: &Value) {
    if let Err(error) = try_read(learnt, shape, body) {
        learnt.odd = Some(format!("an answer of the wrong shape: {error}"));
    }
}

fn try_read(learnt: &mut Learnt, shape: Shape, body: &Value) -> Result<(), String> {
    let text = |error: serde_json::Error| error.to_string();
    match shape {
        Shape::Anything => {}
        Shape::Task => learnt.tasks = vec![serde_json::from_value(body.clone()).map_err(text)?],
        Shape::List => learnt.tasks = serde_json::from_value(body.clone()).map_err(text)?,
        Shape::Claimed => {
            let tasks: Vec<TaskView> =
                serde_json::from_value(body["tasks"].clone()).map_err(text)?;
            let bare = tasks.iter().find(|t| t.token_hash.is_none() || t.started_at.is_none());
            if let Some(task) = bare {
                return Err(format!("task {} without lease_token or started_at", task.id));
            }
            learnt.tasks = tasks;
        }
        Shape::Beat => {
            let end = body["lease_expires_at"].as_str().ok_or("no lease_expires_at")?;
            learnt.lease_expires_at = Some(micros_of(end)?);
        }
        Shape::Attempts => {
            serde_json::from_value::<Vec<AttemptView>>(body.clone()).map_err(text)?;
        }
    }
    Ok(())
}
