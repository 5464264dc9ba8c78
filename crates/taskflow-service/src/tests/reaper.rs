//! The reaper's tick: what ran out of time ends, nothing else does, and long leases hide no short one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use taskflow_core::limits::SWEEP_MAX;
use taskflow_core::{ManualClock, NewTask, Outcome, Status, TaskId, Terms};
use taskflow_store::Store;
use taskflow_store::model::Model;

use super::{LONG, NEVER, Stage, at, one, wish};
use crate::Actor;
use crate::duties::Duty;
use crate::duties::reaper::Reaper;
use crate::work::Want;

/// What a reaper that found little rests.
const EVERY: Duration = Duration::from_millis(250);

struct ByHand {
    stage: Stage,
    clock: Arc<ManualClock>,
    reaper: Reaper,
}

impl ByHand {
    fn new() -> Self {
        Self::on(Arc::new(Model::new()))
    }

    fn on(store: Arc<dyn Store>) -> Self {
        let clock = Arc::new(ManualClock::new(at(0.0)));
        let stage = Stage::new(store, Arc::clone(&clock) as _, NEVER);
        let reaper = Reaper::new(Arc::clone(&stage.store) as _, Arc::clone(&stage.services.bus));
        Self { stage, clock, reaper }
    }

    async fn tick_after(&mut self, seconds: f64) -> Duration {
        self.clock.advance(seconds);
        self.reaper.tick(self.stage.clock.now()).await.unwrap()
    }

    async fn create(&self, terms: Terms) -> TaskId {
        self.stage.create_as(NewTask { terms, ..self.stage.new_task("a") }).await
    }

    /// Claims all that there is.
    async fn claim(&self) {
        let want = Want { limit: 1000, ..one(&["a"], Duration::ZERO) };
        assert!(!self.stage.claim(want).await.unwrap().is_empty());
    }

    async fn status(&self, id: TaskId) -> Status {
        self.stage.task(id).await.state.status
    }

    async fn outcomes(&self, id: TaskId) -> Vec<Outcome> {
        let attempts = self.stage.services.tasks.attempts(Actor::DEFAULT, id).await.unwrap();
        attempts.iter().map(|attempt| attempt.outcome).collect()
    }
}

fn lease(seconds: u32) -> Terms {
    Terms { lease_seconds: seconds, ..Terms::default() }
}

#[tokio::test]
async fn a_lease_that_ends_gives_its_task_back_and_wakes_a_claimer() {
    let mut hand = ByHand::new();
    let id = hand.create(lease(10)).await;
    hand.claim().await;
    let mut parked = hand.stage.services.bus.park(&wish(&["a"])).unwrap();
    assert_eq!(hand.tick_after(9.9).await, EVERY);
    assert_eq!(hand.status(id).await, Status::InProgress);
    assert!(parked.woken().now_or_never().is_none());
    assert_eq!(hand.tick_after(0.1).await, EVERY);
    assert_eq!(hand.status(id).await, Status::Pending);
    assert_eq!(hand.outcomes(id).await, [Outcome::LeaseExpired]);
    assert!(parked.woken().now_or_never().is_some());
}

#[tokio::test]
async fn an_attempt_beyond_its_timeout_timed_out() {
    let mut hand = ByHand::new();
    let id = hand.create(Terms { timeout_seconds: Some(5), ..lease(60) }).await;
    hand.claim().await;
    hand.tick_after(4.9).await;
    assert_eq!(hand.status(id).await, Status::InProgress);
    hand.tick_after(0.1).await;
    assert_eq!(hand.status(id).await, Status::Pending);
    assert_eq!(hand.outcomes(id).await, [Outcome::TimedOut]);
}

#[tokio::test]
async fn a_deadline_ends_what_runs_and_what_waits() {
    let mut hand = ByHand::new();
    let terms = Terms { deadline_at: Some(at(5.0)), ..lease(60) };
    let running = hand.create(terms.clone()).await;
    hand.claim().await;
    let waiting = hand.create(terms).await;
    let other = hand.create(lease(60)).await;
    hand.tick_after(4.9).await;
    assert_eq!(hand.status(running).await, Status::InProgress);
    assert_eq!(hand.status(waiting).await, Status::Pending);
    hand.tick_after(0.1).await;
    assert_eq!(hand.status(running).await, Status::Failed);
    assert_eq!(hand.status(waiting).await, Status::Failed);
    assert_eq!(hand.status(other).await, Status::Pending);
}

#[tokio::test]
async fn a_task_not_started_by_its_expiry_is_cancelled() {
    let mut hand = ByHand::new();
    let terms = Terms { expires_at: Some(at(5.0)), ..lease(60) };
    let running = hand.create(terms.clone()).await;
    hand.claim().await;
    let waiting = hand.create(terms).await;
    hand.tick_after(5.0).await;
    assert_eq!(hand.status(waiting).await, Status::Cancelled);
    assert_eq!(hand.status(running).await, Status::InProgress, "it was started in time");
}

#[tokio::test]
async fn a_full_sweep_goes_on_without_a_pause() {
    let mut hand = ByHand::new();
    let terms = Terms { expires_at: Some(at(1.0)), ..Terms::default() };
    for _ in 0..SWEEP_MAX + 1 {
        hand.create(terms.clone()).await;
    }
    assert_eq!(hand.tick_after(2.0).await, Duration::ZERO);
    assert_eq!(hand.tick_after(0.0).await, EVERY);
    let counts = hand.stage.services.tasks.count(Actor::DEFAULT).await.unwrap();
    assert_eq!(counts.of(Status::Cancelled), u64::from(SWEEP_MAX) + 1);
    assert_eq!(hand.tick_after(0.0).await, EVERY, "nothing is left");
}

#[tokio::test]
async fn a_thousand_long_leases_do_not_hide_a_short_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = taskflow_sqlite::SqliteStore::open(&folder.path().join("tasks.db")).unwrap();
    let mut hand = ByHand::on(Arc::new(store));
    for _ in 0..10 {
        let batch = vec![NewTask { terms: lease(86_400), ..hand.stage.new_task("a") }; 100];
        let now = hand.stage.clock.now();
        taskflow_store::TaskStore::insert(
            &*hand.stage.store,
            taskflow_core::TenantId::DEFAULT,
            batch,
            now,
        )
        .await
        .unwrap();
    }
    hand.claim().await;
    let short = hand.create(lease(5)).await;
    hand.claim().await;
    let counts = hand.stage.services.tasks.count(Actor::DEFAULT).await.unwrap();
    assert_eq!(counts.of(Status::InProgress), 1001);
    hand.tick_after(5.0).await;
    assert_eq!(hand.status(short).await, Status::Pending);
    let counts = hand.stage.services.tasks.count(Actor::DEFAULT).await.unwrap();
    assert_eq!(counts.of(Status::InProgress), 1000);
}

/// I-49: what a dead worker held starts again within its lease and a second.
#[tokio::test(start_paused = true)]
async fn a_dead_worker_s_task_is_started_again_within_a_second_of_its_lease() {
    let stage = Stage::simulated(NEVER);
    let _duties = stage.on_duty();
    let new = NewTask { terms: lease(30), ..stage.new_task("a") };
    let id = stage.create_as(new).await;
    stage.claim(one(&["a"], Duration::ZERO)).await.unwrap();
    let (claimed, _) = stage.claimer(one(&["a"], LONG)).await.unwrap().unwrap();
    let waited = stage.clock.now().seconds_since(at(0.0));
    assert_eq!(claimed[0].task.id, id);
    assert_eq!(claimed[0].task.state.attempt, 2);
    assert!((30.0..31.0).contains(&waited), "started again after {waited} s");
}
