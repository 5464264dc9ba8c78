//! The thread beside the writer: checkpoints the WAL off the writer's path and notices what other
//! processes wrote. It changes no task.

use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use taskflow_core::{TenantId, Timestamp};
use taskflow_store::batcher::Batcher;

use crate::connect;
use crate::error::OpenError;
use crate::writer::{Order, Said, What};

/// How often it looks: what a task from another process waits at most for its wake-up. Reading the
/// counter costs some microseconds.
const LOOK: Duration = Duration::from_millis(20);

/// WAL size from which it is copied into the database: 16 MiB, a few milliseconds of writing.
const CHECKPOINT_BYTES: u64 = 16 * 1024 * 1024;

/// WAL size from which the writer is held up until the WAL starts anew: readers kept it from ending.
const RESTART_BYTES: u64 = 256 * 1024 * 1024;

/// Starts the thread; it ends when `stop` is closed. `writer` is asked to look after every
/// commit that may be another process's.
pub(crate) fn start(
    path: PathBuf,
    stop: Receiver<()>,
    writer: Weak<Batcher<Order, Said>>,
) -> Result<JoinHandle<()>, OpenError> {
    let connection = connect::writer(&path)?;
    let wal = wal_path(&path);
    let seen = version(&connection);
    std::thread::Builder::new()
        .name("taskflow-keeper".into())
        .spawn(move || run(&connection, &wal, seen, &stop, &writer))
        .map_err(|source| OpenError::NotOpened { path, source: Box::new(source) })
}

fn run(
    connection: &Connection,
    wal: &Path,
    mut seen: Option<i64>,
    stop: &Receiver<()>,
    writer: &Weak<Batcher<Order, Said>>,
) {
    while matches!(stop.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) {
        let version = version(connection);
        if version != seen {
            seen = version;
            let Some(writer) = writer.upgrade() else { return };
            let now = Timestamp::from_micros(0);
            // When the queue is full the writer is about to look by itself.
            if writer.post(Order { tenant: TenantId::DEFAULT, now, what: What::Look }).is_err() {
                tracing::debug!("the writer is too busy to look for other processes' writes");
            }
            drop(writer);
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
