//! Writes histories by hand. Every call takes 5 µs and the next begins 5 µs later; the server's clock
//! is the same one, and a lease is 1000 µs long.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::evidence::Evidence;
use crate::history::{Ask, Call, Kind, Op};
use crate::kills::Outage;
use crate::readback::Remains;
use crate::view::{AttemptView, Status, TaskView};

pub(super) const LEASE: i64 = 1000;

pub(super) struct Book {
    pub(super) now: u64,
    pub(super) raw: Evidence,
    versions: BTreeMap<i64, u64>,
    starts: BTreeMap<(i64, u32), i64>,
    ends: BTreeMap<(i64, u32), i64>,
}

impl Book {
    pub(super) fn new() -> Self {
        let raw = Evidence {
            end: Some(BTreeMap::new()),
            drained_ms: Some(1),
            recovery_ms_max: 3000,
            ..Evidence::default()
        };
        let (versions, starts, ends) = Default::default();
        Self { now: 0, raw, versions, starts, ends }
    }

    pub(super) fn evidence(&self) -> Evidence {
        self.raw.clone().indexed()
    }

    pub(super) fn wait(&mut self, micros: u64) {
        self.now += micros;
    }

    /// A call that was answered with 200.
    pub(super) fn call(&mut self, op: Op, id: i64, args: Value) -> &mut Call {
        let mut call = Call::sent(self.now, "p", Ask::new(op, args, &[id]));
        call.t1 = Some(self.now + 5);
        call.kind = Kind::Ok;
        call.status = Some(200);
        self.now += 10;
        self.raw.calls.push(call);
        self.raw.calls.last_mut().unwrap()
    }

    pub(super) fn task(&mut self, id: i64, status: Status, attempt: u32) -> TaskView {
        TaskView {
            id,
            status,
            version: *self.versions.entry(id).or_insert(1),
            attempt,
            title: format!("title-{id}"),
            payload: json!({"p": format!("mark-{id}")}),
            result: Value::Null,
            started_at: None,
            lease_expires_at: None,
            token_hash: None,
        }
    }

    pub(super) fn create(&mut self, id: i64) -> &mut Call {
        let args = json!({
            "title": format!("title-{id}"), "payload": {"p": format!("mark-{id}")},
            "max_attempts": 3,
        });
        let task = self.task(id, Status::Pending, 0);
        let call = self.call(Op::Create, id, args);
        call.tasks = vec![task];
        call
    }

    pub(super) fn claim(&mut self, id: i64, attempt: u32) -> &mut Call {
        let version = self.version(id);
        let mut task = self.task(id, Status::InProgress, attempt);
        let now = self.now.cast_signed();
        task.version = version;
        task.started_at = Some(now);
        task.lease_expires_at = Some(now + LEASE);
        task.token_hash = Some(token(attempt));
        self.starts.insert((id, attempt), now);
        let call = self.call(Op::Claim, id, Value::Null);
        call.tasks = vec![task];
        call
    }

    fn held(&mut self, op: Op, id: i64, attempt: u32, args: Value) -> &mut Call {
        let call = self.call(op, id, args);
        call.attempt = Some(attempt);
        call.token_hash = Some(token(attempt));
        call
    }

    pub(super) fn heartbeat(&mut self, id: i64, attempt: u32) -> &mut Call {
        let end = self.now.cast_signed() + LEASE;
        let call = self.held(Op::Heartbeat, id, attempt, Value::Null);
        call.lease_expires_at = Some(end);
        call
    }

    pub(super) fn complete(&mut self, id: i64, attempt: u32) -> &mut Call {
        self.ended(id, attempt);
        self.held(Op::Complete, id, attempt, json!({"result": result(attempt)}))
    }

    pub(super) fn fail(&mut self, id: i64, attempt: u32, retryable: bool) -> &mut Call {
        self.ended(id, attempt);
        self.held(Op::Fail, id, attempt, json!({"error": "no", "retryable": retryable}))
    }

    fn ended(&mut self, id: i64, attempt: u32) {
        self.version(id);
        self.ends.insert((id, attempt), self.now.cast_signed());
    }

    fn version(&mut self, id: i64) -> u64 {
        let version = self.versions.entry(id).or_insert(1);
        *version += 1;
        *version
    }

    pub(super) fn get(&mut self, id: i64, status: Status, attempt: u32) -> &mut Call {
        let task = self.task(id, status, attempt);
        let call = self.call(Op::Get, id, Value::Null);
        call.tasks = vec![task];
        call
    }

    pub(super) fn edit(&mut self, id: i64, title: &str) -> &mut Call {
        self.call(Op::Edit, id, json!({"title": title}))
    }

    pub(super) fn delete(&mut self, id: i64) -> &mut Call {
        self.call(Op::Delete, id, Value::Null)
    }

    /// What is left of a task: its status and how its attempts ended.
    pub(super) fn end(&mut self, id: i64, status: Status, outcomes: &[&str]) -> &mut Remains {
        let attempts: Vec<AttemptView> = (1u32..)
            .zip(outcomes)
            .map(|(attempt, outcome)| {
                let started_at = self.starts.get(&(id, attempt)).copied();
                let over = started_at.map(|at| at + LEASE);
                let asked = self.ends.get(&(id, attempt)).copied();
                let ended_at = if *outcome == "lease_expired" { over } else { asked };
                AttemptView { attempt, started_at, ended_at, outcome: (*outcome).to_owned() }
            })
            .collect();
        let last = attempts.len().try_into().unwrap();
        let version = self.version(id);
        let mut task = self.task(id, status, last);
        task.version = version;
        if status == Status::Completed {
            task.result = result(last);
        }
        let remains = Remains { listed: true, task: Some(task), attempts };
        let end = self.raw.end.as_mut().unwrap();
        end.insert(id, remains);
        end.get_mut(&id).unwrap()
    }

    /// Nothing is left of a task.
    pub(super) fn gone(&mut self, id: i64) {
        self.raw.end.as_mut().unwrap().insert(id, Remains::default());
    }

    /// A kill and a restart that took `recovery_ms`.
    pub(super) fn outage(&mut self, recovery_ms: u64) -> &mut Outage {
        let at = self.now;
        self.now += recovery_ms * 1000 + 10;
        self.raw.outages.push(Outage {
            fault: "kill",
            pid: Some(1),
            killed_at: at,
            started_at: at,
            ready_at: Some(at + recovery_ms * 1000),
            by_itself: None,
            error: None,
        });
        self.raw.outages.last_mut().unwrap()
    }
}

pub(super) fn token(attempt: u32) -> String {
    format!("token-{attempt}")
}

pub(super) fn result(attempt: u32) -> Value {
    json!({"by": token(attempt)})
}
