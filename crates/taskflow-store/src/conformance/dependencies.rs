//! Cases of tasks that wait for other tasks.

use taskflow_core::{NewTask, Status, TaskId, Terms};

use super::harness::Harness;
use super::stage::{KIND, Stage, done, failed, failed_for_good, id, kind, queue, to};
use crate::{Delete, Deleted, Inserted, Ready, Sync};

/// A task that waits for `parents`.
fn child(stage: &Stage, parents: &[TaskId]) -> NewTask {
    NewTask { depends_on: parents.to_vec(), ..stage.plan("child") }
}

/// Its reason is `core`'s to tell; a store keeps how many it waits for.
pub async fn a_task_waits_for_each_parent_that_has_not_completed(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let (a, b, c) = (stage.task("a").await, stage.task("b").await, stage.task("c").await);
    stage.set(b.id, Status::Completed).await;
    stage.set(c.id, Status::InProgress).await;
    let parents = [c.id, b.id, a.id];
    let waiting = stage.create(child(&stage, &parents)).await;
    assert_eq!(waiting.depends_on, parents);
    assert_eq!(waiting.state.blocked_by, 2);
    assert_eq!(stage.read(waiting.id).await, waiting);
    let free = stage.create(child(&stage, &[b.id])).await;
    assert_eq!(free.state.blocked_by, 0);
    let claimed = stage.claim(stage.wish(10)).await;
    assert!(claimed.iter().map(|c| c.task.id).eq([a.id, free.id]), "blocked tasks stay");
}

/// In the order in which they were named first.
pub async fn a_parent_named_twice_counts_once(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let (a, b) = (stage.task("a").await, stage.task("b").await);
    let waiting = stage.create(child(&stage, &[b.id, a.id, b.id, a.id])).await;
    assert_eq!((&waiting.depends_on[..], waiting.state.blocked_by), (&[b.id, a.id][..], 2));
    assert_eq!(stage.read(waiting.id).await, waiting);
    stage.set(a.id, Status::Completed).await;
    stage.set(b.id, Status::Completed).await;
    assert_eq!(stage.read(waiting.id).await.state.blocked_by, 0);
}

/// Not stored at all; the first one at fault is named.
pub async fn a_task_cannot_wait_for_what_is_not_there_or_lost(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.insert((0..4).map(|n| stage.plan(&format!("t{n}"))).collect()).await;
    stage.set(id(2), Status::Failed).await;
    stage.set(id(3), Status::Cancelled).await;
    stage.delete(id(4)).await;
    let offer = async |parents: &[i64]| {
        let parents: Vec<TaskId> = parents.iter().map(|n| id(*n)).collect();
        stage.offer(child(&stage, &parents)).await
    };
    assert_eq!(offer(&[1, 99]).await, Inserted::NoParent(id(99)));
    assert_eq!(offer(&[4]).await, Inserted::NoParent(id(4)));
    assert_eq!(offer(&[1, 2]).await, Inserted::LostParent(id(2)));
    assert_eq!(offer(&[3, 2, 99]).await, Inserted::LostParent(id(3)));
    assert_eq!(offer(&[5]).await, Inserted::NoParent(id(5)), "not for itself either");
    assert_eq!(stage.counts().await, [1, 0, 0, 1, 1]);
    assert_eq!(stage.delete(id(1)).await, Deleted::Done, "nobody waits for it");
}

/// Each sees those before it.
pub async fn items_of_a_batch_may_wait_for_earlier_ones(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let batch = vec![
        stage.plan("first"),
        child(&stage, &[id(1)]),
        child(&stage, &[id(1), id(2)]),
        child(&stage, &[id(5)]),
    ];
    let answers = stage.insert(batch).await;
    assert!(matches!(&answers.items[2], Inserted::Created(t) if t.state.blocked_by == 2));
    assert_eq!(answers.items[3], Inserted::NoParent(id(5)));
    assert_eq!(answers.ready.len(), 1, "only the first can be claimed");
}

/// Whether a worker or a person completes it.
pub async fn a_task_becomes_ready_when_its_last_parent_completes(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parents = [stage.task("a").await.id, stage.task("b").await.id];
    let waiting = stage.create(child(&stage, &parents)).await;
    stage.pass(5.0);
    let held = stage.take().await;
    stage.end(&held, done()).await;
    let state = stage.read(waiting.id).await.state;
    assert_eq!((state.blocked_by, state.version), (1, 2));
    stage.pass(5.0);
    let batch = vec![to(parents[1], Status::Completed)];
    let answers = stage.store.edit(stage.tenant, batch, stage.now()).await.expect("edit works");
    let ready = Ready { queue: queue("default"), kind: kind(KIND), run_at: stage.now() };
    assert_eq!(answers.ready, [ready]);
    let state = stage.read(waiting.id).await.state;
    assert_eq!((state.blocked_by, state.version), (0, 3));
    assert_eq!((state.run_at, state.updated_at), (stage.now(), stage.now()));
    assert_eq!(stage.take().await.task.id, waiting.id);
}

/// Its own `run_at` still stands.
pub async fn a_freed_task_still_waits_for_its_run_at(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = stage.task("parent").await;
    let run_at = stage.after(60.0);
    let later = NewTask { run_at, ..child(&stage, &[parent.id]) };
    let later = stage.create(later).await;
    stage.set(parent.id, Status::Completed).await;
    assert_eq!(stage.read(later.id).await.state.run_at, run_at);
    assert_eq!(stage.claim(stage.wish(1)).await, []);
    stage.pass(60.0);
    assert_eq!(stage.take().await.task.id, later.id);
}

/// What one call frees the same call may hand out.
pub async fn a_sync_hands_out_what_its_finish_freed(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = stage.task("parent").await;
    let waiting = stage.create(child(&stage, &[parent.id])).await;
    let held = stage.take().await;
    let finish = crate::FinishTask { id: parent.id, token: held.token, finish: done() };
    let sync = Sync { finish: vec![finish], claim: Some(stage.wish(5)), ..Sync::default() };
    let synced = stage.sync(sync).await;
    assert!(synced.claimed.iter().map(|c| c.task.id).eq([waiting.id]));
    assert_eq!(synced.ready, []);
}

/// A retry is no end.
pub async fn a_parent_that_is_tried_again_keeps_its_children_waiting(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = stage.task("parent").await;
    let waiting = stage.create(child(&stage, &[parent.id])).await;
    let held = stage.take().await;
    stage.end(&held, failed("once")).await;
    assert_eq!(stage.read(waiting.id).await, waiting);
    stage.pass(30.0);
    let held = stage.take().await;
    stage.end(&held, done()).await;
    assert_eq!(stage.read(waiting.id).await.state.blocked_by, 0);
}

/// Whatever ended it: a worker, a person, the reaper or a claim.
pub async fn a_lost_parent_cancels_its_children(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let soon = Terms { expires_at: Some(stage.after(10.0)), ..Terms::default() };
    for terms in [Terms::default(), Terms::default(), soon.clone(), soon] {
        let parent = stage.create(NewTask { terms, ..stage.plan("parent") }).await;
        stage.create(child(&stage, &[parent.id])).await;
    }
    let held = stage.take().await;
    stage.end(&held, failed_for_good("no")).await;
    stage.set(id(3), Status::Cancelled).await;
    stage.pass(10.0);
    let swept = stage.store.expire(stage.now(), 1).await.expect("expire works").items;
    assert!(swept.iter().map(|e| e.id).eq([id(5)]));
    assert_eq!(stage.claim(stage.wish(1)).await, []);
    for n in [2, 4, 6, 8] {
        let state = stage.read(id(n)).await.state;
        let reason = format!("task {}, which it waits for, did not complete", n - 1);
        assert_eq!((state.status, state.cancel_reason), (Status::Cancelled, Some(reason)));
    }
    assert_eq!(stage.counts().await, [0, 0, 0, 1, 7]);
}

/// However long the chain.
pub async fn losses_go_down_to_the_last_descendant(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("root").await;
    let links = 1_000;
    let chain = (1..=links).map(|n| child(&stage, &[id(n)])).collect();
    stage.insert(chain).await;
    stage.set(id(1), Status::Failed).await;
    assert_eq!(stage.counts().await, [0, 0, 0, 1, 1_000]);
    let last = stage.read(id(links + 1)).await.state;
    let reason = "task 1000, which it waits for, did not complete";
    assert_eq!(last.cancel_reason.as_deref(), Some(reason));
}

/// A task that loses several parents at once names the one that is nearest to the loss.
pub async fn the_nearest_lost_parent_is_the_reason(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("root").await;
    // Two arms of two tasks below the root, and two tasks that wait for both arms.
    let below: [&[i64]; 6] = [&[1], &[1], &[2], &[3], &[4, 3], &[2, 5]];
    for parents in below {
        let parents: Vec<TaskId> = parents.iter().map(|n| id(*n)).collect();
        stage.create(child(&stage, &parents)).await;
    }
    stage.set(id(1), Status::Cancelled).await;
    for (n, parent) in [(2, 1), (3, 1), (4, 2), (5, 3), (6, 3), (7, 2)] {
        let reason = format!("task {parent}, which it waits for, did not complete");
        assert_eq!(stage.read(id(n)).await.state.cancel_reason, Some(reason), "task {n}");
    }
}

/// It ended by another hand, so its parents are nothing to it any more.
pub async fn a_child_that_has_ended_is_left_alone(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = stage.task("parent").await;
    let completed = stage.create(child(&stage, &[parent.id])).await;
    let cancelled = stage.create(child(&stage, &[parent.id])).await;
    let completed = stage.set(completed.id, Status::Completed).await;
    let cancelled = stage.set(cancelled.id, Status::Cancelled).await;
    stage.pass(1.0);
    stage.set(parent.id, Status::Failed).await;
    assert_eq!(stage.read(completed.id).await, completed);
    assert_eq!(stage.read(cancelled.id).await, cancelled);
}

/// A person's explicit act: whatever becomes of the parents.
pub async fn a_retried_child_waits_for_nobody(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = stage.task("parent").await;
    let waiting = stage.create(child(&stage, &[parent.id])).await;
    stage.set(waiting.id, Status::Cancelled).await;
    let retried = stage.set(waiting.id, Status::Pending).await;
    assert_eq!((retried.state.blocked_by, &retried.depends_on), (0, &waiting.depends_on));
    stage.set(parent.id, Status::Cancelled).await;
    assert_eq!(stage.read(waiting.id).await, retried);
    assert_eq!(stage.take().await.task.id, waiting.id);
    assert_eq!(stage.delete(parent.id).await, Deleted::Done);
}

/// Its parents are nothing to it any more: they cannot end it, and a release leaves it ready.
pub async fn a_task_that_a_person_starts_waits_for_nobody(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let (a, b) = (stage.task("a").await, stage.task("b").await);
    let started = stage.create(child(&stage, &[a.id, b.id])).await;
    let started = stage.set(started.id, Status::InProgress).await;
    stage.set(a.id, Status::Cancelled).await;
    assert_eq!(stage.read(started.id).await, started);
    assert_eq!(stage.delete(b.id).await, Deleted::Done);
    let released = stage.set(started.id, Status::Pending).await;
    assert_eq!(released.state.blocked_by, 0);
    assert_eq!(stage.take().await.task.id, started.id);
}

/// What it did once stays done: children born afterwards wait for it, the old ones do not.
pub async fn a_retried_parent_blocks_later_children_only(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = stage.task("parent").await;
    let old = stage.create(child(&stage, &[parent.id])).await;
    stage.set(parent.id, Status::Completed).await;
    stage.set(parent.id, Status::Pending).await;
    assert_eq!(stage.read(old.id).await.state.blocked_by, 0);
    let young = stage.create(child(&stage, &[parent.id])).await;
    assert_eq!(young.state.blocked_by, 1);
    stage.set(parent.id, Status::Completed).await;
    assert_eq!(stage.read(young.id).await.state.blocked_by, 0);
}

/// The oldest that waits is named; one that has ended does not count.
pub async fn a_task_that_others_wait_for_cannot_be_deleted(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.task("parent").await;
    stage.task("other").await;
    for _ in 0..3 {
        stage.create(child(&stage, &[id(1), id(2)])).await;
    }
    assert_eq!(stage.delete(id(1)).await, Deleted::HasDependant(id(3)));
    stage.delete(id(3)).await;
    stage.set(id(4), Status::Cancelled).await;
    assert_eq!(stage.delete(id(1)).await, Deleted::HasDependant(id(5)));
    stage.set(id(1), Status::Completed).await;
    assert_eq!(stage.delete(id(1)).await, Deleted::Done);
    let orphan = stage.read(id(5)).await;
    assert_eq!((&orphan.depends_on[..], orphan.state.blocked_by), (&[id(1), id(2)][..], 1));
    assert_eq!(stage.delete(id(2)).await, Deleted::HasDependant(id(5)));
    let batch = [5, 2].map(|n| Delete { id: id(n), if_version: None }).to_vec();
    let answers = stage.store.delete(stage.tenant, batch, stage.now()).await.expect("delete works");
    assert_eq!(answers.items, [Deleted::Done, Deleted::Done]);
}

/// The edges are as durable as the tasks.
pub async fn tasks_still_wait_after_reopening(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let (a, b) = (stage.task("a").await, stage.task("b").await);
    let freed = stage.create(child(&stage, &[a.id])).await;
    let lost = stage.create(child(&stage, &[b.id])).await;
    let stage = stage.reopen(h).await;
    assert_eq!(stage.read(freed.id).await, freed);
    stage.set(a.id, Status::Completed).await;
    stage.set(b.id, Status::Cancelled).await;
    assert_eq!(stage.read(freed.id).await.state.blocked_by, 0);
    assert_eq!(stage.read(lost.id).await.state.status, Status::Cancelled);
}

/// Both run out of time at the same instant: the one that waits goes with the one that it waits for.
pub async fn a_child_whose_time_ends_with_its_parent_s_is_cancelled_with_it(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let bound = |title: &str| NewTask {
        terms: Terms { deadline_at: Some(stage.after(5.0)), ..Terms::default() },
        ..stage.plan(title)
    };
    let parent = stage.create(bound("parent")).await;
    let child = NewTask { depends_on: vec![parent.id], ..bound("child") };
    let child = stage.create(child).await;
    stage.pass(5.0);
    let expired = stage.expire().await;
    assert_eq!(expired.iter().map(|e| e.id).collect::<Vec<_>>(), [parent.id]);
    assert_eq!(stage.read(parent.id).await.state.status, Status::Failed);
    assert_eq!(stage.read(child.id).await.state.status, Status::Cancelled);
    assert_eq!(stage.counts().await, [0, 0, 0, 1, 1]);
}
