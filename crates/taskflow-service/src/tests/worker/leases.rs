//! Leases of running jobs: kept alive by heartbeats, carrying what handlers say, and what happens
//! when one is gone or its time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use taskflow_core::{Json, NewTask, Outcome, RetryPolicy, Status, TaskId, TaskPatch, Terms};
use tokio::time::Instant;

use super::{Crew, Door, Gone, does, sleep};
use crate::Actor;
use crate::tests::{NEVER, Stage, until};
use crate::worker::handler::Answer;
use crate::worker::registry::Registry;

fn lease(seconds: u32) -> Terms {
    let retry = RetryPolicy { base_seconds: 0.0, ..RetryPolicy::default() };
    Terms { lease_seconds: seconds, retry, ..Terms::default() }
}

async fn create(crew: &Crew, terms: Terms) -> TaskId {
    crew.stage.create_as(NewTask { terms, ..crew.stage.new_task("a") }).await
}

async fn set(crew: &Crew, id: TaskId, status: Status) {
    let patch = TaskPatch { status: Some(status), ..TaskPatch::default() };
    crew.stage.services.tasks.edit(Actor::DEFAULT, id, None, patch).await.unwrap();
}

/// A handler that runs until it is told to stop, and counts its starts and its ends.
struct Obedient {
    started: Arc<AtomicU32>,
    stopped: Arc<AtomicU32>,
}

fn obedient() -> (Registry, Obedient) {
    let (started, stopped) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let seen = Obedient { started: Arc::clone(&started), stopped: Arc::clone(&stopped) };
    let registry = does(move |cx| {
        let (started, stopped) = (Arc::clone(&started), Arc::clone(&stopped));
        async move {
            started.fetch_add(1, SeqCst);
            cx.cancelled().await;
            assert!(cx.is_cancelled());
            stopped.fetch_add(1, SeqCst);
            Answer::Completed(None)
        }
    });
    (registry, seen)
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_lease_of_a_second_alive_for_a_minute() {
    let crew = Crew::start(
        does(|_| async {
            sleep(58.0).await;
            Answer::Completed(None)
        }),
        1,
    );
    let id = create(&crew, lease(1)).await;
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!(task.state.attempt, 1, "never handed out again");
    let beats = crew.door.beats.load(SeqCst);
    assert!((100..=240).contains(&beats), "{beats} heartbeats");
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn however_long_its_lease_a_job_beats_every_five_seconds() {
    let crew = Crew::start(
        does(|_| async {
            sleep(29.0).await;
            Answer::Completed(None)
        }),
        1,
    );
    let id = create(&crew, lease(3600)).await;
    crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!(crew.door.beats.load(SeqCst), 5, "a cancel is heard of by the next one");
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_heartbeat_is_tried_again_before_the_lease_ends() {
    let stage = Stage::simulated(NEVER);
    let registry = does(|_| async {
        sleep(30.0).await;
        Answer::Completed(None)
    });
    let door = Door { every_second_beat: true, ..Door::to(&stage, &registry) };
    let crew = Crew::at(stage, door, registry, 1, Duration::from_secs(60));
    let id = create(&crew, lease(1)).await;
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!(task.state.attempt, 1);
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn progress_and_checkpoint_arrive_while_the_job_runs() {
    let crew = Crew::start(
        does(|cx| async move {
            cx.progress(f64::NAN, None);
            cx.progress(250.0, Some("half way"));
            cx.checkpoint(Json::parse("[1]").unwrap());
            cx.checkpoint(Json::parse("[2]").unwrap());
            sleep(4.0).await;
            Answer::Completed(None)
        }),
        1,
    );
    let started = Instant::now();
    let id = create(&crew, lease(3600)).await;
    let task = crew.stage.task_is(id, |task| task.state.progress.is_some()).await;
    assert!(started.elapsed() < Duration::from_secs(1), "news does not wait for its turn");
    let progress = task.state.progress.unwrap();
    assert_eq!((progress.percent, progress.message.as_deref()), (100.0, Some("half way")));
    assert_eq!(task.state.checkpoint.as_ref().map(Json::as_str), Some("[2]"), "the latest");
    crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!(crew.door.beats.load(SeqCst), 1, "what was carried is not carried again");
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_heartbeat_carried_goes_with_the_next() {
    let stage = Stage::simulated(NEVER);
    let registry = does(|cx| async move {
        cx.progress(10.0, Some("first"));
        cx.checkpoint(Json::parse("[1]").unwrap());
        sleep(0.3).await;
        cx.progress(20.0, Some("second"));
        sleep(50.0).await;
        Answer::Completed(None)
    });
    let door = Door::to(&stage, &registry);
    door.beats_fail.store(3, SeqCst);
    let crew = Crew::at(stage, door, registry, 1, Duration::from_secs(60));
    let id = create(&crew, lease(30)).await;
    let task = crew.stage.task_is(id, |task| task.state.checkpoint.is_some()).await;
    assert_eq!(task.state.progress.unwrap().percent, 20.0, "newer news is kept");
    crew.stop.cancel();
    crew.working.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_left_at_the_very_end_reaches_the_next_attempt() {
    let crew = Crew::start(
        does(|cx| async move {
            if let Some(left) = &cx.job().checkpoint {
                return Answer::Completed(Some(left.clone()));
            }
            cx.checkpoint(Json::parse("[41]").unwrap());
            Answer::retry("once more")
        }),
        1,
    );
    let id = create(&crew, lease(30)).await;
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!(task.state.result.as_ref().map(Json::as_str), Some("[41]"));
    assert_eq!(task.state.attempt, 2);
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_stops_its_handler() {
    let (registry, seen) = obedient();
    let crew = Crew::start(registry, 1);
    let id = create(&crew, lease(3)).await;
    until(|| seen.started.load(SeqCst) == 1).await;
    set(&crew, id, Status::Cancelled).await;
    let cancelled = Instant::now();
    until(|| seen.stopped.load(SeqCst) == 1).await;
    assert!(cancelled.elapsed() < Duration::from_millis(1300), "within one heartbeat");
    crew.stop.cancel();
    crew.working.await.unwrap();
    assert_eq!(crew.door.reports(), 0, "nobody waits for its answer");
    assert_eq!(crew.stage.task(id).await.state.status, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_task_stops_its_handler() {
    let (registry, seen) = obedient();
    let crew = Crew::start(registry, 1);
    let id = create(&crew, lease(3)).await;
    until(|| seen.started.load(SeqCst) == 1).await;
    crew.stage.services.tasks.delete(Actor::DEFAULT, id, None).await.unwrap();
    until(|| seen.stopped.load(SeqCst) == 1).await;
    assert_eq!(crew.door.reports(), 0);
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_its_handler_and_reports_nothing() {
    let (registry, seen) = obedient();
    let crew = Crew::start(registry, 2);
    let id = create(&crew, lease(30)).await;
    until(|| seen.started.load(SeqCst) == 1).await;
    // A person gives it back; this same worker gets it again, under a new lease.
    set(&crew, id, Status::Pending).await;
    until(|| seen.started.load(SeqCst) == 2).await;
    until(|| seen.stopped.load(SeqCst) == 1).await;
    sleep(20.0).await;
    assert_eq!(seen.stopped.load(SeqCst), 1, "the second attempt is not the first one's business");
    assert_eq!(crew.door.reports(), 0);
    let state = crew.stage.task(id).await.state;
    assert_eq!((state.status, state.attempt), (Status::InProgress, 2));
}

#[tokio::test(start_paused = true)]
async fn when_no_heartbeat_gets_through_the_job_stops_and_another_takes_over() {
    let (registry, seen) = obedient();
    let crew = Crew::start(registry, 1);
    let id = create(&crew, lease(2)).await;
    until(|| seen.started.load(SeqCst) == 1).await;
    crew.door.beats_fail.store(12, SeqCst);
    crew.stage.task_is(id, |task| task.state.status == Status::Pending).await;
    assert_eq!(crew.outcomes(id).await, [Outcome::LeaseExpired]);
    // The only slot is free as soon as the worker hears of it.
    crew.stage.task_is(id, |task| task.state.attempt == 2).await;
    assert_eq!(seen.stopped.load(SeqCst), 1);
    assert_eq!(crew.door.reports(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_an_attempt_whose_handler_does_not_listen_and_frees_its_slot() {
    let gone = Arc::new(AtomicU32::new(0));
    let watch = Arc::clone(&gone);
    let crew = Crew::start(
        does(move |cx| {
            let gone = Gone(Arc::clone(&watch));
            async move {
                let _gone = gone;
                if cx.job().title == "quick" {
                    return Answer::Completed(None);
                }
                loop {
                    sleep(0.01).await;
                }
            }
        }),
        1,
    );
    let terms = Terms { timeout_seconds: Some(5), max_attempts: 1, ..lease(30) };
    let stuck = create(&crew, terms).await;
    let started = Instant::now();
    let quick = NewTask { title: "quick".into(), ..crew.stage.new_task("a") };
    let quick = crew.stage.create_as(quick).await;
    crew.stage.task_is(quick, |task| task.state.status == Status::Completed).await;
    let took = started.elapsed().as_secs_f64();
    assert!((5.0..6.5).contains(&took), "the slot was free after {took} s");
    assert_eq!(gone.load(SeqCst), 2, "it does not go on somewhere");
    let task = crew.stage.task_is(stuck, |task| task.state.status == Status::Failed).await;
    assert_eq!(crew.outcomes(stuck).await, [Outcome::TimedOut]);
    assert!(task.state.error_message.unwrap().contains("timed out"));
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_timed_out_is_tried_again() {
    let crew = Crew::start(
        does(|cx| async move {
            if cx.job().attempt == 1 {
                cx.cancelled().await;
            }
            // Too late for the first attempt, whatever it says.
            Answer::Completed(None)
        }),
        1,
    );
    let id = create(&crew, Terms { timeout_seconds: Some(5), ..lease(30) }).await;
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!(task.state.attempt, 2);
    assert_eq!(crew.outcomes(id).await, [Outcome::TimedOut, Outcome::Completed]);
    crew.end().await;
}

/// Not in simulated time and on a real file: a second of lease, three of work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_keep_a_lease_alive_on_disk() {
    let (stage, _folder) = Stage::on_disk(Duration::from_secs(1));
    let registry = does(|_| async {
        sleep(3.0).await;
        Answer::Completed(None)
    });
    let door = Door::to(&stage, &registry);
    let crew = Crew::at(stage, door, registry, 1, Duration::from_secs(60));
    let id = create(&crew, lease(1)).await;
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!(task.state.attempt, 1);
    crew.end().await;
}
