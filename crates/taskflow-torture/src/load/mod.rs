//! The load: producers and workers in closed loops, each a process of the history with its own
//! connection and its own dice. It judges no answer.

mod producer;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::Caller;
use crate::dice::Dice;
use crate::history::Recorder;
use crate::options::Options;
use crate::view::Lease;

/// Where every task of the run waits.
pub(crate) const QUEUE: &str = "torture";
/// What sort of work every task is; no built-in worker knows it.
pub(crate) const KIND: &str = "torture.work";

/// How far the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Faults and full load.
    Load,
    /// No faults and no new tasks; workers end what there is.
    Drain,
    /// Nobody does anything any more.
    Over,
}

/// What the processes of the load share.
#[derive(Debug)]
pub(crate) struct Floor {
    pub(crate) recorder: Arc<Recorder>,
    /// Ids of acknowledged tasks, in order of acknowledgement.
    pub(crate) known: Mutex<Vec<i64>>,
    /// Acknowledged tasks without an acknowledged end, about: it only slows the producers down.
    pub(crate) backlog: AtomicI64,
    /// Leases that their holders keep to use them when they are dead, and from when on.
    pub(crate) dead: Mutex<Vec<(Instant, Lease)>>,
    /// Poison tasks still to be made.
    pub(crate) poison_left: AtomicU32,
    phase: AtomicU8,
    lease_seconds: u32,
}

impl Floor {
    /// Before the first call.
    pub(crate) fn new(recorder: Arc<Recorder>, lease_seconds: u32, poison: u32) -> Self {
        Self {
            recorder,
            known: Mutex::new(Vec::new()),
            backlog: AtomicI64::new(0),
            dead: Mutex::new(Vec::new()),
            poison_left: AtomicU32::new(poison),
            phase: AtomicU8::new(Phase::Load as u8),
            lease_seconds,
        }
    }

    /// Tells everybody how far the run is.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// Whether `phase` has not been passed yet.
    pub(crate) fn before_end_of(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::SeqCst) <= phase as u8
    }
}

/// Starts all producers and workers.
pub(crate) fn start(
    floor: &Arc<Floor>,
    options: &Options,
    addresses: &[SocketAddr],
) -> (JoinSet<()>, JoinSet<()>) {
    let mut turn = addresses.iter().copied().cycle();
    let mut caller = |name: String| {
        let address = turn.next().unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        Caller::new(address, Arc::clone(&floor.recorder), name)
    };
    let mut producers = JoinSet::new();
    for n in 1..=options.producers {
        let dice = Dice::new(options.seed, 100 + u64::from(n));
        let caller = caller(format!("producer-{n}"));
        producers.spawn(producer::produce(Arc::clone(floor), caller, dice));
    }
    let mut workers = JoinSet::new();
    for n in 1..=options.workers {
        let dice = Dice::new(options.seed, 200 + u64::from(n));
        let caller = caller(format!("worker-{n}"));
        workers.spawn(worker::work(Arc::clone(floor), caller, dice));
    }
    (producers, workers)
}
