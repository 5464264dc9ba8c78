//! Cases of unique keys: at most one live task per tenant, queue and key.

use taskflow_core::task::OnConflict;
use taskflow_core::{NewTask, Status, TaskPatch};

use super::harness::Harness;
use super::stage::{KIND, Stage, done, id, kind, patch, queue, to, unique};
use crate::{Deleted, Edit, Edited, Inserted, Ready};

/// A task with the key "k".
fn keyed(stage: &Stage, title: &str, on_conflict: OnConflict) -> NewTask {
    NewTask { unique: unique("k", on_conflict), ..stage.plan(title) }
}

/// As it is now; nothing is stored.
pub async fn return_answers_the_task_that_holds_the_key(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(keyed(&stage, "first", OnConflict::Reject)).await;
    let second = keyed(&stage, "second", OnConflict::Return);
    let answers = stage.insert(vec![second.clone()]).await;
    assert_eq!(answers.items, [Inserted::Existing(Box::new(stage.read(id(1)).await))]);
    assert_eq!(answers.ready, []);
    let held = stage.take().await;
    assert_eq!(stage.offer(second).await, Inserted::Existing(Box::new(held.task)));
    assert_eq!(stage.counts().await, [0, 1, 0, 0, 0]);
    assert_eq!(stage.task("next").await.id, id(2), "no id was used up");
}

/// Whether the holder waits or runs.
pub async fn reject_names_the_task_that_holds_the_key(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(keyed(&stage, "first", OnConflict::Return)).await;
    let second = keyed(&stage, "second", OnConflict::Reject);
    assert_eq!(stage.offer(second.clone()).await, Inserted::KeyHeld(id(1)));
    stage.take().await;
    assert_eq!(stage.offer(second).await, Inserted::KeyHeld(id(1)));
    assert_eq!(stage.counts().await, [0, 1, 0, 0, 0]);
}

/// Its history stays; it says why it went.
pub async fn replace_cancels_a_pending_holder(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(keyed(&stage, "first", OnConflict::Return)).await;
    stage.pass(1.0);
    let second = keyed(&stage, "second", OnConflict::Replace);
    let answers = stage.insert(vec![second]).await;
    let [Inserted::Replaced { task, cancelled }] = &answers.items[..] else {
        panic!("not replaced: {answers:?}");
    };
    assert_eq!((*cancelled, task.id, task.title.as_str()), (id(1), id(2), "second"));
    assert_eq!(stage.read(id(2)).await, **task);
    let first = stage.read(id(1)).await.state;
    assert_eq!((first.status, first.version), (Status::Cancelled, 2));
    assert_eq!(first.cancel_reason.as_deref(), Some("replaced"));
    assert_eq!(first.ended_at, Some(stage.now()));
    let ready = Ready { queue: queue("default"), kind: kind(KIND), run_at: stage.now() };
    assert_eq!(answers.ready, [ready]);
    assert_eq!(stage.counts().await, [1, 0, 0, 0, 1]);
}

/// Work that has begun is not thrown away.
pub async fn replace_is_refused_while_the_holder_runs(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(keyed(&stage, "first", OnConflict::Return)).await;
    let held = stage.take().await;
    let second = keyed(&stage, "second", OnConflict::Replace);
    assert_eq!(stage.offer(second).await, Inserted::KeyHeld(id(1)));
    assert_eq!(stage.read(id(1)).await, held.task);
}

/// As those of every cancelled task.
pub async fn dependants_of_a_replaced_task_are_lost(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(keyed(&stage, "first", OnConflict::Return)).await;
    let child = NewTask { depends_on: vec![id(1)], ..stage.plan("child") };
    stage.create(child).await;
    stage.offer(keyed(&stage, "second", OnConflict::Replace)).await;
    let child = stage.read(id(2)).await.state;
    assert_eq!(child.status, Status::Cancelled);
    assert_eq!(stage.counts().await, [1, 0, 0, 0, 2]);
}

/// It would wait for ever for what it cancels; so nothing happens at all.
pub async fn a_task_cannot_replace_what_it_waits_for(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let holder = stage.create(keyed(&stage, "first", OnConflict::Return)).await;
    let child = NewTask { depends_on: vec![id(1)], ..stage.plan("child") };
    let child = stage.create(child).await;
    for parent in [holder.id, child.id] {
        let second =
            NewTask { depends_on: vec![parent], ..keyed(&stage, "second", OnConflict::Replace) };
        let answers = stage.insert(vec![second]).await;
        assert_eq!(answers.items, [Inserted::LostParent(parent)]);
        assert_eq!(answers.ready, []);
    }
    assert_eq!(stage.read(holder.id).await, holder);
    assert_eq!(stage.read(child.id).await, child);
    assert_eq!(stage.counts().await, [2, 0, 0, 0, 0]);
    assert_eq!(stage.task("next").await.id, id(3));
}

/// A missing parent is a fault of the new task, whoever holds its key.
pub async fn parents_are_checked_before_the_key(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let first = stage.create(keyed(&stage, "first", OnConflict::Return)).await;
    for on_conflict in [OnConflict::Return, OnConflict::Reject, OnConflict::Replace] {
        let second = NewTask { depends_on: vec![id(9)], ..keyed(&stage, "second", on_conflict) };
        assert_eq!(stage.offer(second).await, Inserted::NoParent(id(9)));
    }
    assert_eq!(stage.read(first.id).await, first);
}

/// Each sees those before it.
pub async fn items_of_a_batch_meet_each_other_s_keys(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let batch = vec![
        keyed(&stage, "a", OnConflict::Return),
        keyed(&stage, "b", OnConflict::Return),
        keyed(&stage, "c", OnConflict::Reject),
        keyed(&stage, "d", OnConflict::Replace),
        keyed(&stage, "e", OnConflict::Return),
    ];
    let answers = stage.insert(batch).await;
    let [
        Inserted::Created(a),
        Inserted::Existing(b),
        Inserted::KeyHeld(c),
        Inserted::Replaced { task: d, cancelled },
        Inserted::Existing(e),
    ] = &answers.items[..]
    else {
        panic!("other answers: {answers:?}");
    };
    assert_eq!((a, *c, *cancelled, d), (b, id(1), id(1), e));
    assert_eq!((d.id, d.title.as_str()), (id(2), "d"));
    assert_eq!(answers.ready.len(), 1, "the first is not ready any more");
}

/// For the next create, by whatever way the holder ends.
pub async fn an_ended_or_deleted_task_gives_its_key_free(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let offer = async || stage.create(keyed(&stage, "next", OnConflict::Reject)).await;
    let first = offer().await;
    let held = stage.take().await;
    stage.end(&held, done()).await;
    let second = offer().await;
    stage.set(second.id, Status::Failed).await;
    let third = offer().await;
    stage.set(third.id, Status::Cancelled).await;
    let fourth = offer().await;
    assert_eq!(stage.delete(fourth.id).await, Deleted::Done);
    assert_eq!(offer().await.id, id(5));
    assert_eq!(stage.read(first.id).await.unique_key.as_deref(), Some("k"));
}

/// Until the other has ended; nothing of the patch is done.
pub async fn a_retry_cannot_take_a_key_that_another_holds(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let first = stage.create(keyed(&stage, "first", OnConflict::Return)).await;
    let first = stage.set(first.id, Status::Failed).await;
    let second = stage.create(keyed(&stage, "second", OnConflict::Return)).await;
    let retry = TaskPatch {
        title: Some("other".into()),
        status: Some(Status::Pending),
        ..TaskPatch::default()
    };
    let edited = stage.change(patch(first.id, retry.clone())).await;
    assert_eq!(edited, Edited::KeyHeld(second.id));
    assert_eq!(stage.read(first.id).await, first);
    let batch = vec![to(second.id, Status::Completed), patch(first.id, retry.clone())];
    let answers = stage.store.edit(stage.tenant, batch, stage.now()).await.expect("edit works");
    assert!(matches!(&answers.items[1], Edited::Done(t) if t.state.status == Status::Pending));
    let stale = Edit { if_version: Some(1), ..patch(second.id, retry.clone()) };
    assert_eq!(stage.change(stale).await, Edited::Stale(2), "the version comes first");
    assert_eq!(stage.change(patch(second.id, retry)).await, Edited::KeyHeld(first.id));
}

/// The same key elsewhere is another key, and letter case counts.
pub async fn a_key_is_unique_in_its_queue_only(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for (queue_name, key) in [("a", "k"), ("b", "k"), ("A", "k"), ("a", "K"), ("a", "k ")] {
        let new = NewTask {
            queue: queue(queue_name),
            unique: unique(key, OnConflict::Reject),
            ..stage.plan("t")
        };
        stage.create(new).await;
    }
    stage.insert(vec![stage.plan("none"), stage.plan("none")]).await;
    assert_eq!(stage.counts().await, [7, 0, 0, 0, 0]);
}

/// However many come at once, one is stored.
pub async fn of_many_creates_at_once_one_gets_the_key(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let creates = (0..20).map(|n| {
        let stage = stage.clone();
        let new = keyed(&stage, &format!("t{n}"), OnConflict::Return);
        tokio::spawn(async move { stage.offer(new).await })
    });
    let mut created = 0;
    for create in creates.collect::<Vec<_>>() {
        match create.await.expect("a create does not panic") {
            Inserted::Created(task) => created += u32::from(task.id == id(1)),
            Inserted::Existing(task) => assert_eq!(task.id, id(1)),
            other => panic!("not expected: {other:?}"),
        }
    }
    assert_eq!(created, 1);
}

/// The keys are as durable as the tasks.
pub async fn keys_are_held_after_reopening(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(keyed(&stage, "first", OnConflict::Return)).await;
    let stage = stage.reopen(h).await;
    let second = keyed(&stage, "second", OnConflict::Reject);
    assert_eq!(stage.offer(second).await, Inserted::KeyHeld(id(1)));
}
