//! What the command line asks for, and the checked plan that the scenarios follow.
//! Every limit of the benchmark stands here; nothing is measured here.

use std::fmt;
use std::time::Duration;

use anyhow::ensure;
use clap::{Args, ValueEnum};

/// Most connections: beyond it the generator measures itself.
pub(super) const CONNECTIONS_MAX: u32 = 1024;
/// Longest scenario, in seconds.
pub(super) const SECONDS_MAX: u32 = 600;
/// Most rounds.
pub(super) const ROUNDS_MAX: u32 = 10;
/// Most tasks in one request: the server's own limit for a claim and for each part of a sync.
pub(super) const BATCH_MAX: u32 = taskflow_core::limits::CLAIM_MAX;
/// Most worker connections.
pub(super) const WORKERS_MAX: u32 = 64;
/// Most tasks a second that a paced cycle creates: beyond it the generator measures itself.
pub(super) const RATE_MAX: u32 = 1_000_000;
/// Most tasks laid in stock for `sync`.
pub(super) const STOCK_MAX: u32 = 2_000_000;

/// How `taskflow bench` is to run.
#[derive(Clone, Args)]
pub struct BenchOptions {
    /// The server to measure
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    pub server: String,
    /// The server's API key, when it asks for one
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Connections that create tasks (1 to 1024)
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub connections: u32,
    /// Connections that claim and complete tasks (1 to 64)
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub workers: u32,
    /// Measured seconds of each scenario (1 to 600)
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub seconds: u32,
    /// Rounds through all scenarios; medians are reported (1 to 10)
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rounds: u32,
    /// What to measure; may be given more than once
    #[arg(long = "scenario", value_enum, value_name = "NAME", default_value = "all")]
    pub scenarios: Vec<Choice>,
    /// Tasks per request of bulk and sync (1 to 1000)
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub batch: u32,
    /// Tasks laid in stock for sync (up to 2000000; default: 40000 per measured second, at most 400000)
    #[arg(long, value_name = "N")]
    pub stock: Option<u32>,
    /// Tasks created a second in cycle and bulk-cycle, whatever the server does (1 to 1000000; default: as
    /// many as it keeps up with)
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// Leave the tasks that were created and not worked on
    #[arg(long)]
    pub keep: bool,
    /// Allow a server on another machine; only use it on a server of your own
    #[arg(long)]
    pub allow_remote: bool,
}

impl fmt::Debug for BenchOptions {
    /// Everything but the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BenchOptions")
            .field("server", &self.server)
            .field("connections", &self.connections)
            .field("seconds", &self.seconds)
            .field("rounds", &self.rounds)
            .field("scenarios", &self.scenarios)
            .finish_non_exhaustive()
    }
}

/// What `--scenario` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// All of them
    All,
    /// The server's parse-and-answer route without a store: the yardstick
    Bare,
    /// Tasks created one by one
    Create,
    /// Tasks created in bulk
    Bulk,
    /// A stock of tasks claimed and completed through sync
    Sync,
    /// Tasks created one by one and worked on at the same time
    Cycle,
    /// Tasks created in bulk and worked on at the same time
    BulkCycle,
    /// From creation to the start of the work on an idle server
    Pickup,
}

/// One line of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    Bare,
    Create,
    Bulk,
    Sync,
    Cycle,
    BulkCycle,
    PickupWorker,
    PickupHttp,
}

impl Scenario {
    /// In the order in which a round runs them: the yardstick first.
    pub(super) const ALL: [Self; 8] = [
        Self::Bare,
        Self::Create,
        Self::Bulk,
        Self::Sync,
        Self::Cycle,
        Self::BulkCycle,
        Self::PickupWorker,
        Self::PickupHttp,
    ];

    /// Its name in the report; stable, scripts compare by it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Create => "create",
            Self::Bulk => "bulk",
            Self::Sync => "sync",
            Self::Cycle => "cycle",
            Self::BulkCycle => "bulk-cycle",
            Self::PickupWorker => "pickup-worker",
            Self::PickupHttp => "pickup-http",
        }
    }

    /// What its rate counts.
    pub(super) const fn unit(self) -> &'static str {
        if matches!(self, Self::Bare) { "requests" } else { "tasks" }
    }

    const fn choice(self) -> Choice {
        match self {
            Self::Bare => Choice::Bare,
            Self::Create => Choice::Create,
            Self::Bulk => Choice::Bulk,
            Self::Sync => Choice::Sync,
            Self::Cycle => Choice::Cycle,
            Self::BulkCycle => Choice::BulkCycle,
            Self::PickupWorker | Self::PickupHttp => Choice::Pickup,
        }
    }
}

/// The checked options.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) server: String,
    pub(super) api_key: Option<String>,
    pub(super) allow_remote: bool,
    pub(super) connections: u32,
    pub(super) workers: u32,
    pub(super) rounds: u32,
    pub(super) batch: u32,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) keep: bool,
    /// Load before anything is counted: caches, allocator and connections settle.
    pub(super) warm_up: Duration,
    /// What is counted.
    pub(super) measured: Duration,
    /// How long after the end a call may still wait for its answer.
    pub(super) patience: Duration,
    /// Longest clean-up after a scenario, and longest laying in of a stock.
    pub(super) aside: Duration,
    /// Tasks laid in for `sync`.
    pub(super) stock: u32,
    /// Tasks created a second during a cycle; none for as many as are completed.
    pub(super) rate: Option<u32>,
    /// Most tasks created and not yet completed during a cycle.
    pub(super) backlog: u32,
    /// A server that leaves the first pickup task alone for so long runs no worker.
    pub(super) worker_shows_within: Duration,
    /// Tasks of each pickup scenario.
    pub(super) pickups: u32,
}

impl Plan {
    /// Checks every limit; the error names the flag and the value.
    pub(super) fn checked(options: &BenchOptions) -> anyhow::Result<Self> {
        let within = |flag: &str, value: u32, max: u32| {
            ensure!((1..=max).contains(&value), "--{flag} must be 1 to {max}, not {value}");
            Ok(())
        };
        within("connections", options.connections, CONNECTIONS_MAX)?;
        within("workers", options.workers, WORKERS_MAX)?;
        within("seconds", options.seconds, SECONDS_MAX)?;
        within("rounds", options.rounds, ROUNDS_MAX)?;
        within("batch", options.batch, BATCH_MAX)?;
        let stock = options.stock.unwrap_or_else(|| (options.seconds * 40_000).min(400_000));
        within("stock", stock, STOCK_MAX)?;
        within("rate", options.rate.unwrap_or(RATE_MAX), RATE_MAX)?;
        let asked = |scenario: &Scenario| {
            options.scenarios.iter().any(|c| *c == Choice::All || *c == scenario.choice())
        };
        let scenarios: Vec<_> = Scenario::ALL.into_iter().filter(asked).collect();
        ensure!(!scenarios.is_empty(), "--scenario must name at least one scenario");
        let measured = Duration::from_secs(options.seconds.into());
        Ok(Self {
            server: options.server.clone(),
            api_key: options.api_key.clone(),
            allow_remote: options.allow_remote,
            connections: options.connections,
            workers: options.workers,
            rounds: options.rounds,
            batch: options.batch,
            scenarios,
            keep: options.keep,
            warm_up: (measured / 10).min(Duration::from_secs(1)),
            measured,
            patience: Duration::from_secs(10),
            aside: (measured * 10).max(Duration::from_secs(60)),
            stock,
            rate: options.rate,
            backlog: (options.batch * options.workers * 10).max(20_000),
            worker_shows_within: Duration::from_secs(2),
            pickups: 500,
        })
    }
}
