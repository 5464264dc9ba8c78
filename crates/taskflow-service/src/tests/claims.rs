//! Claims that wait: woken at once, empty in time, one task each.

use std::collections::BTreeSet;
use std::time::Duration;

use taskflow_core::{Finish, NewTask, Status, TaskPatch, Terms};
use taskflow_store::{Extend, Finished};
use tokio::time::Instant;

use super::{Claimer, LONG, NEVER, Stage, id, one, retry, soon, until, worker_name};
use crate::work::{Beat, Report, Want};
use crate::{Actor, ServiceError};

/// Joins a claimer that must have got exactly one task; its id and when it got it.
async fn got(claimer: Claimer) -> (i64, Instant) {
    let (claimed, when) = soon(claimer).await;
    assert_eq!(claimed.len(), 1);
    (claimed[0].task.id.get(), when)
}

#[tokio::test(start_paused = true)]
async fn a_create_wakes_a_parked_claim_at_once() {
    let stage = Stage::simulated(NEVER);
    let claimer = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    let created = Instant::now();
    let task = stage.create("a").await;
    assert_eq!(got(claimer).await, (task.get(), created), "in the same instant");
    assert_eq!(stage.services.bus.waiting(), 0);
}

#[tokio::test]
async fn a_create_wakes_a_parked_claim_at_once_on_disk() {
    let (stage, _folder) = Stage::on_disk(NEVER);
    let claimer = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    let task = stage.create("a").await;
    assert_eq!(got(claimer).await.0, task.get());
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_empty_in_time() {
    let stage = Stage::simulated(NEVER);
    let started = Instant::now();
    let claimed = stage.claim(one(&["a"], Duration::from_secs(20))).await.unwrap();
    assert!(claimed.is_empty());
    let waited = started.elapsed();
    assert!((20.0..20.1).contains(&waited.as_secs_f64()), "waited {waited:?}");
    assert_eq!(stage.services.bus.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_without_a_wait_takes_no_place_and_answers_at_once() {
    let stage = Stage::simulated(NEVER);
    let started = Instant::now();
    assert!(stage.claim(one(&["a"], Duration::ZERO)).await.unwrap().is_empty());
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(stage.store.claims(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_claim_looks_by_itself_once_per_poll_interval() {
    let stage = Stage::simulated(Duration::from_secs(1));
    assert!(stage.claim(one(&["a"], Duration::from_secs(60))).await.unwrap().is_empty());
    let looks = stage.store.claims();
    assert!((58..=62).contains(&looks), "{looks} looks in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_poll_finds_what_no_wake_up_told() {
    let stage = Stage::simulated(Duration::from_secs(1));
    let claimer = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    let stored = Instant::now();
    stage.slip_in("a", 1).await;
    let (_, when) = got(claimer).await;
    assert!(when - stored <= Duration::from_millis(1001), "after {:?}", when - stored);
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_for_one_kind_leaves_those_who_want_another_asleep() {
    let stage = Stage::simulated(NEVER);
    let other = stage.claimer(one(&["b"], LONG));
    stage.waiting(1).await;
    let claimer = stage.claimer(one(&["a"], LONG));
    stage.waiting(2).await;
    let before = stage.store.claims();
    stage.create("a").await;
    got(claimer).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.store.claims() - before, 1, "only the one that was woken asked again");
    assert!(!other.is_finished());
    assert_eq!(stage.services.bus.waiting(), 1);
    other.abort();
    stage.waiting(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_parked_claimers_get_two_hundred_tasks() {
    let (stage, _folder) = Stage::on_disk(NEVER);
    let claimers: Vec<_> = (0..200).map(|_| stage.claimer(one(&["a"], LONG))).collect();
    stage.waiting(200).await;
    let mut creating = Vec::new();
    for _ in 0..200 {
        let (tasks, new) = (stage.services.tasks.clone(), stage.new_task("a"));
        creating.push(tokio::spawn(async move { tasks.create(Actor::DEFAULT, new).await }));
    }
    let mut created = BTreeSet::new();
    for one in creating {
        created.insert(one.await.unwrap().unwrap().task.id.get());
    }
    let mut claimed = BTreeSet::new();
    for claimer in claimers {
        let (task, _) = got(claimer).await;
        assert!(claimed.insert(task), "task {task} was handed out twice");
    }
    assert_eq!(claimed, created);
    assert_eq!(stage.services.bus.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_filled_passes_its_wake_up_on() {
    let stage = Stage::simulated(NEVER);
    // Nobody knows what another process wrote, so there is one wake-up for all of it.
    let claimers: Vec<_> = (0..50).map(|_| stage.claimer(one(&["a"], LONG))).collect();
    stage.waiting(50).await;
    stage.slip_in("a", 49).await;
    stage.services.bus.wake_each_wish();
    until(|| claimers.iter().filter(|c| c.is_finished()).count() == 49).await;
    stage.waiting(1).await;
    for claimer in claimers {
        claimer.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_not_filled_keeps_its_wake_up() {
    let stage = Stage::simulated(NEVER);
    let first = stage.claimer(Want { limit: 10, ..one(&["a"], LONG) });
    stage.waiting(1).await;
    let second = stage.claimer(one(&["a"], LONG));
    stage.waiting(2).await;
    let before = stage.store.claims();
    stage.create("a").await;
    assert_eq!(soon(first).await.0.len(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.store.claims() - before, 1, "nothing was left for the second one");
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stop_sends_waiting_claims_home() {
    let stage = Stage::simulated(NEVER);
    let claimers: Vec<_> = (0..10).map(|_| stage.claimer(one(&["a"], LONG))).collect();
    stage.waiting(10).await;
    let closed = Instant::now();
    stage.services.bus.close();
    for claimer in claimers {
        let (claimed, when) = soon(claimer).await;
        assert!(claimed.is_empty());
        assert_eq!(when, closed);
    }
    assert_eq!(stage.services.bus.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_finishes_and_waits_is_answered_for_both() {
    let stage = Stage::simulated(NEVER);
    stage.create("a").await;
    let held = stage.claim(one(&["a"], Duration::ZERO)).await.unwrap().remove(0);
    let report = Report {
        finish: vec![taskflow_store::FinishTask {
            id: held.task.id,
            token: held.token,
            finish: Finish::Completed { result: None },
        }],
        want: Some(one(&["a"], LONG)),
        ..Report::default()
    };
    let work = stage.services.work.clone();
    let syncing =
        tokio::spawn(async move { work.sync(Actor::DEFAULT, &worker_name(), report).await });
    stage.waiting(1).await;
    stage.task_is(held.task.id, |task| task.state.status == Status::Completed).await;
    let next = stage.create("a").await;
    let synced = syncing.await.unwrap().unwrap();
    assert!(matches!(&synced.finished[..], [Finished::Done(_)]));
    assert_eq!(synced.claimed[0].task.id, next);
}

#[tokio::test(start_paused = true)]
async fn a_finished_parent_wakes_a_claim_for_its_child() {
    let stage = Stage::simulated(NEVER);
    let parent = stage.create("a").await;
    let child = NewTask { depends_on: vec![parent], ..stage.new_task("b") };
    let child = stage.create_as(child).await;
    let claimer = stage.claimer(one(&["b"], LONG));
    stage.waiting(1).await;
    let held = stage.claim(one(&["a"], Duration::ZERO)).await.unwrap().remove(0);
    stage.finish(&held, Finish::Completed { result: None }).await;
    assert_eq!(got(claimer).await.0, child.get());
}

#[tokio::test(start_paused = true)]
async fn a_stale_token_is_told_what_became_of_its_task() {
    let stage = Stage::simulated(NEVER);
    let work = &stage.services.work;
    let done = Finish::Completed { result: None };
    let claim = async || stage.claim(one(&["a"], Duration::ZERO)).await.unwrap().remove(0);
    let extend = |held: &taskflow_store::Claimed| Extend {
        id: held.task.id,
        token: held.token,
        progress: None,
        checkpoint: None,
    };

    let terms = Terms { max_attempts: 1, ..Terms::default() };
    let lost = stage.create_as(NewTask { terms, ..stage.new_task("a") }).await;
    let held = claim().await;
    assert!(beat(&stage, extend(&held)).await.unwrap().is_some());
    stage.finish(&held, retry("no")).await;
    let late = work.finish(Actor::DEFAULT, lost, held.token, done.clone()).await;
    assert!(matches!(late, Err(ServiceError::LeaseLost(id)) if id == lost));
    let late = beat(&stage, extend(&held)).await;
    assert!(matches!(late, Err(ServiceError::LeaseLost(id)) if id == lost));

    let cancelled = stage.create("a").await;
    let held = claim().await;
    let patch = TaskPatch { status: Some(Status::Cancelled), ..TaskPatch::default() };
    stage.services.tasks.edit(Actor::DEFAULT, cancelled, None, patch).await.unwrap();
    let late = work.finish(Actor::DEFAULT, cancelled, held.token, done.clone()).await;
    assert!(matches!(late, Err(ServiceError::Cancelled(id)) if id == cancelled));
    assert_eq!(beat(&stage, extend(&held)).await.unwrap(), None);

    let deleted = stage.create("a").await;
    let held = claim().await;
    stage.services.tasks.delete(Actor::DEFAULT, deleted, None).await.unwrap();
    let late = work.finish(Actor::DEFAULT, deleted, held.token, done.clone()).await;
    assert!(matches!(late, Err(ServiceError::NotFound(id)) if id == deleted));
    let late = beat(&stage, extend(&held)).await;
    assert!(matches!(late, Err(ServiceError::NotFound(id)) if id == deleted));
    let late = work.finish(Actor::DEFAULT, id(999), held.token, done).await;
    assert!(matches!(late, Err(ServiceError::NotFound(_))));
}

async fn beat(stage: &Stage, extend: Extend) -> Result<Option<Beat>, ServiceError> {
    let services = &stage.services;
    services.onces.plain(Actor::DEFAULT, services.work.heartbeat(Actor::DEFAULT, extend)).await
}
