//! The model's room of work: finish, extend, claim, expire, due.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;
use taskflow_core::gate::is_guard_turn;
use taskflow_core::{
    Barred, Command, Illegal, QueueName, Status, Task, TaskId, TenantId, Timestamp,
};

use super::{Model, Tables, ready, waits};
use crate::{
    Answers, Claim, Claimed, Due, Expired, Extend, Extended, FinishTask, Finished, Ready, Receipt,
    StoreError, Sync, Synced, WorkStore,
};

impl Tables {
    fn finish(&mut self, scope: TenantId, item: FinishTask, now: Timestamp) -> Finished {
        if self.task(scope, item.id).is_none() {
            return Finished::NotFound;
        }
        let command = Command::Finish { token: item.token.hash(), finish: item.finish };
        match self.advance(item.id, command, now) {
            Ok(step) => Finished::Done(Receipt {
                id: item.id,
                status: step.state.status,
                attempt: step.state.attempt,
                outcome: step.state.last.expect("a finished attempt left its end").outcome,
                run_at: step.state.run_at,
            }),
            Err(Illegal::Cancelled) => Finished::Cancelled,
            Err(_) => Finished::LeaseLost,
        }
    }

    fn extend(&mut self, scope: TenantId, item: Extend, now: Timestamp) -> Extended {
        if self.task(scope, item.id).is_none() {
            return Extended::NotFound;
        }
        let command = Command::Extend {
            token: item.token.hash(),
            progress: item.progress,
            checkpoint: item.checkpoint,
        };
        match self.advance(item.id, command, now) {
            Ok(step) => Extended::Held(step.state.lease.expect("only a lease is extended").until),
            Err(Illegal::Cancelled) => Extended::Cancelled,
            Err(_) => Extended::LeaseLost,
        }
    }

    fn claim(&mut self, scope: TenantId, claim: &Claim, now: Timestamp) -> Vec<Claimed> {
        let mut tokens = claim.tokens.iter().copied().peekable();
        let mut claimed = Vec::new();
        while let Some(&token) = tokens.peek()
            && let Some((id, queue)) = self.next(scope, claim, now)
        {
            let command = Command::Claim {
                worker: claim.worker.clone(),
                token: token.hash(),
                lease_seconds: claim.lease_seconds,
            };
            if self.advance(id, command, now).is_ok() {
                self.started(scope, &queue, now);
                tokens.next();
                claimed.push(Claimed { task: self.rows[&id].task.clone(), token });
            } else {
                self.advance(id, Command::Expire, now)
                    .expect("a due task is only refused when its time is over");
            }
        }
        claimed
    }

    /// The next task that a claim may have: the first in line that its queue lets through, or that
    /// queue's oldest when it is the turn of that.
    fn next(&self, scope: TenantId, claim: &Claim, now: Timestamp) -> Option<(TaskId, QueueName)> {
        let due = self
            .tasks(scope)
            .filter(|task| waits(task) && task.state.run_at <= now)
            .filter(|task| claim.takes(&task.queue, &task.kind));
        let mut gates = BTreeMap::new();
        let mut through = |task: &&Task| {
            let gate =
                gates.entry(task.queue.clone()).or_insert_with_key(|queue| self.gate(scope, queue));
            gate.barred(now).or(gate.barred_key(task.concurrency_key.as_deref())).is_none()
        };
        let due: Vec<&Task> = due.filter(&mut through).collect();
        let first =
            due.iter().min_by_key(|task| (Reverse(task.priority), task.state.run_at, task.id))?;
        let queue = first.queue.clone();
        let guard = self.gate(scope, &queue).queue.settings.starvation_guard;
        let starts = self.starts.get(&(scope, queue.clone())).copied().unwrap_or(0);
        if !is_guard_turn(guard, starts) {
            return Some((first.id, queue));
        }
        let own = due.iter().filter(|task| task.queue == queue);
        own.min_by_key(|task| (task.state.run_at, task.id)).map(|oldest| (oldest.id, queue))
    }

    /// Queues of a claim with due tasks whose rate lets nothing more through.
    fn later(&self, scope: TenantId, claim: &Claim, now: Timestamp) -> Vec<(QueueName, Timestamp)> {
        let due = self.tasks(scope).filter(|task| waits(task) && task.state.run_at <= now);
        let mut later = BTreeMap::new();
        for task in due.filter(|task| claim.takes(&task.queue, &task.kind)) {
            if let Some(Barred::Rate(at)) = self.gate(scope, &task.queue).barred(now) {
                later.insert(task.queue.clone(), at);
            }
        }
        later.into_iter().collect()
    }

    pub(super) fn sync(&mut self, scope: TenantId, sync: Sync, now: Timestamp) -> Synced {
        let finished = sync.finish.into_iter().map(|item| self.finish(scope, item, now)).collect();
        let mut holders = Vec::new();
        let mut extended = Vec::new();
        for item in sync.extend {
            let id = item.id;
            let answer = self.extend(scope, item, now);
            let held = matches!(answer, Extended::Held(_));
            let holder = self.task(scope, id).and_then(|task| task.state.worker.clone());
            holders.push(holder.filter(|_| held));
            extended.push(answer);
        }
        let (mut claimed, mut later) = (Vec::new(), Vec::new());
        if let Some(claim) = sync.claim {
            claimed = self.claim(scope, &claim, now);
            later = self.later(scope, &claim, now);
        }
        Synced { finished, extended, holders, claimed, ready: Vec::new(), later }
    }

    /// Expires tasks of one sort, earliest first, as many as `limit` leaves room for.
    fn sweep(
        &mut self,
        due: impl Fn(&Task) -> Option<Timestamp>,
        now: Timestamp,
        limit: usize,
        expired: &mut Vec<Expired>,
    ) {
        let tasks = self.rows.values().map(|row| &row.task);
        let mut over: Vec<(Timestamp, TaskId)> = tasks
            .filter_map(|task| Some((due(task)?, task.id)))
            .filter(|(at, _)| *at <= now)
            .collect();
        over.sort_unstable();
        over.truncate(limit - expired.len());
        for (_, id) in over {
            // Not due: it was lost with a parent that expired a moment ago.
            if let Ok(step) = self.advance(id, Command::Expire, now) {
                expired.push(Expired {
                    id,
                    status: step.state.status,
                    outcome: step.closed.as_ref().map(|attempt| attempt.outcome),
                    worker: step.closed.and_then(|attempt| attempt.worker),
                });
            }
        }
    }

    fn expire(&mut self, now: Timestamp, limit: usize) -> Vec<Expired> {
        let mut expired = Vec::new();
        let pending = |task: &Task| task.state.status == Status::Pending;
        self.sweep(|t| t.state.lease.as_ref().map(|l| l.until), now, limit, &mut expired);
        self.sweep(|t| t.terms.deadline_at.filter(|_| pending(t)), now, limit, &mut expired);
        self.sweep(|t| t.terms.expires_at.filter(|_| pending(t)), now, limit, &mut expired);
        expired
    }

    fn due(&self, after: Timestamp, until: Timestamp) -> Due {
        let mut first = BTreeMap::<_, Ready>::new();
        let mut next: Option<Timestamp> = None;
        for task in self.rows.values().map(|row| &row.task).filter(|task| waits(task)) {
            let run_at = task.state.run_at;
            if run_at > until {
                next = Some(next.map_or(run_at, |next| next.min(run_at)));
            } else if run_at > after {
                let ready = first
                    .entry((task.queue.clone(), task.kind.clone()))
                    .or_insert_with(|| ready(task));
                ready.run_at = ready.run_at.min(run_at);
            }
        }
        Due { ready: first.into_values().collect(), next }
    }
}

#[async_trait]
impl WorkStore for Model {
    async fn sync(
        &self,
        scope: TenantId,
        sync: Sync,
        now: Timestamp,
    ) -> Result<Synced, StoreError> {
        let (mut synced, ready) = self.call(|t| t.sync(scope, sync, now));
        synced.ready = ready;
        Ok(synced)
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> Result<Answers<Expired>, StoreError> {
        let (items, ready) = self.call(|t| t.expire(now, limit as usize));
        Ok(Answers { items, ready })
    }

    async fn due(&self, after: Timestamp, until: Timestamp) -> Result<Due, StoreError> {
        Ok(self.call(|t| t.due(after, until)).0)
    }
}
