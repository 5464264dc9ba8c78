//! What makes a process ready, what does not, and what never may.

use std::time::Duration;

use taskflow_store::Health;
use tokio::time::{Instant, sleep};

use super::steered::Says;
use super::{LONG, NEVER, Stage};
use crate::readiness::Readiness;

const FITS: Health = Health { schema: 3, known: 3, clock_lead_ms: None };

fn seconds_since(found: &Readiness, name: &str) -> f64 {
    let duty = found.duties.iter().find(|(duty, _)| *duty == name);
    duty.expect("the duty has run").1
}

#[tokio::test(start_paused = true)]
async fn a_database_that_answers_and_duties_that_tick_make_ready() {
    let stage = Stage::simulated(NEVER);
    let on_duty = stage.on_duty();
    sleep(Duration::from_secs(60)).await;
    let found = stage.services.probe.look().await;
    assert!(found.is_ready(), "{found:?}");
    let names: Vec<_> = found.duties.iter().map(|duty| duty.0).collect();
    assert_eq!(
        names,
        ["events", "forgetter", "herald", "janitor", "reaper", "sketcher", "workers"]
    );
    on_duty.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_database_that_fails_is_not_ready_until_it_answers_again() {
    let stage = Stage::simulated(NEVER);
    stage.store.say(Says::Failure);
    let found = stage.services.probe.look().await;
    assert_eq!((found.database, found.is_ready()), (None, false));
    stage.store.say(Says::Truth);
    assert!(stage.services.probe.look().await.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_database_that_never_answers_is_given_up_after_two_seconds() {
    let stage = Stage::simulated(NEVER);
    stage.store.say(Says::Nothing);
    let asked = Instant::now();
    let found = stage.services.probe.look().await;
    assert_eq!((found.database, found.is_ready()), (None, false));
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_millis(2100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn another_schema_than_the_program_s_is_not_ready() {
    let stage = Stage::simulated(NEVER);
    for schema in [0, 2, 4] {
        stage.store.say(Says::This(Health { schema, ..FITS }));
        let found = stage.services.probe.look().await;
        assert!(!found.schema_fits() && !found.is_ready(), "{found:?}");
    }
    stage.store.say(Says::This(FITS));
    assert!(stage.services.probe.look().await.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_wrong_is_told_and_keeps_nobody_from_being_ready() {
    let stage = Stage::simulated(NEVER);
    for lead in [Some(3_600_000), Some(-3_600_000), None] {
        stage.store.say(Says::This(Health { clock_lead_ms: lead, ..FITS }));
        let found = stage.services.probe.look().await;
        assert!(found.is_ready(), "{found:?}");
        assert_eq!(found.database.and_then(|health| health.clock_lead_ms), lead);
    }
}

#[tokio::test(start_paused = true)]
async fn a_duty_that_only_fails_is_stuck_after_ten_seconds_and_fresh_when_it_is_through() {
    let stage = Stage::simulated(NEVER);
    // From the first tick on: one that was never through is no better.
    stage.store.fail_dues(u32::MAX);
    let on_duty = stage.on_duty();
    sleep(Duration::from_secs(9)).await;
    assert!(stage.services.probe.look().await.is_ready(), "a short failure is none yet");
    sleep(Duration::from_secs(2)).await;
    let found = stage.services.probe.look().await;
    assert!(!found.is_ready() && seconds_since(&found, "herald") > 10.0, "{found:?}");
    assert!(seconds_since(&found, "reaper") < 1.0, "{found:?}");
    stage.store.fail_dues(0);
    sleep(Duration::from_secs(2)).await;
    assert!(stage.services.probe.look().await.is_ready());
    on_duty.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_duty_that_hangs_is_stuck() {
    let stage = Stage::simulated(NEVER);
    stage.store.let_due_take(LONG);
    let _on_duty = stage.on_duty();
    sleep(Duration::from_secs(11)).await;
    let found = stage.services.probe.look().await;
    assert!(!found.is_ready() && seconds_since(&found, "herald") > 10.0, "{found:?}");
}
