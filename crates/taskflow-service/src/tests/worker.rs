//! Tests of the worker, one file per promise, and the crew that they run: a real worker on real
//! services in simulated time, with a source that can be made to fail.

mod answers;
mod builtin;
mod draining;
mod kinds;
mod leases;
mod slots;
mod source;
mod stopping;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use taskflow_core::{Outcome, TaskId};
use taskflow_store::{Extend, Extended, FinishTask, Finished};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{NEVER, OnDuty, Stage, kind, worker_name};
use crate::Actor;
use crate::worker::Worker;
use crate::worker::handler::{Answer, Context, Handler};
use crate::worker::registry::Registry;
use crate::worker::source::{Assignment, Local, SourceError, WorkSource};

/// A handler that is a function.
struct Does<F>(F);

#[async_trait]
impl<F, R> Handler for Does<F>
where
    F: Fn(Context) -> R + Send + Sync,
    R: Future<Output = Answer> + Send,
{
    async fn run(&self, cx: Context) -> Answer {
        (self.0)(cx).await
    }
}

/// A registry with one handler, for kind `a`.
fn does<F, R>(handler: F) -> Registry
where
    F: Fn(Context) -> R + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    Registry::default().with(kind("a"), Does(handler))
}

async fn sleep(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// The services of this process behind a door that can be shut.
struct Door {
    local: Local,
    workers: crate::workers::Workers,
    /// Calls that fail from now on.
    claims_fail: AtomicU32,
    finishes_fail: AtomicU32,
    beats_fail: AtomicU32,
    /// Whether only every second heartbeat gets through.
    every_second_beat: bool,
    /// Whether claims answer empty at once, as those of a server that stops do.
    turned_away: bool,
    /// How long what a claim hands out is on its way, lost when nobody listens any more.
    travel: Duration,
    /// Whether it has its claims answered when the worker stops.
    closes: bool,
    claims: AtomicU32,
    beats: AtomicU32,
    finished: Mutex<Vec<FinishTask>>,
}

impl Door {
    fn to(stage: &Stage, registry: &Registry) -> Self {
        let work = stage.services.work.clone();
        Self {
            workers: stage.services.workers.clone(),
            local: Local::new(work, Actor::DEFAULT, worker_name(), None, registry.kinds()),
            claims_fail: AtomicU32::new(0),
            finishes_fail: AtomicU32::new(0),
            beats_fail: AtomicU32::new(0),
            every_second_beat: false,
            turned_away: false,
            travel: Duration::ZERO,
            closes: false,
            claims: AtomicU32::new(0),
            beats: AtomicU32::new(0),
            finished: Mutex::default(),
        }
    }

    fn claims(&self) -> u32 {
        self.claims.load(SeqCst)
    }

    /// Reports that got through.
    fn reports(&self) -> usize {
        self.finished.lock().len()
    }
}

fn fails(left: &AtomicU32) -> Result<(), SourceError> {
    match left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)) {
        Ok(_) => Err(SourceError("the door is shut".into())),
        Err(_) => Ok(()),
    }
}

#[async_trait]
impl WorkSource for Door {
    async fn claim(&self, limit: u32, wait: Duration) -> Result<Vec<Assignment>, SourceError> {
        self.claims.fetch_add(1, SeqCst);
        fails(&self.claims_fail)?;
        if self.turned_away {
            return Ok(Vec::new());
        }
        let answer = self.local.claim(limit, wait).await;
        tokio::time::sleep(self.travel).await;
        answer
    }

    fn travel(&self) -> Duration {
        if self.closes { Duration::ZERO } else { self.travel * 2 }
    }

    fn drained(&self) -> bool {
        self.local.drained()
    }

    async fn close(&self) -> bool {
        let workers = &self.workers;
        self.closes && workers.drain(Actor::DEFAULT, &worker_name(), None).await.is_ok()
    }

    async fn finish(&self, batch: Vec<FinishTask>) -> Result<Vec<Finished>, SourceError> {
        fails(&self.finishes_fail)?;
        self.finished.lock().extend(batch.iter().cloned());
        self.local.finish(batch).await
    }

    async fn heartbeat(&self, batch: Vec<Extend>) -> Result<Vec<Extended>, SourceError> {
        let n = self.beats.fetch_add(1, SeqCst);
        if let Err(error) = fails(&self.beats_fail) {
            // It takes a while to find out, and the handler goes on meanwhile.
            sleep(0.1).await;
            return Err(error);
        }
        if self.every_second_beat && n.is_multiple_of(2) {
            return Err(SourceError("the door is shut".into()));
        }
        self.local.heartbeat(batch).await
    }
}

/// A worker at work, with the duties beside it.
struct Crew {
    stage: Stage,
    door: Arc<Door>,
    stop: CancellationToken,
    working: JoinHandle<()>,
    _duties: OnDuty,
}

impl Crew {
    /// A worker of `concurrency` that gives its jobs a minute when it stops.
    fn start(registry: Registry, concurrency: usize) -> Self {
        let stage = Stage::simulated(NEVER);
        let door = Door::to(&stage, &registry);
        Self::at(stage, door, registry, concurrency, Duration::from_secs(60))
    }

    fn at(
        stage: Stage,
        door: Door,
        registry: Registry,
        concurrency: usize,
        grace: Duration,
    ) -> Self {
        let (door, stop) = (Arc::new(door), CancellationToken::new());
        let worker = Worker::new(Arc::clone(&door) as _, registry, concurrency);
        let working = tokio::spawn(worker.run(stop.clone(), grace));
        let _duties = stage.on_duty();
        Self { stage, door, stop, working, _duties }
    }

    async fn outcomes(&self, id: TaskId) -> Vec<Outcome> {
        let attempts = self.stage.services.tasks.attempts(Actor::DEFAULT, id).await.unwrap();
        attempts.iter().map(|attempt| attempt.outcome).collect()
    }

    /// Stops the worker and waits for its end.
    async fn end(self) -> Stage {
        self.stop.cancel();
        self.working.await.unwrap();
        self.stage
    }
}

/// Notes that it was dropped: the handler that held it is gone.
struct Gone(Arc<AtomicU32>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}
