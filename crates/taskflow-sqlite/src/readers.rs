//! Connections that only read, on threads of their own, so that no reader waits for the writer.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, Error};
use taskflow_store::StoreError;
use tokio::sync::Semaphore;

use crate::{connect, error};

/// Clients' reads at once: two cores' worth and a little for those that wait for the disk.
pub(crate) const READERS: usize = 4;

/// A pool of reading connections.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    /// A pool of up to `readers` connections, opened when they are first needed.
    pub(crate) fn new(path: PathBuf, readers: usize) -> Self {
        Self {
            path: Arc::new(path),
            idle: Arc::default(),
            turns: Arc::new(Semaphore::new(readers)),
        }
    }

    /// The database's file.
    pub(crate) fn path(&self) -> Arc<PathBuf> {
        Arc::clone(&self.path)
    }

    /// Closes the connections that nobody reads with.
    pub(crate) fn close(&self) {
        self.idle.lock().clear();
    }

    /// Runs `read` on a connection. Each call sees one state of the database.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let turn =
            Arc::clone(&self.turns).acquire_owned().await.map_err(|_| StoreError::Unavailable)?;
        let (path, idle) = (Arc::clone(&self.path), Arc::clone(&self.idle));
        let task = tokio::task::spawn_blocking(move || {
            let connection = match idle.lock().pop() {
                Some(connection) => connection,
                None => connect::reader(&path).map_err(error::not_opened)?,
            };
            let answer = within(&connection, read).map_err(error::refused);
            // A connection that met an error may hold a broken view; the next read opens another.
            if answer.is_ok() {
                idle.lock().push(connection);
            }
            drop(turn);
            answer
        });
        task.await.map_err(|failure| StoreError::Failed(Box::new(failure)))?
    }
}

/// One read transaction around `read`, so that its statements agree with each other.
fn within<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Error>,
) -> Result<T, Error> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let answer = read(connection)?;
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(answer)
}
