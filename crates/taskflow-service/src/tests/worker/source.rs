//! A source that fails, or answers strangely: the worker goes on, and does not hammer it.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use taskflow_core::{Json, Status};
use tokio::time::Instant;

use super::{Crew, Door, does, sleep};
use crate::tests::{NEVER, Stage};
use crate::worker::handler::Answer;
use crate::worker::registry::Registry;

fn done() -> Registry {
    does(|_| async { Answer::Completed(Some(Json::parse("1").unwrap())) })
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_asked_again_ever_more_patiently() {
    let stage = Stage::simulated(NEVER);
    let door = Door::to(&stage, &done());
    door.claims_fail.store(10, SeqCst);
    let crew = Crew::at(stage, door, done(), 2, Duration::from_secs(60));
    let started = Instant::now();
    let id = crew.stage.create("a").await;
    crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    let took = started.elapsed().as_secs_f64();
    assert!((37.5..37.7).contains(&took), "0.5, 1, 2, 4 and six times 5 s, but {took} s passed");
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_sends_claims_away_is_not_hammered() {
    let stage = Stage::simulated(NEVER);
    let door = Door { turned_away: true, ..Door::to(&stage, &done()) };
    let crew = Crew::at(stage, door, done(), 2, Duration::from_secs(60));
    sleep(10.0).await;
    let claims = crew.door.claims();
    assert!((10..=101).contains(&claims), "{claims} claims in ten seconds");
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_asks_once_per_wait() {
    let crew = Crew::start(done(), 2);
    sleep(60.0).await;
    assert!(crew.door.claims() <= 4, "{} claims in a minute", crew.door.claims());
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_report_that_failed_is_tried_again_and_counts_once() {
    let crew = Crew::start(done(), 1);
    crew.door.finishes_fail.store(5, SeqCst);
    let id = crew.stage.create("a").await;
    let task = crew.stage.task_is(id, |task| task.state.status == Status::Completed).await;
    assert_eq!(task.state.attempt, 1, "within its lease");
    assert_eq!(crew.door.reports(), 1);
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_until_failed_reports_are_in() {
    let crew = Crew::start(done(), 8);
    crew.door.finishes_fail.store(5, SeqCst);
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(crew.stage.create("a").await);
    }
    for id in &ids {
        crew.stage.task_is(*id, |task| task.state.attempt == 1).await;
    }
    let stage = crew.end().await;
    for id in ids {
        assert_eq!(stage.task(id).await.state.status, Status::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn reports_that_can_never_be_delivered_are_given_up() {
    let crew = Crew::start(done(), 1);
    crew.door.finishes_fail.store(u32::MAX, SeqCst);
    let id = crew.stage.create("a").await;
    crew.stage.task_is(id, |task| task.state.attempt == 1).await;
    let stopped = Instant::now();
    crew.end().await;
    assert!(stopped.elapsed() < Duration::from_secs(40), "a stop does not wait for ever");
}
