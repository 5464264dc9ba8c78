//! The room of work: claims, finishes, heartbeats, expiry and what comes due.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use taskflow_core::limits::{CLAIM_BYTES_MAX, SWEEP_MAX};
use taskflow_core::{
    Barred, Command, Illegal, Json, LeaseToken, Priority, QueueName, Status, Task, TaskId,
    Timestamp, step,
};
use taskflow_store::{
    Claim, Claimed, Due, Expired, Extend, Extended, FinishTask, Finished, Ready, Receipt,
};
use tokio_postgres::types::Type;

use crate::desk::Desk;
use crate::error::Failure;
use crate::guard::Elders;
use crate::keyed;
use crate::lanes::Places;
use crate::rows::{self, Hot, get, hot_columns, small, task_columns};
use crate::session::{Param, Session};

impl Desk<'_> {
    /// Ends one attempt.
    pub(crate) async fn end_attempt(&mut self, item: FinishTask) -> Result<Finished, Failure> {
        let Some(hot) = self.hot(item.id).await? else { return Ok(Finished::NotFound) };
        let command = Command::Finish { token: item.token.hash(), finish: item.finish };
        let step = match step(hot.id, &hot.terms, &hot.state, command, self.now) {
            Ok(step) => step,
            Err(Illegal::Cancelled) => return Ok(Finished::Cancelled),
            Err(_) => return Ok(Finished::LeaseLost),
        };
        self.write(&hot, &step).await?;
        let state = step.state;
        Ok(match state.last {
            Some(last) => Finished::Done(Receipt {
                id: hot.id,
                status: state.status,
                attempt: state.attempt,
                outcome: last.outcome,
                run_at: state.run_at,
            }),
            None => Finished::LeaseLost,
        })
    }

    /// Takes one heartbeat: the answer, and who holds the task.
    pub(crate) async fn extend(
        &mut self,
        item: Extend,
    ) -> Result<(Extended, Option<String>), Failure> {
        let Some(hot) = self.hot(item.id).await? else { return Ok((Extended::NotFound, None)) };
        let command = Command::Extend {
            token: item.token.hash(),
            progress: item.progress,
            checkpoint: item.checkpoint,
        };
        let step = match step(hot.id, &hot.terms, &hot.state, command, self.now) {
            Ok(step) => step,
            Err(Illegal::Cancelled) => return Ok((Extended::Cancelled, None)),
            Err(_) => return Ok((Extended::LeaseLost, None)),
        };
        let Some(lease) = &step.state.lease else { return Ok((Extended::LeaseLost, None)) };
        let until = lease.until;
        self.write(&hot, &step).await?;
        Ok((Extended::Held(until), step.state.worker))
    }

    /// Hands out tasks by priority, then `run_at`, then id, to claims that wish the same. A task that
    /// cannot start any more is ended on the way, so it looks again until nothing is left or the
    /// hands are full.
    pub(crate) async fn claim(&mut self, claims: &[&Claim]) -> Result<Handed, Failure> {
        let mut hands: Vec<Hand<'_>> = claims.iter().map(|claim| Hand::of(claim)).collect();
        let Some(first) = claims.first() else { return Ok(Handed::default()) };
        let mut places = self.lanes.places(self.tenant, first, self.now, self.told());
        let queues = self.count_leases(&places).await?;
        let mut elders = Elders::default();
        let mut window = WINDOW;
        // The largest payloads make the first round as heavy as one answer may be a few times over.
        let mut round = ROUND;
        loop {
            places.keep(|queue| self.is_open(queue));
            let wanted: usize = hands.iter().map(Hand::wants).sum();
            if wanted == 0 || places.queue.is_empty() {
                break;
            }
            self.write_down().await?;
            let wanted = wanted.min(round);
            let keys = self.gates.full_keys(self.tenant);
            let Found { tasks, full } = self.found(&places, &keys, wanted, window).await?;
            let (many, mut progress, mut refused) = (tasks.len(), false, false);
            let bytes: usize = tasks.iter().map(size).sum();
            for task in tasks {
                progress |= self.guard(&task, &places, &mut elders, &mut hands).await?;
                let Some(hand) = hands.iter_mut().find(|hand| hand.wants() > 0) else { break };
                let lets = self.lets_through(&task);
                refused |= !lets;
                // The guard may have handed it out already.
                if lets && !self.is_handed_out(task.id) {
                    progress |= self.hand_out(task, hand).await?;
                }
            }
            let ended = hands.iter().any(|hand| hand.ended > 0);
            if many < wanted && full && window < WINDOW_MAX {
                // Others hold what stands first; there may be more behind it.
                window *= 8;
            } else if !progress || (many < wanted && !ended && !refused) {
                // Fewer than were looked for: there are no more.
                break;
            }
            round = (CLAIM_BYTES_MAX / (bytes / many.max(1)).max(1)).clamp(ROUND, usize::MAX);
        }
        let later = self.later(&queues);
        Ok((hands.into_iter().map(|hand| hand.claimed).collect(), later))
    }

    /// The next tasks of these places. Queues with full keys are looked at lane by lane: their tasks may
    /// stand behind any number of others.
    async fn found(
        &self,
        places: &Places,
        keys: &FullKeys,
        wanted: usize,
        window: i64,
    ) -> Result<Found, Failure> {
        if keys.0.is_empty() {
            return candidates(self, places, wanted, window).await;
        }
        let (mut free, mut held) = (places.clone(), places.clone());
        free.keep(|queue| !keys.0.iter().any(|full| full == queue));
        held.keep(|queue| keys.0.iter().any(|full| full == queue));
        let mut found = match free.queue.is_empty() {
            true => Found { tasks: Vec::new(), full: false },
            false => candidates(self, &free, wanted, window).await?,
        };
        found.tasks.extend(keyed::candidates(self, &held, keys, wanted, None).await?);
        sort(&mut found.tasks);
        found.tasks.truncate(wanted);
        Ok(found)
    }

    /// Locks and counts the gates of these places; their queues.
    async fn count_leases(&mut self, places: &Places) -> Result<BTreeSet<QueueName>, Failure> {
        let mut queues = BTreeSet::new();
        if self.gates.iter().next().is_none() {
            return Ok(queues);
        }
        for ((tenant, queue), _) in self.gates.iter() {
            if *tenant == self.tenant && places.queue.iter().any(|name| name == queue.as_str()) {
                queues.insert(queue.clone());
            }
        }
        if queues.is_empty() {
            return Ok(queues);
        }
        // What this transaction finished has no lease any more.
        self.write_down().await?;
        let keys = queues.iter().map(|queue| (self.tenant, queue.clone())).collect();
        self.gates.count(self.session, &keys).await?;
        Ok(queues)
    }

    /// Queues whose rate lets nothing more through, and until when.
    fn later(&self, queues: &BTreeSet<QueueName>) -> Vec<(QueueName, Timestamp)> {
        let barred = |queue: &QueueName| match self.gates.get(self.tenant, queue)?.barred(self.now)
        {
            Some(Barred::Rate(at)) => Some((queue.clone(), at)),
            _ => None,
        };
        queues.iter().filter_map(barred).collect()
    }

    fn is_open(&self, queue: &str) -> bool {
        let gate = QueueName::parse(queue).ok();
        let gate = gate.and_then(|queue| self.gates.get(self.tenant, &queue));
        gate.is_none_or(|gate| gate.barred(self.now).is_none())
    }

    pub(crate) fn lets_through(&self, task: &Task) -> bool {
        self.gates.get(self.tenant, &task.queue).is_none_or(|gate| {
            gate.barred(self.now).or(gate.barred_key(task.concurrency_key.as_deref())).is_none()
        })
    }

    /// Hands one locked task out, or ends it when it may not start any more.
    pub(crate) async fn hand_out(
        &mut self,
        mut task: Task,
        hand: &mut Hand<'_>,
    ) -> Result<bool, Failure> {
        let hot = Hot::of(self.tenant, &task);
        self.sit(hot.clone());
        let Some(&token) = hand.tokens.as_slice().first() else { return Ok(false) };
        let command = Command::Claim {
            worker: hand.claim.worker.clone(),
            token: token.hash(),
            lease_seconds: hand.claim.lease_seconds,
        };
        if let Ok(step) = step(hot.id, &hot.terms, &hot.state, command, self.now) {
            self.write(&hot, &step).await?;
            let of = (self.tenant, &task.queue);
            self.gates.take(of, task.concurrency_key.as_deref(), self.now);
            self.lanes.gates.started(self.tenant, &task.queue);
            task.state = step.state;
            hand.bytes += size(&task);
            hand.tokens.next();
            hand.claimed.push(Claimed { task, token });
            return Ok(true);
        }
        if let Ok(step) = step(hot.id, &hot.terms, &hot.state, Command::Expire, self.now) {
            self.write(&hot, &step).await?;
            hand.ended += 1;
            return Ok(true);
        }
        Ok(false)
    }

    /// Ends what ran out of time, earliest first.
    pub(crate) async fn expire(&mut self, limit: u32, from: i64) -> Result<Vec<Expired>, Failure> {
        let mut expired = Vec::new();
        for sql in EXPIRING {
            let left = i64::from(limit) - i64::try_from(expired.len()).unwrap_or(i64::MAX);
            if left <= 0 {
                break;
            }
            self.write_down().await?;
            let params: [Param<'_>; 3] =
                [(&self.now.micros(), Type::INT8), (&left, Type::INT8), (&from, Type::INT8)];
            let sql = format!("SELECT {} {sql} FOR UPDATE SKIP LOCKED", hot_columns!());
            let rows = self.session.query(&sql, &params).await?;
            for hot in rows.iter().map(rows::hot) {
                // One before it may have been its parent, and taken it along.
                let Some(hot) = self.seated(hot?) else { continue };
                self.tenant = hot.tenant;
                let command = Command::Expire;
                let Ok(step) = step(hot.id, &hot.terms, &hot.state, command, self.now) else {
                    continue;
                };
                self.write(&hot, &step).await?;
                expired.push(Expired {
                    id: hot.id,
                    status: step.state.status,
                    outcome: step.closed.map(|attempt| attempt.outcome),
                    worker: hot.state.worker.filter(|_| hot.state.status == Status::InProgress),
                });
            }
        }
        Ok(expired)
    }
}

/// What one claim has got so far.
pub(crate) struct Hand<'a> {
    claim: &'a Claim,
    tokens: std::slice::Iter<'a, LeaseToken>,
    claimed: Vec<Claimed>,
    bytes: usize,
    ended: u32,
}

impl<'a> Hand<'a> {
    fn of(claim: &'a Claim) -> Self {
        Self { claim, tokens: claim.tokens.iter(), claimed: Vec::new(), bytes: 0, ended: 0 }
    }

    /// How many tasks it still takes: none when the answer is as large as one request may be, or so
    /// many tasks were ended on the way that the neighbours in this transaction would wait.
    pub(crate) fn wants(&self) -> usize {
        let full = self.bytes >= CLAIM_BYTES_MAX || self.ended >= SWEEP_MAX;
        if full { 0 } else { self.tokens.len() }
    }
}

/// What a task adds to an answer, in bytes.
fn size(task: &Task) -> usize {
    let json = |json: &Option<Json>| json.as_ref().map_or(0, Json::len);
    json(&task.payload) + json(&task.state.checkpoint)
}

/// How many more candidates are looked at than are wanted: another node may hold the first ones.
const WINDOW: i64 = 3;

/// The most: beyond it whoever asks again finds them free.
const WINDOW_MAX: i64 = 3 * 8 * 8 * 8;

/// How many tasks one look fetches before it is known how heavy they are.
const ROUND: usize = 128;

/// Locks the next tasks of all lanes, priority by priority, passing over what another node holds.
///
/// First the walks of each lane's index from its floor on, merged: ids alone, and of lower priorities only
/// when there are too few above. Then the rows themselves one by one, until there are enough, with a second
/// look at whether they still wait (`status + 0` keeps the planner from walking all waiting tasks by another
/// index when its statistics are old). Every row tells too whether any walk ended by its limit; without a
/// task there is one row of that alone.
pub(crate) static CLAIM: LazyLock<String> = LazyLock::new(|| {
    let columns = task_columns!();
    let mut with = Vec::new();
    let mut above = String::from("0");
    let descending = || Priority::ALL.into_iter().rev().map(Priority::number);
    for priority in descending() {
        let floors = 7 + priority;
        let limit = format!("LIMIT CASE WHEN {above} < $6 THEN $6 ELSE 0 END");
        with.push(format!(
            "w{priority} AS MATERIALIZED (\
             SELECT w.id FROM unnest($2::text[], $3::text[], ${floors}::int8[]) \
             AS l(queue, kind, floor) CROSS JOIN LATERAL (SELECT id, run_at FROM taskflow.tasks \
             WHERE tenant = $1 AND queue = l.queue AND kind = l.kind AND priority = {priority} \
             AND status = 0 AND blocked_by = 0 AND run_at <= $4 AND run_at >= l.floor \
             ORDER BY run_at, id {limit}) AS w ORDER BY w.run_at, w.id {limit})"
        ));
        above = format!("{above} + (SELECT count(*) FROM w{priority})");
    }
    let all: Vec<String> = descending().map(|p| format!("SELECT id FROM w{p}")).collect();
    let full: Vec<String> =
        descending().map(|p| format!("(SELECT count(*) FROM w{p}) >= $6")).collect();
    format!(
        "WITH {} SELECT taken.*, walked.full_ FROM (SELECT {} AS full_) AS walked LEFT JOIN LATERAL \
         (SELECT t.* FROM ({}) AS w CROSS JOIN LATERAL (SELECT {columns} FROM taskflow.tasks \
         WHERE id = w.id AND status + 0 = 0 AND blocked_by = 0 AND run_at <= $4 \
         FOR UPDATE SKIP LOCKED) AS t LIMIT $5) AS taken ON true",
        with.join(", "),
        full.join(" OR "),
        all.join(" UNION ALL ")
    )
});

/// What a look for work found.
pub(crate) struct Found {
    /// Locked, in the order of their turn.
    tasks: Vec<Task>,
    /// A walk ended by its limit: more may wait behind.
    full: bool,
}

/// Queues and their full keys, a column each.
pub(crate) type FullKeys = (Vec<String>, Vec<String>);

/// What claims got, and the queues whose rate held more back.
type Handed = (Vec<Vec<Claimed>>, Vec<(QueueName, Timestamp)>);

fn sort(tasks: &mut [Task]) {
    tasks.sort_unstable_by_key(|task: &Task| {
        (std::cmp::Reverse(small(task.priority.number())), task.state.run_at, task.id)
    });
}

async fn candidates(
    desk: &Desk<'_>,
    places: &Places,
    wanted: usize,
    window: i64,
) -> Result<Found, Failure> {
    let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
    let params: [Param<'_>; 10] = [
        (&desk.tenant.0, Type::INT8),
        (&places.queue, Type::TEXT_ARRAY),
        (&places.kind, Type::TEXT_ARRAY),
        (&desk.now.micros(), Type::INT8),
        (&wanted, Type::INT8),
        (&(wanted.saturating_mul(window)), Type::INT8),
        (&places.floors[0], Type::INT8_ARRAY),
        (&places.floors[1], Type::INT8_ARRAY),
        (&places.floors[2], Type::INT8_ARRAY),
        (&places.floors[3], Type::INT8_ARRAY),
    ];
    let rows = desk.session.query(&CLAIM, &params).await?;
    let full = rows.first().map_or(Ok(false), |row| get(row, row.len() - 1))?;
    let mut tasks = Vec::with_capacity(rows.len());
    for row in &rows {
        if get::<Option<i64>>(row, 0)?.is_some() {
            tasks.push(rows::task(row)?);
        }
    }
    sort(&mut tasks);
    Ok(Found { tasks, full })
}

/// What can run out, each by the index that orders it.
pub(crate) const EXPIRING: [&str; 3] = [
    "FROM taskflow.tasks WHERE lease_until <= $1 AND lease_until >= $3 ORDER BY lease_until, id LIMIT $2",
    "FROM taskflow.tasks WHERE status = 0 AND deadline_at <= $1 AND deadline_at >= $3 \
     ORDER BY deadline_at, id LIMIT $2",
    "FROM taskflow.tasks WHERE status = 0 AND expires_at <= $1 AND expires_at >= $3 \
     ORDER BY expires_at, id LIMIT $2",
];

/// Whether anything ran out in a span.
pub(crate) const OVERDUE: &str = "SELECT EXISTS(SELECT 1 FROM taskflow.tasks \
     WHERE lease_until <= $1 AND lease_until >= $2) \
     OR EXISTS(SELECT 1 FROM taskflow.tasks \
     WHERE status = 0 AND deadline_at <= $1 AND deadline_at >= $2) \
     OR EXISTS(SELECT 1 FROM taskflow.tasks \
     WHERE status = 0 AND expires_at <= $1 AND expires_at >= $2)";

/// Whether anything ran out from `from` to `now`.
pub(crate) async fn anything_overdue(
    session: &Session,
    from: i64,
    now: Timestamp,
) -> Result<bool, Failure> {
    let params: [Param<'_>; 2] = [(&now.micros(), Type::INT8), (&from, Type::INT8)];
    let rows = session.query(OVERDUE, &params).await?;
    rows.first().map_or(Ok(false), |row| get(row, 0))
}

/// The first `run_at` after each of two instants, per lane.
pub(crate) static DUE: LazyLock<String> = LazyLock::new(|| {
    let first = |from: &str| {
        format!(
            "(SELECT min(f.run_at) FROM (VALUES (0), (1), (2), (3)) AS p(priority) \
             CROSS JOIN LATERAL (SELECT run_at FROM taskflow.tasks WHERE tenant = l.tenant \
             AND queue = l.queue AND kind = l.kind AND priority = p.priority::int2 AND status = 0 \
             AND blocked_by = 0 AND run_at > {from} ORDER BY run_at LIMIT 1) AS f)"
        )
    };
    format!(
        "SELECT l.queue, l.kind, {}, {} FROM unnest($3::int8[], $4::text[], $5::text[]) \
         AS l(tenant, queue, kind)",
        first("$1"),
        first("$2")
    )
});

/// What comes due after `after` and until `until`, and what comes next, over all tenants.
pub(crate) async fn due(
    session: &Session,
    (tenants, queues, kinds): &(Vec<i64>, Vec<String>, Vec<String>),
    after: Timestamp,
    until: Timestamp,
) -> Result<Due, Failure> {
    let params: [Param<'_>; 5] = [
        (&after.micros(), Type::INT8),
        (&until.micros(), Type::INT8),
        (tenants, Type::INT8_ARRAY),
        (queues, Type::TEXT_ARRAY),
        (kinds, Type::TEXT_ARRAY),
    ];
    let mut due = Due::default();
    for row in session.query(&DUE, &params).await? {
        let instant = |column| get::<Option<i64>>(&row, column);
        if let Some(run_at) = instant(2)?.map(Timestamp::from_micros)
            && run_at <= until
        {
            let ready = Ready { queue: rows::queue(&row, 0)?, kind: rows::kind(&row, 1)?, run_at };
            match due.ready.iter_mut().find(|r| r.queue == ready.queue && r.kind == ready.kind) {
                Some(known) => known.run_at = known.run_at.min(run_at),
                None => due.ready.push(ready),
            }
        }
        let next = instant(3)?.map(Timestamp::from_micros);
        due.next = [due.next, next].into_iter().flatten().min();
    }
    Ok(due)
}

/// The ids that a transaction of these items locks.
pub(crate) fn ids(finish: &[FinishTask], extend: &[Extend]) -> impl Iterator<Item = TaskId> {
    let finished: Vec<TaskId> = finish.iter().map(|item| item.id).collect();
    let extended: Vec<TaskId> = extend.iter().map(|item| item.id).collect();
    finished.into_iter().chain(extended)
}
