//! The thread beside the writer: checkpoints the WAL off the writer's path and notices what other
//! processes wrote. It changes no task.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc::UnboundedSender;

use crate::connect;
use crate::error::OpenError;

/// How often it looks: what a task from another process waits at most for its wake-up. Reading the
/// counter costs some microseconds.
const LOOK: Duration = Duration::from_millis(10);

/// WAL size from which it is copied into the database: 16 MiB, a few milliseconds of writing.
const CHECKPOINT_BYTES: u64 = 16 * 1024 * 1024;

/// WAL size from which the writer is held up until the WAL starts anew: readers kept it from ending.
const RESTART_BYTES: u64 = 256 * 1024 * 1024;

/// Starts the thread; it ends when `stop` is closed. `foreign` hears of every commit that may be
/// another process's.
pub(crate) fn start(
    path: PathBuf,
    stop: Receiver<()>,
    foreign: UnboundedSender<()>,
) -> Result<JoinHandle<()>, OpenError> {
    let connection = connect::writer(&path)?;
    let wal = wal_path(&path);
    std::thread::Builder::new()
        .name("taskflow-keeper".into())
        .spawn(move || run(&connection, &wal, &stop, &foreign))
        .map_err(|source| OpenError::NotOpened { path, source: Box::new(source) })
}

fn run(connection: &Connection, wal: &Path, stop: &Receiver<()>, foreign: &UnboundedSender<()>) {
    let mut seen = version(connection);
    while matches!(stop.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) {
        let now = version(connection);
        if now != seen {
            seen = now;
            if foreign.send(()).is_err() {
                return;
            }
            let bytes = std::fs::metadata(wal).map_or(0, |meta| meta.len());
            if bytes >= CHECKPOINT_BYTES {
                checkpoint(connection, bytes);
            }
        }
    }
}

/// Copies what can be copied without holding anybody up; when that leaves the WAL growing, restarts it.
fn checkpoint(connection: &Connection, bytes: u64) {
    let mode = if bytes >= RESTART_BYTES { "RESTART" } else { "PASSIVE" };
    let done = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    if let Err(error) = done {
        tracing::warn!(error = %error, wal_bytes = bytes, "a checkpoint did not finish");
    }
}

fn version(connection: &Connection) -> Option<i64> {
    connection
        .prepare_cached("PRAGMA data_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .ok()
}

fn wal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
