//! Requests with a key: what they wake, what becomes of an unknown outcome, and how keys go.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::idempotency::body_hash;
use taskflow_core::limits::IDEMPOTENCY_SWEEP_MAX;
use taskflow_core::{Fingerprint, IdempotencyKey, ManualClock, Status, TaskPatch, Ticket};
use taskflow_store::model::Model;

use super::{LONG, NEVER, Stage, at, one};
use crate::duties::Duty;
use crate::duties::idempotency::Forgetter;
use crate::idempotency::{Kept, Wanted};
use crate::tasks::Created;
use crate::{Actor, ServiceError};

fn ticket(key: &str) -> Ticket {
    let request = Fingerprint::of("POST", "/", body_hash(b""));
    IdempotencyKey::parse(key).unwrap().ticket("POST /", request)
}

async fn create(stage: &Stage, key: &str) -> Result<Kept, ServiceError> {
    let wanted = Wanted::create(stage.new_task("a"));
    let show =
        |created: Created, _| Ok::<_, ServiceError>(created.task.id.to_string().into_bytes());
    stage.services.onces.once(Actor::DEFAULT, &ticket(key), wanted, show).await
}

#[tokio::test(start_paused = true)]
async fn what_is_done_for_a_key_wakes_whoever_waits_for_it() {
    let stage = Stage::simulated(NEVER);
    let claimer = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    assert_eq!(create(&stage, "k").await.unwrap(), Kept { answer: b"1".to_vec(), again: false });
    let (claimed, _) = claimer.await.unwrap().unwrap();
    let id = claimed[0].task.id;
    let tasks = stage.services.tasks.clone();
    let waiter = tokio::spawn(async move {
        let begun = tokio::time::Instant::now();
        let task = tasks.wait(Actor::DEFAULT, id, LONG).await.unwrap();
        (task.state.status, begun.elapsed())
    });
    tokio::task::yield_now().await;
    let patch = TaskPatch { status: Some(Status::Cancelled), ..TaskPatch::default() };
    let show = |_, _| Ok::<_, ServiceError>(Vec::new());
    let wanted = Wanted::edit(id, None, patch);
    stage.services.onces.once(Actor::DEFAULT, &ticket("k2"), wanted, show).await.unwrap();
    let (status, took) = waiter.await.unwrap();
    assert!(status == Status::Cancelled && took < Duration::from_millis(50), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_found_out_by_asking_again() {
    let stage = Stage::simulated(NEVER);
    stage.store.leave_unheard(1);
    assert_eq!(create(&stage, "k").await.unwrap(), Kept { answer: b"1".to_vec(), again: true });
    stage.store.leave_unheard(2);
    assert!(matches!(create(&stage, "k2").await, Err(ServiceError::Unknown(_))));
    // Whoever repeats learns it in the end.
    assert_eq!(create(&stage, "k2").await.unwrap(), Kept { answer: b"2".to_vec(), again: true });
    let counts = stage.services.tasks.count(Actor::DEFAULT).await.unwrap();
    assert_eq!(counts.of(Status::Pending), 2);
}

#[tokio::test]
async fn old_keys_go_in_steps_with_a_pause_between() {
    let clock = Arc::new(ManualClock::new(at(0.0)));
    let stage = Stage::new(Arc::new(Model::new()), Arc::clone(&clock) as _, NEVER);
    let mut forgetter = Forgetter::new(Arc::clone(&stage.store) as _);
    for n in 0..=IDEMPOTENCY_SWEEP_MAX {
        create(&stage, &n.to_string()).await.unwrap();
    }
    let mut tick = async |seconds| {
        clock.advance(seconds);
        forgetter.tick(stage.clock.now()).await.unwrap()
    };
    assert_eq!(tick(0.0).await, Duration::from_secs(2));
    assert_eq!(tick(24.0 * 3600.0).await, Duration::from_millis(50));
    assert_eq!(tick(0.0).await, Duration::from_secs(2));
    assert!(!create(&stage, "0").await.unwrap().again);
}
