//! The worker: claims, runs handlers outside every lock and transaction, heartbeats, reports.
//! It is the embedders' API too. Where work comes from is `source.rs`; what it does is `handler.rs`.

pub mod builtin;
pub mod command;
mod finisher;
pub mod handler;
mod heart;
pub mod registry;
mod run;
pub mod source;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use finisher::Finisher;
use heart::Heart;
use registry::Registry;
use run::Runner;
use source::WorkSource;

/// How long one claim waits for work before it asks again.
const CLAIM_WAIT: Duration = Duration::from_secs(20);
/// Most jobs taken by one claim, as far as there are slots. A commit costs as much as a hundred rows, and a
/// claim of thousands would hold up its neighbours.
const CLAIM_MAX: u32 = 500;
/// From a claim to the next when the source answered empty without waiting, as one that stops does.
const CLAIM_PAUSE: Duration = Duration::from_millis(100);
/// From a claim to the next while it is to drain: so long after the word it works again.
const CLAIM_DRAINED: Duration = Duration::from_secs(1);
/// How long a worker that stops tries to have its claim answered at once.
const CLOSE: Duration = Duration::from_secs(2);
/// How long it waits for that answer then: a node that parks the claim hears of it within a second.
const LAST_ANSWER: Duration = Duration::from_secs(5);
/// After a claim that failed, doubled each time.
const CLAIM_RETRY: Duration = Duration::from_millis(500);
/// At the latest after this.
const CLAIM_RETRY_MAX: Duration = Duration::from_secs(5);
/// How long a worker that stops goes on trying to deliver its last reports.
const LAST_REPORTS: Duration = Duration::from_secs(5);
/// How long handlers get after they were told to stop.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(1);

/// A worker that runs up to `concurrency` jobs at once.
pub struct Worker {
    source: Arc<dyn WorkSource>,
    registry: Registry,
    concurrency: usize,
    leaves: bool,
}

impl Worker {
    /// A worker; `concurrency` of 0 counts as 1.
    pub fn new(source: Arc<dyn WorkSource>, registry: Registry, concurrency: usize) -> Self {
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self { source, registry, concurrency, leaves: false }
    }

    /// Returns when it was told to drain and has finished what it holds. Without this it stays, idle,
    /// until it is told to work again.
    #[must_use]
    pub fn leaving_when_drained(mut self) -> Self {
        self.leaves = true;
        self
    }

    /// Works until `stop`. Then it claims nothing more, gives running jobs `grace` to end, releases
    /// the rest uncounted, and returns when every report is in.
    pub async fn run(self, stop: CancellationToken, grace: Duration) {
        let slots = Arc::new(Semaphore::new(self.concurrency));
        let heart = Arc::new(Heart::default());
        let (finisher, mut finishing) =
            Finisher::start(Arc::clone(&self.source), Arc::clone(&heart));
        let beating = tokio::spawn(Heart::beat(Arc::downgrade(&heart), Arc::clone(&self.source)));
        let leave = CancellationToken::new();
        let runner = Arc::new(Runner {
            source: Arc::clone(&self.source),
            registry: self.registry,
            heart,
            finisher,
            leave: leave.clone(),
        });
        let running = TaskTracker::new();
        let drained =
            claim_until(&stop, self.leaves, &*self.source, &slots, &runner, &running).await;
        running.close();
        if drained {
            tracing::info!(jobs = running.len(), "told to drain: finishing what is held");
            stop.run_until_cancelled(running.wait()).await;
        }
        if tokio::time::timeout(grace, running.wait()).await.is_err() {
            tracing::info!(jobs = running.len(), "giving back jobs that are still running");
            leave.cancel();
            running.wait().await;
        }
        drop(runner);
        if tokio::time::timeout(LAST_REPORTS, &mut finishing).await.is_err() {
            // The leases end by themselves.
            finishing.abort();
            tracing::error!("the worker's last reports could not be delivered");
        }
        beating.abort();
    }
}

/// Whether it ended because it is to drain, which only one that `leaves` does.
async fn claim_until(
    stop: &CancellationToken,
    leaves: bool,
    source: &dyn WorkSource,
    slots: &Arc<Semaphore>,
    runner: &Arc<Runner>,
    running: &TaskTracker,
) -> bool {
    let mut pause = CLAIM_RETRY;
    while !stop.is_cancelled() {
        // The semaphore is never closed, so an error cannot happen.
        let Some(Ok(first)) = stop.run_until_cancelled(Arc::clone(slots).acquire_owned()).await
        else {
            stop.cancelled().await;
            return false;
        };
        let mut held = vec![first];
        while held.len() < CLAIM_MAX as usize
            && let Ok(more) = Arc::clone(slots).try_acquire_owned()
        {
            held.push(more);
        }
        let limit = u32::try_from(held.len()).unwrap_or(CLAIM_MAX);
        let asked = tokio::time::Instant::now();
        let claim = source.claim(limit, CLAIM_WAIT);
        let Some(answer) = heard_until(stop, source, claim).await else { return false };
        match answer {
            Ok(assignments) if assignments.is_empty() => {
                pause = CLAIM_RETRY;
                drop(held);
                let drained = source.drained();
                if drained && leaves {
                    return true;
                }
                let again = asked + if drained { CLAIM_DRAINED } else { CLAIM_PAUSE };
                stop.run_until_cancelled(tokio::time::sleep_until(again)).await;
            }
            Ok(assignments) if stop.is_cancelled() => {
                assignments.into_iter().for_each(|assignment| runner.give_back(assignment));
            }
            Ok(assignments) => {
                pause = CLAIM_RETRY;
                for assignment in assignments {
                    let slot = held.pop();
                    let runner = Arc::clone(runner);
                    running.spawn(async move {
                        runner.run(assignment).await;
                        drop(slot);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(error = %error, "a claim failed; trying again");
                drop(held);
                stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                pause = (pause * 2).min(CLAIM_RETRY_MAX);
            }
        }
    }
    false
}

/// The answer of `claim`. After `stop` the source is asked to answer it: then it is read to its end, for
/// what it hands out would be nobody's. A source that knows nothing of that gets the time that an answer
/// travels.
async fn heard_until<T>(
    stop: &CancellationToken,
    source: &dyn WorkSource,
    claim: impl Future<Output = T>,
) -> Option<T> {
    tokio::pin!(claim);
    tokio::select! {
        answer = &mut claim => return Some(answer),
        () = stop.cancelled() => {}
    }
    let last = async {
        let travel = tokio::time::sleep(source.travel());
        let closing = tokio::time::timeout(CLOSE, source.close());
        let (closed, ()) = tokio::join!(closing, travel);
        if closed.unwrap_or(false) {
            tokio::time::sleep(LAST_ANSWER).await;
        }
    };
    tokio::select! {
        answer = claim => Some(answer),
        () = last => None,
    }
}
