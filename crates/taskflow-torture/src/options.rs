//! What a run of the torture test is told. It says nothing about how the rules are checked.

use std::path::PathBuf;

/// Settings of one run. The seed decides workload and faults; how threads interleave stays free.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server program; it is started as `<server_bin> serve`.
    pub server_bin: PathBuf,
    /// Everything random in the run comes from it.
    pub seed: u64,
    /// How often the server is killed under load.
    pub kills: u32,
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
    /// The usual run: 20 kills, four producers, three workers, leases of two seconds.
    pub fn new(server_bin: PathBuf, dir: PathBuf, seed: u64) -> Self {
        Self {
            server_bin,
            seed,
            kills: 20,
            dir,
            producers: 4,
            workers: 3,
            lease_seconds: 2,
            drain_seconds: 20,
            acked_min: 500,
        }
    }
}
