//! The history: every call with its two moments, on one monotonic clock. It records; it judges nothing.

use std::io::{self, Write};
use std::time::Instant;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};

use crate::view::TaskView;

#[cfg(test)]
mod tests;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Op {
    Create,
    Get,
    List,
    Edit,
    Delete,
    Claim,
    /// The round trip as a whole; its parts are recorded beside it as calls of their own.
    Sync,
    Heartbeat,
    Complete,
    Fail,
    Attempts,
}

impl Op {
    /// Every operation.
    pub(crate) const ALL: [Op; 11] = [
        Self::Create,
        Self::Get,
        Self::List,
        Self::Edit,
        Self::Delete,
        Self::Claim,
        Self::Sync,
        Self::Heartbeat,
        Self::Complete,
        Self::Fail,
        Self::Attempts,
    ];
}

/// What the caller knows afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A 2xx: it happened.
    Ok,
    /// A 4xx, or no connection: it did not happen.
    Fail,
    /// Anything else: it may have happened.
    Info,
}

/// One call. Times are microseconds since the run began.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call {
    pub(crate) t0: u64,
    /// None: no answer ever came.
    pub(crate) t1: Option<u64>,
    pub(crate) proc: String,
    pub(crate) op: Op,
    /// What was sent, without tokens.
    pub(crate) args: Value,
    pub(crate) kind: Kind,
    pub(crate) status: Option<u16>,
    /// Tasks that it is about; for a claim those it was given.
    pub(crate) ids: Vec<i64>,
    /// The attempt that the caller holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_hash: Option<String>,
    /// Tasks as the answer showed them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tasks: Vec<TaskView>,
    /// The new end of the lease, from a heartbeat's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lease_expires_at: Option<i64>,
    /// Error text of the connection, or code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// What is wrong with the answer itself, whatever it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) odd: Option<String>,
}

impl Call {
    /// A call that was sent and has no answer yet.
    pub(crate) fn sent(t0: u64, proc: &str, ask: Ask) -> Self {
        Self {
            t0,
            t1: None,
            proc: proc.to_owned(),
            op: ask.op,
            args: ask.args,
            kind: Kind::Info,
            status: None,
            ids: ask.ids,
            attempt: ask.attempt,
            token_hash: ask.token_hash,
            tasks: Vec::new(),
            lease_expires_at: None,
            note: None,
            odd: None,
        }
    }

    /// Whether it may have had an effect.
    pub(crate) fn may_have_happened(&self) -> bool {
        self.kind != Kind::Fail
    }

    /// Whether it was over before `other` began. An unknown call is never over.
    pub(crate) fn precedes(&self, other: &Call) -> bool {
        self.kind != Kind::Info && self.t1.is_some_and(|t1| t1 < other.t0)
    }
}

/// What is known of a call before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) op: Op,
    pub(crate) args: Value,
    pub(crate) ids: Vec<i64>,
    pub(crate) attempt: Option<u32>,
    pub(crate) token_hash: Option<String>,
}

impl Ask {
    /// A call about the given tasks.
    pub(crate) fn new(op: Op, args: Value, ids: &[i64]) -> Self {
        Self { op, args, ids: ids.to_vec(), attempt: None, token_hash: None }
    }
}

/// What an answer adds to its call.
#[derive(Debug, Clone)]
pub(crate) struct Learnt {
    pub(crate) kind: Kind,
    pub(crate) status: Option<u16>,
    pub(crate) tasks: Vec<TaskView>,
    pub(crate) lease_expires_at: Option<i64>,
    pub(crate) note: Option<String>,
    pub(crate) odd: Option<String>,
}

/// Collects the calls of all processes.
#[derive(Debug)]
pub(crate) struct Recorder {
    begin: Instant,
    calls: Mutex<Vec<Call>>,
}

impl Recorder {
    /// Begins now.
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), calls: Mutex::new(Vec::new()) }
    }

    /// Microseconds since the run began.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Writes down that a call is about to be sent; gives its number.
    pub(crate) fn invoke(&self, proc: &str, ask: Ask) -> usize {
        let mut calls = self.calls.lock();
        calls.push(Call::sent(self.now(), proc, ask));
        calls.len() - 1
    }

    /// Writes down what came of call `number`.
    pub(crate) fn complete(&self, number: usize, learnt: Learnt) {
        let mut calls = self.calls.lock();
        let now = self.now();
        if let Some(call) = calls.get_mut(number) {
            call.t1 = Some(now);
            call.kind = learnt.kind;
            call.status = learnt.status;
            if matches!(call.op, Op::Create | Op::Claim) {
                call.ids = learnt.tasks.iter().map(|task| task.id).collect();
            }
            call.tasks = learnt.tasks;
            call.lease_expires_at = learnt.lease_expires_at;
            call.note = learnt.note;
            call.odd = learnt.odd;
        }
    }

    /// Everything so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }
}

/// Writes two lines per call, all in order of time: its sending and what came of it.
pub(crate) fn write(calls: &[Call], mut to: impl Write) -> io::Result<()> {
    let mut lines: Vec<(u64, String)> = Vec::with_capacity(calls.len() * 2);
    for (number, call) in calls.iter().enumerate() {
        let invoke = json!({
            "call": number, "t0": call.t0, "proc": call.proc, "op": call.op, "args": call.args,
            "kind": "invoke", "token_hash": call.token_hash, "attempt": call.attempt,
        });
        lines.push((call.t0, invoke.to_string()));
        if let Some(t1) = call.t1 {
            let mut line = serde_json::to_value(call).map_err(io::Error::other)?;
            line["call"] = json!(number);
            lines.push((t1, line.to_string()));
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    for (_, line) in lines {
        writeln!(to, "{line}")?;
    }
    to.flush()
}
