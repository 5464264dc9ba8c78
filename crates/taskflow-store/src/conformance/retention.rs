//! Cases of retention: which ended tasks go, when, and what goes with them.

use std::sync::Arc;

use taskflow_core::retention::{Override, Periods};
use taskflow_core::{NewTask, QueueName, Retention, Status, Task, TaskId};

use super::harness::Harness;
use super::stage::{Stage, done, failed, failed_for_good, id, json, queue, to};
use crate::{Deleted, Pruned};
use taskflow_core::TenantId;

/// Everything that ended goes after `seconds`.
fn after(seconds: u32) -> Retention {
    let period = Some(seconds);
    let everywhere = Periods { completed: period, failed: period, cancelled: period };
    Retention { everywhere, ..Retention::default() }
}

fn own(name: &str, own: Override) -> (QueueName, Override) {
    (queue(name), own)
}

async fn prune(stage: &Stage, retention: &Retention, limit: u32) -> Pruned {
    stage.store.prune(retention, stage.now(), limit).await.expect("prune works")
}

/// A task that a worker has completed.
async fn completed(stage: &Stage, new: NewTask) -> Task {
    let task = stage.create(new).await;
    let held = stage.take().await;
    assert_eq!(held.task.id, task.id);
    stage.end(&held, done()).await;
    stage.read(task.id).await
}

async fn ended(stage: &Stage, title: &str, status: Status) -> TaskId {
    let task = stage.task(title).await;
    stage.set(task.id, status).await;
    task.id
}

async fn are_there(stage: &Stage, ids: &[TaskId]) -> Vec<bool> {
    let mut there = Vec::with_capacity(ids.len());
    for id in ids {
        there.push(stage.find(*id).await.is_some());
    }
    there
}

/// To the microsecond, and nothing that has not ended.
pub async fn ended_tasks_are_removed_when_their_time_is_over(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let old = completed(&stage, stage.plan("old")).await;
    stage.pass(0.000_001);
    let young = completed(&stage, stage.plan("young")).await;
    let waits = stage.task("waits").await;
    stage.pass(9.999_998);
    assert_eq!(prune(&stage, &after(10), 10).await, Pruned::default());
    stage.pass(0.000_001);
    assert_eq!(prune(&stage, &after(10), 10).await.deleted, 1);
    assert_eq!(are_there(&stage, &[old.id, young.id, waits.id]).await, [false, true, true]);
    stage.pass(1_000_000.0);
    assert_eq!(prune(&stage, &after(10), 10).await.deleted, 1);
    assert_eq!(prune(&stage, &after(10), 10).await, Pruned::default());
    assert_eq!(are_there(&stage, &[old.id, young.id, waits.id]).await, [false, false, true]);
}

/// Which is the default.
pub async fn what_is_kept_for_ever_stays(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = completed(&stage, stage.plan("kept")).await;
    stage.pass(100.0 * 366.0 * 86_400.0);
    assert_eq!(prune(&stage, &Retention::default(), 10).await, Pruned::default());
    assert_eq!(stage.read(task.id).await, task);
}

/// A failure may be wanted for longer than a success.
pub async fn each_status_has_its_own_period(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let mut ids = Vec::new();
    for status in [Status::Completed, Status::Failed, Status::Cancelled] {
        ids.push(ended(&stage, "ends", status).await);
    }
    let everywhere = Periods { completed: Some(10), failed: None, cancelled: Some(20) };
    let retention = Retention { everywhere, ..Retention::default() };
    let mut there = Vec::new();
    for seconds in [9.0, 1.0, 9.0, 1.0, 1_000_000.0] {
        stage.pass(seconds);
        prune(&stage, &retention, 10).await;
        there.push(are_there(&stage, &ids).await);
    }
    let wanted = [
        [true, true, true],
        [false, true, true],
        [false, true, true],
        [false, true, false],
        [false, true, false],
    ];
    assert_eq!(there, wanted);
}

/// For longer, for a shorter time, or for ever; and for one status alone.
pub async fn a_queue_may_say_otherwise(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let names = ["a", "kept", "long", "short", "z"];
    let mut ids = Vec::new();
    for name in names {
        for status in [Status::Completed, Status::Cancelled] {
            let task = stage.create(NewTask { queue: queue(name), ..stage.plan(name) }).await;
            stage.set(task.id, status).await;
            ids.push(task.id);
        }
    }
    let queues = [
        own("kept", Override { completed: Some(None), ..Override::default() }),
        own("long", Override { completed: Some(Some(100)), ..Override::default() }),
        own("short", Override { completed: Some(Some(1)), ..Override::default() }),
    ];
    let retention = Retention { queues: queues.into_iter().collect(), ..after(10) };
    stage.pass(1.0);
    assert_eq!(prune(&stage, &retention, 100).await.deleted, 1);
    assert_eq!(stage.find(ids[6]).await, None, "the completed one of the queue short");
    stage.pass(9.0);
    assert_eq!(prune(&stage, &retention, 100).await.deleted, 7);
    let left = are_there(&stage, &ids).await;
    let left: Vec<usize> = (0..ids.len()).filter(|at| left[*at]).collect();
    assert_eq!(left, [2, 4], "the completed ones of the queues kept and long");
    stage.pass(90.0);
    assert_eq!(prune(&stage, &retention, 100).await.deleted, 1);
    assert!(stage.find(ids[2]).await.is_some());
}

/// The other way round.
pub async fn a_queue_may_have_a_period_where_the_others_keep_everything(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let kept = completed(&stage, stage.plan("kept")).await;
    let new = NewTask { queue: queue("logs"), ..stage.plan("goes") };
    let goes = completed(&stage, new).await;
    let own = own("logs", Override { completed: Some(Some(0)), ..Override::default() });
    let retention = Retention { queues: [own].into_iter().collect(), ..Retention::default() };
    assert_eq!(prune(&stage, &retention, 10).await.deleted, 1);
    assert_eq!(are_there(&stage, &[kept.id, goes.id]).await, [true, false]);
}

/// By their end, not by their birth.
pub async fn the_oldest_go_first_and_a_step_stops_at_its_limit(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(stage.task(&format!("{n}")).await.id);
    }
    for at in [2, 0, 3, 1] {
        stage.pass(1.0);
        stage.set(ids[at], Status::Completed).await;
    }
    stage.pass(100.0);
    assert_eq!(prune(&stage, &after(10), 2).await, Pruned { deleted: 2, more: true });
    assert_eq!(are_there(&stage, &ids).await, [false, true, false, true]);
    assert_eq!(prune(&stage, &after(10), 1).await, Pruned { deleted: 1, more: true });
    assert_eq!(are_there(&stage, &ids).await, [false, true, false, false]);
    assert_eq!(prune(&stage, &after(10), 0).await.deleted, 0);
    assert_eq!(prune(&stage, &after(10), 2).await, Pruned { deleted: 1, more: false });
}

/// A transaction must stay short however large the payloads are.
pub async fn heavy_tasks_are_removed_a_few_at_a_time(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    // Text that no database makes smaller.
    let mut chance = 1_u64;
    let mut noise = || {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + u8::try_from(chance >> 59).expect("5 bits") % 75)
    };
    let mut batch = Vec::new();
    for _ in 0..24 {
        let text: String = std::iter::repeat_with(&mut noise).take(1_000_000).collect();
        let payload = json(&format!("\"{}\"", text.replace('\\', "/")));
        batch.push(NewTask { payload, ..stage.plan("heavy") });
    }
    for new in batch {
        let task = stage.create(new).await;
        stage.set(task.id, Status::Cancelled).await;
    }
    stage.pass(100.0);
    let first = prune(&stage, &after(10), 100).await;
    assert!((10..24).contains(&first.deleted), "{first:?}");
    assert!(first.more);
    let second = prune(&stage, &after(10), 100).await;
    assert_eq!(first.deleted + second.deleted, 24);
}

/// Over all queues and statuses, however few go at a time.
pub async fn steps_go_on_until_nothing_is_left(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for n in 0..30 {
        let new = NewTask { queue: queue(&format!("q{}", n % 5)), ..stage.plan("goes") };
        let task = stage.create(new).await;
        stage.set(task.id, [Status::Completed, Status::Failed, Status::Cancelled][n % 3]).await;
        stage.pass(1.0);
    }
    stage.pass(100.0);
    let mut deleted = 0;
    for _ in 0..100 {
        let step = prune(&stage, &after(10), 4).await;
        assert!(step.deleted <= 4, "{step:?}");
        deleted += step.deleted;
        if !step.more {
            break;
        }
    }
    assert_eq!(deleted, 30);
    assert_eq!(stage.counts().await, [0; 5]);
}

/// And nobody finds either any more.
pub async fn a_removed_task_takes_its_history_along(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = stage.task("fails").await;
    let held = stage.take().await;
    stage.end(&held, failed("once")).await;
    stage.pass(1_000.0);
    let held = stage.take().await;
    stage.end(&held, failed_for_good("twice")).await;
    stage.pass(10.0);
    assert_eq!(prune(&stage, &after(10), 10).await.deleted, 1);
    let attempts = stage.store.attempts(stage.tenant, task.id).await.expect("attempts works");
    assert_eq!(attempts, None);
    assert_eq!(stage.delete(task.id).await, Deleted::NotFound);
    let finished = stage.finish(task.id, held.token, failed_for_good("twice")).await;
    assert_eq!(finished, crate::Finished::NotFound);
}

/// After every step and after reopening.
pub async fn counts_stay_exact_while_tasks_are_removed(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    for status in [Status::Completed, Status::Failed, Status::Cancelled] {
        for _ in 0..3 {
            ended(&stage, "ends", status).await;
            stage.pass(1.0);
        }
    }
    stage.task("waits").await;
    stage.pass(10.0);
    assert_eq!(stage.counts().await, [1, 0, 3, 3, 3]);
    let mut left = 9;
    while left > 0 {
        left -= prune(&stage, &after(10), 2).await.deleted;
        assert_eq!(stage.counts().await.iter().sum::<u64>(), 1 + u64::from(left));
    }
    let stage = stage.reopen(h).await;
    assert_eq!(stage.counts().await, [1, 0, 0, 0, 0]);
}

/// Not even those of the newest tasks, and not after reopening.
pub async fn ids_are_never_used_again_after_a_removal(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    ended(&stage, "1", Status::Cancelled).await;
    ended(&stage, "2", Status::Cancelled).await;
    stage.pass(10.0);
    assert_eq!(prune(&stage, &after(10), 10).await.deleted, 2);
    let stage = stage.reopen(h).await;
    assert_eq!(stage.task("3").await.id, id(3));
}

/// Its time begins anew when it ends again.
pub async fn a_retried_task_is_not_removed(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let task = ended(&stage, "again", Status::Failed).await;
    stage.pass(100.0);
    stage.set(task, Status::Pending).await;
    assert_eq!(prune(&stage, &after(10), 10).await, Pruned::default());
    stage.set(task, Status::Completed).await;
    stage.pass(9.0);
    assert_eq!(prune(&stage, &after(10), 10).await, Pruned::default());
    stage.pass(1.0);
    assert_eq!(prune(&stage, &after(10), 10).await.deleted, 1);
}

/// As with a delete: a parent that another task waits for stays.
pub async fn a_parent_goes_when_its_children_wait_no_more(h: &dyn Harness) {
    let stage = Stage::open(h).await;
    let parent = ended(&stage, "parent", Status::Completed).await;
    stage.change(to(parent, Status::Pending)).await;
    let new = NewTask { depends_on: vec![parent], ..stage.plan("child") };
    let child = stage.create(new).await;
    stage.pass(100.0);
    assert_eq!(prune(&stage, &after(10), 10).await, Pruned::default());
    stage.set(parent, Status::Completed).await;
    stage.pass(10.0);
    assert_eq!(prune(&stage, &after(10), 10).await.deleted, 1);
    let held = stage.take().await;
    assert_eq!(held.task.id, child.id, "it waits for nobody");
}

/// The retention is the installation's, not a tenant's.
pub async fn tasks_of_every_tenant_are_removed(h: &dyn Harness) {
    let ours = Stage::open(h).await;
    let theirs = ours.seen_by(TenantId(2));
    ended(&ours, "ours", Status::Completed).await;
    ended(&theirs, "theirs", Status::Completed).await;
    theirs.task("waits").await;
    ours.pass(10.0);
    assert_eq!(prune(&ours, &after(10), 10).await.deleted, 2);
    assert_eq!(ours.counts().await, [0; 5]);
    assert_eq!(theirs.counts().await, [1, 0, 0, 0, 0]);
}

/// Nodes do not wait for each other, and nothing is counted twice.
pub async fn of_many_removals_at_once_each_task_goes_with_one(h: &dyn Harness) {
    let stage = Arc::new(Stage::open(h).await);
    let mut batch = Vec::new();
    for n in 0..200 {
        batch.push(stage.plan(&format!("{n}")));
    }
    stage.insert(batch).await;
    for n in 1..=200 {
        stage.set(id(n), Status::Completed).await;
    }
    stage.pass(100.0);
    let removals: Vec<_> = (0..8)
        .map(|_| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { prune(&stage, &after(10), 50).await.deleted })
        })
        .collect();
    let mut deleted = 0;
    for removal in removals {
        deleted += removal.await.expect("no panic");
    }
    loop {
        let step = prune(&stage, &after(10), 50).await;
        deleted += step.deleted;
        if step.deleted == 0 {
            break;
        }
    }
    assert_eq!(deleted, 200);
    assert_eq!(stage.counts().await, [0; 5]);
}
