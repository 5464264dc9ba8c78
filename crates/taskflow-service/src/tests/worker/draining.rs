//! A worker that is told to drain: it finishes what it holds and leaves, or stays idle.

use std::time::Duration;

use taskflow_core::{NewTask, Status};
use tokio::time::sleep;

use super::*;

fn registry() -> Registry {
    Registry::default().with(kind("sleep"), crate::worker::builtin::SleepHandler)
}

async fn nap(stage: &Stage, seconds: u32) -> TaskId {
    let payload = taskflow_core::Json::parse(&format!("{{\"seconds\": {seconds}}}")).unwrap();
    stage.create_as(NewTask { payload: Some(payload), ..stage.new_task("sleep") }).await
}

async fn drain(stage: &Stage) {
    let drained = stage.services.workers.drain(Actor::DEFAULT, &worker_name(), None).await;
    assert!(drained.unwrap().worker.drains());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_told_to_drain_finishes_what_it_holds_and_leaves() {
    let stage = Stage::simulated(NEVER);
    let door = Arc::new(Door::to(&stage, &registry()));
    let worker = Worker::new(Arc::clone(&door) as _, registry(), 2).leaving_when_drained();
    let grace = Duration::from_secs(5);
    let working = tokio::spawn(worker.run(CancellationToken::new(), grace));
    let task = nap(&stage, 60).await;
    stage.task_is(task, |task| task.state.status == Status::InProgress).await;
    drain(&stage).await;
    let later = nap(&stage, 1).await;
    working.await.unwrap();
    let task = stage.task(task).await;
    assert_eq!(task.state.status, Status::Completed, "no grace cuts it short");
    assert_eq!(stage.task(later).await.state.attempt, 0, "it claimed no more");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stopped_while_it_drains_gives_its_jobs_their_grace() {
    let stage = Stage::simulated(NEVER);
    let door = Arc::new(Door::to(&stage, &registry()));
    let worker = Worker::new(Arc::clone(&door) as _, registry(), 2).leaving_when_drained();
    let stop = CancellationToken::new();
    let working = tokio::spawn(worker.run(stop.clone(), Duration::from_secs(5)));
    let task = nap(&stage, 3000).await;
    stage.task_is(task, |task| task.state.status == Status::InProgress).await;
    drain(&stage).await;
    sleep(Duration::from_secs(10)).await;
    assert!(!working.is_finished());
    stop.cancel();
    working.await.unwrap();
    let task = stage.task(task).await;
    assert_eq!((task.state.status, task.state.attempts_used()), (Status::Pending, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_stays_is_idle_until_it_is_told_to_work_again() {
    let crew = Crew::start(registry(), 2);
    let stage = &crew.stage;
    stage.waiting(1).await;
    drain(stage).await;
    let task = nap(stage, 1).await;
    let before = crew.door.claims();
    sleep(Duration::from_secs(60)).await;
    assert!(crew.door.claims() - before <= 61, "it asks about once a second");
    assert_eq!(stage.task(task).await.state.attempt, 0);
    stage.services.workers.resume(Actor::DEFAULT, &worker_name()).await.unwrap();
    let resumed = tokio::time::Instant::now();
    stage.task_is(task, |task| task.state.status == Status::Completed).await;
    assert!(resumed.elapsed() < Duration::from_secs(4), "{:?}", resumed.elapsed());
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_travels_when_a_worker_stops_is_read_to_its_end_and_given_back() {
    let stage = Stage::simulated(NEVER);
    // On its way for longer than anybody would listen for luck.
    let door =
        Door { travel: Duration::from_secs(3), closes: true, ..Door::to(&stage, &registry()) };
    let crew = Crew::at(stage, door, registry(), 1, Duration::from_secs(60));
    crew.stage.waiting(1).await;
    let task = nap(&crew.stage, 1).await;
    crew.stage.task_is(task, |task| task.state.status == Status::InProgress).await;
    let stage = crew.end().await;
    let task = stage.task(task).await;
    assert_eq!((task.state.status, task.state.attempts_used()), (Status::Pending, 0));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_has_its_parked_claim_answered_at_once() {
    let stage = Stage::simulated(NEVER);
    let door = Door { closes: true, ..Door::to(&stage, &registry()) };
    let crew = Crew::at(stage, door, registry(), 1, Duration::from_secs(60));
    crew.stage.waiting(1).await;
    let stopped = tokio::time::Instant::now();
    crew.end().await;
    assert!(stopped.elapsed() < Duration::from_millis(100), "{:?}", stopped.elapsed());
}
