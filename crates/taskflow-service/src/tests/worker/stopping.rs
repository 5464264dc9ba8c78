//! A graceful stop: no new claims, running jobs get their grace, the rest goes back uncounted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use taskflow_core::{Json, Outcome, Status, TaskId};
use tokio::time::Instant;

use super::{Crew, Door, does, sleep};
use crate::tests::{NEVER, Stage, until};
use crate::worker::Worker;
use crate::worker::handler::Answer;
use crate::worker::registry::Registry;
use tokio_util::sync::CancellationToken;

fn crew(registry: Registry, concurrency: usize, grace: f64) -> Crew {
    let stage = Stage::simulated(NEVER);
    let door = Door::to(&stage, &registry);
    Crew::at(stage, door, registry, concurrency, Duration::from_secs_f64(grace))
}

/// Creates a task and waits until it runs.
async fn running(crew: &Crew) -> TaskId {
    let id = crew.stage.create("a").await;
    crew.stage.task_is(id, |task| task.state.status == Status::InProgress).await;
    id
}

/// Stops the worker; how long it took to end, in seconds.
async fn stop(crew: &mut Crew) -> f64 {
    let stopped = Instant::now();
    crew.stop.cancel();
    (&mut crew.working).await.unwrap();
    stopped.elapsed().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_running_jobs_and_claims_nothing_more() {
    let mut crew = crew(
        does(|_| async {
            sleep(5.0).await;
            Answer::Completed(None)
        }),
        2,
        20.0,
    );
    let ids = [running(&crew).await, running(&crew).await];
    let waits = crew.stage.create("a").await;
    let claims = crew.door.claims();
    let took = stop(&mut crew).await;
    assert!((4.9..5.1).contains(&took), "the jobs had 5 s to go, the stop took {took} s");
    for id in ids {
        assert_eq!(crew.stage.task(id).await.state.status, Status::Completed, "reports are in");
    }
    assert_eq!(crew.door.claims(), claims);
    let state = crew.stage.task(waits).await.state;
    assert_eq!((state.status, state.attempt), (Status::Pending, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_an_idle_worker_is_quick_and_leaves_nobody_waiting() {
    let mut crew = crew(does(|_| async { Answer::Completed(None) }), 4, 20.0);
    crew.stage.waiting(1).await;
    assert!(stop(&mut crew).await < 0.1);
    assert_eq!(crew.stage.services.bus.waiting(), 0);
    crew.stage.create("a").await;
    sleep(30.0).await;
    assert_eq!(crew.door.claims(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_still_runs_after_the_grace_is_interrupted_and_not_counted() {
    let mut crew = crew(
        does(|cx| async move {
            cx.cancelled().await;
            Answer::retry("stopped half way")
        }),
        2,
        3.0,
    );
    let ids = [running(&crew).await, running(&crew).await];
    let took = stop(&mut crew).await;
    assert!((3.0..3.1).contains(&took), "the handlers listen, the stop took {took} s");
    for id in ids {
        let state = crew.stage.task(id).await.state;
        assert_eq!((state.status, state.attempt), (Status::Pending, 1));
        assert_eq!(state.attempts_used(), 0);
        assert_eq!(crew.outcomes(id).await, [Outcome::Interrupted]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_listen_cannot_hold_up_a_stop() {
    let mut crew = crew(
        does(|_| async {
            loop {
                sleep(0.01).await;
            }
        }),
        1,
        3.0,
    );
    let id = running(&crew).await;
    let took = stop(&mut crew).await;
    assert!((4.0..4.2).contains(&took), "grace and a second, the stop took {took} s");
    assert_eq!(crew.outcomes(id).await, [Outcome::Interrupted]);
    assert_eq!(crew.stage.task(id).await.state.attempts_used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_comes_through_in_its_last_second_counts() {
    let mut crew = crew(
        does(|cx| async move {
            cx.cancelled().await;
            sleep(0.5).await;
            Answer::Completed(None)
        }),
        1,
        3.0,
    );
    let id = running(&crew).await;
    stop(&mut crew).await;
    assert_eq!(crew.stage.task(id).await.state.status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_last_second_is_an_interruption() {
    let mut crew = crew(
        does(|cx| async move {
            cx.cancelled().await;
            panic!("caught between two stools");
        }),
        1,
        3.0,
    );
    let id = running(&crew).await;
    stop(&mut crew).await;
    assert_eq!(crew.outcomes(id).await, [Outcome::Interrupted]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_job_may_leave_a_checkpoint() {
    let mut crew = crew(
        does(|cx| async move {
            cx.cancelled().await;
            cx.checkpoint(Json::parse("[17]").unwrap());
            Answer::Released
        }),
        1,
        3.0,
    );
    let id = running(&crew).await;
    stop(&mut crew).await;
    let state = crew.stage.task(id).await.state;
    assert_eq!(state.status, Status::Pending);
    assert_eq!(state.checkpoint.as_ref().map(Json::as_str), Some("[17]"));
}

#[tokio::test(start_paused = true)]
async fn leases_are_kept_alive_through_the_grace() {
    let mut crew = crew(
        does(|_| async {
            sleep(15.0).await;
            Answer::Completed(None)
        }),
        1,
        20.0,
    );
    let terms = taskflow_core::Terms { lease_seconds: 1, ..Default::default() };
    let new = taskflow_core::NewTask { terms, ..crew.stage.new_task("a") };
    let id = crew.stage.create_as(new).await;
    crew.stage.task_is(id, |task| task.state.status == Status::InProgress).await;
    stop(&mut crew).await;
    let state = crew.stage.task(id).await.state;
    assert_eq!((state.status, state.attempt), (Status::Completed, 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_gets_while_the_worker_stops_goes_back() {
    let mut crew = crew(does(|_| async { Answer::Completed(None) }), 1, 3.0);
    crew.stage.waiting(1).await;
    crew.stage.store.hold();
    let (tasks, new) = (crew.stage.services.tasks.clone(), crew.stage.new_task("a"));
    let creator = tokio::spawn(async move { tasks.create(crate::Actor::DEFAULT, new).await });
    until(|| crew.stage.store.claims() == 2).await;
    let id = crate::tests::id(1);
    assert_eq!(crew.stage.task(id).await.state.status, Status::InProgress);
    assert!(stop(&mut crew).await < 0.1);
    crew.stage.store.let_go();
    assert_eq!(creator.await.unwrap().unwrap().task.id, id);
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Pending).await;
    assert_eq!(task.state.attempts_used(), 0);
    assert_eq!(crew.outcomes(id).await, [Outcome::Released]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_future_is_dropped_leaves_nothing_running() {
    let stage = Stage::simulated(NEVER);
    let ended = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&ended);
    let registry = does(move |_| {
        let ended = Arc::clone(&seen);
        async move {
            sleep(5.0).await;
            ended.fetch_add(1, SeqCst);
            Answer::Completed(None)
        }
    });
    let door = Arc::new(Door::to(&stage, &registry));
    let worker = Worker::new(Arc::clone(&door) as _, registry, 2);
    let working = tokio::spawn(worker.run(CancellationToken::new(), Duration::from_secs(1)));
    let id = stage.create("a").await;
    stage.task_is(id, |task| task.state.status == Status::InProgress).await;
    working.abort();
    assert!(working.await.unwrap_err().is_cancelled());
    // What runs already is seen through and reported; then nobody holds the source any more.
    stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!(ended.load(SeqCst), 1);
    until(|| Arc::strong_count(&door) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_answer_is_on_its_way_at_the_stop_is_given_back_uncounted() {
    let stage = Stage::simulated(NEVER);
    let registry = does(|_| async { Answer::Completed(None) });
    let door = Door { travel: Duration::from_millis(300), ..Door::to(&stage, &registry) };
    let mut crew = Crew::at(stage, door, registry, 1, Duration::from_secs(60));
    let id = running(&crew).await;
    let took = stop(&mut crew).await;
    assert!(took < 0.7, "it listens as long as an answer travels, not {took} s");
    let state = crew.stage.task(id).await.state;
    assert_eq!((state.status, state.attempts_used()), (Status::Pending, 0));
    assert_eq!(crew.outcomes(id).await, [Outcome::Released]);
}
