//! Why a task is not running, in words: every reason that holds, the object behind it, and what would
//! end it. It looks nothing up; whoever asks brings what stands around the task.

use crate::gate::Barred;
use crate::limits::WORKER_THERE_SECONDS;
use crate::name::Kind;
use crate::queue::{Pause, RateLimit, Settings};
use crate::status::Status;
use crate::task::{Task, TaskId};
use crate::time::Timestamp;

/// So many workers are named that take a task and are busy.
const TAKERS_SHOWN: usize = 3;

/// What stands around a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Around {
    /// The tasks of `depends_on` that are still there, with their statuses.
    pub parents: Vec<(TaskId, Status)>,
    /// Ready tasks of its queue and kind that come before it.
    pub ahead: u32,
    /// Whether more were not counted.
    pub more: bool,
    /// Whether a worker waits on this node that would take it.
    pub wanted: bool,
    /// What its queue does not let through.
    pub barred: Vec<Barred>,
    /// The pause of its queue.
    pub pause: Option<Pause>,
    /// The settings of its queue.
    pub settings: Option<Settings>,
    /// Some tasks of its queue that have a lease.
    pub holders: Vec<TaskId>,
    /// Some tasks of its queue and `concurrency_key` that have a lease.
    pub key_holders: Vec<TaskId>,
    /// Workers of any node that would take it and called lately, by name; drained ones left out.
    pub takers: Vec<String>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A stable word.
    pub code: &'static str,
    /// What holds it.
    pub detail: String,
    /// What would end that; none when nothing is awaited.
    pub ends: Option<String>,
    /// The tasks behind it.
    pub tasks: Vec<TaskId>,
    /// The instant that is waited for.
    pub until: Option<Timestamp>,
}

impl Reason {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), ends: None, tasks: Vec::new(), until: None }
    }

    fn ends(mut self, ends: impl Into<String>) -> Self {
        self.ends = Some(ends.into());
        self
    }

    fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }
}

/// Every reason, the weightiest first; never none.
pub fn explain(task: &Task, around: &Around, now: Timestamp) -> Vec<Reason> {
    match task.state.status {
        Status::Pending => pending(task, around, now),
        Status::InProgress => vec![running(task)],
        Status::Completed | Status::Failed | Status::Cancelled => vec![ended(task)],
    }
}

fn pending(task: &Task, around: &Around, now: Timestamp) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if task.state.blocked_by > 0 {
        reasons.push(blocked(task, around));
    }
    if task.state.run_at > now {
        reasons.push(waiting(task));
    }
    reasons.extend(around.barred.iter().map(|barred| at_gate(*barred, task, around)));
    if task.kind.as_str() == Kind::MANUAL {
        let reason = Reason::new("manual", "its kind is manual: people work on it, no worker does");
        reasons.push(reason.ends("somebody sets its status with PUT"));
    }
    if reasons.is_empty() {
        reasons.push(in_line(task, around));
    }
    reasons
}

fn at_gate(barred: Barred, task: &Task, around: &Around) -> Reason {
    let queue = &task.queue;
    let settings = around.settings.clone().unwrap_or_default();
    match barred {
        Barred::Paused => {
            let pause = around.pause.as_ref();
            let since = pause.map_or_else(String::new, |p| format!(" since {}", p.since));
            let why = pause.and_then(|p| p.reason.as_deref());
            let why = why.map_or_else(String::new, |why| format!(" ({why})"));
            Reason::new("paused", format!("queue {queue} is paused{since}{why}"))
                .ends("somebody resumes the queue")
        }
        Barred::Full => {
            let limit = settings.concurrency_limit.unwrap_or(0);
            let detail = format!(
                "queue {queue} lets {limit} tasks run at once, and as many do: {}",
                some(&around.holders)
            );
            let reason = Reason::new("queue-limit", detail)
                .ends("one of them ends, or the queue's concurrency_limit is raised");
            Reason { tasks: around.holders.clone(), ..reason }
        }
        Barred::KeyFull => {
            let limit = settings.concurrency_key_limit.unwrap_or(0);
            let key = task.concurrency_key.as_deref().unwrap_or_default();
            let detail = format!(
                "queue {queue} lets {limit} tasks of concurrency_key {key:?} run at once, and as many \
                 do: {}",
                some(&around.key_holders)
            );
            let reason = Reason::new("key-limit", detail)
                .ends("one of them ends, or the queue's concurrency_key_limit is raised");
            Reason { tasks: around.key_holders.clone(), ..reason }
        }
        Barred::Rate(at) => {
            let detail = settings.rate_limit.map_or_else(String::new, |rate| {
                let RateLimit { tasks, per_seconds } = rate;
                format!(
                    "queue {queue} lets {tasks} tasks start in {per_seconds} seconds, and as many did"
                )
            });
            Reason::new("rate-limit", detail)
                .ends("the span passes, or the queue's rate_limit is raised")
                .until(at)
        }
    }
}

/// The first holders in words.
fn some(holders: &[TaskId]) -> String {
    let first: Vec<String> = holders.iter().map(|id| format!("task {id}")).collect();
    first.join(", ")
}

fn blocked(task: &Task, around: &Around) -> Reason {
    let open = around.parents.iter().filter(|(_, status)| *status != Status::Completed);
    let open: Vec<&(TaskId, Status)> = open.collect();
    let named: Vec<String> =
        open.iter().map(|(id, status)| format!("task {id} ({})", status.as_str())).collect();
    let mut reason = Reason::new("blocked", format!("it waits for {}", named.join(", ")))
        .ends("it can start when all of them have completed; it is cancelled when one fails");
    if named.is_empty() {
        reason.detail = format!("it waits for {} tasks", task.state.blocked_by);
    }
    reason.tasks = open.into_iter().map(|(id, _)| *id).collect();
    reason
}

fn waiting(task: &Task) -> Reason {
    let at = task.state.run_at;
    if !task.state.retrying {
        return Reason::new("scheduled", format!("it may not start before {at}"))
            .ends("the time comes, or an earlier run_at is set")
            .until(at);
    }
    let (used, max) = (task.state.attempts_used(), task.terms.max_attempts);
    let error = task.state.error_message.as_deref().unwrap_or("no error was given");
    let first = error.lines().next().unwrap_or_default();
    let detail = format!("attempt {used} of {max} failed ({first}); the back-off lasts until {at}");
    Reason::new("retrying", detail).ends("the back-off ends, or an earlier run_at is set").until(at)
}

fn in_line(task: &Task, around: &Around) -> Reason {
    let (queue, kind) = (&task.queue, &task.kind);
    if around.ahead > 0 {
        let count = if around.more { "more than " } else { "" };
        let detail = format!(
            "{count}{} ready tasks of queue {queue} and kind {kind} come first, by priority, run_at \
             and id",
            around.ahead
        );
        return Reason::new("in-line", detail)
            .ends("workers take those, or its priority is raised");
    }
    if around.wanted {
        return Reason::new("starting", "it is next, and a worker that takes it is waiting")
            .ends("the worker claims it, within milliseconds");
    }
    let Some(names) = named(&around.takers) else {
        let seconds = WORKER_THERE_SECONDS;
        let detail = format!(
            "it is next, but no worker for kind {kind} in queue {queue} called in the last {seconds} \
             seconds, or those that did are to drain"
        );
        return Reason::new("no-worker", detail).ends(
            "a worker that takes this kind and queue is started, or one that drains is resumed",
        );
    };
    let detail = format!("it is next, and no worker that takes it waits; lately called: {names}");
    Reason::new("workers-busy", detail).ends("one of them has a free slot and claims")
}

/// The first names of a list; none for an empty one.
fn named(names: &[String]) -> Option<String> {
    let shown = names.get(..TAKERS_SHOWN).unwrap_or(names);
    let more = names.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}

fn running(task: &Task) -> Reason {
    let Some(lease) = &task.state.lease else {
        return Reason::new("by-hand", "a person works on it; it has no lease")
            .ends("somebody sets its status with PUT");
    };
    let worker = task.state.worker.as_deref().unwrap_or("unknown");
    let detail = format!("attempt {} runs on worker {worker}", task.state.attempt);
    Reason::new("running", detail)
        .ends("the worker reports, or its lease ends without a heartbeat")
        .until(lease.until)
}

fn ended(task: &Task) -> Reason {
    let state = &task.state;
    let (code, detail) = match state.status {
        Status::Completed => ("completed", "it has completed".to_owned()),
        Status::Cancelled => {
            let why = state.cancel_reason.as_deref().unwrap_or("no reason was given");
            ("cancelled", format!("it was cancelled: {why}"))
        }
        _ => {
            let error = state.error_message.as_deref().unwrap_or("no error was given");
            let first = error.lines().next().unwrap_or_default();
            let used = match state.attempts_used() {
                0 => String::new(),
                1 => " after 1 attempt".to_owned(),
                n => format!(" after {n} attempts"),
            };
            ("failed", format!("it failed{used}: {first}"))
        }
    };
    Reason::new(code, detail).ends("a retry runs it once more")
}
