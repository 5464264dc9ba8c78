//! The closed-loop generator: every connection sends its next request when it has the answer to the
//! last. It knows no scenario; what is sent and what it counts for is given to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::http::{Connection, Site, refusal};
use super::options::Plan;

/// Slowest call that the histogram tells apart, in microseconds: longer than any run.
const LATENCY_MAX_US: u64 = 3_600_000_000;
/// Different complaints kept; the rest is only counted.
const COMPLAINTS_MAX: usize = 3;
/// Failed calls after which a connection stops: a server that refuses everything is no load test.
const FAILURES_MAX: u32 = 100;

/// The counted time; what lies before is warm-up, what lies after is clean-up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) from: Instant,
    pub(super) until: Instant,
}

impl Window {
    /// Warm-up now, then the measured time of the plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let from = Instant::now() + plan.warm_up;
        Self { from, until: from + plan.measured }
    }

    /// Counts from now on, for so long at most.
    pub(super) fn now_for(length: Duration) -> Self {
        let from = Instant::now();
        Self { from, until: from + length }
    }

    /// Its length in seconds.
    pub(super) fn seconds(self) -> f64 {
        (self.until - self.from).as_secs_f64()
    }
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Tally {
    /// The counted time.
    pub(super) window: Window,
    /// Microseconds per call.
    pub(super) latency: Histogram<u64>,
    /// Requests or tasks done inside the window.
    pub(super) units: u64,
    /// Calls refused, calls without an answer and items that the server would not finish, at any time.
    pub(super) errors: u64,
    /// The first few different ones.
    pub(super) complaints: Vec<String>,
    /// When the latest counted units were done.
    pub(super) last: Instant,
}

impl Tally {
    /// Nothing seen yet.
    pub(super) fn new(window: Window) -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)
            .expect("bounds are constants in range");
        let (units, errors, complaints) = (0, 0, Vec::new());
        Self { window, latency, units, errors, complaints, last: window.from }
    }

    /// A call was answered well. The rate counts answers that arrive inside the window; latency counts
    /// calls that begin inside it, so that the slow ones at the end are not left out.
    pub(super) fn answered(&mut self, began: Instant, ended: Instant, units: u64) {
        let Window { from, until } = self.window;
        if (from..=until).contains(&began) {
            let micros = u64::try_from((ended - began).as_micros()).unwrap_or(u64::MAX);
            self.latency.saturating_record(micros.max(1));
        }
        if units > 0 && (from..=until).contains(&ended) {
            self.units += units;
            self.last = ended;
        }
    }

    /// Something went wrong.
    pub(super) fn failed(&mut self, complaint: String) {
        self.errors += 1;
        if self.complaints.len() < COMPLAINTS_MAX && !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    /// Takes over the errors of another tally.
    pub(super) fn blame(&mut self, other: Tally) {
        self.errors += other.errors;
        for complaint in other.complaints {
            if self.complaints.len() < COMPLAINTS_MAX && !self.complaints.contains(&complaint) {
                self.complaints.push(complaint);
            }
        }
    }
}

/// One tally for all connections of a run: they live on one thread, so the lock is never contended,
/// and one histogram stays in the cache where a thousand would not.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Tally>>);

impl Shared {
    /// An empty one.
    pub(super) fn new(window: Window) -> Self {
        Self(Arc::new(Mutex::new(Tally::new(window))))
    }

    /// For a moment, never across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it holds, once everybody has finished.
    pub(super) fn take(self) -> Tally {
        let window = self.lock().window;
        std::mem::replace(&mut self.lock(), Tally::new(window))
    }
}

/// A request to be sent over and over.
pub(super) struct Load {
    /// Its bytes.
    pub(super) request: Vec<u8>,
    /// What one good answer counts for.
    pub(super) units: u64,
    /// Most times it is sent by all together.
    pub(super) times_max: u64,
}

/// Opens connections before the clock starts.
pub(super) async fn open_all(site: &Site, count: u32) -> anyhow::Result<Vec<Connection>> {
    let mut open = Vec::new();
    for _ in 0..count {
        // Only the opening has to be over by then; whoever uses them sets their own end.
        open.push(Connection::open(site, Instant::now() + Duration::from_secs(60)).await?);
    }
    Ok(open)
}

/// Sends the load until the window ends, or `times_max` is reached, and waits for the last answers.
pub(super) async fn closed_loop(
    open: Vec<Connection>,
    load: Load,
    window: Window,
    patience: Duration,
) -> anyhow::Result<Tally> {
    let shared = Shared::new(window);
    let request: Arc<[u8]> = load.request.into();
    let left = Arc::new(AtomicU64::new(load.times_max));
    let mut crowd = JoinSet::new();
    for mut connection in open {
        connection.give_up_at(window.until + patience);
        let (shared, request, left) = (shared.clone(), request.clone(), left.clone());
        crowd.spawn(async move {
            let mut failures = 0;
            while failures < FAILURES_MAX && Instant::now() < window.until && take_one(&left) {
                match send(&mut connection, &request, load.units, &shared).await {
                    Sent::Done => {}
                    Sent::Refused => failures += 1,
                    Sent::Broken => break,
                }
            }
        });
    }
    join_all(crowd).await?;
    Ok(shared.take())
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// A 2xx.
    Done,
    /// Another status.
    Refused,
    /// No answer; the connection is of no more use.
    Broken,
}

/// One counted call.
pub(super) async fn send(
    connection: &mut Connection,
    request: &[u8],
    units: u64,
    shared: &Shared,
) -> Sent {
    send_since(connection, request, units, shared, Instant::now()).await
}

/// One counted call, whose latency counts from an instant at which it was due.
pub(super) async fn send_since(
    connection: &mut Connection,
    request: &[u8],
    units: u64,
    shared: &Shared,
    began: Instant,
) -> Sent {
    match connection.call(request).await {
        Ok(200..=299) => {
            shared.lock().answered(began, Instant::now(), units);
            Sent::Done
        }
        Ok(status) => {
            shared.lock().failed(refusal(status, connection.body()));
            Sent::Refused
        }
        Err(broken) => {
            shared.lock().failed(broken.to_string());
            Sent::Broken
        }
    }
}

/// Waits for everybody.
pub(super) async fn join_all(mut crowd: JoinSet<()>) -> anyhow::Result<()> {
    while let Some(ended) = crowd.join_next().await {
        ended.context("a connection of the generator crashed")?;
    }
    Ok(())
}
