//! The thread beside the writer: checkpoints the WAL off the writer's path, notices what other
//! processes wrote and when the file holds many free pages. It changes no task.

use std::path::PathBuf;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use taskflow_core::{TenantId, Timestamp};
use taskflow_store::batcher::Batcher;

use crate::error::OpenError;
use crate::writer::{Order, Said, What};
use crate::{connect, shrink};

/// How often it looks: what a task from another process waits at most for its wake-up. Reading the
/// counter costs some microseconds.
const LOOK: Duration = Duration::from_millis(20);

/// Pages in the WAL from which they are copied into the database: 32 MiB, some ten milliseconds of
/// writing. After that the WAL is written again from its start: a commit that makes the file longer
/// costs three times one that overwrites (measured on ext4: 520 against 140 µs an `fdatasync`).
pub(crate) const CHECKPOINT_PAGES: i64 = 32 * 1024 * 1024 / 4096;

/// Pages from which the writer is held up until the WAL starts anew: readers kept it from ending.
const RESTART_PAGES: i64 = 256 * 1024 * 1024 / 4096;

/// Starts the thread; it ends when `stop` is closed. `writer` is asked to look after every
/// commit that may be another process's.
pub(crate) fn start(
    path: PathBuf,
    stop: Receiver<()>,
    writer: Weak<Batcher<Order, Said>>,
) -> Result<JoinHandle<()>, OpenError> {
    let connection = connect::writer(&path)?;
    let seen = version(&connection);
    std::thread::Builder::new()
        .name("taskflow-keeper".into())
        .spawn(move || run(&connection, seen, &stop, &writer))
        .map_err(|source| OpenError::NotOpened { path, source: Box::new(source) })
}

fn run(
    connection: &Connection,
    mut seen: Option<i64>,
    stop: &Receiver<()>,
    writer: &Weak<Batcher<Order, Said>>,
) {
    let shrinks = shrink::can(connection).unwrap_or_else(|error| {
        tracing::warn!(error = %error, "the file does not say whether it can shrink");
        false
    });
    while matches!(stop.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) {
        let version = version(connection);
        if version != seen {
            seen = version;
            let Some(writer) = writer.upgrade() else { return };
            // When the queue is full the writer is about to look by itself.
            post(&writer, What::Look);
            keep_short(connection, &writer);
            if shrinks {
                keep_small(connection, &writer);
            }
        }
    }
}

fn post(writer: &Batcher<Order, Said>, what: What) {
    let now = Timestamp::from_micros(0);
    if writer.post(Order { tenant: TenantId::DEFAULT, now, what }).is_err() {
        tracing::debug!("the writer is too busy to be asked");
    }
}

/// Copies a long WAL into the database without holding anybody up, then leaves what came in meanwhile
/// to the writer: only between two of its commits can the WAL be found copied whole, and start anew.
pub(crate) fn keep_short(connection: &Connection, writer: &Batcher<Order, Said>) {
    let Some(pages) = checkpoint(connection, "NOOP") else { return };
    if pages >= RESTART_PAGES {
        checkpoint(connection, "RESTART");
    } else if pages >= CHECKPOINT_PAGES {
        checkpoint(connection, "PASSIVE");
        // The second copies what was written during the first.
        checkpoint(connection, "PASSIVE");
        post(writer, What::Checkpoint);
    }
}

/// Asks the writer to give a few free pages back when there are many. Its commit is the next thing
/// that is noticed here, so it goes on until few are left.
fn keep_small(connection: &Connection, writer: &Batcher<Order, Said>) {
    match shrink::next(connection) {
        Ok(Some(pages)) => post(writer, What::Shrink(pages)),
        Ok(None) => {}
        Err(error) => tracing::debug!(error = %error, "the free pages were not counted"),
    }
}

/// Runs a checkpoint; the answer is how many pages the WAL holds.
pub(crate) fn checkpoint(connection: &Connection, mode: &str) -> Option<i64> {
    let pages =
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1));
    pages
        .inspect_err(|error| tracing::warn!(error = %error, mode, "a checkpoint did not finish"))
        .ok()
}

fn version(connection: &Connection) -> Option<i64> {
    connection
        .prepare_cached("PRAGMA data_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .ok()
}
