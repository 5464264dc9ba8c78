//! The gates of a transaction that claims: queues that are paused or limited, read in it, locked and
//! counted where a limit has to hold over all nodes. The rules are `core::gate`'s.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parking_lot::Mutex;
use taskflow_core::gate::is_guard_turn;
use taskflow_core::limits::STARVATION_GUARD_DEFAULT;
use taskflow_core::{Gate, Queue, QueueName, RateWindow, TenantId};
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::queues::{self, queue_columns};
use crate::rows::{self, get};
use crate::session::{Param, Session};

/// A queue of a tenant.
pub(crate) type Key = (TenantId, QueueName);

/// What a node knows of gates between its transactions.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Queues that limit their leases: when one ends, somebody may wait for it.
    limited: Mutex<Limited>,
    /// How many tasks each queue has handed out on this node.
    starts: Mutex<HashMap<Key, u64>>,
}

#[derive(Debug, Default)]
struct Limited {
    queues: BTreeSet<Key>,
    /// How often this node changed a queue's settings.
    changes: u64,
}

impl Watched {
    /// Reads the gates and notes which queues limit their leases, unless this node changed some meanwhile.
    pub(crate) async fn read(&self, session: &Session) -> Result<Gates, Failure> {
        let before = self.limited.lock().changes;
        let gates = Gates::read(session).await?;
        let limited = gates.gates.iter().filter(|(_, gate)| gate.queue.settings.counts_leases());
        let mut known = self.limited.lock();
        if known.changes == before {
            known.queues = limited.map(|(of, _)| of.clone()).collect();
        }
        Ok(gates)
    }

    /// Notes a change of settings.
    pub(crate) fn set(&self, tenant: TenantId, queue: &Queue) {
        let mut known = self.limited.lock();
        let of = (tenant, queue.name.clone());
        match queue.settings.counts_leases() {
            true => known.queues.insert(of),
            false => known.queues.remove(&of),
        };
        known.changes += 1;
    }

    /// Whether the end of a lease makes room for another.
    pub(crate) fn is_limited(&self, tenant: TenantId, queue: &QueueName) -> bool {
        let limited = self.limited.lock();
        !limited.queues.is_empty() && limited.queues.contains(&(tenant, queue.clone()))
    }

    /// Counts a start.
    pub(crate) fn started(&self, tenant: TenantId, queue: &QueueName) {
        *self.starts.lock().entry((tenant, queue.clone())).or_insert(0) += 1;
    }
}

/// The gates of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    gates: BTreeMap<Key, Gate>,
    /// Those that are locked and counted.
    counted: BTreeSet<Key>,
    /// Those whose starts are to be written.
    unwritten: BTreeSet<Key>,
}

/// Every gate of all tenants; there are few.
pub(crate) const GATES: &str =
    concat!("SELECT ", queue_columns!(), ", tenant FROM taskflow.queues WHERE gated");

/// Locks gates in the order of their names, as every other claim does.
const LOCK: &str = concat!(
    "SELECT ",
    queue_columns!(),
    ", tenant FROM taskflow.queues WHERE (tenant, name) IN (SELECT * FROM unnest($1::int8[], $2::text[])) \
     ORDER BY tenant, name FOR UPDATE"
);

/// The leases of some queues.
pub(crate) const LEASES: &str = "SELECT tenant, queue, concurrency_key, count(*) FROM taskflow.tasks \
     WHERE lease_until IS NOT NULL AND queue = ANY($1) GROUP BY tenant, queue, concurrency_key";

impl Gates {
    /// Reads them, without leases.
    async fn read(session: &Session) -> Result<Self, Failure> {
        let mut gates = Self::default();
        for row in session.query(GATES, &[]).await? {
            let (queue, window) = queues::queue(&row)?;
            let of = (TenantId(get(&row, 7)?), queue.name.clone());
            gates.gates.insert(of, Gate::new(queue, window));
        }
        Ok(gates)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Gate)> {
        self.gates.iter()
    }

    /// Locks and counts those of `queues` whose limits have to hold over all nodes, until the end of the
    /// transaction. What the transaction did before must be written down.
    pub(crate) async fn count(
        &mut self,
        session: &Session,
        queues: &BTreeSet<Key>,
    ) -> Result<(), Failure> {
        let limited = |of: &&Key| {
            let settings = self.gates.get(of).map(|gate| &gate.queue.settings);
            settings.is_some_and(|s| s.counts_leases() || s.rate_limit.is_some())
                && !self.counted.contains(of)
        };
        let new: Vec<Key> = queues.iter().filter(limited).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let tenants: Vec<i64> = new.iter().map(|(tenant, _)| tenant.0).collect();
        let names: Vec<&str> = new.iter().map(|(_, name)| name.as_str()).collect();
        let params: [Param<'_>; 2] = [(&tenants, Type::INT8_ARRAY), (&names, Type::TEXT_ARRAY)];
        // They may have changed while this waited for another claim.
        for row in session.query(LOCK, &params).await? {
            let (queue, window) = queues::queue(&row)?;
            let of = (TenantId(get(&row, 7)?), queue.name.clone());
            self.gates.insert(of, Gate::new(queue, window));
        }
        for row in session.query(LEASES, &[(&names, Type::TEXT_ARRAY)]).await? {
            let of = (TenantId(get(&row, 0)?), rows::queue(&row, 1)?);
            let key: Option<&str> = get(&row, 2)?;
            if let Some(gate) = self.gates.get_mut(&of).filter(|_| new.contains(&of)) {
                for _ in 0..get::<i64>(&row, 3)? {
                    gate.take(key, None);
                }
            }
        }
        self.counted.extend(new);
        Ok(())
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
        (tenant, queue): (TenantId, &QueueName),
        key: Option<&str>,
        now: taskflow_core::Timestamp,
    ) {
        let of = (tenant, queue.clone());
        if let Some(gate) = self.gates.get_mut(&of) {
            gate.take(key, Some(now));
            if gate.queue.settings.rate_limit.is_some() {
                self.unwritten.insert(of);
            }
        }
    }

    /// Whether the queue's next start is that of its oldest task.
    pub(crate) fn is_guard_turn(
        &self,
        watched: &Watched,
        tenant: TenantId,
        queue: &QueueName,
    ) -> bool {
        let guard = self
            .get(tenant, queue)
            .map_or(STARVATION_GUARD_DEFAULT, |gate| gate.queue.settings.starvation_guard);
        let starts = watched.starts.lock().get(&(tenant, queue.clone())).copied().unwrap_or(0);
        is_guard_turn(guard, starts)
    }

    /// The keys of a tenant that are full, a column each: queue and key.
    pub(crate) fn full_keys(&self, tenant: TenantId) -> (Vec<String>, Vec<String>) {
        let own = self.gates.iter().filter(|((of, _), _)| *of == tenant);
        own.flat_map(|((_, queue), gate)| {
            let pair = |key: &str| (queue.as_str().to_owned(), key.to_owned());
            gate.full_keys().into_iter().map(pair).collect::<Vec<_>>()
        })
        .unzip()
    }

    /// Writes the starts that the transaction added.
    pub(crate) async fn write(&mut self, session: &Session) -> Result<(), Failure> {
        let sql = "UPDATE taskflow.queues SET starts = $3 WHERE tenant = $1 AND name = $2";
        for of in std::mem::take(&mut self.unwritten) {
            let text = self.gates.get(&of).map(|gate| &gate.window).map(RateWindow::to_text);
            let Some(text) = text else { continue };
            let params: [Param<'_>; 3] =
                [(&of.0.0, Type::INT8), (&of.1.as_str(), Type::TEXT), (&text, Type::TEXT)];
            session.query(sql, &params).await?;
        }
        Ok(())
    }
}
