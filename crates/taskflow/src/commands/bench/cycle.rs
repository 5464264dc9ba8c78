//! The whole life of a task: creators and workers at once, counted in completed tasks.
//! Creators wait when too much is unfinished, so the rate is one that the server can keep up for ever,
//! not one that leaves a mountain behind; or they keep to a rate that was asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::clean::clean;
use super::fixed::{Fixed, bulk, one};
use super::http::{Connection, Site};
use super::load::{Sent, Shared, Tally, Window, join_all, open_all, send_since};
use super::offer::{offered, sync_offered};
use super::options::{Plan, Scenario};
use super::pace::Pace;
use super::report::Measured;
use super::work::{BENCH, Shift, patient, work};

/// Failed calls after which a creator stops.
const FAILURES_MAX: u32 = 100;

/// Runs `cycle` or `bulk-cycle`.
pub(super) async fn run(site: &Site, plan: &Plan, scenario: Scenario) -> anyhow::Result<Measured> {
    let bulky = scenario == Scenario::BulkCycle;
    let fixed = if bulky { bulk(site, plan.batch) } else { one(site) };
    for offer in [sync_offered(site, plan).await?, offered(site, plan, &fixed.request).await?] {
        if let Some(instead) = offer.or_instead() {
            return Ok(instead);
        }
    }
    let creators = open_all(site, if bulky { plan.workers } else { plan.connections }).await?;
    let crew = open_all(site, plan.workers).await?;
    let (created, completed) = run_both(site, plan, fixed, creators, crew).await?;
    let mut measured = judged(created, completed);
    clean(site, plan, &mut measured).await?;
    Ok(measured)
}

async fn run_both(
    site: &Site,
    plan: &Plan,
    fixed: Fixed,
    creators: Vec<Connection>,
    crew: Vec<Connection>,
) -> anyhow::Result<(Tally, Tally)> {
    let window = Window::of(plan);
    let (created, completed) = (Shared::new(window), Shared::new(window));
    let room = Arc::new(Semaphore::new(usize::try_from(plan.backlog.max(fixed.units))?));
    let producing = Arc::new(AtomicBool::new(true));
    let creator = Creator {
        request: fixed.request.into(),
        units: fixed.units,
        pace: plan.rate.map(|rate| Arc::new(Pace::new(rate, fixed.units, Instant::now()))),
        until: window.until,
        room: room.clone(),
        shared: created.clone(),
    };
    let shift = Shift {
        line: BENCH,
        batch: plan.batch,
        claim_until: window.until + plan.aside,
        producing: producing.clone(),
        room: Some(room.clone()),
        shared: completed.clone(),
    };
    let mut crowd = JoinSet::new();
    for connection in patient(creators, window.until + plan.patience) {
        crowd.spawn(creator.clone().run(connection));
    }
    let crew = patient(crew, shift.claim_until + plan.patience);
    let create = async {
        let ended = join_all(crowd).await;
        producing.store(false, Ordering::Relaxed);
        ended
    };
    let complete = async {
        let ended = work(site, crew, &shift).await;
        // Creators that wait for room would wait for ever once nobody completes anything.
        room.close();
        ended
    };
    let (creators_ended, workers_ended) = tokio::join!(create, complete);
    creators_ended?;
    workers_ended?;
    Ok((created.take(), completed.take()))
}

/// The rate is that of completed tasks, the latency that of the creators.
fn judged(created: Tally, mut completed: Tally) -> Measured {
    let seconds = created.window.seconds();
    let rate = completed.units as f64 / seconds;
    let quantile = |q| Duration::from_micros(completed.latency.value_at_quantile(q)).as_secs_f64();
    let note = format!(
        "created {:.0}/s; sync round trip p50 {:.2} ms, p99 {:.2} ms",
        created.units as f64 / seconds,
        quantile(0.5) * 1e3,
        quantile(0.99) * 1e3
    );
    completed.latency = created.latency.clone();
    completed.blame(created);
    let mut measured = Measured::of(rate, completed);
    measured.notes.push(note);
    measured
}

#[derive(Clone)]
struct Creator {
    request: Arc<[u8]>,
    units: u32,
    /// When creations are due; none when each follows the one before.
    pace: Option<Arc<Pace>>,
    until: Instant,
    room: Arc<Semaphore>,
    shared: Shared,
}

impl Creator {
    async fn run(self, mut connection: Connection) {
        let mut failures = 0;
        while failures < FAILURES_MAX {
            let due = match &self.pace {
                Some(pace) => Some(pace.wait(self.until).await),
                None => None,
            };
            let Ok(permits) = self.room.acquire_many(self.units).await else { break };
            // After the waits: room may have come when the time was already up.
            let now = Instant::now();
            if now >= self.until {
                break;
            }
            let (units, began) = (self.units.into(), due.map_or(now, |due| Pace::began(due, now)));
            match send_since(&mut connection, &self.request, units, &self.shared, began).await {
                // Given back by the worker that completes the tasks.
                Sent::Done => permits.forget(),
                Sent::Refused => failures += 1,
                Sent::Broken => break,
            }
        }
    }
}
