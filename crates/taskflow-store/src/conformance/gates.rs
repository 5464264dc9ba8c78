//! Cases of the limits of leases, of a queue and of a `concurrency_key`: what makes room, and what does not.

use taskflow_core::limits::{KEY_CHARS_MAX, KEYED_WALK_MAX};
use taskflow_core::{
    Barred, Finish, NewTask, Outcome, QueuePatch, RetryPolicy, Status, TaskId, Terms,
};

use super::harness::Harness;
use super::queues::{ids, key_limit, limit, named, set_one};
use super::stage::{Stage, done, failed, kind, queue, titles, worker};
use crate::{Claim, Claimed, Extended, Finished, GateView, Kinds};

/// A task of queue "a" with this `concurrency_key`.
fn keyed(stage: &Stage, key: &str) -> NewTask {
    NewTask { title: key.into(), concurrency_key: Some(key.into()), ..named("a", stage) }
}

/// What queue "a" lets through for `key`.
async fn gate(stage: &Stage, key: &str) -> GateView {
    let gate = stage.store.gate(stage.tenant, queue("a"), Some(key.into())).await;
    gate.expect("gate works")
}

/// Asks with the token of an attempt that is over.
async fn lost(stage: &Stage, held: &Claimed, finishes: impl IntoIterator<Item = Finish>) {
    for finish in finishes {
        let answer = stage.finish(held.task.id, held.token, finish).await;
        assert_eq!(answer, Finished::LeaseLost);
    }
    assert_eq!(stage.beat(held.task.id, held.token).await, Extended::LeaseLost);
}

/// The one task that the limits let through, of one of these kinds.
async fn only(stage: &Stage, kinds: &[&str]) -> Claimed {
    let kinds = Kinds::Named(kinds.iter().map(|name| kind(name)).collect());
    let claim = Claim { kinds, lease_seconds: Some(2), ..stage.wish(9) };
    let mut held = stage.claim(claim).await;
    assert_eq!(held.len(), 1, "one at a time");
    held.remove(0)
}

/// An attempt ends once: nothing that is said of it afterwards gives its place away again.
pub async fn a_late_or_repeated_end_makes_no_room(h: &dyn Harness) {
    let mut stage = Stage::open(h).await;
    set_one(&stage, "a", QueuePatch { concurrency_key_limit: Some(Some(1)), ..limit(1) }).await;
    let retry = RetryPolicy { base_seconds: 0.0, jitter: 0.0, ..RetryPolicy::default() };
    let terms =
        |timeout_seconds| Terms { max_attempts: 100, timeout_seconds, retry, ..Terms::default() };
    for (name, timeout_seconds) in [("plain", None), ("bound", Some(1)), ("plain", None)] {
        let terms = terms(timeout_seconds);
        stage.create(NewTask { kind: kind(name), terms, ..keyed(&stage, "k") }).await;
    }
    for round in 0..12 {
        let late = || [done(), failed("late"), Finish::Released];
        let held = only(&stage, if round % 6 == 1 { &["bound"] } else { &["plain"] }).await;
        let id = held.task.id;
        match round % 6 {
            0 | 1 => {
                stage.pass(2.0);
                let outcome = [Outcome::LeaseExpired, Outcome::TimedOut][round % 6];
                assert_eq!(stage.expire().await[0].outcome, Some(outcome));
                lost(&stage, &held, late()).await;
            }
            2 => {
                let first = stage.end(&held, Finish::Released).await;
                let again = stage.finish(id, held.token, Finish::Released).await;
                assert_eq!(again, Finished::Done(first));
                lost(&stage, &held, [done(), failed("late")]).await;
            }
            3 => {
                stage.set(id, Status::Cancelled).await;
                for finish in late() {
                    assert_eq!(stage.finish(id, held.token, finish).await, Finished::Cancelled);
                }
                stage.set(id, Status::Pending).await;
                lost(&stage, &held, late()).await;
            }
            4 => {
                let released =
                    stage.store.release(stage.tenant, worker("w1"), 9, stage.now()).await;
                assert_eq!(released.expect("release works").items, [id]);
                lost(&stage, &held, late()).await;
            }
            _ => {
                let first = stage.end(&held, done()).await;
                let again = stage.finish(id, held.token, done()).await;
                assert_eq!(again, Finished::Done(first));
                lost(&stage, &held, [failed("late"), Finish::Released]).await;
                stage.set(id, Status::Pending).await;
            }
        }
        let free = gate(&stage, "k").await;
        assert_eq!((free.gate.running, free.key_holders), (0, Vec::new()), "round {round}");
        let next = only(&stage, &["plain", "bound"]).await;
        // While another one is at work, too.
        lost(&stage, &held, [failed("later")]).await;
        let full = gate(&stage, "k").await;
        assert_eq!((full.gate.running, full.key_holders), (1, vec![next.task.id]));
        assert_eq!(stage.claim(stage.wish(9)).await, [], "round {round}");
        stage.end(&next, Finish::Released).await;
        if round == 6 {
            stage = stage.reopen(h).await;
        }
    }
}

/// As every other end of a lease does, for whoever asks first.
pub async fn a_release_makes_room_under_a_limit(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    set_one(&stage, "a", QueuePatch { concurrency_key_limit: Some(Some(1)), ..limit(2) }).await;
    stage.insert(["j", "j", "k", "k"].map(|key| keyed(&stage, key)).into()).await;
    let old = stage.claim(stage.wish(9)).await;
    assert_eq!(titles(&old), ["j", "k"]);
    assert_eq!(stage.claim(stage.wish(9)).await, []);
    let released = stage.store.release(stage.tenant, worker("w1"), 10, stage.now()).await;
    let released = released.expect("release works");
    assert_eq!(released.items, ids(&old));
    assert!(released.ready.iter().any(|ready| ready.queue == queue("a")), "{released:?}");
    let new = stage.claim(Claim { worker: worker("w2"), ..stage.wish(9) }).await;
    assert_eq!(titles(&new), ["j", "k"]);
    for held in &old {
        lost(&stage, held, [done(), Finish::Released]).await;
    }
    let full = gate(&stage, "j").await;
    assert_eq!((full.gate.running, full.key_holders), (2, vec![new[0].task.id]));
    assert_eq!(stage.claim(stage.wish(9)).await, []);
}

/// No character of it is a pattern, a separator or an end, and no other key is the same.
pub async fn a_concurrency_key_is_data_whatever_it_holds(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    set_one(&stage, "a", key_limit(1)).await;
    let crowd: Vec<NewTask> = (0..KEYED_WALK_MAX + 50).map(|_| keyed(&stage, "*")).collect();
    stage.insert(crowd).await;
    let (long, last) = ("k".repeat(KEY_CHARS_MAX), "\u{10ffff}".repeat(KEY_CHARS_MAX));
    let keys = [
        "%",
        "_",
        ":",
        "/",
        "..",
        "{a,b}",
        "{}",
        "NULL",
        "null",
        "k",
        "K",
        "\"",
        "\\",
        "\\\\",
        "'",
        " ",
        "  ",
        "\u{e9}",
        "e\u{301}",
        "👩‍👩‍👧‍👦",
        "**",
        "?",
        "0",
        &long,
        &last,
    ];
    for _ in 0..2 {
        stage.insert(keys.iter().map(|key| keyed(&stage, key)).collect()).await;
    }
    assert_eq!(titles(&stage.claim(stage.wish(1)).await), ["*"]);
    let held = stage.claim(stage.wish(100)).await;
    assert_eq!(titles(&held), keys, "each once, in their order");
    assert_eq!(stage.claim(stage.wish(100)).await, []);
    let second = |held: &Claimed| held.task.id.get() + keys.len() as i64;
    for held in &held {
        let key = held.task.title.as_str();
        let full = gate(&stage, key).await;
        assert_eq!(full.key_holders, [held.task.id], "{key:?}");
        assert_eq!(full.gate.barred_key(Some(key)), Some(Barred::KeyFull), "{key:?}");
        stage.end(held, done()).await;
        assert_eq!(gate(&stage, key).await.gate.barred_key(Some(key)), None, "{key:?}");
        let next = stage.claim(stage.wish(100)).await;
        assert_eq!(ids(&next), [TaskId::new(second(held)).expect("an id")], "{key:?}");
    }
}
