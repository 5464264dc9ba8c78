//! Cases of what is told to whoever watches: everything that commits, in order, and nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use taskflow_core::task::{OnConflict, Progress};
use taskflow_core::workers::Call;
use taskflow_core::{
    Change, Finish, Instance, NewTask, QueuePatch, Status, Task, TaskChange, TaskEvent, TaskId,
    TaskPatch, TenantId,
};

use super::harness::Harness;
use super::stage::{Stage, done, failed, failed_for_good, patch, queue, to, token, unique, worker};
use crate::{
    AllInserted, Changes, Delete, Deleted, Drain, Edit, Edited, Extend, Finished, Heard, Inserted,
    Sighting, Sync, Told,
};

/// Far longer than anything takes that is told at all.
const SOON: Duration = Duration::from_secs(30);

/// Somebody who watches.
struct Watcher {
    changes: Changes,
    /// What was heard together with what was asked for.
    heard: VecDeque<Told>,
}

impl Watcher {
    async fn of(stage: &Stage) -> Self {
        let changes = stage.store.changes();
        stage.store.watch(SOON).await.expect("watch works");
        Self { changes, heard: VecDeque::new() }
    }

    async fn next(&mut self) -> Told {
        loop {
            if let Some(told) = self.heard.pop_front() {
                return told;
            }
            let heard = tokio::time::timeout(SOON, self.changes.recv()).await;
            match heard.expect("something is told").expect("the store is there") {
                Heard::Changes(told) => self.heard.extend(told.iter().cloned()),
                Heard::Missed => panic!("a store that runs well misses nothing"),
            }
        }
    }

    async fn task(&mut self) -> TaskChange {
        match self.next().await.change {
            Change::Task(change) => *change,
            other => panic!("not of a task: {other:?}"),
        }
    }

    /// The next changes, as the words of their events and their tasks.
    async fn next_are<const N: usize>(&mut self, right: [(TaskEvent, TaskId); N]) {
        for (at, right) in right.into_iter().enumerate() {
            let told = self.task().await;
            assert_eq!((told.event, told.id), right, "change {at}");
        }
    }

    /// Nothing was told that was not asked about.
    async fn nothing_more(&mut self, stage: &Stage) {
        let last = stage.task("the end").await;
        self.next_are([(TaskEvent::Created, last.id)]).await;
    }
}

/// What a change must tell of a task as it is.
fn told_of(stage: &Stage, task: &Task, event: TaskEvent) -> TaskChange {
    let lane = (&task.queue, &task.kind);
    let of = TaskChange::of(task.id, lane, event, &task.state, stage.now());
    TaskChange { tags: task.tags.clone(), ..of }
}

fn tagged(stage: &Stage, title: &str) -> NewTask {
    NewTask { tags: vec!["a".into(), "b\"\u{1f980}".into()], ..stage.plan(title) }
}

/// With all that a filter looks at; a heartbeat that says nothing new is no event.
pub async fn a_task_s_life_is_told_in_order_as_it_stands_after_each_commit(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let mut watcher = Watcher::of(&stage).await;
    let task = stage.create(tagged(&stage, "one")).await;
    assert_eq!(watcher.task().await, told_of(&stage, &task, TaskEvent::Created));
    stage.pass(1.0);
    let held = stage.take().await;
    assert_eq!(watcher.task().await, told_of(&stage, &held.task, TaskEvent::Started));
    stage.pass(1.0);
    stage.beat(task.id, held.token).await;
    let progress = Some(Progress { percent: 12.5, message: Some("half \"way\"".into()) });
    let extend = Extend { id: task.id, token: held.token, progress, checkpoint: None };
    stage.sync(Sync { extend: vec![extend], ..Sync::default() }).await;
    assert_eq!(
        watcher.task().await,
        told_of(&stage, &stage.read(task.id).await, TaskEvent::Progress)
    );
    stage.end(&held, done()).await;
    assert_eq!(
        watcher.task().await,
        told_of(&stage, &stage.read(task.id).await, TaskEvent::Completed)
    );
    stage.pass(1.0);
    // The same end once more is the same answer and no event.
    assert!(matches!(stage.finish(task.id, held.token, done()).await, Finished::Done(_)));
    watcher.nothing_more(&stage).await;
}

/// An idle store owes nobody anything.
pub async fn what_was_committed_before_somebody_watched_is_not_told(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("before").await;
    let mut watcher = Watcher::of(&stage).await;
    stage.set(task.id, Status::Cancelled).await;
    watcher.next_are([(TaskEvent::Cancelled, task.id)]).await;
    watcher.nothing_more(&stage).await;
}

/// Whatever brought it back to waiting.
pub async fn every_way_back_to_waiting_is_told_as_a_retry(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let mut watcher = Watcher::of(&stage).await;
    let task = stage.task("one").await;
    watcher.next_are([(TaskEvent::Created, task.id)]).await;
    let started = (TaskEvent::Started, task.id);
    let retried = (TaskEvent::Retried, task.id);
    for end in [failed("once"), Finish::Released, Finish::Snoozed { delay: 1.0 }] {
        let held = stage.take().await;
        stage.end(&held, end).await;
        watcher.next_are([started, retried]).await;
        stage.pass(1000.0);
    }
    stage.take().await;
    stage.pass(1000.0);
    assert_eq!(stage.expire().await.len(), 1);
    watcher.next_are([started, retried]).await;
    stage.pass(1000.0);
    let held = stage.take().await;
    stage.end(&held, failed_for_good("over")).await;
    watcher.next_are([started, (TaskEvent::Failed, task.id)]).await;
    stage.set(task.id, Status::Pending).await;
    watcher.next_are([retried]).await;
    let held = stage.take().await;
    let released = stage.store.release(stage.tenant, worker("w1"), 10, stage.now()).await;
    assert_eq!(released.expect("release works").items, [held.task.id]);
    watcher.next_are([started, retried]).await;
    watcher.nothing_more(&stage).await;
}

/// A deleted one with the tags that it had.
pub async fn edits_and_deletes_are_told(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let mut watcher = Watcher::of(&stage).await;
    let task = stage.create(tagged(&stage, "one")).await;
    watcher.next_are([(TaskEvent::Created, task.id)]).await;
    let edit = TaskPatch { tags: Some(vec!["new".into()]), ..TaskPatch::default() };
    stage.change(patch(task.id, edit.clone())).await;
    assert_eq!(
        watcher.task().await,
        told_of(&stage, &stage.read(task.id).await, TaskEvent::Updated)
    );
    // Nothing of it changes.
    stage.change(patch(task.id, edit)).await;
    let last = stage.read(task.id).await;
    stage.pass(1.0);
    assert_eq!(stage.delete(task.id).await, Deleted::Done);
    assert_eq!(watcher.task().await, told_of(&stage, &last, TaskEvent::Deleted));
    watcher.nothing_more(&stage).await;
}

/// The nearest first, each as it is at the end.
pub async fn tasks_that_wait_for_others_are_told_after_them(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parents = stage.insert(vec![stage.plan("a"), stage.plan("b")]).await;
    let born = |item: &Inserted| match item {
        Inserted::Created(task) => task.id,
        other => panic!("not created: {other:?}"),
    };
    let [a, b] = [born(&parents.items[0]), born(&parents.items[1])];
    let child = |of: TaskId| NewTask { depends_on: vec![of], ..tagged(&stage, "child") };
    let child_of_a = stage.create(child(a)).await;
    let child_of_b = stage.create(child(b)).await;
    let grandchild = stage.create(child(child_of_b.id)).await;
    let mut watcher = Watcher::of(&stage).await;
    stage.set(a, Status::Completed).await;
    watcher.next_are([(TaskEvent::Completed, a)]).await;
    let freed = stage.read(child_of_a.id).await;
    assert_eq!(watcher.task().await, told_of(&stage, &freed, TaskEvent::Updated));
    stage.set(b, Status::Cancelled).await;
    let lost = [b, child_of_b.id, grandchild.id].map(|id| (TaskEvent::Cancelled, id));
    watcher.next_are(lost).await;
    watcher.nothing_more(&stage).await;
}

/// Not the parts of it that were done before it was refused either.
pub async fn what_is_refused_is_not_told(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let holder =
        stage.create(NewTask { unique: unique("k", OnConflict::Return), ..stage.plan("holder") });
    let holder = holder.await;
    let mut watcher = Watcher::of(&stage).await;
    let second = |on_conflict| NewTask { unique: unique("k", on_conflict), ..stage.plan("second") };
    assert!(matches!(stage.offer(second(OnConflict::Return)).await, Inserted::Existing(_)));
    assert_eq!(stage.offer(second(OnConflict::Reject)).await, Inserted::KeyHeld(holder.id));
    let all = vec![stage.plan("first"), second(OnConflict::Reject)];
    let refused = stage.store.insert_all(stage.tenant, all, stage.now()).await;
    assert!(matches!(refused, Ok(AllInserted::Refused { at: 1, .. })), "{refused:?}");
    // It would take the holder's place, and waits for what is lost by that.
    let depends_on = vec![holder.id];
    let lost = NewTask { depends_on, ..second(OnConflict::Replace) };
    assert_eq!(stage.offer(lost).await, Inserted::LostParent(holder.id));
    let stale = Edit { if_version: Some(99), ..to(holder.id, Status::Cancelled) };
    assert!(matches!(stage.change(stale).await, Edited::Stale(_)));
    assert_eq!(stage.finish(holder.id, token(77), done()).await, Finished::LeaseLost);
    let gone = Delete { id: holder.id, if_version: Some(99) };
    let gone = stage.store.delete(stage.tenant, vec![gone], stage.now()).await;
    assert!(matches!(gone.expect("delete works").items[..], [Deleted::Stale(_)]));
    watcher.nothing_more(&stage).await;
}

/// First who goes, then who comes; and a claim in the same commit after both.
pub async fn what_one_commit_does_is_told_in_its_order(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let holder =
        stage.create(NewTask { unique: unique("k", OnConflict::Return), ..stage.plan("holder") });
    let holder = holder.await;
    let mut watcher = Watcher::of(&stage).await;
    let second = NewTask { unique: unique("k", OnConflict::Replace), ..stage.plan("second") };
    let Inserted::Replaced { task, .. } = stage.offer(second).await else { panic!("not replaced") };
    let right = [(TaskEvent::Cancelled, holder.id), (TaskEvent::Created, task.id)];
    watcher.next_are(right).await;
    let new = vec![tagged(&stage, "served")];
    let served = stage.store.insert_and_claim(stage.tenant, new, stage.wish(9), stage.now()).await;
    let served = served.expect("insert and claim works");
    let Inserted::Created(born) = &served.inserted.items[0] else { panic!("not created") };
    assert_eq!(watcher.task().await, told_of(&stage, born, TaskEvent::Created));
    for claimed in served.synced.iter().flat_map(|synced| &synced.claimed) {
        watcher.next_are([(TaskEvent::Started, claimed.task.id)]).await;
    }
    watcher.nothing_more(&stage).await;
}

/// Every one, in order, however many.
pub async fn a_large_batch_is_told_whole(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let mut watcher = Watcher::of(&stage).await;
    let batch = (0..1000).map(|n| tagged(&stage, &format!("{n}"))).collect();
    let born = stage.insert(batch).await;
    for item in &born.items {
        let Inserted::Created(task) = item else { panic!("not created: {item:?}") };
        assert_eq!(watcher.task().await, told_of(&stage, task, TaskEvent::Created));
    }
    let held = stage.claim(stage.wish(1000)).await;
    let mut told = Vec::new();
    for _ in &held {
        told.push(watcher.task().await);
    }
    told.sort_by_key(|told| told.id);
    let right = held.iter().map(|held| told_of(&stage, &held.task, TaskEvent::Started));
    assert!(told.into_iter().eq(right), "each start is told once");
    watcher.nothing_more(&stage).await;
}

/// A setting that is as it was is none.
pub async fn changes_of_queues_and_workers_are_told(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let mut watcher = Watcher::of(&stage).await;
    let set = async || {
        let patch = QueuePatch { concurrency_limit: Some(Some(3)), ..QueuePatch::default() };
        let set = stage.store.set_queue(stage.tenant, queue("mail"), None, patch, stage.now());
        set.await.expect("set_queue works");
    };
    set().await;
    set().await;
    let process = |name: &str| Some(Instance::parse(name).expect("a good name"));
    let see = async |instance: Option<Instance>| {
        let call = Some(Call { instance, version: None });
        let (first, last) = (stage.now(), stage.now());
        let (worker, takes, node) = (worker("w9"), None, None);
        let seen = Sighting { worker, first, last, call, takes, node };
        stage.store.see(stage.tenant, vec![seen]).await.expect("see works");
    };
    see(process("p1")).await;
    stage.pass(1.0);
    see(process("p1")).await;
    stage.pass(1.0);
    see(process("p2")).await;
    for drain in [Drain::Last, Drain::Last, Drain::Resume] {
        let told = stage.store.drain(stage.tenant, vec![(worker("w9"), drain)]).await;
        told.expect("drain works");
    }
    let of_worker = Change::Worker(worker("w9"));
    let mut right = vec![Change::Queue(queue("mail"))];
    right.extend(std::iter::repeat_n(of_worker, 4));
    for right in right {
        assert_eq!(watcher.next().await, Told { tenant: stage.tenant, change: right });
    }
    watcher.nothing_more(&stage).await;
}

/// Whoever passes them on must know.
pub async fn each_change_names_its_tenant(h: &dyn Harness) {
    let ours = Stage::open(h).await;
    let theirs = ours.seen_by(TenantId(2));
    let mut watcher = Watcher::of(&ours).await;
    ours.task("ours").await;
    theirs.task("theirs").await;
    let (one, two) = (watcher.next().await, watcher.next().await);
    assert_eq!((one.tenant, two.tenant), (ours.tenant, theirs.tenant));
}
