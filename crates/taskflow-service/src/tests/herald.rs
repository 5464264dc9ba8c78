//! The herald: claimers hear of scheduled and retrying tasks when they come due, and it never spins.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::{Finish, ManualClock, NewTask, RetryPolicy, Strategy, TenantId, Terms};
use taskflow_store::model::Model;
use taskflow_store::{Ready, TaskStore};
use tokio::time::Instant;

use super::{LONG, NEVER, Stage, at, one, queue, retry, wish};
use crate::bus::Parked;
use crate::duties::Duty;
use crate::duties::herald::Herald;
use futures_util::FutureExt;

/// A herald on a clock that is moved by hand.
struct ByHand {
    stage: Stage,
    clock: Arc<ManualClock>,
    herald: Herald,
}

impl ByHand {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(at(0.0)));
        let stage = Stage::new(Arc::new(Model::new()), Arc::clone(&clock) as _, NEVER);
        let herald = Herald::new(Arc::clone(&stage.store) as _, Arc::clone(&stage.services.bus));
        Self { stage, clock, herald }
    }

    async fn tick_after(&mut self, seconds: f64) -> Duration {
        self.clock.advance(seconds);
        self.herald.tick(self.stage.clock.now()).await.unwrap()
    }

    fn park(&self, kinds: &[&str]) -> Parked {
        self.stage.services.bus.park(&wish(kinds)).unwrap()
    }

    fn scheduled(&self, kind: &str, seconds: f64) -> NewTask {
        let run_at = self.stage.clock.now().plus_seconds(seconds);
        NewTask { run_at, ..self.stage.new_task(kind) }
    }
}

fn woken(parked: &mut Parked) -> bool {
    parked.woken().now_or_never().is_some()
}

#[tokio::test]
async fn a_scheduled_task_wakes_a_claimer_when_it_is_due() {
    let mut hand = ByHand::new();
    let mut parked = hand.park(&["a"]);
    hand.stage.create_as(hand.scheduled("a", 0.5)).await;
    let pause = hand.tick_after(0.1).await;
    assert!(!woken(&mut parked));
    assert_eq!(pause, Duration::from_millis(401), "until it is due, and not a moment less");
    hand.tick_after(0.4).await;
    assert!(woken(&mut parked));
}

#[tokio::test]
async fn a_retried_task_wakes_a_claimer_after_its_back_off() {
    let mut hand = ByHand::new();
    let retry_policy = RetryPolicy {
        strategy: Strategy::Fixed,
        base_seconds: 3.0,
        jitter: 0.0,
        ..RetryPolicy::default()
    };
    let terms = Terms { retry: retry_policy, ..Terms::default() };
    hand.stage.create_as(NewTask { terms, ..hand.stage.new_task("a") }).await;
    let held = hand.stage.claim(one(&["a"], Duration::ZERO)).await.unwrap().remove(0);
    hand.tick_after(1.0).await;
    let mut parked = hand.park(&["a"]);
    hand.stage.finish(&held, retry("not yet")).await;
    hand.tick_after(2.9).await;
    assert!(!woken(&mut parked));
    hand.tick_after(0.1).await;
    assert!(woken(&mut parked));
}

#[tokio::test]
async fn every_queue_and_kind_that_comes_due_is_told() {
    let mut hand = ByHand::new();
    let mut parked = [hand.park(&["a"]), hand.park(&["b"]), hand.park(&["c"])];
    hand.tick_after(0.0).await;
    for kind in ["a", "b"] {
        let new = NewTask { queue: queue("mail"), ..hand.scheduled(kind, 0.2) };
        hand.stage.create_as(new).await;
    }
    hand.tick_after(0.2).await;
    assert!(woken(&mut parked[0]) && woken(&mut parked[1]) && !woken(&mut parked[2]));
}

#[tokio::test]
async fn what_was_told_is_not_told_again() {
    let mut hand = ByHand::new();
    hand.stage.create_as(hand.scheduled("a", 0.2)).await;
    hand.tick_after(0.2).await;
    let mut late = hand.park(&["a"]);
    hand.tick_after(0.2).await;
    assert!(!woken(&mut late), "who parks later has asked the store by itself");
}

/// Its commit takes until after its own `run_at`, and the herald has looked in between.
#[tokio::test]
async fn a_task_whose_commit_outlasts_its_delay_is_told_all_the_same() {
    let mut hand = ByHand::new();
    let mut parked = hand.park(&["a"]);
    let created = at(0.0);
    let new = hand.scheduled("a", 0.005);
    let ready = Ready { queue: new.queue.clone(), kind: new.kind.clone(), run_at: new.run_at };
    hand.tick_after(0.010).await;
    hand.stage.store.insert(TenantId::DEFAULT, vec![new], created).await.unwrap();
    hand.stage.services.bus.ready(&[ready], created);
    assert!(!woken(&mut parked), "by its own reckoning it was of later");
    hand.tick_after(0.001).await;
    assert!(woken(&mut parked));
}

#[tokio::test]
async fn a_look_that_failed_is_made_up_for() {
    let mut hand = ByHand::new();
    let mut parked = hand.park(&["a"]);
    hand.tick_after(0.0).await;
    hand.stage.create_as(hand.scheduled("a", 5.0)).await;
    hand.stage.store.fail_dues(2);
    hand.clock.advance(6.0);
    assert!(hand.herald.tick(hand.stage.clock.now()).await.is_err());
    hand.clock.advance(60.0);
    assert!(hand.herald.tick(hand.stage.clock.now()).await.is_err());
    assert!(!woken(&mut parked));
    hand.tick_after(1.0).await;
    assert!(woken(&mut parked));
}

#[tokio::test(start_paused = true)]
async fn claimers_get_scheduled_retried_and_snoozed_tasks_when_they_are_due() {
    let stage = Stage::simulated(NEVER);
    let _duties = stage.on_duty();
    let wait = async |due: f64| {
        let (claimed, when) = stage.claimer(one(&["a"], LONG)).await.unwrap().unwrap();
        let late = stage.clock.now().seconds_since(at(due));
        assert!((0.0..0.005).contains(&late), "due at {due}, {late} s late");
        assert_eq!(when, Instant::now());
        claimed.into_iter().next().unwrap()
    };
    let new = NewTask { run_at: at(90.0005), ..stage.new_task("a") };
    stage.create_as(new).await;
    let held = wait(90.0005).await;
    let due = stage.clock.now().plus_seconds(7.0).seconds_since(at(0.0));
    let again = Finish::Failed { error: "no".into(), retryable: true, retry_after: Some(7.0) };
    stage.finish(&held, again).await;
    let held = wait(due).await;
    let due = stage.clock.now().plus_seconds(0.3).seconds_since(at(0.0));
    stage.finish(&held, Finish::Snoozed { delay: 0.3 }).await;
    wait(due).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_herald_looks_once_a_second() {
    let stage = Stage::simulated(NEVER);
    let duties = stage.on_duty();
    tokio::time::sleep(Duration::from_secs(60)).await;
    duties.end().await;
    let looks = stage.store.dues();
    assert!((59..=61).contains(&looks), "{looks} looks in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_overdue_and_not_taken_does_not_make_it_spin() {
    let stage = Stage::simulated(NEVER);
    let duties = stage.on_duty();
    let new = NewTask { run_at: at(0.5), ..stage.new_task("a") };
    stage.create_as(new).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    duties.end().await;
    let looks = stage.store.dues();
    assert!(looks <= 65, "{looks} looks in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_tasks_for_later_does_not_make_it_spin() {
    let stage = Stage::simulated(NEVER);
    stage.store.let_due_take(Duration::from_millis(5));
    let duties = stage.on_duty();
    for n in 0..1000 {
        let run_at = at(100.0 + f64::from(n));
        stage.create_as(NewTask { run_at, ..stage.new_task("a") }).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    duties.end().await;
    let looks = stage.store.dues();
    assert!(looks <= 5, "{looks} looks in a second, at tasks that are all for later");
}
