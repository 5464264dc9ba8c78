//! The tasks of the stand-in, kept in an append-only file, and what may be wrong with them.
//! It knows nothing of HTTP but the status of an answer.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Status and body.
pub(crate) type Answer = (u16, Value);

/// What is wrong with this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    Honest,
    /// Answers before the change is written.
    AckBeforeCommit,
    /// Accepts any token for a running task.
    AnyToken,
    /// Hands out a running task again before its lease has ended.
    EarlyRescue,
    /// Never takes back a lease that has ended.
    NoRescue,
    /// Does not count an attempt whose lease ran out.
    FreeDeath,
    /// Says 409 to some creates that it carries out.
    RefusedButDone,
}

impl Mutant {
    fn read() -> Self {
        let word = std::fs::read_to_string("mutant").unwrap_or_default();
        match word.trim() {
            "ack-before-commit" => Self::AckBeforeCommit,
            "any-token" => Self::AnyToken,
            "early-rescue" => Self::EarlyRescue,
            "no-rescue" => Self::NoRescue,
            "free-death" => Self::FreeDeath,
            "refused-but-done" => Self::RefusedButDone,
            _ => Self::Honest,
        }
    }
}

/// One task: what is shown, and what is kept beside it.
#[derive(Debug, Clone)]
struct Row {
    shown: Value,
    kept: Value,
}

pub(crate) struct Store {
    rows: BTreeMap<i64, Row>,
    next: i64,
    tokens: u64,
    log: File,
    unwritten: Vec<u8>,
    mutant: Mutant,
}

fn at(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn after(now: Timestamp, seconds: f64) -> Value {
    json!((now + SignedDuration::from_secs_f64(seconds)).to_string())
}

impl Store {
    pub(crate) fn open() -> Self {
        let path = "torture.db";
        let old = std::fs::read_to_string(path).unwrap_or_default();
        let mut rows = BTreeMap::new();
        let mut next = 1;
        for line in old.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let id = line["id"].as_i64().unwrap_or(0);
            next = next.max(id + 1);
            if line["shown"].is_null() {
                rows.remove(&id);
            } else {
                rows.insert(id, Row { shown: line["shown"].clone(), kept: line["kept"].clone() });
            }
        }
        let mut log =
            OpenOptions::new().create(true).append(true).open(path).expect("the log can be opened");
        log.write_all(b"\n").expect("the log can be written");
        let tokens = Timestamp::now().as_microsecond().unsigned_abs();
        Self { rows, next, tokens, log, unwritten: Vec::new(), mutant: Mutant::read() }
    }

    fn save(&mut self, id: i64) {
        let row = self.rows.get(&id);
        let line = json!({"id": id, "shown": row.map(|r| &r.shown), "kept": row.map(|r| &r.kept)});
        let line = format!("{line}\n");
        if self.mutant == Mutant::AckBeforeCommit {
            self.unwritten.extend_from_slice(line.as_bytes());
        } else {
            self.log.write_all(line.as_bytes()).expect("the log can be written");
        }
    }

    pub(crate) fn create(&mut self, body: &Value) -> Answer {
        let id = self.next;
        self.next += 1;
        let delay = body["delay_seconds"].as_f64().unwrap_or(0.0);
        let shown = json!({
            "id": id, "title": body["title"], "payload": body["payload"], "status": "pending",
            "attempt": 0, "version": 1, "result": null,
        });
        let kept = json!({
            "run_at": after(Timestamp::now(), delay), "max": body["max_attempts"],
            "attempts": [], "token": null, "last": null,
        });
        self.rows.insert(id, Row { shown: shown.clone(), kept });
        self.save(id);
        if self.mutant == Mutant::RefusedButDone && id % 50 == 0 {
            return (409, json!({"code": "busy"}));
        }
        (201, shown)
    }

    pub(crate) fn list(&self, query: &str) -> Value {
        let number = |name: &str, default: usize| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name));
            value.and_then(|v| v.trim_start_matches('=').parse().ok()).unwrap_or(default)
        };
        let rows = self.rows.values().rev().skip(number("skip", 0)).take(number("limit", 100));
        json!(rows.map(|row| &row.shown).collect::<Vec<_>>())
    }

    pub(crate) fn summary(&self) -> Value {
        let mut counts = json!({"pending": 0, "in_progress": 0, "completed": 0, "failed": 0});
        for row in self.rows.values() {
            let status = row.shown["status"].as_str().unwrap_or("");
            counts[status] = json!(counts[status].as_u64().unwrap_or(0) + 1);
        }
        counts
    }

    pub(crate) fn about(&mut self, id: i64, method: &str, verb: &str, body: &Value) -> Answer {
        let mut item = body.clone();
        let Some(row) = self.rows.get_mut(&id) else {
            return (404, json!({"code": "task-not-found"}));
        };
        if method == "POST" {
            item["id"] = json!(id);
            item["outcome"] = json!(if verb == "complete" { "completed" } else { "failed" });
            let answer = if verb == "heartbeat" { self.beat(&item) } else { self.finish(&item) };
            let status = answer["status"].as_u64().and_then(|s| u16::try_from(s).ok());
            return (status.unwrap_or(500), answer);
        }
        match (method, verb) {
            ("GET", "attempts") => (200, row.kept["attempts"].clone()),
            ("GET", _) => (200, row.shown.clone()),
            ("PUT", _) => {
                row.shown["title"] = body["title"].clone();
                bump(row);
                let shown = row.shown.clone();
                self.save(id);
                (200, shown)
            }
            ("DELETE", _) => {
                self.rows.remove(&id);
                self.save(id);
                (204, Value::Null)
            }
            _ => (405, json!({"code": "method"})),
        }
    }

    pub(crate) fn claim(&mut self, want: &Value) -> Vec<Value> {
        let now = Timestamp::now();
        let limit = want["limit"].as_u64().unwrap_or(1);
        let early = self.mutant == Mutant::EarlyRescue;
        let due = |row: &Row| {
            let pending = row.shown["status"] == "pending";
            let stolen = early && row.shown["status"] == "in_progress";
            (pending || stolen) && at(&row.kept["run_at"]).is_some_and(|at| at <= now)
        };
        let ids = self.rows.iter().filter(|(_, row)| due(row)).map(|(&id, _)| id);
        let ids: Vec<i64> = ids.take(usize::try_from(limit).unwrap_or(1)).collect();
        let mut tasks = Vec::new();
        for id in ids {
            self.tokens += 1;
            let token = format!("{:032x}", self.tokens);
            let row = self.rows.get_mut(&id).expect("it was just there");
            if row.shown["status"] == "in_progress" {
                close(row, "lease_expired", now);
            }
            row.shown["attempt"] = json!(row.shown["attempt"].as_u64().unwrap_or(0) + 1);
            row.shown["status"] = json!("in_progress");
            row.shown["started_at"] = json!(now.to_string());
            let lease = want["lease_seconds"].as_f64().unwrap_or(30.0);
            row.shown["lease_expires_at"] = after(now, lease);
            row.kept["lease"] = json!(lease);
            row.kept["token"] = json!(token);
            row.kept["last"] = Value::Null;
            bump(row);
            let mut task = row.shown.clone();
            task["lease_token"] = json!(token);
            tasks.push(task);
            self.save(id);
        }
        tasks
    }

    pub(crate) fn each(
        &mut self,
        items: &Value,
        act: fn(&mut Self, &Value) -> Value,
    ) -> Vec<Value> {
        let items = items.as_array().cloned().unwrap_or_default();
        items.iter().map(|item| act(self, item)).collect()
    }

    pub(crate) fn beat(&mut self, item: &Value) -> Value {
        let id = item["id"].as_i64().unwrap_or(0);
        let Some(row) = self.rows.get_mut(&id) else {
            return json!({"id": id, "status": 404});
        };
        if row.kept["token"] != item["lease_token"] {
            return json!({"id": id, "status": 409, "code": "lease-lost"});
        }
        let lease = row.kept["lease"].as_f64().unwrap_or(30.0);
        row.shown["lease_expires_at"] = after(Timestamp::now(), lease);
        let end = row.shown["lease_expires_at"].clone();
        self.save(id);
        json!({"id": id, "status": 200, "lease_expires_at": end})
    }

    pub(crate) fn finish(&mut self, item: &Value) -> Value {
        let id = item["id"].as_i64().unwrap_or(0);
        let any = self.mutant == Mutant::AnyToken;
        let Some(row) = self.rows.get_mut(&id) else {
            return json!({"id": id, "status": 404});
        };
        let call = json!([item["lease_token"], item["outcome"], item["result"], item["error"]]);
        if row.kept["last"] == call {
            return json!({"id": id, "status": 200});
        }
        let running = row.shown["status"] == "in_progress";
        if !running || (row.kept["token"] != item["lease_token"] && !any) {
            return json!({"id": id, "status": 409, "code": "lease-lost"});
        }
        let now = Timestamp::now();
        if item["outcome"] == "completed" {
            close(row, "completed", now);
            row.shown["status"] = json!("completed");
            row.shown["result"] = item["result"].clone();
        } else {
            close(row, "failed", now);
            let more = row.shown["attempt"].as_u64() < row.kept["max"].as_u64();
            let again = more && item["retryable"] != json!(false);
            row.shown["status"] = json!(if again { "pending" } else { "failed" });
            row.kept["run_at"] = after(now, 0.05);
        }
        row.kept["last"] = call;
        self.save(id);
        json!({"id": id, "status": 200})
    }

    /// Takes back leases, and writes what a dishonest server has not written yet.
    pub(crate) fn sweep(&mut self) {
        self.rescue();
        let late = std::mem::take(&mut self.unwritten);
        self.log.write_all(&late).expect("the log can be written");
    }

    fn rescue(&mut self) {
        if self.mutant == Mutant::NoRescue {
            return;
        }
        let now = Timestamp::now();
        let over = |row: &Row| at(&row.shown["lease_expires_at"]).is_some_and(|end| end <= now);
        let running = |row: &Row| row.shown["status"] == "in_progress";
        let ids = self.rows.iter().filter(|(_, r)| running(r) && over(r)).map(|(&id, _)| id);
        for id in ids.collect::<Vec<_>>() {
            let row = self.rows.get_mut(&id).expect("it was just there");
            if self.mutant == Mutant::FreeDeath {
                row.shown["attempt"] = json!(row.shown["attempt"].as_u64().unwrap_or(1) - 1);
                row.kept["token"] = Value::Null;
                row.shown["status"] = json!("pending");
                bump(row);
            } else {
                close(row, "lease_expired", now);
                let more = row.shown["attempt"].as_u64() < row.kept["max"].as_u64();
                row.shown["status"] = json!(if more { "pending" } else { "failed" });
            }
            self.save(id);
        }
    }
}

fn bump(row: &mut Row) {
    row.shown["version"] = json!(row.shown["version"].as_u64().unwrap_or(0) + 1);
}

/// Ends the running attempt and writes it into the history.
fn close(row: &mut Row, outcome: &str, now: Timestamp) {
    let attempt = json!({
        "attempt": row.shown["attempt"], "worker": null, "started_at": row.shown["started_at"],
        "ended_at": now.to_string(), "outcome": outcome, "error": null,
    });
    if let Some(attempts) = row.kept["attempts"].as_array_mut() {
        attempts.push(attempt);
    }
    row.kept["token"] = Value::Null;
    row.shown["lease_expires_at"] = Value::Null;
    bump(row);
}
