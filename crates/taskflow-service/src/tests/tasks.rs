//! The use cases of tasks: what each answer of the store becomes, and whom a change wakes.

use std::time::Duration;

use taskflow_core::patch::Pinned;
use taskflow_core::task::{OnConflict, UniqueKey};
use taskflow_core::{Finish, NewTask, Status, TaskId, TaskPatch};
use taskflow_store::{Filter, Page, StoreError};

use super::{LONG, NEVER, Stage, at, id, one, soon};
use crate::tasks::Created;
use crate::{Actor, ServiceError};

const ME: Actor = Actor::DEFAULT;

fn to(status: Status) -> TaskPatch {
    TaskPatch { status: Some(status), ..TaskPatch::default() }
}

fn titled(title: &str) -> TaskPatch {
    TaskPatch { title: Some(title.into()), ..TaskPatch::default() }
}

fn keyed(stage: &Stage, on_conflict: OnConflict) -> NewTask {
    let unique = Some(UniqueKey { key: "k".into(), on_conflict });
    NewTask { unique, ..stage.new_task("a") }
}

async fn edit(stage: &Stage, id: TaskId, patch: TaskPatch) -> Result<(), ServiceError> {
    stage.services.tasks.edit(ME, id, None, patch).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn a_create_answers_its_task_or_the_one_that_holds_its_key() {
    let stage = Stage::simulated(NEVER);
    let tasks = &stage.services.tasks;
    let first = tasks.create(ME, keyed(&stage, OnConflict::Return)).await.unwrap();
    assert!(first.new);
    let again = tasks.create(ME, keyed(&stage, OnConflict::Return)).await.unwrap();
    assert_eq!(again, Created { task: first.task.clone(), new: false });
    let refused = tasks.create(ME, keyed(&stage, OnConflict::Reject)).await;
    assert!(matches!(refused, Err(ServiceError::KeyHeld(holder)) if holder == first.task.id));
    let replaced = tasks.create(ME, keyed(&stage, OnConflict::Replace)).await.unwrap();
    assert!(replaced.new && replaced.task.id != first.task.id);
    assert_eq!(stage.task(first.task.id).await.state.status, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_create_names_the_parent_that_it_cannot_wait_for() {
    let stage = Stage::simulated(NEVER);
    let tasks = &stage.services.tasks;
    let code = async |parent: TaskId| {
        let new = NewTask { depends_on: vec![parent], ..stage.new_task("a") };
        match tasks.create(ME, new).await {
            Err(ServiceError::Invalid(faults)) => {
                assert_eq!(faults.len(), 1);
                assert_eq!(faults[0].pointer, "/depends_on");
                assert!(faults[0].message.contains(&parent.to_string()));
                faults[0].code
            }
            other => panic!("expected faults, got {other:?}"),
        }
    };
    assert_eq!(code(id(999)).await, "no-such-task");
    let lost = stage.create("a").await;
    edit(&stage, lost, to(Status::Cancelled)).await.unwrap();
    assert_eq!(code(lost).await, "parent-ended");
}

#[tokio::test(start_paused = true)]
async fn an_edit_says_why_it_was_not_done() {
    let stage = Stage::simulated(NEVER);
    let tasks = &stage.services.tasks;
    let task = stage.create("a").await;
    assert_eq!(tasks.edit(ME, task, Some(1), titled("b")).await.unwrap().title, "b");
    let stale = tasks.edit(ME, task, Some(1), titled("c")).await;
    assert!(matches!(stale, Err(ServiceError::Stale { id, version: 2 }) if id == task));
    assert_eq!(stage.task(task).await.title, "b");
    let missing = edit(&stage, id(999), titled("c")).await;
    assert!(matches!(missing, Err(ServiceError::NotFound(n)) if n == id(999)));
    edit(&stage, task, to(Status::Completed)).await.unwrap();
    let illegal = edit(&stage, task, to(Status::Failed)).await;
    assert!(matches!(
        illegal,
        Err(ServiceError::IllegalTransition { from: Status::Completed, to: Status::Failed })
    ));
    let pinned = Pinned { kind: Some("b".into()), ..Pinned::default() };
    let faults = edit(&stage, task, TaskPatch { pinned, ..TaskPatch::default() }).await;
    assert!(matches!(faults, Err(ServiceError::Invalid(faults)) if faults[0].pointer == "/kind"));
}

#[tokio::test(start_paused = true)]
async fn a_retry_whose_key_another_task_holds_names_it() {
    let stage = Stage::simulated(NEVER);
    let ended = stage.create_as(keyed(&stage, OnConflict::Return)).await;
    edit(&stage, ended, to(Status::Cancelled)).await.unwrap();
    let holder = stage.create_as(keyed(&stage, OnConflict::Return)).await;
    let refused = edit(&stage, ended, to(Status::Pending)).await;
    assert!(matches!(refused, Err(ServiceError::KeyHeld(task)) if task == holder));
}

#[tokio::test(start_paused = true)]
async fn a_delete_says_why_it_was_not_done() {
    let stage = Stage::simulated(NEVER);
    let tasks = &stage.services.tasks;
    let parent = stage.create("a").await;
    let waits = NewTask { depends_on: vec![parent], ..stage.new_task("a") };
    let waits = stage.create_as(waits).await;
    let refused = tasks.delete(ME, parent, None).await;
    assert!(matches!(
        refused,
        Err(ServiceError::HasDependant { id, child }) if id == parent && child == waits
    ));
    let stale = tasks.delete(ME, waits, Some(9)).await;
    assert!(matches!(stale, Err(ServiceError::Stale { version: 1, .. })));
    tasks.delete(ME, waits, Some(1)).await.unwrap();
    tasks.delete(ME, parent, None).await.unwrap();
    assert!(matches!(tasks.delete(ME, parent, None).await, Err(ServiceError::NotFound(_))));
    assert!(matches!(tasks.get(ME, parent).await, Err(ServiceError::NotFound(_))));
    assert!(matches!(tasks.attempts(ME, parent).await, Err(ServiceError::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn lists_and_counts_are_the_store_s() {
    let stage = Stage::simulated(NEVER);
    let first = stage.create("a").await;
    let second = stage.create("a").await;
    edit(&stage, first, to(Status::Completed)).await.unwrap();
    let page = Page { filter: Filter::default(), before: None, skip: 0, limit: 10, now: at(0.0) };
    let listed = stage.services.tasks.list(ME, page).await.unwrap();
    assert_eq!(listed.items.iter().map(|task| task.id).collect::<Vec<_>>(), [second, first]);
    let counts = stage.services.tasks.count(ME).await.unwrap();
    assert_eq!((counts.of(Status::Pending), counts.of(Status::Completed)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_makes_a_task_ready_wakes_a_claimer() {
    let stage = Stage::simulated(NEVER);
    let wakes = async |task: TaskId, patch: TaskPatch| {
        let claimer = stage.claimer(one(&["a"], LONG));
        stage.waiting(1).await;
        edit(&stage, task, patch).await.unwrap();
        let (mut claimed, _) = soon(claimer).await;
        assert_eq!(claimed[0].task.id, task);
        claimed.remove(0)
    };
    let later = NewTask { run_at: at(9999.0), ..stage.new_task("a") };
    let task = stage.create_as(later).await;
    let now = TaskPatch { run_at: Some(at(0.0)), ..TaskPatch::default() };
    wakes(task, now).await;
    // A person takes it from the worker that holds it.
    let held = wakes(task, to(Status::Pending)).await;
    stage.finish(&held, Finish::Completed { result: None }).await;
    wakes(task, to(Status::Pending)).await;
}

#[tokio::test(start_paused = true)]
async fn a_replaced_task_wakes_nobody_twice() {
    let stage = Stage::simulated(NEVER);
    stage.create_as(NewTask { run_at: at(9999.0), ..keyed(&stage, OnConflict::Return) }).await;
    let claimer = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    let second = stage.claimer(one(&["a"], LONG));
    stage.waiting(2).await;
    let claims = stage.store.claims();
    let new = stage.create_as(keyed(&stage, OnConflict::Replace)).await;
    let (claimed, _) = soon(claimer).await;
    assert_eq!(claimed[0].task.id, new);
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The one that was woken, and the one that it passed its wake-up on to.
    assert!(stage.store.claims() - claims <= 2);
    second.abort();
}

#[test]
fn what_a_store_cannot_do_has_a_stable_code() {
    let code = |error: StoreError| ServiceError::from(error).code();
    let cause = || Box::new(std::io::Error::other("disk")) as _;
    assert_eq!(code(StoreError::Busy), "busy");
    assert_eq!(code(StoreError::Unavailable), "unavailable");
    assert_eq!(code(StoreError::Full), "storage-full");
    assert_eq!(code(StoreError::Unknown(cause())), "outcome-unknown");
    assert_eq!(code(StoreError::Failed(cause())), "internal-error");
    assert_eq!(code(StoreError::Corrupt("odd".into())), "internal-error");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_end_leaves_nothing_behind() {
    let stage = Stage::simulated(NEVER);
    let ends = &stage.services.bus.ends;
    let task = stage.services.tasks.create(ME, stage.new_task("a")).await.unwrap().task;
    let wait = || stage.services.tasks.wait(ME, task.id, LONG);
    let (one, two, ()) = tokio::join!(wait(), wait(), async {
        tokio::task::yield_now().await;
        assert_eq!(ends.waiting(), (2, 1));
        edit(&stage, task.id, to(Status::Failed)).await.unwrap();
    });
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(ends.waiting(), (0, 0));
    let gone = tokio::time::timeout(Duration::from_millis(1), async {
        let other = stage.services.tasks.create(ME, stage.new_task("b")).await.unwrap().task;
        stage.services.tasks.wait(ME, other.id, LONG).await
    });
    assert!(gone.await.is_err());
    assert_eq!(ends.waiting(), (0, 0), "who goes away leaves");
}
