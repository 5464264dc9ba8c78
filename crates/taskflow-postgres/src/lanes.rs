//! Where tasks may wait, and from which instant on a claim has to look: kept in memory on each node,
//! read anew by the keeper. Losing it costs time, never a task.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use taskflow_core::{Kind, QueueName, TenantId, Timestamp};
use taskflow_store::{Claim, Ready, Told, Watch};
use tokio::sync::watch;
use tokio_postgres::types::Type;

use crate::announce::Announcements;
use crate::changes;
use crate::error::Failure;
use crate::gates::Watched;
use crate::rows::{self, get};
use crate::session::{Param, Session};

/// How far behind the last look a claim still looks, in seconds: what a transaction put there that
/// was open during the look. What was open for longer is found by the looks that follow.
const SLACK_SECONDS: f64 = 1.0;

/// How far a look goes back behind the last one, in seconds: longer than a node's own transactions
/// take but for trouble.
const LATE_SECONDS: f64 = 5.0;

/// A queue and a kind of a tenant.
pub(crate) type Key = (TenantId, QueueName, Kind);

/// What a node knows of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// The earliest `run_at` worth looking at for priorities 0 to 3.
    floors: [i64; 4],
    /// Nothing waited there at the last look and nothing came since: claims pass it over.
    idle: bool,
}

/// A lane of which nothing is known yet.
const NEW: Known = Known { floors: [i64::MIN; 4], idle: false };

/// Tasks that wait from `from` on: in one lane, or in every lane of a queue.
#[derive(Debug)]
struct Put {
    tenant: TenantId,
    queue: QueueName,
    kind: Option<Kind>,
    from: i64,
}

impl Put {
    fn lower(&self, known: &mut BTreeMap<Key, Known>) {
        let lowered = |lane: &mut Known| {
            lane.floors = lane.floors.map(|floor| floor.min(self.from));
            lane.idle = false;
        };
        match &self.kind {
            Some(kind) => {
                let key = (self.tenant, self.queue.clone(), kind.clone());
                known.get_mut(&key).into_iter().for_each(lowered);
            }
            None => {
                // No name is less than this one.
                let Ok(least) = Kind::parse("0") else { return };
                known
                    .range_mut((self.tenant, self.queue.clone(), least)..)
                    .take_while(|((of, queue, _), _)| *of == self.tenant && *queue == self.queue)
                    .for_each(|(_, lane)| lowered(lane));
            }
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lanes {
    known: Mutex<BTreeMap<Key, Known>>,
    /// What was put into lanes while a look was under way, which may not have seen it.
    meanwhile: Mutex<Option<Vec<Put>>>,
    /// The time of the latest claim.
    asked: AtomicI64,
    /// How often everything was to be looked at.
    everywhere: AtomicU64,
    /// Whether other nodes are heard.
    heard: watch::Sender<bool>,
    /// What other nodes are to hear of.
    pub(crate) announcements: Announcements,
    /// What is known of gates between transactions.
    pub(crate) gates: Watched,
    /// Who watches here what is changed.
    pub(crate) watch: Watch,
    /// Whether somebody watches on any node, as far as is known here.
    pub(crate) others: Watch,
    /// What this node calls itself among those who watch.
    pub(crate) node: String,
    /// The latest of its own announcements that this node heard.
    pub(crate) announced: watch::Sender<u64>,
    /// Whether nodes can hear each other at all.
    pub(crate) listens: AtomicBool,
}

/// Where one claim looks: an array a column, for the statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    pub(crate) queue: Vec<String>,
    pub(crate) kind: Vec<String>,
    pub(crate) floors: [Vec<i64>; 4],
}

impl Places {
    fn push(&mut self, queue: &QueueName, kind: &Kind, lane: &Known) {
        self.queue.push(queue.as_str().to_owned());
        self.kind.push(kind.as_str().to_owned());
        for (column, floor) in self.floors.iter_mut().zip(&lane.floors) {
            column.push(*floor);
        }
    }

    /// The places whose queue `keep` takes.
    pub(crate) fn keep(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let kept: Vec<bool> = self.queue.iter().map(|queue| keep(queue)).collect();
        let of = |at: &mut dyn Iterator<Item = bool>| at.next().unwrap_or(false);
        let mut at = kept.iter().copied();
        self.queue.retain(|_| of(&mut at));
        let mut at = kept.iter().copied();
        self.kind.retain(|_| of(&mut at));
        for floors in &mut self.floors {
            let mut at = kept.iter().copied();
            floors.retain(|_| of(&mut at));
        }
    }
}

impl Lanes {
    /// Those of the node whose connections have this name.
    pub(crate) fn of(name: &str) -> Self {
        Self { node: name.replace(' ', "-"), ..Self::default() }
    }

    /// Which of `keys` no task was ever put in, as far as this node knows.
    pub(crate) fn new_among(&self, keys: impl Iterator<Item = Key>) -> Vec<Key> {
        let known = self.known.lock();
        let new: HashSet<Key> = keys.filter(|key| !known.contains_key(key)).collect();
        let mut new: Vec<Key> = new.into_iter().collect();
        new.sort();
        new
    }

    /// Where a claim of `tenant` has to look; `own` is what its transaction put there before: a look that
    /// began meanwhile does not see it yet, and has forgotten it.
    pub(crate) fn places(
        &self,
        tenant: TenantId,
        claim: &Claim,
        now: Timestamp,
        own: &[(TenantId, Ready)],
    ) -> Places {
        self.asked.store(now.micros(), Ordering::Relaxed);
        let mut places = Places::default();
        let mut known = self.known.lock();
        for (tenant, ready) in own {
            let (queue, kind) = (ready.queue.clone(), Some(ready.kind.clone()));
            Put { tenant: *tenant, queue, kind, from: ready.run_at.micros() }.lower(&mut known);
        }
        for ((of, queue, kind), lane) in known.iter() {
            if *of == tenant && !lane.idle && claim.takes(queue, kind) {
                places.push(queue, kind, lane);
            }
        }
        places
    }

    /// Where the ready tasks of some queues are: where a claim would look.
    pub(crate) fn places_of(&self, tenant: TenantId, queues: &[QueueName]) -> Places {
        let mut places = Places::default();
        // No name is less than this one.
        let Ok(least) = Kind::parse("0") else { return places };
        let queues: BTreeSet<&QueueName> = queues.iter().collect();
        let known = self.known.lock();
        for queue in queues {
            let lanes = known.range((tenant, queue.clone(), least.clone())..);
            let lanes = lanes.take_while(|((of, name, _), _)| *of == tenant && name == queue);
            for ((_, queue, kind), lane) in lanes.filter(|(_, lane)| !lane.idle) {
                places.push(queue, kind, lane);
            }
        }
        places
    }

    /// Makes claims look at what this node has just put there, however early its `run_at`.
    pub(crate) fn lower(&self, tenant: TenantId, ready: &[Ready]) {
        self.put(ready.iter().map(|ready| Put {
            tenant,
            queue: ready.queue.clone(),
            kind: Some(ready.kind.clone()),
            from: ready.run_at.micros(),
        }));
    }

    /// The same of tasks that are committed, which the other nodes are to hear of too.
    pub(crate) fn tell(&self, tenant: TenantId, ready: &[Ready]) {
        self.lower(tenant, ready);
        self.announcements.add(tenant, ready);
    }

    /// Makes claims look at a queue from `from` on: another node put tasks there, or a transaction of an
    /// application's own, which may have been open for long.
    pub(crate) fn lower_queue(&self, tenant: TenantId, queue: QueueName, from: Timestamp) {
        self.put(std::iter::once(Put { tenant, queue, kind: None, from: from.micros() }));
    }

    fn put(&self, puts: impl Iterator<Item = Put>) {
        let mut known = self.known.lock();
        let mut meanwhile = self.meanwhile.lock();
        for put in puts {
            put.lower(&mut known);
            if let Some(meanwhile) = &mut *meanwhile {
                meanwhile.push(put);
            }
        }
    }

    /// Whether what is changed is to be told, here or to other nodes.
    pub(crate) fn is_watched(&self) -> bool {
        self.watch.is_on() || self.others.is_on()
    }

    /// What goes to all nodes with the commit of these changes: nothing where nobody could hear it.
    pub(crate) fn to_notify(&self, changed: &[Told]) -> Vec<String> {
        if self.listens.load(Ordering::Relaxed) { changes::words(changed) } else { Vec::new() }
    }

    /// Tells this node of committed changes of its own, where it cannot hear them.
    pub(crate) fn tell_here(&self, changed: Vec<Told>) {
        if !self.listens.load(Ordering::Relaxed) && self.watch.is_on() {
            self.watch.tell(changed);
        }
    }

    /// Makes the next claims look at everything: nobody knows what was told meanwhile.
    pub(crate) fn look_everywhere(&self) {
        self.everywhere.fetch_add(1, Ordering::SeqCst);
        self.known.lock().values_mut().for_each(|lane| *lane = NEW);
    }

    /// The lanes where anything may wait, a column each.
    pub(crate) fn awake(&self) -> (Vec<i64>, Vec<String>, Vec<String>) {
        let known = self.known.lock();
        let awake = known.iter().filter(|(_, lane)| !lane.idle).map(|(key, _)| key);
        let mut columns = (Vec::new(), Vec::new(), Vec::new());
        for (tenant, queue, kind) in awake {
            columns.0.push(tenant.0);
            columns.1.push(queue.as_str().to_owned());
            columns.2.push(kind.as_str().to_owned());
        }
        columns
    }

    /// Says whether other nodes are heard: while they are not, idle lanes are looked at too.
    pub(crate) fn hear(&self, heard: bool) {
        self.heard.send_replace(heard);
    }

    /// Whether they are.
    pub(crate) fn is_heard(&self) -> bool {
        *self.heard.borrow()
    }

    /// Resolves when other nodes are heard, this one's own notifications among theirs.
    pub(crate) async fn heard(&self) {
        // The sender is here: it does not go away meanwhile.
        drop(self.heard.subscribe().wait_for(|heard| *heard).await);
    }

    /// Registers lanes before their first task, so that every node finds them.
    pub(crate) async fn register(&self, session: &Session, new: Vec<Key>) -> Result<(), Failure> {
        let tenants: Vec<i64> = new.iter().map(|(tenant, ..)| tenant.0).collect();
        let queues: Vec<&str> = new.iter().map(|(_, queue, _)| queue.as_str()).collect();
        let kinds: Vec<&str> = new.iter().map(|(.., kind)| kind.as_str()).collect();
        // Not `ON CONFLICT`: it would wait for a transaction of an application's that enqueues.
        let sql = "WITH new AS (INSERT INTO taskflow.lanes(tenant, queue, kind) \
                   SELECT n.* FROM unnest($1::int8[], $2::text[], $3::text[]) \
                   AS n(tenant, queue, kind) WHERE NOT EXISTS (SELECT FROM taskflow.lanes AS l \
                   WHERE l.tenant = n.tenant AND l.queue = n.queue AND l.kind = n.kind) RETURNING 1) \
                   SELECT pg_notify('taskflow_lanes', '') FROM new LIMIT 1";
        let params: [Param<'_>; 3] =
            [(&tenants, Type::INT8_ARRAY), (&queues, Type::TEXT_ARRAY), (&kinds, Type::TEXT_ARRAY)];
        session.query(sql, &params).await?;
        let mut known = self.known.lock();
        for key in new {
            known.entry(key).or_insert(NEW);
        }
        Ok(())
    }

    /// Looks from which instant on tasks wait in each lane: from its floor on, and a little before;
    /// whether that is earlier than was known anywhere. `whole` looks at everything, while claims go on
    /// from where they were; otherwise idle lanes are left out as long as others are heard.
    /// It sees tasks that a claim has locked and not taken yet, so that nothing is passed over when that
    /// claim fails.
    pub(crate) async fn look(&self, session: &Session, whole: bool) -> Result<bool, Failure> {
        *self.meanwhile.lock() = Some(Vec::new());
        let everywhere = self.everywhere.load(Ordering::SeqCst);
        let found = match self.wanted(session, whole).await {
            Ok(wanted) => self.find(session, wanted).await,
            Err(failure) => Err(failure),
        };
        let mut known = self.known.lock();
        let meanwhile = self.meanwhile.lock().take().unwrap_or_default();
        let mut earlier = false;
        // A lane that was registered meanwhile stays.
        for (key, lane) in found? {
            let old = known.insert(key, lane);
            earlier |= old.is_some_and(|old| {
                (old.idle && !lane.idle) || old.floors.iter().zip(lane.floors).any(|(o, n)| n < *o)
            });
        }
        if self.everywhere.load(Ordering::SeqCst) != everywhere {
            known.values_mut().for_each(|lane| *lane = NEW);
        }
        meanwhile.iter().for_each(|put| put.lower(&mut known));
        Ok(earlier)
    }

    /// Which lanes to look at, and from where on.
    async fn wanted(
        &self,
        session: &Session,
        whole: bool,
    ) -> Result<Vec<(Key, [i64; 4])>, Failure> {
        let heard = *self.heard.borrow();
        let back = (LATE_SECONDS * 1e6) as i64;
        let mut wanted = Vec::new();
        for row in
            session.query("SELECT DISTINCT tenant, queue, kind FROM taskflow.lanes", &[]).await?
        {
            let key = (TenantId(get(&row, 0)?), rows::queue(&row, 1)?, rows::kind(&row, 2)?);
            let known = self.known.lock().get(&key).copied();
            if heard && !whole && known.is_some_and(|lane| lane.idle) {
                continue;
            }
            let floors = known.filter(|_| !whole).unwrap_or(NEW).floors;
            wanted.push((key, floors.map(|floor| floor.saturating_sub(back))));
        }
        Ok(wanted)
    }

    async fn find(
        &self,
        session: &Session,
        wanted: Vec<(Key, [i64; 4])>,
    ) -> Result<HashMap<Key, Known>, Failure> {
        let asked = Timestamp::from_micros(self.asked.load(Ordering::Relaxed));
        let ceiling = asked.plus_seconds(-SLACK_SECONDS).micros();
        let tenants: Vec<i64> = wanted.iter().map(|((tenant, ..), _)| tenant.0).collect();
        let queues: Vec<&str> = wanted.iter().map(|((_, queue, _), _)| queue.as_str()).collect();
        let kinds: Vec<&str> = wanted.iter().map(|((.., kind), _)| kind.as_str()).collect();
        let from: [Vec<i64>; 4] =
            std::array::from_fn(|at| wanted.iter().map(|(_, floors)| floors[at]).collect());
        let params: [Param<'_>; 7] = [
            (&tenants, Type::INT8_ARRAY),
            (&queues, Type::TEXT_ARRAY),
            (&kinds, Type::TEXT_ARRAY),
            (&from[0], Type::INT8_ARRAY),
            (&from[1], Type::INT8_ARRAY),
            (&from[2], Type::INT8_ARRAY),
            (&from[3], Type::INT8_ARRAY),
        ];
        let rows = session.query(&LOOK, &params).await?;
        let mut found = HashMap::with_capacity(wanted.len());
        for ((key, _), row) in wanted.into_iter().zip(&rows) {
            let mut lane = Known { floors: [ceiling; 4], idle: true };
            for (at, floor) in lane.floors.iter_mut().enumerate() {
                if let Some(first) = get::<Option<i64>>(row, at)? {
                    *floor = first.min(ceiling);
                    lane.idle = false;
                }
            }
            found.insert(key, lane);
        }
        Ok(found)
    }
}

/// The first `run_at` of each lane and priority, in the order of the lanes that were given.
pub(crate) static LOOK: LazyLock<String> = LazyLock::new(|| {
    let first = |priority: usize| {
        format!(
            "(SELECT t.run_at FROM taskflow.tasks AS t WHERE t.tenant = l.tenant \
             AND t.queue = l.queue AND t.kind = l.kind AND t.priority = {priority} \
             AND t.status = 0 AND t.blocked_by = 0 AND t.run_at >= l.from{priority} \
             ORDER BY t.run_at, t.id LIMIT 1)"
        )
    };
    let columns: Vec<String> = (0..4).map(first).collect();
    format!(
        "SELECT {} FROM unnest($1::int8[], $2::text[], $3::text[], $4::int8[], $5::int8[], \
         $6::int8[], $7::int8[]) WITH ORDINALITY \
         AS l(tenant, queue, kind, from0, from1, from2, from3, place) ORDER BY l.place",
        columns.join(", ")
    )
});
