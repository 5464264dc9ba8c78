//! The line and the claims that wait in it: who keeps a place, and what a full line does.

use std::time::Duration;

use taskflow_core::limits::WAITERS_MAX;
use taskflow_store::Ready;
use tokio::time::Instant;

use super::{LONG, NEVER, Stage, id, kind, one, queue, soon, until, wish};
use crate::ServiceError;
use crate::bus::Parked;
use crate::duties::Duty;
use crate::duties::herald::Herald;
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn a_look_of_its_own_does_not_cost_a_claim_its_place() {
    let stage = Stage::simulated(Duration::from_secs(1));
    let first = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    // The second one joins between two looks of the first.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let second = stage.claimer(one(&["a"], LONG));
    stage.waiting(2).await;
    tokio::time::sleep(Duration::from_millis(2750)).await;
    stage.create("a").await;
    assert_eq!(soon(first).await.0.len(), 1, "the first waits longest");
    assert!(!second.is_finished());
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn a_full_line_refuses_new_claims_and_keeps_the_old_ones() {
    let stage = Stage::simulated(Duration::from_secs(1));
    let started = Instant::now();
    let claimer = stage.claimer(one(&["a"], Duration::from_secs(10)));
    stage.waiting(1).await;
    let others = wish(&["b"]);
    let bus = &stage.services.bus;
    let _line: Vec<Parked> = (1..WAITERS_MAX).map(|_| bus.park(&others).unwrap()).collect();
    let refused = stage.claim(one(&["a"], LONG)).await;
    assert!(matches!(refused, Err(ServiceError::TooManyWaiters)));
    assert!(stage.claim(one(&["a"], Duration::ZERO)).await.unwrap().is_empty(), "no place needed");
    let (claimed, when) = claimer.await.unwrap().expect("it had its place");
    assert!(claimed.is_empty());
    assert!(when - started >= Duration::from_secs(10), "it waited to the end");
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_place_to_a_full_line_is_answered_and_not_refused() {
    let stage = Stage::simulated(NEVER);
    let claimer = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    // Woken in vain, and its place is taken before it can come back.
    let others = wish(&["b"]);
    let bus = &stage.services.bus;
    bus.wake_each_wish();
    let _line: Vec<Parked> = (0..WAITERS_MAX).map(|_| bus.park(&others).unwrap()).collect();
    let (claimed, _) = soon(claimer).await;
    assert!(claimed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_wake_up_serves_claimers_with_different_wishes() {
    let stage = Stage::simulated(NEVER);
    let wishes: [&[&str]; 4] = [&["a"], &["a", "b"], &["b", "a"], &["c", "a"]];
    let mut claimers = Vec::new();
    for (n, kinds) in wishes.iter().enumerate() {
        claimers.push(stage.claimer(one(kinds, LONG)));
        stage.waiting(n + 1).await;
    }
    // The herald tells a queue and kind once, however many tasks came due.
    stage.slip_in("a", 4).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut herald = Herald::new(Arc::clone(&stage.store) as _, Arc::clone(&stage.services.bus));
    herald.tick(stage.clock.now()).await.unwrap();
    until(|| claimers.iter().all(tokio::task::JoinHandle::is_finished)).await;
    for claimer in claimers {
        assert_eq!(soon(claimer).await.0.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_claimer_that_goes_away_leaves_its_wake_up_to_another() {
    let stage = Stage::simulated(NEVER);
    let gone = stage.claimer(one(&["a"], LONG));
    stage.waiting(1).await;
    let next = stage.claimer(one(&["a", "b"], LONG));
    stage.waiting(2).await;
    stage.slip_in("a", 1).await;
    let now = stage.clock.now();
    stage
        .services
        .bus
        .ready(&[Ready { queue: queue("default"), kind: kind("a"), run_at: now }], now);
    // Woken, but it has not run since.
    gone.abort();
    let (claimed, _) = soon(next).await;
    assert_eq!(claimed[0].task.id, id(1));
}
