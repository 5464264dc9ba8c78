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
/// Most jobs taken by one claim: more would only wait here for a slot.
const CLAIM_MAX: u32 = 100;
/// From a claim to the next when the source answered empty without waiting, as one that stops does.
const CLAIM_PAUSE: Duration = Duration::from_millis(100);
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
}

impl Worker {
    /// A worker; `concurrency` of 0 counts as 1.
    pub fn new(source: Arc<dyn WorkSource>, registry: Registry, concurrency: usize) -> Self {
        Self { source, registry, concurrency: concurrency.clamp(1, Semaphore::MAX_PERMITS) }
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
        claim_until(&stop, &*self.source, &slots, &runner, &running).await;
        running.close();
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

async fn claim_until(
    stop: &CancellationToken,
    source: &dyn WorkSource,
    slots: &Arc<Semaphore>,
    runner: &Arc<Runner>,
    running: &TaskTracker,
) {
    let mut pause = CLAIM_RETRY;
    while !stop.is_cancelled() {
        // The semaphore is never closed, so an error cannot happen.
        let Some(Ok(first)) = stop.run_until_cancelled(Arc::clone(slots).acquire_owned()).await
        else {
            return stop.cancelled().await;
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
        let Some(answer) = heard_until(stop, source.travel(), claim).await else { return };
        match answer {
            Ok(assignments) if assignments.is_empty() => {
                pause = CLAIM_RETRY;
                drop(held);
                stop.run_until_cancelled(tokio::time::sleep_until(asked + CLAIM_PAUSE)).await;
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
}

/// The answer of `claim`; none when it did not come until `stop` and a `travel` after it.
async fn heard_until<T>(
    stop: &CancellationToken,
    travel: Duration,
    claim: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        answer = claim => Some(answer),
        () = async { stop.cancelled().await; tokio::time::sleep(travel).await } => None,
    }
}
