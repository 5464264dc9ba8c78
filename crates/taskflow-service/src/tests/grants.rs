//! Grants whose caller goes away: what was handed out goes back at once and is not counted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use taskflow_core::{Finish, Outcome, Status, Task, TaskId};
use taskflow_store::FinishTask;
use tokio::time::Instant;

use super::{LONG, NEVER, Stage, one, soon, until, worker_name};
use crate::Actor;
use crate::work::{Report, Want};

/// Waits until the task was given back, and looks that nothing was counted.
async fn given_back(stage: &Stage, id: TaskId) {
    let back = |task: &Task| task.state.status == Status::Pending && task.state.attempt > 0;
    let task = stage.task_is(id, back).await;
    assert_eq!((task.state.attempt, task.state.attempts_used()), (1, 0));
    let attempts = stage.services.tasks.attempts(Actor::DEFAULT, id).await.unwrap();
    assert_eq!(attempts.iter().map(|a| a.outcome).collect::<Vec<_>>(), [Outcome::Released]);
}

#[tokio::test(start_paused = true)]
async fn a_grant_whose_caller_went_away_meanwhile_goes_back_at_once() {
    let stage = Stage::simulated(NEVER);
    let ids = [stage.create("a").await, stage.create("a").await, stage.create("b").await];
    stage.store.hold();
    let caller = stage.claimer(Want { limit: 10, ..one(&["a"], Duration::ZERO) });
    until(|| stage.store.claims() == 1).await;
    assert_eq!(stage.task(ids[0]).await.state.status, Status::InProgress);
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    let left = Instant::now();
    stage.store.let_go();
    given_back(&stage, ids[0]).await;
    given_back(&stage, ids[1]).await;
    assert!(left.elapsed() < Duration::from_millis(10), "no lease has to end for that");
    assert_eq!(stage.task(ids[2]).await.state.attempt, 0);
}

#[tokio::test(start_paused = true)]
async fn what_goes_back_wakes_the_next_claimer() {
    let stage = Stage::simulated(NEVER);
    let id = stage.create("a").await;
    stage.store.hold();
    let caller = stage.claimer(one(&["a"], Duration::ZERO));
    until(|| stage.store.claims() == 1).await;
    let next = stage.claimer(one(&["a"], LONG));
    until(|| stage.store.claims() == 2).await;
    caller.abort();
    stage.store.let_go();
    let (claimed, _) = soon(next).await;
    assert_eq!(claimed[0].task.id, id);
    assert_eq!((claimed[0].task.state.attempt, claimed[0].task.state.attempts_used()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_but_was_never_read_goes_back() {
    let stage = Stage::simulated(NEVER);
    let id = stage.create("a").await;
    let name = worker_name();
    {
        let work = stage.services.work.clone();
        let mut claim = Box::pin(work.claim(Actor::DEFAULT, &name, one(&["a"], LONG)));
        assert!((&mut claim).now_or_never().is_none(), "the store works in a task of its own");
        // This runtime has one thread: the answer comes while nobody polls the claim.
        until(|| stage.store.claims() == 1).await;
        assert_eq!(stage.task(id).await.state.status, Status::InProgress);
    }
    given_back(&stage, id).await;
    assert_eq!(stage.services.bus.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_was_read_stays() {
    let stage = Stage::simulated(NEVER);
    let id = stage.create("a").await;
    assert_eq!(stage.claim(one(&["a"], LONG)).await.unwrap().len(), 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let state = stage.task(id).await.state;
    assert_eq!((state.status, state.attempt), (Status::InProgress, 1));
}

#[tokio::test(start_paused = true)]
async fn a_report_counts_though_its_caller_went_away() {
    let stage = Stage::simulated(NEVER);
    let (done, next) = (stage.create("a").await, stage.create("a").await);
    let held = stage.claim(one(&["a"], Duration::ZERO)).await.unwrap().remove(0);
    assert_eq!(held.task.id, done);
    let finish = Finish::Completed { result: None };
    let report = Report {
        finish: vec![FinishTask { id: done, token: held.token, finish }],
        want: Some(one(&["a"], LONG)),
        ..Report::default()
    };
    stage.store.hold();
    let work = stage.services.work.clone();
    let caller =
        tokio::spawn(async move { work.sync(Actor::DEFAULT, &worker_name(), report).await });
    until(|| stage.store.claims() == 2).await;
    caller.abort();
    stage.store.let_go();
    given_back(&stage, next).await;
    assert_eq!(stage.task(done).await.state.status, Status::Completed);
}

/// Callers that go away at every moment of a claim, on a real file and several threads: whatever
/// happens, the task can be claimed afterwards and was never counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_go_away_at_any_moment_leave_no_lease_behind() {
    let (stage, _folder) = Stage::on_disk(NEVER);
    let stage = Arc::new(stage);
    let id = stage.create("a").await;
    for round in 0..200u64 {
        let caller = stage.claimer(one(&["a"], LONG));
        tokio::time::sleep(Duration::from_micros(round * 20)).await;
        caller.abort();
        // One that got its answer first is gone like the others; only it has to give back itself.
        if let Ok(answer) = caller.await {
            let held = answer.unwrap().0.remove(0);
            stage.finish(&held, Finish::Released).await;
        }
        let task = stage.task_is(id, |task| task.state.status == Status::Pending).await;
        assert_eq!(task.state.attempts_used(), 0, "in round {round}");
    }
    assert_eq!(stage.services.bus.waiting(), 0);
    let claimed = stage.claim(one(&["a"], Duration::from_secs(20))).await.unwrap();
    assert_eq!(claimed[0].task.state.attempts_used(), 1);
}
