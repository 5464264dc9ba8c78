//! Cases of unique keys: at most one live task per tenant, queue and key.

use taskflow_core::retention::Periods;
use taskflow_core::task::OnConflict;
use taskflow_core::{Finish, NewTask, Retention, Status, TaskPatch, Terms};

use super::harness::Harness;
use super::stage::{KIND, Stage, done, failed_for_good, id, kind, patch, queue, to, unique};
use crate::{Deleted, Edit, Edited, Filter, Inserted, Ready};

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

/// By deletion or by its age: the key is that of the task that holds it now.
pub async fn the_end_of_an_older_holder_frees_nobody_s_key(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let offer = async || stage.offer(keyed(&stage, "next", OnConflict::Reject)).await;
    let mut born = Vec::new();
    for finish in [failed_for_good("no"), done()] {
        born.push(stage.create(keyed(&stage, "older", OnConflict::Reject)).await.id);
        let held = stage.take().await;
        stage.end(&held, finish).await;
    }
    let holder = stage.create(keyed(&stage, "holder", OnConflict::Reject)).await.id;
    assert_eq!(stage.delete(born[0]).await, Deleted::Done);
    assert_eq!(offer().await, Inserted::KeyHeld(holder));
    stage.pass(1.0);
    let everywhere = Periods { completed: Some(1), ..Periods::default() };
    let retention = Retention { everywhere, ..Retention::default() };
    let pruned = stage.store.prune(&retention, stage.now(), 10).await.expect("prune works");
    assert_eq!((pruned.deleted, stage.find(born[1]).await), (1, None));
    assert_eq!(offer().await, Inserted::KeyHeld(holder));
    assert_eq!(stage.delete(holder).await, Deleted::Done);
    assert!(matches!(offer().await, Inserted::Created(_)));
}

/// Whatever becomes of it; to every other one the key is held all the while.
pub async fn a_task_never_meets_its_own_key(h: &dyn Harness) {
    let mut stage = Stage::open(h).await;
    let terms = Terms { max_attempts: 2, ..Terms::default() };
    let task = NewTask { terms, ..keyed(&stage, "mine", OnConflict::Reject) };
    let task = stage.create(task).await.id;
    let again = Finish::Failed { error: "no".into(), retryable: true, retry_after: Some(0.0) };
    let ends = [Some(again), Some(Finish::Snoozed { delay: 1.0 }), Some(Finish::Released), None];
    for _ in 0..2 {
        for end in ends.clone() {
            let held = stage.take().await;
            assert_eq!(held.task.id, task);
            for on_conflict in [OnConflict::Reject, OnConflict::Replace] {
                let other = stage.offer(keyed(&stage, "other", on_conflict)).await;
                assert_eq!(other, Inserted::KeyHeld(task), "while it runs");
            }
            match end {
                Some(finish) => {
                    stage.end(&held, finish).await;
                }
                None => {
                    stage.pass(30.0);
                    assert_eq!(stage.expire().await[0].status, Status::Failed, "used up");
                    assert_eq!(stage.set(task, Status::Pending).await.id, task);
                }
            }
            let moved = TaskPatch {
                title: Some(format!("at {}", stage.now().micros())),
                run_at: Some(stage.after(1.0)),
                ..TaskPatch::default()
            };
            assert!(matches!(stage.change(patch(task, moved)).await, Edited::Done(_)));
            let other = stage.offer(keyed(&stage, "other", OnConflict::Reject)).await;
            assert_eq!(other, Inserted::KeyHeld(task), "while it waits");
            let other = stage.offer(keyed(&stage, "other", OnConflict::Return)).await;
            assert_eq!(other, Inserted::Existing(Box::new(stage.read(task).await)));
            stage.pass(1.0);
        }
        stage.set(task, Status::Cancelled).await;
        let rerun = TaskPatch { rerun: true, ..TaskPatch::default() };
        assert!(matches!(stage.change(patch(task, rerun)).await, Edited::Done(_)));
        stage = stage.reopen(h).await;
    }
    assert_eq!(stage.counts().await, [1, 0, 0, 0, 0]);
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
    for on_conflict in [OnConflict::Return, OnConflict::Reject, OnConflict::Replace] {
        let creates = (0..20).map(|n| {
            let stage = stage.clone();
            let new = keyed(&stage, &format!("t{n}"), on_conflict);
            tokio::spawn(async move { stage.offer(new).await })
        });
        let (mut created, mut met, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
        for create in creates.collect::<Vec<_>>() {
            match create.await.expect("a create does not panic") {
                Inserted::Created(task) => created.push(task.id),
                Inserted::Existing(task) => {
                    assert_eq!(stage.read(task.id).await, *task);
                    met.push((OnConflict::Return, task.id));
                }
                Inserted::KeyHeld(id) => met.push((OnConflict::Reject, id)),
                Inserted::Replaced { cancelled, .. } => replaced.push(cancelled),
                other => panic!("not expected: {other:?}"),
            }
        }
        let [first] = created[..] else { panic!("one is created: {created:?}") };
        let tasks = stage.list(Filter::default(), 0, 100).await;
        let (live, mut ended): (Vec<_>, Vec<_>) =
            tasks.into_iter().partition(|task| task.state.status == Status::Pending);
        assert_eq!(live.len(), 1);
        if on_conflict == OnConflict::Replace {
            ended.sort_unstable_by_key(|task| task.id);
            replaced.sort_unstable();
            assert!(ended.iter().map(|task| task.id).eq(replaced), "each replaced another one");
            assert_eq!((ended.len(), live[0].id > first), (19, true));
        } else {
            assert_eq!((met, live[0].id), (vec![(on_conflict, first); 19], first));
            stage.delete(first).await;
        }
    }
}

/// The keys are as durable as the tasks.
pub async fn keys_are_held_after_reopening(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    stage.create(keyed(&stage, "first", OnConflict::Return)).await;
    let stage = stage.reopen(h).await;
    let second = keyed(&stage, "second", OnConflict::Reject);
    assert_eq!(stage.offer(second).await, Inserted::KeyHeld(id(1)));
}
