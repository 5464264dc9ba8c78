//! The room of work: SQL of claims, finishes, heartbeats, expiry and what comes due.

use std::collections::BTreeMap;

use rusqlite::{Connection, Error, params};
use taskflow_core::limits::{CLAIM_BYTES_MAX, SWEEP_MAX};
use taskflow_core::{
    Barred, Command, Gate, Illegal, LeaseToken, Priority, QueueName, Status, Task, TaskId,
    Timestamp, step,
};
use taskflow_store::{
    Claim, Claimed, Due, Expired, Extend, Extended, FinishTask, Finished, Ready, Receipt, Sync,
    Synced,
};

use crate::act::Act;
use crate::keyed;
use crate::memory::{Lane, lane};
use crate::rows::Hot;
use crate::tasks::task;

/// A pending task that a claim may take: its order within the priority, and its id.
type Candidate = (i64, i64);

impl Act<'_> {
    /// Finishes, extends and claims, in this order.
    pub(crate) fn sync(&mut self, sync: Sync) -> Result<Synced, Error> {
        let mut synced = Synced::default();
        for finish in sync.finish {
            synced.finished.push(self.finish(finish)?);
        }
        for extend in sync.extend {
            let (extended, holder) = self.extend(extend)?;
            synced.extended.push(extended);
            synced.holders.push(holder);
        }
        if let Some(claim) = sync.claim {
            synced.claimed = self.claim(&claim)?;
            synced.later = self.later(&claim);
        }
        Ok(synced)
    }

    fn finish(&mut self, item: FinishTask) -> Result<Finished, Error> {
        let Some(hot) = self.hot(item.id)? else { return Ok(Finished::NotFound) };
        let command = Command::Finish { token: item.token.hash(), finish: item.finish };
        let step = match step(hot.id, &hot.terms, &hot.state, command, self.now) {
            Ok(step) => step,
            Err(Illegal::Cancelled) => return Ok(Finished::Cancelled),
            Err(_) => return Ok(Finished::LeaseLost),
        };
        self.write(&hot, &step)?;
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

    /// The answer, and who holds the task.
    fn extend(&mut self, item: Extend) -> Result<(Extended, Option<String>), Error> {
        let Some(hot) = self.hot(item.id)? else { return Ok((Extended::NotFound, None)) };
        let reported = item.progress.is_some() || item.checkpoint.is_some();
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
        if reported {
            self.write(&hot, &step)?;
        } else {
            // The common heartbeat moves one column and one small index.
            self.connection
                .prepare_cached("UPDATE tasks SET lease_until = ?2 WHERE id = ?1")?
                .execute(params![hot.id.get(), until.micros()])?;
        }
        Ok((Extended::Held(until), step.state.worker))
    }

    /// Hands out tasks by priority, then `run_at`, then id, as far as their queues let them through.
    fn claim(&mut self, claim: &Claim) -> Result<Vec<Claimed>, Error> {
        let lanes: Vec<Lane> = self
            .memory
            .pending(self.tenant)
            .filter(|lane| claim.takes(&lane.queue, &lane.kind))
            .cloned()
            .collect();
        let mut hand =
            Hand { tokens: claim.tokens.iter(), claimed: Vec::new(), bytes: 0, ended: 0 };
        for priority in Priority::ALL.into_iter().rev() {
            // A task that cannot start any more is ended on the way, and a queue that is full now hides
            // what stands behind, so look again until the lanes are empty or the hand is full.
            while !hand.is_full() {
                let open: Vec<&Lane> = lanes
                    .iter()
                    .filter(|lane| lane.priority == priority && self.is_open(&lane.queue))
                    .collect();
                let before = (hand.claimed.len(), hand.ended);
                for (_, id) in self.candidates(&open, hand.tokens.len())? {
                    if hand.is_full() {
                        break;
                    }
                    self.offer(id, claim, &lanes, &mut hand)?;
                }
                if open.is_empty() || before == (hand.claimed.len(), hand.ended) {
                    break;
                }
            }
        }
        Ok(hand.claimed)
    }

    /// Queues of a claim whose rate lets nothing more through, and until when.
    fn later(&self, claim: &Claim) -> Vec<(QueueName, Timestamp)> {
        let mut later = BTreeMap::new();
        for lane in self.memory.pending(self.tenant) {
            if let Some(gate) = self.memory.gates.get(self.tenant, &lane.queue)
                && claim.takes(&lane.queue, &lane.kind)
                && let Some(Barred::Rate(at)) = gate.barred(self.now)
            {
                later.insert(lane.queue.clone(), at);
            }
        }
        later.into_iter().collect()
    }

    fn is_open(&self, queue: &QueueName) -> bool {
        let gate = self.memory.gates.get(self.tenant, queue);
        gate.is_none_or(|gate| gate.barred(self.now).is_none())
    }

    /// The first tasks of lanes of one priority.
    fn candidates(&self, lanes: &[&Lane], wanted: usize) -> Result<Vec<Candidate>, Error> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for lane in lanes {
            candidates.extend(self.first(lane, wanted)?);
        }
        if lanes.len() > 1 {
            candidates.sort_unstable();
            candidates.truncate(wanted);
        }
        Ok(candidates)
    }

    /// The first tasks of a lane, without those whose `concurrency_key` is full.
    fn first(&self, lane: &Lane, wanted: usize) -> Result<Vec<Candidate>, Error> {
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        let gate = self.memory.gates.get(self.tenant, &lane.queue);
        let full = gate.map(Gate::full_keys).unwrap_or_default();
        if !full.is_empty() {
            return keyed::first(self.connection, lane, &full, self.now, wanted);
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT run_at, id FROM tasks INDEXED BY tasks_ready WHERE tenant = ?1 \
             AND queue = ?2 AND kind = ?3 AND priority = ?4 AND run_at <= ?5 \
             AND status = 0 AND blocked_by = 0 ORDER BY run_at, id LIMIT ?6 + 0",
        )?;
        let (queue, kind) = (lane.queue.as_str(), lane.kind.as_str());
        let params =
            params![lane.tenant.0, queue, kind, lane.priority.number(), self.now.micros(), wanted];
        statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    /// Hands a task out when its queue lets it through, after the queue's oldest one when it is the turn
    /// of that.
    fn offer(
        &mut self,
        id: i64,
        claim: &Claim,
        lanes: &[Lane],
        hand: &mut Hand<'_>,
    ) -> Result<(), Error> {
        let Some(mut task) = self.waiting_task(id)? else { return Ok(()) };
        while self.lets_through(&task)
            && self.memory.gates.is_guard_turn(self.tenant, &task.queue)
            && !hand.is_full()
        {
            let Some(oldest) = self.oldest_like(&task, lanes)? else { break };
            let Some(oldest) = self.waiting_task(oldest)? else { break };
            let before = (hand.claimed.len(), hand.ended);
            self.hand_out(oldest, claim, hand)?;
            if before == (hand.claimed.len(), hand.ended) {
                break;
            }
            // It may have been this one.
            let Some(same) = self.waiting_task(id)? else { return Ok(()) };
            task = same;
        }
        if self.lets_through(&task) && !hand.is_full() {
            self.hand_out(task, claim, hand)?;
        }
        Ok(())
    }

    fn waiting_task(&self, id: i64) -> Result<Option<Task>, Error> {
        let Some(id) = TaskId::new(id) else { return Ok(None) };
        let found = task(self.connection, self.tenant, id)?;
        Ok(found.filter(|task| task.state.status == Status::Pending && task.state.blocked_by == 0))
    }

    fn lets_through(&self, task: &Task) -> bool {
        self.memory.gates.get(self.tenant, &task.queue).is_none_or(|gate| {
            gate.barred(self.now).or(gate.barred_key(task.concurrency_key.as_deref())).is_none()
        })
    }

    /// The oldest ready task of a task's queue that the claim takes, whatever its priority; none when
    /// that queue has but one priority.
    fn oldest_like(&self, of: &Task, lanes: &[Lane]) -> Result<Option<i64>, Error> {
        let lanes: Vec<&Lane> = lanes.iter().filter(|lane| lane.queue == of.queue).collect();
        if lanes.iter().all(|lane| lane.priority == of.priority) {
            return Ok(None);
        }
        Ok(self.candidates(&lanes, 1)?.first().map(|(_, id)| *id))
    }

    /// Hands one task out, or ends it when it may not start any more.
    fn hand_out(
        &mut self,
        mut task: Task,
        claim: &Claim,
        hand: &mut Hand<'_>,
    ) -> Result<(), Error> {
        let hot = Hot::of(&task);
        let Some(&token) = hand.tokens.as_slice().first() else { return Ok(()) };
        let command = Command::Claim {
            worker: claim.worker.clone(),
            token: token.hash(),
            lease_seconds: claim.lease_seconds,
        };
        if let Ok(step) = step(hot.id, &hot.terms, &hot.state, command, self.now) {
            self.write(&hot, &step)?;
            self.memory.gates.started(self.tenant, &task.queue);
            task.state = step.state;
            hand.bytes += size(&task);
            hand.tokens.next();
            hand.claimed.push(Claimed { task, token });
        } else if let Ok(step) = step(hot.id, &hot.terms, &hot.state, Command::Expire, self.now) {
            self.write(&hot, &step)?;
            hand.ended += 1;
        }
        Ok(())
    }

    /// Ends what ran out of time, earliest first.
    pub(crate) fn expire(&mut self, limit: u32) -> Result<Vec<Expired>, Error> {
        let mut expired = Vec::new();
        for sql in EXPIRING {
            let left = limit - u32::try_from(expired.len()).unwrap_or(limit);
            if left == 0 {
                break;
            }
            for (id, tenant) in overdue(self.connection, sql, self.now, left)? {
                self.tenant = taskflow_core::TenantId(tenant);
                let Some(hot) = TaskId::new(id).map(|id| self.hot(id)).transpose()?.flatten()
                else {
                    continue;
                };
                let command = Command::Expire;
                let Ok(step) = step(hot.id, &hot.terms, &hot.state, command, self.now) else {
                    continue;
                };
                self.write(&hot, &step)?;
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

/// What a claim has got so far.
struct Hand<'a> {
    tokens: std::slice::Iter<'a, LeaseToken>,
    claimed: Vec<Claimed>,
    bytes: usize,
    ended: u32,
}

impl Hand<'_> {
    /// No more: the limit is reached, the answer is as large as one request may be, or so many tasks
    /// were ended on the way that the neighbours in this transaction would wait.
    fn is_full(&self) -> bool {
        self.tokens.len() == 0 || self.bytes >= CLAIM_BYTES_MAX || self.ended >= SWEEP_MAX
    }
}

/// What a task adds to an answer, in bytes.
fn size(task: &taskflow_core::Task) -> usize {
    let json =
        |json: &Option<taskflow_core::Json>| json.as_ref().map_or(0, taskflow_core::Json::len);
    json(&task.payload) + json(&task.state.checkpoint)
}

/// What can run out, each by the index that orders it.
const EXPIRING: [&str; 3] = [
    "SELECT id, tenant FROM tasks INDEXED BY tasks_leased \
     WHERE lease_until <= ?1 ORDER BY lease_until, id LIMIT ?2 + 0",
    "SELECT id, tenant FROM tasks INDEXED BY tasks_deadline \
     WHERE status = 0 AND deadline_at <= ?1 ORDER BY deadline_at, id LIMIT ?2 + 0",
    "SELECT id, tenant FROM tasks INDEXED BY tasks_expiring \
     WHERE status = 0 AND expires_at <= ?1 ORDER BY expires_at, id LIMIT ?2 + 0",
];

fn overdue(
    connection: &Connection,
    sql: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(i64, i64)>, Error> {
    connection
        .prepare_cached(sql)?
        .query_map(params![now.micros(), limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Whether anything ran out by `now`.
pub(crate) fn anything_overdue(connection: &Connection, now: Timestamp) -> Result<bool, Error> {
    for sql in EXPIRING {
        if !overdue(connection, sql, now, 1)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What comes due after `after` and until `until`, and what comes next.
pub(crate) fn due(
    connection: &Connection,
    after: Timestamp,
    until: Timestamp,
) -> Result<Due, Error> {
    let lanes: Vec<Lane> = connection
        .prepare_cached(
            "SELECT tenant, status, queue, kind, priority FROM task_counts WHERE status = 0",
        )?
        .query_map([], lane)?
        .collect::<Result<_, _>>()?;
    let mut due = Due::default();
    for lane in lanes {
        let first = |from: Timestamp| first_after(connection, &lane, from);
        let mut next = first(after)?;
        if let Some(run_at) = next.filter(|run_at| *run_at <= until) {
            let ready = Ready { queue: lane.queue.clone(), kind: lane.kind.clone(), run_at };
            match due.ready.iter_mut().find(|r| r.queue == ready.queue && r.kind == ready.kind) {
                Some(known) => known.run_at = known.run_at.min(run_at),
                None => due.ready.push(ready),
            }
            next = first(until)?;
        }
        due.next = [due.next, next].into_iter().flatten().min();
    }
    Ok(due)
}

pub(crate) fn first_after(
    connection: &Connection,
    lane: &Lane,
    after: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let micros: Option<i64> = connection
        .prepare_cached(
            "SELECT min(run_at) FROM tasks INDEXED BY tasks_ready WHERE tenant = ?1 \
             AND queue = ?2 AND kind = ?3 AND priority = ?4 AND run_at > ?5 \
             AND status = 0 AND blocked_by = 0",
        )?
        .query_row(
            params![
                lane.tenant.0,
                lane.queue.as_str(),
                lane.kind.as_str(),
                lane.priority.number(),
                after.micros()
            ],
            |row| row.get(0),
        )?;
    Ok(micros.map(Timestamp::from_micros))
}
