//! One command on one task: the whole behaviour of TaskFlow's state machine as a pure function.
//! It does not know ids of other tasks, databases or workers' health; stores call it inside their
//! transaction and write down what it says.

use crate::attempt::{Attempt, Outcome};
use crate::json::Json;
use crate::lease::{Finish, LastFinish, Lease, TokenHash};
use crate::name::WorkerName;
use crate::retry::chance;
use crate::status::Status;
use crate::task::{Progress, State, TaskId, Terms};
use crate::text::kept_error;
use crate::time::Timestamp;

/// What happens to a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A worker takes it.
    Claim {
        /// Who.
        worker: WorkerName,
        /// Hash of the new lease's token.
        token: TokenHash,
        /// Length of the lease instead of the task's own, in seconds.
        lease_seconds: Option<u32>,
    },
    /// A heartbeat.
    Extend {
        /// Hash of the holder's token.
        token: TokenHash,
        /// How far it is.
        progress: Option<Progress>,
        /// What the next attempt should know.
        checkpoint: Option<Json>,
    },
    /// The holder ends its attempt.
    Finish {
        /// Hash of the holder's token.
        token: TokenHash,
        /// How.
        finish: Finish,
    },
    /// Time passed: a lease, `expires_at` or `deadline_at` may have run out.
    Expire,
    /// A person sets the status.
    Move(Status),
    /// A person wants an ended task to run once more.
    Retry,
    /// An operator takes it from the worker that holds it.
    Withdraw(WorkerName),
    /// A parent completed.
    Unblock,
    /// A parent failed or was cancelled.
    ParentLost(TaskId),
}

/// Why a command does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The token is not that of the running attempt.
    #[error("the lease is not held any more")]
    LeaseLost,
    /// The attempt of this token was cancelled.
    #[error("the task was cancelled")]
    Cancelled,
    /// The table has no such transition.
    #[error("a task that is {} cannot become {}", .from.as_str(), .to.as_str())]
    Transition {
        /// The present status.
        from: Status,
        /// The wanted one.
        to: Status,
    },
    /// It may not start now, or nothing has run out.
    #[error("not due")]
    NotDue,
    /// It runs, so it cannot run once more.
    #[error("the task has not ended")]
    NotEnded,
}

/// What a command makes of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The next state.
    pub state: State,
    /// An attempt to be written into the history.
    pub closed: Option<Attempt>,
    /// Whether anything is to be written.
    pub changed: bool,
}

/// Applies `command` to a task. The same arguments always give the same answer.
pub fn step(
    id: TaskId,
    terms: &Terms,
    state: &State,
    command: Command,
    now: Timestamp,
) -> Result<Step, Illegal> {
    let task = Subject { id, terms, state, now };
    match command {
        Command::Claim { worker, token, lease_seconds } => {
            task.claim(&worker, token, lease_seconds)
        }
        Command::Extend { token, progress, checkpoint } => task.extend(token, progress, checkpoint),
        Command::Finish { token, finish } => task.finish(token, &finish),
        Command::Expire => task.expire(),
        Command::Move(to) => task.set(to),
        Command::Retry => match state.status {
            Status::InProgress => Err(Illegal::NotEnded),
            _ => task.set(Status::Pending),
        },
        Command::Withdraw(worker) => task.withdraw(&worker),
        Command::Unblock => task.unblock(),
        Command::ParentLost(parent) => task.parent_lost(parent),
    }
}

struct Subject<'a> {
    id: TaskId,
    terms: &'a Terms,
    state: &'a State,
    now: Timestamp,
}

impl Subject<'_> {
    fn claim(
        &self,
        worker: &WorkerName,
        token: TokenHash,
        lease_seconds: Option<u32>,
    ) -> Result<Step, Illegal> {
        let old = self.state;
        let passed = |at: Option<Timestamp>| at.is_some_and(|at| at <= self.now);
        if old.status != Status::Pending
            || old.blocked_by > 0
            || old.run_at > self.now
            || passed(self.terms.expires_at)
            || passed(self.terms.deadline_at)
        {
            return Err(Illegal::NotDue);
        }
        let mut state = self.touched();
        state.status = Status::InProgress;
        state.attempt += 1;
        state.retrying = false;
        state.worker = Some(worker.as_str().to_owned());
        state.started_at = Some(self.now);
        state.progress = None;
        state.last = None;
        let seconds = lease_seconds.unwrap_or(self.terms.lease_seconds);
        let until = self.lease_end(&state, seconds);
        state.lease = Some(Lease { token, until, seconds });
        Ok(changed(state, None))
    }

    fn extend(
        &self,
        token: TokenHash,
        progress: Option<Progress>,
        checkpoint: Option<Json>,
    ) -> Result<Step, Illegal> {
        let lease = self.held(token)?;
        let mut state = self.state.clone();
        let until = self.lease_end(&state, lease.seconds).max(lease.until);
        state.lease = Some(Lease { until, ..lease.clone() });
        state.progress = progress.or(state.progress);
        state.checkpoint = checkpoint.or(state.checkpoint);
        Ok(changed(state, None))
    }

    fn finish(&self, token: TokenHash, finish: &Finish) -> Result<Step, Illegal> {
        let call = Some(finish.fingerprint());
        if self.state.last.as_ref().is_some_and(|l| l.token == token && l.call == call) {
            return Ok(Step { state: self.state.clone(), closed: None, changed: false });
        }
        self.held(token)?;
        let late = hard_end(self.terms, self.state).is_some_and(|end| end <= self.now);
        let mut step = match finish {
            Finish::Completed { result } => self.complete(result.clone()),
            Finish::Failed { error, retryable, retry_after } => {
                let outcome = if late { Outcome::TimedOut } else { Outcome::Failed };
                self.fail(outcome, &kept_error(error), *retryable, *retry_after)
            }
            Finish::Snoozed { delay } => self.give_back(Outcome::Snoozed, *delay),
            Finish::Released => self.give_back(Outcome::Released, 0.0),
            Finish::Interrupted => self.give_back(Outcome::Interrupted, 0.0),
        };
        if let Some(last) = &mut step.state.last {
            last.call = call;
        }
        Ok(step)
    }

    fn complete(&self, result: Option<Json>) -> Step {
        let mut state = self.ended(Status::Completed);
        state.result = result;
        if let Some(progress) = &mut state.progress {
            progress.percent = 100.0;
        }
        self.release(&mut state, Outcome::Completed);
        // Its history entry is the row itself until a retry writes it down.
        changed(state, None)
    }

    /// The attempt did not succeed: again after the back-off when attempts and time are left.
    fn fail(
        &self,
        outcome: Outcome,
        error: &str,
        retryable: bool,
        retry_after: Option<f64>,
    ) -> Step {
        let used = self.state.attempts_used();
        let delay = match outcome {
            Outcome::LeaseExpired => 0.0,
            _ => retry_after.unwrap_or_else(|| {
                self.terms.retry.backoff_seconds(used, chance(self.id.get(), self.state.attempt))
            }),
        };
        let run_at = self.now.plus_seconds(delay);
        let in_time = self.terms.deadline_at.is_none_or(|deadline| run_at < deadline);
        let again = retryable && used < self.terms.max_attempts && in_time;
        let mut state = if again { self.touched() } else { self.ended(Status::Failed) };
        if again {
            state.status = Status::Pending;
            state.run_at = run_at;
            state.retrying = true;
        }
        state.error_message = Some(error.to_owned());
        let closed = self.close(&mut state, outcome, Some(error));
        changed(state, closed)
    }

    fn give_back(&self, outcome: Outcome, delay: f64) -> Step {
        let mut state = self.touched();
        state.status = Status::Pending;
        state.run_at = self.now.plus_seconds(delay);
        state.retrying = false;
        // A person's own work was never counted, so only a lease gives its attempt back.
        state.uncounted += u32::from(state.lease.is_some());
        let closed = self.close(&mut state, outcome, None);
        changed(state, closed)
    }

    /// Gives the task back for a worker that does not: without its token, but only while it holds it.
    fn withdraw(&self, worker: &WorkerName) -> Result<Step, Illegal> {
        let theirs = self.state.worker.as_deref() == Some(worker.as_str());
        match &self.state.lease {
            Some(_) if theirs => Ok(self.give_back(Outcome::Released, 0.0)),
            _ => Err(Illegal::LeaseLost),
        }
    }

    fn expire(&self) -> Result<Step, Illegal> {
        let passed = |at: Option<Timestamp>| at.is_some_and(|at| at <= self.now);
        match (self.state.status, &self.state.lease) {
            (Status::Pending, _) if passed(self.terms.deadline_at) => {
                let mut state = self.ended(Status::Failed);
                state.error_message = Some("the deadline passed before the task was done".into());
                Ok(changed(state, None))
            }
            (Status::Pending, _) if passed(self.terms.expires_at) => {
                let mut state = self.ended(Status::Cancelled);
                state.cancel_reason = Some("expired".into());
                Ok(changed(state, None))
            }
            (Status::InProgress, Some(lease)) if lease.until <= self.now => {
                Ok(if passed(self.terms.deadline_at) {
                    self.fail(Outcome::TimedOut, "the deadline passed", false, None)
                } else if passed(hard_end(self.terms, self.state)) {
                    self.fail(Outcome::TimedOut, "the attempt timed out", true, None)
                } else {
                    let worker = self.state.worker.as_deref().unwrap_or("unknown");
                    let error = format!("lease expired: no heartbeat from worker {worker}");
                    self.fail(Outcome::LeaseExpired, &error, true, None)
                })
            }
            _ => Err(Illegal::NotDue),
        }
    }

    fn set(&self, to: Status) -> Result<Step, Illegal> {
        let from = self.state.status;
        if from == to {
            return Ok(Step { state: self.state.clone(), closed: None, changed: false });
        }
        if !from.allowed().contains(&to) {
            return Err(Illegal::Transition { from, to });
        }
        match to {
            Status::Pending if from.is_ended() => return Ok(self.retry()),
            Status::Pending => return Ok(self.give_back(Outcome::Released, 0.0)),
            Status::InProgress => {
                let mut state = self.touched();
                state.status = to;
                state.started_at = Some(self.now);
                state.worker = None;
                state.retrying = false;
                // A person starts it whatever it waits for. Its parents find no pending task to
                // unblock meanwhile, so a release must not leave it blocked for ever.
                state.blocked_by = 0;
                state.last = None;
                return Ok(changed(state, None));
            }
            Status::Completed | Status::Failed | Status::Cancelled => {}
        }
        let mut state = self.ended(to);
        if to == Status::Cancelled {
            state.cancel_reason = Some("requested".into());
        }
        let outcome = match to {
            Status::Completed => Outcome::Completed,
            Status::Failed => Outcome::Failed,
            _ => Outcome::Cancelled,
        };
        if outcome == Outcome::Completed {
            self.release(&mut state, outcome);
            return Ok(changed(state, None));
        }
        let closed = self.close(&mut state, outcome, None);
        Ok(changed(state, closed))
    }

    fn retry(&self) -> Step {
        let old = self.state;
        let closed = old.completed_attempt();
        let mut state = self.touched();
        state.status = Status::Pending;
        state.uncounted = state.attempt;
        state.run_at = self.now;
        state.retrying = false;
        state.blocked_by = 0;
        state.last = None;
        state.completed_at = None;
        state.ended_at = None;
        state.result = None;
        state.error_message = None;
        state.cancel_reason = None;
        state.progress = None;
        changed(state, closed)
    }

    fn unblock(&self) -> Result<Step, Illegal> {
        if self.state.status != Status::Pending || self.state.blocked_by == 0 {
            return Err(Illegal::NotDue);
        }
        let mut state = self.touched();
        state.blocked_by -= 1;
        if state.blocked_by == 0 {
            state.run_at = state.run_at.max(self.now);
        }
        Ok(changed(state, None))
    }

    fn parent_lost(&self, parent: TaskId) -> Result<Step, Illegal> {
        if self.state.status != Status::Pending || self.state.blocked_by == 0 {
            return Err(Illegal::NotDue);
        }
        let mut state = self.ended(Status::Cancelled);
        state.cancel_reason = Some(format!("task {parent}, which it waits for, did not complete"));
        Ok(changed(state, None))
    }

    /// The lease of `token`, or how it was lost.
    fn held(&self, token: TokenHash) -> Result<&Lease, Illegal> {
        if let Some(lease) = &self.state.lease
            && lease.token == token
        {
            return Ok(lease);
        }
        // A task may also be cancelled after this attempt was over: that is no answer to its holder.
        let cancelled =
            |last: &LastFinish| last.token == token && last.outcome == Outcome::Cancelled;
        Err(match &self.state.last {
            Some(last) if cancelled(last) => Illegal::Cancelled,
            _ => Illegal::LeaseLost,
        })
    }

    fn lease_end(&self, state: &State, seconds: u32) -> Timestamp {
        let end = self.now.plus_seconds(f64::from(seconds));
        hard_end(self.terms, state).map_or(end, |hard| hard.min(end))
    }

    fn touched(&self) -> State {
        let mut state = self.state.clone();
        state.updated_at = self.now;
        state.version += 1;
        state
    }

    fn ended(&self, status: Status) -> State {
        let mut state = self.touched();
        state.status = status;
        state.retrying = false;
        state.ended_at = Some(self.now);
        state.completed_at = (status == Status::Completed).then_some(self.now);
        state.error_message = state.error_message.filter(|_| status != Status::Completed);
        state
    }

    /// Takes the lease away and remembers how its attempt ended.
    fn release(&self, state: &mut State, outcome: Outcome) -> bool {
        let lease = state.lease.take();
        let held = lease.is_some();
        if let Some(lease) = lease {
            state.last = Some(LastFinish { token: lease.token, call: None, outcome });
        }
        held
    }

    /// Like `release`, and gives the history entry when there was a lease.
    fn close(&self, state: &mut State, outcome: Outcome, error: Option<&str>) -> Option<Attempt> {
        self.release(state, outcome).then(|| Attempt {
            attempt: state.attempt,
            worker: state.worker.clone(),
            started_at: self.state.started_at.unwrap_or(self.now),
            ended_at: self.now,
            outcome,
            error: error.map(str::to_owned),
        })
    }
}

/// The instant beyond which no heartbeat carries the present attempt.
pub(crate) fn hard_end(terms: &Terms, state: &State) -> Option<Timestamp> {
    let timeout = terms.timeout_seconds.zip(state.started_at);
    let timeout = timeout.map(|(seconds, start)| start.plus_seconds(f64::from(seconds)));
    [timeout, terms.deadline_at].into_iter().flatten().min()
}

fn changed(state: State, closed: Option<Attempt>) -> Step {
    Step { state, closed, changed: true }
}
