//! The one writer: takes all that waits, applies it in one transaction, commits, answers.
//! It decides nothing about tasks; a failed command is undone alone, a failed commit answers all.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Error};
use taskflow_core::{NewTask, QueueName, QueuePatch, TenantId, Timestamp};
use taskflow_store::batcher::{self, Batcher, Batches, Reply, Waiting};
use taskflow_store::{
    Answers, Claim, Delete, Deleted, Edit, Edited, Expired, Inserted, Once, Onced, Pruned,
    QueueSet, StoreError, Sync, Synced, Watch,
};
use tokio::sync::watch;

use crate::act::Act;
use crate::memory::Memory;
use crate::retention::Over;
use crate::serve::Parked;
use crate::{connect, error, idempotency, keeper, search, serve, sessions, shrink, workers};

/// A command with its scope.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
    pub(crate) what: What,
}

/// What the writer does.
#[derive(Debug)]
pub(crate) enum What {
    Insert(Vec<NewTask>),
    /// The same, and then what a claim that waits for them asks.
    Serve(Vec<NewTask>, Box<Claim>),
    /// All of them or none.
    InsertAll(Vec<NewTask>),
    Edit(Vec<Edit>),
    Delete(Vec<Delete>),
    Sync(Box<Sync>),
    Expire(u32),
    SetQueue(QueueName, Option<u64>, Box<QueuePatch>),
    Workers(workers::Order),
    Sessions(sessions::Order),
    /// One of those above, once for its key.
    Once(Box<Once>),
    /// Removes so many keys that do not last any more.
    Forget(u32),
    /// Where a look found ended tasks that may go, and how many go at most.
    Prune(Vec<Over>, u32),
    /// What a look found that sketches of texts lack.
    Sketch(Box<search::Plan>),
    /// Looks whether another process wrote.
    Look,
    /// Copies the rest of the WAL after this commit, so that the next one starts it anew.
    Checkpoint,
    /// Gives so many free pages back.
    Shrink(u32),
}

/// What it answers.
#[derive(Debug)]
pub(crate) enum Said {
    Inserted(Answers<Inserted>),
    /// And what the claim got.
    Served(Answers<Inserted>, Box<Synced>),
    /// Which one was refused, and why; what the command did before is undone.
    Refused(usize, Inserted),
    Edited(Answers<Edited>),
    Deleted(Answers<Deleted>),
    Synced(Box<Synced>),
    Expired(Answers<Expired>),
    QueueSet(QueueSet),
    Workers(workers::Told),
    /// How many went.
    Sessions(u32),
    Onced(Onced),
    Forgot(u32),
    Pruned(Pruned),
    Looked,
}

impl Said {
    /// Whether what the command did before it said so is undone.
    fn is_undone(&self) -> bool {
        matches!(self, Self::Refused(..) | Self::Onced(Onced::Undone(_)))
    }
}

/// Starts the writer's thread.
pub(crate) fn start(
    path: PathBuf,
    connection: Connection,
    hints: watch::Sender<u64>,
    changes: Arc<Watch>,
) -> std::io::Result<(Batcher<Order, Said>, JoinHandle<()>)> {
    let (batcher, batches) = batcher::channel();
    let runtime = tokio::runtime::Handle::try_current().ok();
    let mut writer = Writer {
        path,
        connection: Some(connection),
        memory: Memory::default(),
        hints,
        changes,
        runtime,
        place: None,
        looked: None,
    };
    // Reads what there is, so that the first foreign write afterwards is known to be one.
    writer.flush(Vec::new());
    let thread = std::thread::Builder::new()
        .name("taskflow-writer".into())
        .spawn(move || writer.run(batches))?;
    Ok((batcher, thread))
}

struct Writer {
    path: PathBuf,
    /// None after a commit of unknown outcome, until the file is opened anew.
    connection: Option<Connection>,
    memory: Memory,
    hints: watch::Sender<u64>,
    /// Who watches.
    changes: Arc<Watch>,
    /// Where the callers live.
    runtime: Option<tokio::runtime::Handle>,
    /// The file that was opened, and when it was last seen at its path.
    place: Option<(u64, u64)>,
    looked: Option<Instant>,
}

/// How often the file's place is looked at: what is written in between can be lost with the file.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Which file a path names at present: device and inode.
#[cfg(unix)]
pub(crate) fn place(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
pub(crate) fn place(_: &Path) -> Option<(u64, u64)> {
    Some((0, 0))
}

/// A command's way back and its answer.
pub(crate) type Answered = (Reply<Said>, Result<Said, StoreError>);

impl Writer {
    fn run(mut self, mut batches: Batches<Order, Said>) {
        let mut batch = Vec::new();
        while batches.next_blocking(&mut batch) {
            let waiting = std::mem::take(&mut batch);
            // A panic must not end the only writer: the callers hear `Unavailable`, the file is
            // opened anew and its last commit stands.
            if catch_unwind(AssertUnwindSafe(|| self.flush(waiting))).is_err() {
                tracing::error!("the writer panicked; its transaction is undone");
                self.connection = None;
                self.memory.forget();
            }
        }
    }

    fn flush(&mut self, batch: Vec<Waiting<Order, Said>>) {
        let begun = self.begin();
        let connection = match (begun, self.connection.as_ref()) {
            (Ok(()), Some(connection)) => connection,
            (begun, _) => {
                let busy = matches!(begun, Err(StoreError::Busy));
                for waiting in batch {
                    let error = if busy { StoreError::Busy } else { StoreError::Unavailable };
                    waiting.split().1.send(Err(error));
                }
                return;
            }
        };
        self.memory.watched = self.changes.is_on();
        let mut answers: Vec<Answered> = Vec::with_capacity(batch.len());
        let mut lost = None;
        let mut checkpoint = false;
        let mut parked: Vec<Parked> = Vec::new();
        let mut latest = Timestamp::from_micros(0);
        for waiting in batch {
            let (mut order, reply) = waiting.split();
            checkpoint |= matches!(order.what, What::Checkpoint);
            latest = latest.max(order.now);
            parked.extend(serve::apart(&mut order, answers.len()));
            let answer = match &lost {
                None => carry_out(connection, &mut self.memory, order),
                // Nothing of it was done, like everything else of this transaction.
                Some(_) => Ok(Err(StoreError::Busy)),
            };
            match answer {
                Ok(answer) => answers.push((reply, answer)),
                Err(failure) => {
                    answers.push((reply, Err(StoreError::Busy)));
                    lost = Some(failure);
                }
            }
        }
        let served = match lost {
            Some(failure) => Err(failure),
            None => serve::all(connection, &mut self.memory, parked, latest, &mut answers),
        };
        let done = match served {
            Err(failure) => Err(failure),
            Ok(()) => self
                .memory
                .write(connection)
                .map_err(error::refused)
                .and_then(|()| execute(connection, "COMMIT").map_err(error::uncommitted)),
        };
        match done {
            Ok(()) => {
                self.changes.tell(self.memory.take_changed());
                self.answer(answers);
                if checkpoint && let Some(connection) = &self.connection {
                    keeper::checkpoint(connection, "PASSIVE");
                }
            }
            Err(failure) => self.fail(answers, &failure),
        }
    }

    /// Answers from inside the callers' runtime: waking each of them from this thread would cost a
    /// system call apiece.
    fn answer(&self, answers: Vec<Answered>) {
        let send = move || {
            for (reply, answer) in answers {
                reply.send(answer);
            }
        };
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(async move { send() })),
            None => send(),
        }
    }

    /// Opens the file anew when it has to, begins, and reads what another process changed.
    fn begin(&mut self) -> Result<(), StoreError> {
        self.check_place()?;
        if self.connection.is_none() {
            let opened = connect::writer(&self.path).map_err(|error| {
                tracing::error!(error = %error, "the database cannot be opened anew");
                StoreError::Unavailable
            })?;
            self.connection = Some(opened);
        }
        let Some(connection) = self.connection.as_ref() else {
            return Err(StoreError::Unavailable);
        };
        let begun =
            execute(connection, "BEGIN IMMEDIATE").and_then(|()| self.memory.refresh(connection));
        match begun {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.hints.send_modify(|count| *count += 1);
                self.changes.missed();
                Ok(())
            }
            Err(failure) => {
                self.roll_back();
                let failure = error::refused(failure);
                tracing::error!(error = %Chain(&failure), "a transaction cannot begin");
                if !matches!(failure, StoreError::Busy) {
                    // Whatever it is, a fresh connection may be over it.
                    self.connection = None;
                }
                Err(failure)
            }
        }
    }

    /// A file that was removed or replaced under the open connection would swallow what is written.
    fn check_place(&mut self) -> Result<(), StoreError> {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        let place = place(&self.path);
        if self.place.is_none() {
            self.place = place;
        }
        if place.is_some() && place == self.place {
            self.looked = Some(Instant::now());
            return Ok(());
        }
        tracing::error!(
            database.path = %self.path.display(),
            "the database file was removed or replaced; nothing is written until it is back"
        );
        Err(StoreError::Unavailable)
    }

    fn fail(&mut self, answers: Vec<Answered>, failure: &StoreError) {
        tracing::error!(error = %Chain(failure), commands = answers.len(), "a commit failed");
        let unknown = matches!(failure, StoreError::Unknown(_));
        let text = Chain(failure).to_string();
        for (reply, _) in answers {
            reply.send(Err(match failure {
                StoreError::Busy => StoreError::Busy,
                StoreError::Full => StoreError::Full,
                StoreError::Unknown(_) => StoreError::Unknown(text.clone().into()),
                _ => StoreError::Failed(text.clone().into()),
            }));
        }
        self.roll_back();
        if unknown {
            // After a failed fsync nobody knows what the page cache still holds.
            self.connection = None;
        }
    }

    fn roll_back(&mut self) {
        self.memory.forget();
        if let Some(connection) = &self.connection
            && !connection.is_autocommit()
            && let Err(failure) = execute(connection, "ROLLBACK")
        {
            tracing::error!(error = %failure, "a rollback failed");
            self.connection = None;
        }
    }
}

/// Carries out one command; its failure undoes it alone. `Err` when that was not possible: SQLite took
/// the whole transaction back (a full disk, an I/O error), or a savepoint could not be undone.
pub(crate) fn carry_out(
    connection: &Connection,
    memory: &mut Memory,
    order: Order,
) -> Result<Result<Said, StoreError>, StoreError> {
    // One plain insert is one statement, which SQLite undoes by itself.
    let single = matches!(&order.what, What::Insert(batch)
        if matches!(batch.as_slice(), [new] if new.depends_on.is_empty() && new.unique.is_none()));
    let done = if single {
        perform(connection, memory, order)
    } else {
        execute(connection, "SAVEPOINT command")
            .and_then(|()| perform(connection, memory, order))
            .and_then(|said| {
                if said.is_undone() {
                    execute(connection, "ROLLBACK TO command")?;
                }
                execute(connection, "RELEASE command").map(|()| said)
            })
    };
    let failure = match done {
        Ok(said) if said.is_undone() => {
            memory.undo();
            return Ok(Ok(said));
        }
        Ok(said) => {
            memory.keep();
            return Ok(Ok(said));
        }
        Err(failure) => error::refused(failure),
    };
    if connection.is_autocommit() {
        return Err(failure);
    }
    memory.undo();
    if !single {
        execute(connection, "ROLLBACK TO command")
            .and_then(|()| execute(connection, "RELEASE command"))
            .map_err(error::refused)?;
    }
    tracing::error!(error = %Chain(&failure), "a command failed and was undone");
    Ok(Err(failure))
}

/// Does what a command says; its savepoint is around it.
pub(crate) fn perform(
    connection: &Connection,
    memory: &mut Memory,
    order: Order,
) -> Result<Said, Error> {
    let Order { tenant, now, what } = order;
    let what = match what {
        What::Once(once) => {
            return idempotency::once(connection, memory, tenant, now, *once).map(Said::Onced);
        }
        What::Forget(limit) => {
            return idempotency::forget(connection, now, limit).map(Said::Forgot);
        }
        what => what,
    };
    let (ready, freed) = (BTreeMap::new(), BTreeSet::new());
    let mut act = Act { connection, memory, tenant, now, ready, freed };
    Ok(match what {
        What::Insert(batch) => {
            let items = batch.into_iter().map(|new| act.insert(new)).collect::<Result<_, _>>()?;
            Said::Inserted(Answers { items, ready: act.told()? })
        }
        What::InsertAll(batch) => {
            let mut items = Vec::with_capacity(batch.len());
            for (at, new) in batch.into_iter().enumerate() {
                let inserted = act.insert(new)?;
                if inserted.is_refused() {
                    return Ok(Said::Refused(at, inserted));
                }
                items.push(inserted);
            }
            Said::Inserted(Answers { items, ready: act.told()? })
        }
        What::Edit(batch) => {
            let items = batch.iter().map(|edit| act.edit(edit)).collect::<Result<_, _>>()?;
            Said::Edited(Answers { items, ready: act.told()? })
        }
        What::Delete(batch) => {
            let items = batch.iter().map(|delete| act.delete(delete)).collect::<Result<_, _>>()?;
            Said::Deleted(Answers { items, ready: act.told()? })
        }
        What::Sync(sync) => {
            let mut synced = act.sync(*sync)?;
            synced.ready = act.told()?;
            Said::Synced(Box::new(synced))
        }
        What::Expire(limit) => {
            let items = act.expire(limit)?;
            Said::Expired(Answers { items, ready: act.told()? })
        }
        What::SetQueue(name, if_version, patch) => {
            Said::QueueSet(act.set_queue(name, if_version, &patch)?)
        }
        What::Workers(order) => Said::Workers(act.workers(order)?),
        What::Sessions(order) => Said::Sessions(sessions::carry_out(connection, tenant, &order)?),
        What::Prune(over, limit) => Said::Pruned(act.prune(&over, limit)?),
        What::Sketch(plan) => {
            search::carry_out(connection, &plan)?;
            Said::Looked
        }
        What::Shrink(pages) => {
            shrink::shrink(connection, pages)?;
            Said::Looked
        }
        What::Look
        | What::Checkpoint
        | What::Once(_)
        | What::Forget(_)
        // Taken apart before.
        | What::Serve(..) => Said::Looked,
    })
}

fn execute(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Prints an error with all its sources: a log line is where the whole chain belongs.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
