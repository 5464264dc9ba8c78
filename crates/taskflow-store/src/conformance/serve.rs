//! Cases of new tasks that are stored together with a claim that waits for them. A store that does not look
//! at the claim says so, and then it must have handed out nothing.

use taskflow_core::task::{OnConflict, UniqueKey};
use taskflow_core::{NewTask, Priority, QueuePatch, Status, TenantId};

use super::harness::Harness;
use super::stage::{Stage, queue};
use crate::{Claim, Claimed, Inserted, Ready, Served};

async fn serve(stage: &Stage, batch: Vec<NewTask>, claim: Claim) -> Served {
    let served = stage.store.insert_and_claim(stage.tenant, batch, claim, stage.now()).await;
    served.expect("insert and claim work")
}

fn claimed(served: &Served) -> Vec<&Claimed> {
    served.synced.iter().flat_map(|synced| &synced.claimed).collect()
}

fn born(served: &Served) -> Vec<i64> {
    let id = |item: &Inserted| match item {
        Inserted::Created(task) => {
            assert_eq!(task.state.status, Status::Pending, "an answer shows what was stored");
            task.id.get()
        }
        other => panic!("not created: {other:?}"),
    };
    served.inserted.items.iter().map(id).collect()
}

/// The task is in progress after one call, and nobody else is told of it.
pub async fn a_waiting_claim_gets_the_task_that_is_stored_for_it(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let wish = stage.wish(1);
    let token = wish.tokens[0];
    let served = serve(&stage, vec![stage.plan("one")], wish).await;
    let [held] = claimed(&served)[..] else { panic!("not one task: {served:?}") };
    assert_eq!((vec![held.task.id.get()], held.token), (born(&served), token));
    assert_eq!((held.task.state.status, held.task.state.attempt), (Status::InProgress, 1));
    assert_eq!(stage.read(held.task.id).await, held.task);
    assert_eq!(stage.counts().await, [0, 1, 0, 0, 0]);
    assert_eq!(served.inserted.ready, []);
    assert!(served.synced.is_some_and(|synced| synced.ready.is_empty()));
    let stage = stage.reopen(h).await;
    assert_eq!(stage.counts().await, [0, 1, 0, 0, 0]);
}

/// What the claim has no hands for is told as ever.
pub async fn the_rest_of_a_batch_is_ready_for_others(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let later = NewTask { run_at: stage.after(5.0), ..stage.plan("later") };
    let batch = vec![stage.plan("a"), stage.plan("b"), later, stage.plan("c")];
    let served = serve(&stage, batch, stage.wish(2)).await;
    let ids = born(&served);
    let held: Vec<i64> = claimed(&served).iter().map(|held| held.task.id.get()).collect();
    assert_eq!(held, ids[..2]);
    let instants: Vec<_> = served.inserted.ready.iter().map(|ready: &Ready| ready.run_at).collect();
    assert_eq!(instants, [stage.after(5.0), stage.now()]);
    assert_eq!(stage.claim(stage.wish(9)).await[0].task.id.get(), ids[3]);
}

/// It is a claim like any other: the most urgent first, and only what it wishes.
pub async fn what_stood_in_line_before_goes_first(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let urgent = NewTask { priority: Priority::Urgent, ..stage.plan("urgent") };
    let urgent = stage.create(urgent).await.id;
    let served = serve(&stage, vec![stage.plan("new")], stage.wish(1)).await;
    assert_eq!(claimed(&served)[0].task.id, urgent);
    assert_eq!(served.inserted.ready.len(), 1, "the new one waits");
    let elsewhere = Claim { queues: Some(vec![queue("elsewhere")]), ..stage.wish(5) };
    let served = serve(&stage, vec![stage.plan("unwanted")], elsewhere).await;
    assert!(claimed(&served).is_empty());
    assert_eq!(served.inserted.ready.len(), 1);
}

/// A pause holds for it too; the task is stored.
pub async fn a_paused_queue_gives_nothing_to_a_waiting_claim(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let name = queue("a");
    let patch = QueuePatch { pause: Some(Some(None)), ..QueuePatch::default() };
    let set = stage.store.set_queue(stage.tenant, name.clone(), None, patch, stage.now()).await;
    set.expect("pauses");
    let new = NewTask { queue: name, ..stage.plan("held") };
    let served = serve(&stage, vec![new], stage.wish(1)).await;
    assert!(claimed(&served).is_empty());
    assert_eq!(stage.counts().await, [1, 0, 0, 0, 0]);
}

/// Another tenant's task is not handed out, whoever else waits.
pub async fn a_waiting_claim_gets_its_own_tenant_s_tasks(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let other = stage.seen_by(TenantId(2));
    other.task("of another").await;
    let served = serve(&stage, vec![stage.plan("mine")], stage.wish(5)).await;
    let held: Vec<i64> = claimed(&served).iter().map(|held| held.task.id.get()).collect();
    assert_eq!(held, born(&served));
    assert_eq!(other.counts().await, [1, 0, 0, 0, 0]);
}

/// A task that a key refuses is not stored, and the claim takes what any claim would: nothing.
pub async fn a_refused_task_is_refused_with_a_waiting_claim_too(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let keyed = |title: &str| {
        let unique = UniqueKey { key: "k".into(), on_conflict: OnConflict::Reject };
        NewTask { unique: Some(unique), ..stage.plan(title) }
    };
    let first = stage.create(keyed("first")).await.id;
    let [held] = &stage.claim(stage.wish(1)).await[..] else { panic!("nothing to claim") };
    assert_eq!(held.task.id, first);
    let served = serve(&stage, vec![keyed("second")], stage.wish(1)).await;
    assert_eq!(served.inserted.items, [Inserted::KeyHeld(first)]);
    assert!(claimed(&served).is_empty());
    assert_eq!(stage.counts().await, [0, 1, 0, 0, 0]);
}
