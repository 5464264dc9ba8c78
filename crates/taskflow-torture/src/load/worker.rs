//! A worker with bad habits: it claims and finishes tasks singly or by sync, and on purpose fails,
//! finishes twice, changes its mind, lets leases run out, and comes back with tokens that are long dead.
//! Where a good worker would repeat an unanswered call, so does it.

use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Floor, KIND, Phase, QUEUE};
use crate::api::{Caller, Reply};
use crate::dice::Dice;
use crate::history::{Kind, Op};
use crate::view::{Lease, token_hash};

/// How often an unanswered finish is repeated, 50 ms apart.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(50);

/// Runs until the run is over.
pub(super) async fn work(floor: Arc<Floor>, caller: Caller, dice: Dice) {
    let mut worker = Worker { floor, caller, dice };
    while worker.floor.before_end_of(Phase::Drain) {
        worker.haunt(&[]).await;
        if worker.dice.percent(60) {
            worker.one_by_one().await;
        } else {
            worker.by_sync().await;
        }
    }
}

struct Worker {
    floor: Arc<Floor>,
    caller: Caller,
    dice: Dice,
}

impl Worker {
    fn want(&mut self) -> Value {
        json!({
            "queues": [QUEUE], "kinds": [KIND], "limit": self.dice.between(1, 8),
            "wait_seconds": 1, "lease_seconds": self.floor.lease_seconds,
        })
    }

    async fn one_by_one(&mut self) {
        let want = self.want();
        let reply = self.caller.claim(&want).await;
        let held = self.kept(&reply).await;
        self.haunt(&held).await;
        for lease in held {
            if self.dice.percent(25) {
                self.caller.heartbeat(&lease).await;
            }
            sleep(Duration::from_millis(self.dice.between(0, 15))).await;
            let (op, args) = self.end(&lease);
            let reply = self.settle(op, &lease, &args).await;
            self.count(op, &args, reply.kind == Kind::Ok);
            if op == Op::Complete && reply.kind == Kind::Ok && self.dice.percent(20) {
                self.settle(op, &lease, &args).await;
            } else if reply.kind == Kind::Ok && self.dice.percent(5) {
                let args = json!({"error": "a change of mind", "retryable": true});
                self.caller.finish(Op::Fail, &lease, &args).await;
            }
        }
    }

    async fn by_sync(&mut self) {
        let want = self.want();
        let reply = self.caller.sync(&[], &[], Some(&want)).await;
        let mut held = self.kept(&reply).await;
        self.haunt(&held).await;
        while !held.is_empty() {
            sleep(Duration::from_millis(self.dice.between(0, 15))).await;
            let mut finished = Vec::new();
            let mut beats = Vec::new();
            for lease in take(&mut held) {
                if self.dice.percent(25) {
                    beats.push(lease);
                } else {
                    let (op, args) = self.end(&lease);
                    finished.push((op, lease, args));
                }
            }
            self.settle_all(&finished, &beats).await;
            held = beats;
        }
    }

    /// The claimed tasks that it means to work on; the others it drops or keeps for later mischief.
    async fn kept(&mut self, reply: &Reply) -> Vec<Lease> {
        if !reply.is_definite() {
            sleep(PAUSE).await;
        }
        let tasks = reply.body["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let draining = !self.floor.before_end_of(Phase::Load);
        let mut kept = Vec::new();
        for lease in tasks.iter().filter_map(Lease::read) {
            let fate = self.dice.between(0, 99);
            if lease.poison || (fate < 2 && !draining) {
                continue;
            }
            if fate < 7 && !draining {
                let wait = Duration::from_millis(self.dice.between(500, 6000));
                self.floor.dead.lock().push((Instant::now() + wait, lease));
                continue;
            }
            kept.push(lease);
        }
        kept
    }

    /// How it ends an attempt: mostly well.
    fn end(&mut self, lease: &Lease) -> (Op, Value) {
        if self.dice.percent(10) {
            let retryable = !self.dice.percent(10);
            let error = format!("attempt {} failed on purpose", lease.attempt);
            (Op::Fail, json!({"error": error, "retryable": retryable}))
        } else {
            (Op::Complete, json!({"result": {"by": token_hash(&lease.token)}}))
        }
    }

    async fn settle(&mut self, op: Op, lease: &Lease, args: &Value) -> Reply {
        let mut reply = self.caller.finish(op, lease, args).await;
        for _ in 1..TRIES {
            if reply.is_definite() {
                break;
            }
            sleep(PAUSE).await;
            reply = self.caller.finish(op, lease, args).await;
        }
        reply
    }

    async fn settle_all(&mut self, finished: &[(Op, Lease, Value)], beats: &[Lease]) {
        let mut reply = self.caller.sync(finished, beats, None).await;
        for _ in 1..TRIES {
            if reply.is_definite() {
                break;
            }
            sleep(PAUSE).await;
            reply = self.caller.sync(finished, beats, None).await;
        }
        for (op, _, args) in finished {
            self.count(*op, args, reply.kind == Kind::Ok);
        }
    }

    fn count(&self, op: Op, args: &Value, ok: bool) {
        if ok && (op == Op::Complete || args["retryable"] == json!(false)) {
            self.floor.backlog.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Uses the dead tokens of tasks that it holds by now, and those whose time has come, as a worker
    /// does that was asleep.
    async fn haunt(&mut self, held: &[Lease]) {
        let now = Instant::now();
        let awake =
            |lease: &Lease| held.iter().any(|h| h.id == lease.id && h.attempt > lease.attempt);
        let due: Vec<(Instant, Lease)> = {
            let mut dead = self.floor.dead.lock();
            let (due, later) =
                take(&mut *dead).into_iter().partition(|(at, lease)| *at <= now || awake(lease));
            *dead = later;
            due
        };
        for (_, lease) in due {
            if self.dice.percent(30) {
                self.caller.heartbeat(&lease).await;
            }
            let (op, args) = self.end(&lease);
            let reply = self.settle(op, &lease, &args).await;
            self.count(op, &args, reply.kind == Kind::Ok);
        }
    }
}
