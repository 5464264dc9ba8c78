//! Cases of two tenants on one store: for each, the other does not exist.

use taskflow_core::task::OnConflict;
use taskflow_core::{NewTask, Priority, Status, TaskPatch, TenantId, Terms};

use super::harness::Harness;
use super::stage::{Stage, done, id, patch, to, unique};
use crate::{Claim, Deleted, Edited, Extended, Filter, Finished, Inserted};

/// The stages of two tenants on one fresh store.
async fn two(h: &dyn Harness) -> (Stage, Stage) {
    let ours = Stage::open(h).await;
    let theirs = ours.seen_by(TenantId(2));
    (ours, theirs)
}

/// By no read, whatever its arguments.
pub async fn another_tenant_s_tasks_cannot_be_read(h: &dyn Harness) {
    let (ours, theirs) = two(h).await;
    let task = ours.task("ours").await;
    assert_eq!(theirs.find(task.id).await, None);
    let attempts = theirs.store.attempts(theirs.tenant, task.id).await.expect("attempts works");
    assert_eq!(attempts, None);
    for priority in [None, Some(Priority::Medium)] {
        for status in [None, Some(Status::Pending)] {
            assert_eq!(
                theirs.list(Filter { status, priority, ..Filter::default() }, 0, 10).await,
                []
            );
        }
    }
    assert_eq!(theirs.counts().await, [0; 5]);
    assert_eq!(ours.read(task.id).await, task);
}

/// The ids are the database's: no tenant gets one that another has.
pub async fn tenants_share_the_sequence_of_ids(h: &dyn Harness) {
    let (ours, theirs) = two(h).await;
    assert_eq!(ours.task("1").await.id, id(1));
    assert_eq!(theirs.task("2").await.id, id(2));
    assert_eq!(ours.task("3").await.id, id(3));
    assert_eq!((ours.counts().await[0], theirs.counts().await[0]), (2, 1));
    assert_eq!(theirs.list(Filter::default(), 0, 10).await, [theirs.read(id(2)).await]);
}

/// It is not found, right version or not.
pub async fn another_tenant_s_tasks_cannot_be_edited_or_deleted(h: &dyn Harness) {
    let (ours, theirs) = two(h).await;
    let task = ours.task("ours").await;
    let rename = TaskPatch { title: Some("theirs".into()), ..TaskPatch::default() };
    assert_eq!(theirs.change(patch(task.id, rename)).await, Edited::NotFound);
    assert_eq!(theirs.change(to(task.id, Status::Cancelled)).await, Edited::NotFound);
    assert_eq!(theirs.delete(task.id).await, Deleted::NotFound);
    assert_eq!(ours.read(task.id).await, task);
}

/// Not even with the right token.
pub async fn another_tenant_s_work_cannot_be_touched(h: &dyn Harness) {
    let (ours, theirs) = two(h).await;
    let task = ours.task("ours").await;
    assert_eq!(theirs.claim(theirs.wish(10)).await, []);
    let queues = Some(vec![task.queue.clone()]);
    assert_eq!(theirs.claim(Claim { queues, ..theirs.wish(10) }).await, []);
    let held = ours.take().await;
    assert_eq!(theirs.beat(task.id, held.token).await, Extended::NotFound);
    assert_eq!(theirs.finish(task.id, held.token, done()).await, Finished::NotFound);
    assert_eq!(ours.read(task.id).await, held.task);
}

/// Also within the same queue.
pub async fn each_tenant_claims_its_own_tasks(h: &dyn Harness) {
    let (ours, theirs) = two(h).await;
    for n in 0..3 {
        ours.task(&format!("ours {n}")).await;
        theirs.task(&format!("theirs {n}")).await;
    }
    let claimed = theirs.claim(theirs.wish(10)).await;
    assert!(claimed.iter().map(|c| c.task.title.as_str()).eq(["theirs 0", "theirs 1", "theirs 2"]));
    assert_eq!(ours.counts().await, [3, 0, 0, 0, 0]);
}

/// A task of another tenant is no parent.
pub async fn a_task_cannot_wait_for_another_tenant_s_task(h: &dyn Harness) {
    let (ours, theirs) = two(h).await;
    let task = ours.task("ours").await;
    let child = NewTask { depends_on: vec![task.id], ..theirs.plan("theirs") };
    assert_eq!(theirs.offer(child).await, Inserted::NoParent(task.id));
    assert_eq!(ours.delete(task.id).await, Deleted::Done);
}

/// Neither for a create nor for a retry.
pub async fn tenants_do_not_share_unique_keys(h: &dyn Harness) {
    let (ours, theirs) = two(h).await;
    let keyed = |on_conflict| NewTask { unique: unique("k", on_conflict), ..ours.plan("t") };
    let first = ours.create(keyed(OnConflict::Reject)).await;
    let second = theirs.create(keyed(OnConflict::Replace)).await;
    assert_eq!(ours.read(first.id).await, first);
    assert_eq!(theirs.offer(keyed(OnConflict::Reject)).await, Inserted::KeyHeld(second.id));
    ours.set(first.id, Status::Cancelled).await;
    ours.set(first.id, Status::Pending).await;
}

/// Time runs out for all of them; each sees its own counts.
pub async fn expiry_and_what_is_due_go_over_all_tenants(h: &dyn Harness) {
    let (ours, theirs) = two(h).await;
    let terms = Terms { expires_at: Some(ours.after(20.0)), ..Terms::default() };
    ours.task("runs").await;
    theirs.create(NewTask { terms, run_at: ours.after(15.0), ..theirs.plan("waits") }).await;
    ours.take().await;
    let due = ours.store.due(ours.now(), ours.after(60.0)).await.expect("due works");
    assert_eq!(due.ready.len(), 1);
    ours.pass(60.0);
    let ids: Vec<_> = ours.expire().await.iter().map(|expired| expired.id).collect();
    assert_eq!(ids, [id(1), id(2)]);
    assert_eq!(ours.counts().await, [1, 0, 0, 0, 0]);
    assert_eq!(theirs.counts().await, [0, 0, 0, 0, 1]);
}
