//! What a run of the torture test is told. It says nothing about how the rules are checked.

use std::path::PathBuf;

/// Where the servers keep tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file in the folder of the run, for one server.
    Sqlite,
    /// A PostgreSQL server that the run makes for itself.
    Postgres,
}

/// What is done under load. Each fault takes one of them, in turn by the dice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9 of a server, and a restart after up to half a second.
    Kill,
    /// A server is stopped for longer than a lease and woken.
    Stop,
    /// Every process of PostgreSQL ends at once, and it is started again.
    Crash,
    /// Every connection to PostgreSQL is ended, five times a second for two seconds.
    Sever,
}

impl Fault {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Crash => "crash",
            Self::Sever => "sever",
        }
    }
}

/// Settings of one run. The seed decides workload and faults; how threads interleave stays free.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server program; it is started as `<server_bin> serve`.
    pub server_bin: PathBuf,
    /// Everything random in the run comes from it.
    pub seed: u64,
    /// How many faults there are under load.
    pub kills: u32,
    /// Which faults.
    pub faults: Vec<Fault>,
    /// Where tasks are kept.
    pub database: Database,
    /// Servers on the same database; more than one only on PostgreSQL.
    pub nodes: u32,
    /// Folder of the run: database, server log, history and verdict. Made when it does not exist;
    /// it must not hold a former run.
    pub dir: PathBuf,
    /// Processes that create, edit, read and delete tasks.
    pub producers: u32,
    /// Processes that claim and finish tasks.
    pub workers: u32,
    /// Length of a lease, in seconds. A server must serve again within a second more.
    pub lease_seconds: u32,
    /// How long everything may take to end once the faults have stopped, in seconds.
    pub drain_seconds: u32,
    /// Fewer acknowledged tasks than this make the run too weak to prove anything.
    pub acked_min: usize,
}

impl Options {
    /// A run on PostgreSQL with three servers, all faults, and twice as many workers.
    pub fn postgres(server_bin: PathBuf, dir: PathBuf, seed: u64) -> Self {
        Self {
            faults: vec![Fault::Kill, Fault::Stop, Fault::Crash, Fault::Sever],
            database: Database::Postgres,
            nodes: 3,
            producers: 6,
            workers: 6,
            kills: 12,
            drain_seconds: 30,
            ..Self::new(server_bin, dir, seed)
        }
    }

    /// Its name on the command line.
    pub(crate) fn profile(&self) -> &'static str {
        match (self.database, self.faults.as_slice()) {
            (Database::Sqlite, _) => "sqlite-kill",
            (Database::Postgres, [Fault::Kill]) => "postgres-kill",
            (Database::Postgres, [Fault::Stop]) => "postgres-stop",
            (Database::Postgres, [Fault::Crash]) => "postgres-crash",
            (Database::Postgres, [Fault::Sever]) => "postgres-sever",
            (Database::Postgres, _) => "postgres-all",
        }
    }

    /// The usual run: 20 kills, four producers, three workers, leases of two seconds.
    pub fn new(server_bin: PathBuf, dir: PathBuf, seed: u64) -> Self {
        Self {
            server_bin,
            seed,
            kills: 20,
            faults: vec![Fault::Kill],
            database: Database::Sqlite,
            nodes: 1,
            dir,
            producers: 4,
            workers: 3,
            lease_seconds: 2,
            drain_seconds: 20,
            acked_min: 500,
        }
    }
}
