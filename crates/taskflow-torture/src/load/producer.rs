//! A producer: creates tasks with unique payloads and now and then reads, edits or deletes one of
//! anybody's. It never repeats a create: without an idempotency key that would make a second task.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Floor, KIND, Phase, QUEUE};
use crate::api::Caller;
use crate::dice::Dice;
use crate::history::Kind;

/// More unfinished tasks than this and producers wait: the drain must be able to end them in time.
const BACKLOG_MAX: i64 = 300;
/// Attempts of a task.
const ATTEMPTS: u32 = 8;
/// Attempts of a poison task, each of which takes a whole lease to end.
const POISON_ATTEMPTS: u32 = 4;

/// Runs until the load ends.
pub(super) async fn produce(floor: Arc<Floor>, caller: Caller, dice: Dice) {
    let mut producer = Producer { floor, caller, dice, made: 0 };
    while producer.floor.before_end_of(Phase::Load) {
        producer.act().await;
    }
}

struct Producer {
    floor: Arc<Floor>,
    caller: Caller,
    dice: Dice,
    made: u32,
}

impl Producer {
    async fn act(&mut self) {
        let pause = self.dice.between(2, 20);
        sleep(Duration::from_millis(pause)).await;
        let reply = match self.dice.between(0, 99) {
            0..75 => return self.create().await,
            75..86 => match self.any(usize::MAX) {
                Some(id) => self.caller.get(id).await,
                None => return,
            },
            86..89 => self.caller.list(0, 20).await,
            89..97 => match self.any(100) {
                Some(id) => {
                    self.made += 1;
                    let title = format!("edit {}-{}", self.caller.proc(), self.made);
                    self.caller.edit(id, &title).await
                }
                None => return,
            },
            _ => match self.any(30) {
                Some(id) => self.caller.delete(id).await,
                None => return,
            },
        };
        self.rest_after(reply.is_definite()).await;
    }

    async fn create(&mut self) {
        if self.floor.backlog.load(Ordering::Relaxed) > BACKLOG_MAX {
            return sleep(Duration::from_millis(20)).await;
        }
        self.made += 1;
        let body = self.new_task();
        let reply = self.caller.create(body).await;
        if reply.kind == Kind::Ok
            && let Some(id) = reply.body["id"].as_i64()
        {
            self.floor.known.lock().push(id);
            self.floor.backlog.fetch_add(1, Ordering::Relaxed);
        }
        self.rest_after(reply.is_definite()).await;
    }

    fn new_task(&mut self) -> Value {
        let mark = format!("{}-{}", self.caller.proc(), self.made);
        let poison = self.dice.percent(1) && self.take_poison();
        let mut body = json!({
            "title": format!("task {mark}"),
            "payload": {"p": mark},
            "kind": KIND,
            "queue": QUEUE,
            "lease_seconds": self.floor.lease_seconds,
            "max_attempts": if poison { POISON_ATTEMPTS } else { ATTEMPTS },
            "retry": {"strategy": "fixed", "base_seconds": 0.05, "max_seconds": 0.2, "jitter": 0},
        });
        if poison {
            body["payload"]["poison"] = json!(true);
        }
        if self.dice.percent(10) {
            body["delay_seconds"] = json!(self.dice.between(0, 3));
        }
        body
    }

    fn take_poison(&self) -> bool {
        let left = &self.floor.poison_left;
        left.try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
    }

    fn any(&mut self, window: usize) -> Option<i64> {
        let known = self.floor.known.lock();
        self.dice.recent(&known, window)
    }

    /// Without an answer the server is probably down; do not knock at full speed.
    async fn rest_after(&self, answered: bool) {
        if !answered {
            sleep(Duration::from_millis(25)).await;
        }
    }
}
