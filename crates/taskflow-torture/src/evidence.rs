//! Everything a rule may look at, and the few questions that several rules ask. It judges nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::history::{Call, Kind, Op};
use crate::kills::Outage;
use crate::readback::Remains;
use crate::view::TaskView;

/// A run, ready to be judged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// Every call; a call's number is its place.
    pub(crate) calls: Vec<Call>,
    /// Times without a server.
    pub(crate) outages: Vec<Outage>,
    /// What was left; none when it could not be read.
    pub(crate) end: Option<BTreeMap<i64, Remains>>,
    /// Why it could not be read.
    pub(crate) end_error: Option<String>,
    /// How long everything took to end after the faults, in milliseconds; none: too long.
    pub(crate) drained_ms: Option<u64>,
    /// Longest allowed recovery, in milliseconds.
    pub(crate) recovery_ms_max: u64,
    /// Lines of panic in the server's log.
    pub(crate) panics: Vec<String>,
    /// Numbers of the calls about each task; made by `indexed`.
    pub(crate) by_task: BTreeMap<i64, Vec<usize>>,
}

impl Evidence {
    /// Sorts the calls by task.
    pub(crate) fn indexed(mut self) -> Self {
        self.by_task.clear();
        for (number, call) in self.calls.iter().enumerate() {
            let seen = call.tasks.iter().map(|task| task.id);
            let mut ids: Vec<i64> = call.ids.iter().copied().chain(seen).collect();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                self.by_task.entry(id).or_default().push(number);
            }
        }
        self
    }

    /// The tasks that any call was about.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = i64> + '_ {
        self.by_task.keys().copied()
    }

    /// The calls about a task, in order of their sending.
    pub(crate) fn about(&self, id: i64) -> impl Iterator<Item = &Call> + Clone {
        let numbers = self.by_task.get(&id).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().map(|&number| &self.calls[number])
    }

    /// The acknowledged creates of a task: one, if all is well.
    pub(crate) fn births(&self, id: i64) -> impl Iterator<Item = &Call> + Clone {
        self.about(id).filter(|call| call.op == Op::Create && call.kind == Kind::Ok)
    }

    /// All create calls by the mark in their payload.
    pub(crate) fn creates(&self) -> BTreeMap<&str, &Call> {
        let creates = self.calls.iter().filter(|call| call.op == Op::Create);
        creates.map(|call| (mark(&call.args), call)).collect()
    }

    /// Whether a delete of the task may have happened.
    pub(crate) fn maybe_deleted(&self, id: i64) -> bool {
        self.about(id).any(|call| call.op == Op::Delete && call.may_have_happened())
    }

    /// What is left of a task; none when it is gone or nothing could be read.
    pub(crate) fn left(&self, id: i64) -> Option<(&TaskView, &Remains)> {
        let remains = self.end.as_ref()?.get(&id)?;
        remains.task.as_ref().map(|task| (task, remains))
    }

    /// The task as a claim handed it out, for every acknowledged claim of it.
    pub(crate) fn grants(&self, id: i64) -> impl Iterator<Item = (&Call, &TaskView)> + Clone {
        self.about(id)
            .filter(|call| call.op == Op::Claim && call.kind == Kind::Ok)
            .filter_map(move |call| Some((call, call.tasks.iter().find(|task| task.id == id)?)))
    }

    /// Calls that wanted to end attempt `attempt` of a task.
    pub(crate) fn finishes(&self, id: i64, attempt: u32) -> impl Iterator<Item = &Call> + Clone {
        self.about(id).filter(move |call| {
            matches!(call.op, Op::Complete | Op::Fail) && call.attempt == Some(attempt)
        })
    }
}

/// The mark of a create's body.
pub(crate) fn mark(args: &Value) -> &str {
    args.pointer("/payload/p").and_then(Value::as_str).unwrap_or("")
}
