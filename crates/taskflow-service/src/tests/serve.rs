//! Creations that serve a claim that waits: what they hand out reaches the claimer or goes back.

use std::time::Duration;

use taskflow_core::{Status, TaskId};
use taskflow_store::QueueStore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{LONG, NEVER, Stage, one, soon, until};
use crate::tasks::Created;
use crate::work::Want;
use crate::{Actor, ServiceError};

type Creator = JoinHandle<Result<Created, ServiceError>>;

/// A creation in a task of its own: the store may hold its answer back.
fn creator(stage: &Stage, kind: &str) -> Creator {
    let (tasks, new) = (stage.services.tasks.clone(), stage.new_task(kind));
    tokio::spawn(async move { tasks.create(Actor::DEFAULT, new).await })
}

/// The task that a creation answers; one that the store holds back for long fails the test.
async fn answered(creator: Creator) -> TaskId {
    let answer = tokio::time::timeout(Duration::from_secs(30), creator).await;
    answer.expect("the store holds it back").unwrap().unwrap().task.id
}

#[tokio::test(start_paused = true)]
async fn a_creation_serves_a_waiting_claim_in_its_own_call() {
    let stage = Stage::simulated(NEVER);
    let claimer = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    let looks = stage.store.claims();
    let id = stage.create("a").await;
    assert_eq!(soon(claimer).await.0[0].task.id, id);
    assert_eq!(
        (stage.store.served(), stage.store.claims() - looks),
        (1, 1),
        "it did not ask again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_gets_nothing_from_a_creation_goes_on_waiting() {
    let stage = Stage::simulated(NEVER);
    let claimer = stage.claimer(one(&["a", "b"], LONG));
    stage.waiting(1).await;
    // The queue is paused, so that the task is stored and not handed out.
    let name = taskflow_core::QueueName::default();
    let pause = |to| taskflow_core::QueuePatch { pause: Some(to), ..Default::default() };
    let queues = &stage.services.queues;
    queues.set(Actor::DEFAULT, name.clone(), None, pause(Some(None))).await.unwrap();
    let id = stage.create("a").await;
    until(|| stage.services.bus.waiting() == 1).await;
    assert_eq!((stage.store.served(), claimer.is_finished()), (1, false));
    queues.set(Actor::DEFAULT, name, None, pause(None)).await.unwrap();
    assert_eq!(soon(claimer).await.0[0].task.id, id);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_asks_by_itself_at_that_moment_is_not_served() {
    let stage = Stage::simulated(Duration::from_secs(5));
    let old = stage.create("a").await;
    stage.store.hold();
    let claimer = stage.claimer(one(&["a"], LONG));
    until(|| stage.store.claims() == 1).await;
    // It has its place, and what it asked for by itself is on its way.
    answered(creator(&stage, "a")).await;
    stage.store.let_go();
    assert_eq!(soon(claimer).await.0[0].task.id, old);
    assert_eq!(stage.store.served(), 0, "what it got would have had to go back");
    // The same in a look between two waits.
    let waiting = stage.claimer(one(&["b"], LONG));
    stage.waiting(1).await;
    let before = stage.store.claims();
    stage.store.hold();
    until(|| stage.store.claims() > before).await;
    let new = answered(creator(&stage, "b")).await;
    assert_eq!(stage.store.served(), 0);
    stage.store.let_go();
    assert_eq!(soon(waiting).await.0[0].task.id, new);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_time_ends_while_a_creation_asks_for_it_gets_what_that_brings() {
    let stage = Stage::simulated(NEVER);
    let claimer = stage.claimer(one(&["a"], Duration::from_secs(5)));
    stage.waiting(1).await;
    stage.store.hold();
    let creator = creator(&stage, "a");
    until(|| stage.store.served() == 1).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    stage.store.let_go();
    assert_eq!(soon(claimer).await.0.len(), 1);
    answered(creator).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_that_went_away_was_woken_for_is_told_to_the_next() {
    let stage = Stage::simulated(NEVER);
    let gone = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    let next = stage.claimer(one(&["a", "b"], LONG));
    stage.waiting(2).await;
    // Paused while it is created, so that the creation brings nothing; then resumed without a word.
    let name = taskflow_core::QueueName::default();
    let pause = |to| taskflow_core::QueuePatch { pause: Some(to), ..Default::default() };
    let (store, now) = (&stage.store, stage.clock.now());
    let tenant = taskflow_core::TenantId::DEFAULT;
    store.set_queue(tenant, name.clone(), None, pause(Some(None)), now).await.unwrap();
    stage.store.hold();
    let creator = creator(&stage, "a");
    until(|| stage.store.served() == 1).await;
    store.set_queue(tenant, name, None, pause(None), now).await.unwrap();
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    stage.store.let_go();
    let id = answered(creator).await;
    assert_eq!(soon(next).await.0[0].task.id, id);
}

#[tokio::test(start_paused = true)]
async fn what_a_creation_took_for_a_claim_that_went_away_goes_back() {
    let stage = Stage::simulated(NEVER);
    let claimer = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    stage.store.hold();
    let creator = creator(&stage, "a");
    until(|| stage.store.served() == 1).await;
    claimer.abort();
    assert!(claimer.await.unwrap_err().is_cancelled());
    stage.store.let_go();
    let id = answered(creator).await;
    let back = |task: &taskflow_core::Task| task.state.status == Status::Pending;
    let task = stage.task_is(id, back).await;
    assert_eq!((task.state.attempt, task.state.attempts_used()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_creator_that_goes_away_takes_nothing_from_the_claim() {
    let stage = Stage::simulated(NEVER);
    let claimer = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    stage.store.hold();
    let creator = creator(&stage, "a");
    until(|| stage.store.served() == 1).await;
    creator.abort();
    assert!(creator.await.unwrap_err().is_cancelled());
    stage.store.let_go();
    assert_eq!(soon(claimer).await.0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn creations_that_run_at_once_share_their_commits_and_wake_the_claim() {
    let stage = Stage::simulated(NEVER);
    let claimer = stage.claimer(Want { limit: 2, ..one(&["a"], LONG) });
    let other = stage.claimer(one(&["b"], LONG));
    stage.waiting(2).await;
    stage.store.hold();
    let first = creator(&stage, "a");
    until(|| stage.store.served() == 1).await;
    // The first one is not answered yet.
    answered(creator(&stage, "b")).await;
    assert_eq!(stage.store.served(), 1, "the second is not alone");
    stage.store.let_go();
    answered(first).await;
    assert_eq!(soon(claimer).await.0.len(), 1);
    assert_eq!(soon(other).await.0.len(), 1);
}

#[tokio::test]
async fn creators_and_claimers_that_come_and_go_lose_no_task_on_disk() {
    let (stage, _folder) = Stage::on_disk(Duration::from_secs(5));
    let started = Instant::now();
    let mut got = 0;
    for round in 0..60_u32 {
        let claimer = stage.claimer(one(&["a"], LONG));
        // One that went back is taken at once.
        until(|| stage.services.bus.waiting() == 1 || claimer.is_finished()).await;
        let creator = creator(&stage, "a");
        if round % 3 == 0 {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            claimer.abort();
        }
        answered(creator).await;
        if let Ok(answer) = claimer.await {
            got += answer.unwrap().0.len();
        }
    }
    let left = 60 - got;
    // What nobody got waits again, long before a lease would end.
    for _ in 0..left {
        let (again, _) = soon(stage.claimer(one(&["a"], LONG))).await;
        assert_eq!(again[0].task.state.attempts_used(), 1);
    }
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
}
