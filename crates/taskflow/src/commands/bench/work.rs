//! A worker over HTTP that does nothing with its tasks: it claims a batch and completes the one before
//! in the same `sync`. It measures round trips, not handlers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::http::{Connection, Site, refusal};
use super::load::{Shared, join_all};

/// Failed round trips in a row after which a worker stops.
const FAILURES_MAX: u32 = 3;
/// Empty claims in a row that mean "no more": a claim may come back empty while others hold rows.
const EMPTY_MAX: u32 = 2;
/// How long a claim waits for tasks while others still create some, in seconds.
const WAIT_SECONDS: u32 = 1;

/// Which tasks a worker takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// The queue.
    pub(super) queue: &'static str,
    /// The kind.
    pub(super) kind: &'static str,
}

/// The queue and kind of every throughput scenario.
pub(super) const BENCH: Line = Line { queue: "bench", kind: "bench.noop" };

/// How a crew of workers goes about it.
#[derive(Clone)]
pub(super) struct Shift {
    /// Which tasks.
    pub(super) line: Line,
    /// Most tasks per claim.
    pub(super) batch: u32,
    /// No claims after this instant; what is held is still completed.
    pub(super) claim_until: Instant,
    /// True while somebody creates tasks: an empty claim is not the end then.
    pub(super) producing: Arc<AtomicBool>,
    /// Gets a permit for every completed task, when creators wait for them.
    pub(super) room: Option<Arc<Semaphore>>,
    /// Where completed tasks and round trips are counted.
    pub(super) shared: Shared,
}

/// A claimed task, as it is handed back.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    id: i64,
    lease_token: String,
    #[serde(skip_deserializing, default = "completed")]
    outcome: &'static str,
}

fn completed() -> &'static str {
    "completed"
}

#[derive(Serialize)]
struct Claim {
    queues: [&'static str; 1],
    kinds: [&'static str; 1],
    limit: u32,
    wait_seconds: u32,
}

#[derive(Serialize)]
struct SyncRequest<'a> {
    #[serde(skip_serializing_if = "<[Held]>::is_empty")]
    finished: &'a [Held],
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<Claim>,
}

/// Only what the worker needs: everything else is skipped, not stored.
#[derive(Deserialize)]
struct SyncAnswer {
    #[serde(default)]
    finished: Vec<Finished>,
    #[serde(default)]
    tasks: Vec<Held>,
}

#[derive(Deserialize)]
struct Finished {
    status: u16,
    #[serde(default)]
    code: Option<String>,
}

/// Runs one worker per connection until the shift is over.
pub(super) async fn work(site: &Site, open: Vec<Connection>, shift: &Shift) -> anyhow::Result<()> {
    let mut crew = JoinSet::new();
    for (number, connection) in open.into_iter().enumerate() {
        let path = format!("/api/v1/workers/bench-{}/sync", number + 1);
        let worker =
            Worker { site: site.clone(), connection, path, shift: shift.clone(), held: Vec::new() };
        crew.spawn(worker.run());
    }
    join_all(crew).await
}

/// The same connections with another end of their patience.
pub(super) fn patient(mut open: Vec<Connection>, give_up: Instant) -> Vec<Connection> {
    for connection in &mut open {
        connection.give_up_at(give_up);
    }
    open
}

struct Worker {
    site: Site,
    connection: Connection,
    path: String,
    shift: Shift,
    held: Vec<Held>,
}

impl Worker {
    async fn run(mut self) {
        let (mut body, mut request) = (Vec::new(), Vec::new());
        let (mut empty, mut failures) = (0, 0);
        while failures < FAILURES_MAX {
            // Asked before the claim: a creator that stops during it may have left something.
            let producing = self.shift.producing.load(Ordering::Relaxed);
            let claiming = Instant::now() < self.shift.claim_until && empty < EMPTY_MAX;
            if !claiming && self.held.is_empty() {
                break;
            }
            self.write(claiming.then_some(producing), &mut body, &mut request);
            match self.round_trip(&request).await {
                Trip::Took(0) if producing => (empty, failures) = (0, 0),
                Trip::Took(0) => (empty, failures) = (empty + 1, 0),
                Trip::Took(_) => (empty, failures) = (0, 0),
                Trip::Refused => failures += 1,
                Trip::Broken => break,
            }
        }
    }

    fn write(&self, claim: Option<bool>, body: &mut Vec<u8>, request: &mut Vec<u8>) {
        let Shift { line, batch, .. } = self.shift;
        let claim = claim.map(|producing| Claim {
            queues: [line.queue],
            kinds: [line.kind],
            limit: batch,
            wait_seconds: if producing { WAIT_SECONDS } else { 0 },
        });
        body.clear();
        serde_json::to_writer(&mut *body, &SyncRequest { finished: &self.held, claim })
            .expect("strings and numbers always become JSON");
        self.site.post_into(request, &self.path, body);
    }

    async fn round_trip(&mut self, request: &[u8]) -> Trip {
        let began = Instant::now();
        let answer = self.connection.call(request).await;
        let ended = Instant::now();
        // A refused batch is not sent again: its leases end by themselves.
        self.held.clear();
        let status = match answer {
            Ok(status) => status,
            Err(broken) => {
                self.shift.shared.lock().failed(format!("sync: {broken}"));
                return Trip::Broken;
            }
        };
        let body = self.connection.body();
        if !(200..300).contains(&status) {
            self.shift.shared.lock().failed(format!("sync: {}", refusal(status, body)));
            return Trip::Refused;
        }
        match serde_json::from_slice::<SyncAnswer>(body) {
            Ok(answer) => self.take(answer, began, ended),
            Err(error) => {
                self.shift.shared.lock().failed(format!("sync: the answer is not ours: {error}"));
                Trip::Refused
            }
        }
    }

    fn take(&mut self, answer: SyncAnswer, began: Instant, ended: Instant) -> Trip {
        let mut tally = self.shift.shared.lock();
        let (mut done, mut all) = (0, 0);
        for item in &answer.finished {
            all += 1;
            if item.status == 200 {
                done += 1;
            } else {
                let code = item.code.as_deref().unwrap_or("no code");
                tally.failed(format!("sync: a task would not finish: {} {code}", item.status));
            }
        }
        // An empty round trip is waiting, not work.
        if done > 0 || !answer.tasks.is_empty() {
            tally.answered(began, ended, done);
        }
        drop(tally);
        if let Some(room) = &self.shift.room {
            room.add_permits(all);
        }
        self.held = answer.tasks;
        Trip::Took(self.held.len())
    }
}

enum Trip {
    Took(usize),
    Refused,
    Broken,
}
