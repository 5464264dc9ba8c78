//! The gates that the writer keeps in memory: queues that are paused or limited, with their leases. They
//! are read from the tables whenever those may have changed without it. The rules are `core::gate`'s.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, Error, params};
use taskflow_core::gate::is_guard_turn;
use taskflow_core::limits::STARVATION_GUARD_DEFAULT;
use taskflow_core::{Gate, QueueName, RateWindow, TenantId, Timestamp};

use crate::queues;

type Key = (TenantId, QueueName);

/// A lease that began or ended.
#[derive(Debug)]
struct Change {
    of: Key,
    key: Option<String>,
    /// The starts before it, when it began.
    began: Option<RateWindow>,
}

/// Gates by queue, and how many tasks each queue has handed out since the file was opened.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    gates: BTreeMap<Key, Gate>,
    /// Whether they were read.
    known: bool,
    /// What the present command changed, so that it can be taken back.
    changes: Vec<Change>,
    /// Queues whose starts are not written yet.
    unwritten: BTreeSet<Key>,
    starts: HashMap<Key, u64>,
}

impl Gates {
    /// Reads the tables unless what is known is true.
    pub(crate) fn refresh(&mut self, connection: &Connection) -> Result<(), Error> {
        if self.known {
            return Ok(());
        }
        self.gates = queues::gates(connection)?;
        if self.gates.values().any(|gate| gate.queue.settings.counts_leases()) {
            let mut statement = connection.prepare_cached(
                "SELECT tenant, queue, concurrency_key FROM tasks INDEXED BY tasks_leased \
                 WHERE lease_until IS NOT NULL",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let queue = queues::name(row, 1)?;
                if let Some(gate) = self.gates.get_mut(&(TenantId(row.get(0)?), queue)) {
                    gate.take(row.get::<_, Option<String>>(2)?.as_deref(), None);
                }
            }
        }
        self.known = true;
        Ok(())
    }

    /// Forgets what was read; what was counted since the file was opened stays.
    pub(crate) fn forget(&mut self) {
        *self = Self { starts: std::mem::take(&mut self.starts), ..Self::default() };
    }

    /// The command succeeded.
    pub(crate) fn keep(&mut self) {
        self.changes.clear();
    }

    /// How much the command has changed so far, for `undo_to`.
    pub(crate) fn mark(&self) -> usize {
        self.changes.len()
    }

    /// Takes back what the command changed since `mark`.
    pub(crate) fn undo_to(&mut self, mark: usize) {
        for change in self.changes.split_off(mark).into_iter().rev() {
            let Some(gate) = self.gates.get_mut(&change.of) else { continue };
            match change.began {
                Some(window) => {
                    gate.give_back(change.key.as_deref());
                    gate.window = window;
                }
                None => gate.take(change.key.as_deref(), None),
            }
        }
    }

    /// A queue's settings changed: `gate` is what it is now, if it has one.
    pub(crate) fn replace(&mut self, tenant: TenantId, queue: QueueName, gate: Option<Gate>) {
        match gate {
            Some(gate) => drop(self.gates.insert((tenant, queue), gate)),
            None => drop(self.gates.remove(&(tenant, queue))),
        }
    }

    /// A queue's gate, if it has one.
    pub(crate) fn get(&self, tenant: TenantId, queue: &QueueName) -> Option<&Gate> {
        if self.gates.is_empty() {
            return None;
        }
        self.gates.get(&(tenant, queue.clone()))
    }

    /// A lease began.
    pub(crate) fn take(
        &mut self,
        tenant: TenantId,
        queue: &QueueName,
        key: Option<&str>,
        now: Timestamp,
    ) {
        let of = (tenant, queue.clone());
        if let Some(gate) = self.gates.get_mut(&of) {
            let before = gate.window.clone();
            gate.take(key, Some(now));
            let change =
                Change { of: of.clone(), key: key.map(str::to_owned), began: Some(before) };
            self.changes.push(change);
            if gate.queue.settings.rate_limit.is_some() {
                self.unwritten.insert(of);
            }
        }
    }

    /// A lease ended.
    pub(crate) fn give_back(&mut self, tenant: TenantId, queue: &QueueName, key: Option<&str>) {
        let of = (tenant, queue.clone());
        if let Some(gate) = self.gates.get_mut(&of) {
            gate.give_back(key);
            self.changes.push(Change { of, key: key.map(str::to_owned), began: None });
        }
    }

    /// Whether the queue's next start is that of its oldest task.
    pub(crate) fn is_guard_turn(&self, tenant: TenantId, queue: &QueueName) -> bool {
        let guard = self
            .get(tenant, queue)
            .map_or(STARVATION_GUARD_DEFAULT, |gate| gate.queue.settings.starvation_guard);
        let starts = self.starts.get(&(tenant, queue.clone())).copied().unwrap_or(0);
        is_guard_turn(guard, starts)
    }

    /// Counts a start.
    pub(crate) fn started(&mut self, tenant: TenantId, queue: &QueueName) {
        *self.starts.entry((tenant, queue.clone())).or_insert(0) += 1;
    }

    /// Writes the starts that the transaction added.
    pub(crate) fn write(&mut self, connection: &Connection) -> Result<(), Error> {
        for of in std::mem::take(&mut self.unwritten) {
            let Some(gate) = self.gates.get(&of) else { continue };
            connection
                .prepare_cached("UPDATE queues SET starts = ?3 WHERE tenant = ?1 AND name = ?2")?
                .execute(params![of.0.0, of.1.as_str(), gate.window.to_text()])?;
        }
        Ok(())
    }
}
