//! The janitor's tick: what is over its time goes in steps, and it rests between them.

use std::sync::Arc;
use std::time::Duration;

use taskflow_core::limits::PRUNE_MAX;
use taskflow_core::retention::Periods;
use taskflow_core::{Finish, ManualClock, Retention, Status};
use taskflow_store::model::Model;

use super::{NEVER, Stage, at, one};
use crate::duties::Duty;
use crate::duties::janitor::Janitor;
use crate::work::Want;
use crate::{Actor, ServiceError};

/// What a janitor rests that found little.
const EVERY: Duration = Duration::from_secs(2);

const DAY: f64 = 86_400.0;

struct ByHand {
    stage: Stage,
    clock: Arc<ManualClock>,
    janitor: Janitor,
}

impl ByHand {
    fn new(completed: Option<u32>, failed: Option<u32>) -> Self {
        let clock = Arc::new(ManualClock::new(at(0.0)));
        let stage = Stage::new(Arc::new(Model::new()), Arc::clone(&clock) as _, NEVER);
        let everywhere = Periods { completed, failed, cancelled: failed };
        let retention = Retention { everywhere, ..Retention::default() };
        let janitor = Janitor::new(Arc::clone(&stage.store) as _, retention);
        Self { stage, clock, janitor }
    }

    async fn tick_after(&mut self, seconds: f64) -> Duration {
        self.clock.advance(seconds);
        self.janitor.tick(self.stage.clock.now()).await.unwrap()
    }

    /// Creates and ends so many tasks.
    async fn end(&self, tasks: usize, finish: impl Fn() -> Finish) {
        self.stage.slip_in("a", tasks).await;
        let mut left = tasks;
        while left > 0 {
            let want = Want { limit: 1000, ..one(&["a"], Duration::ZERO) };
            for claimed in self.stage.claim(want).await.unwrap() {
                self.stage.finish(&claimed, finish()).await;
                left -= 1;
            }
        }
    }

    async fn counts(&self) -> [u64; 5] {
        self.stage.services.tasks.count(Actor::DEFAULT).await.unwrap().0
    }
}

fn done() -> Finish {
    Finish::Completed { result: None }
}

#[tokio::test(start_paused = true)]
async fn a_completed_task_goes_after_a_week_and_a_failed_one_after_a_month() {
    let mut hand = ByHand::new(Some(604_800), Some(2_592_000));
    hand.end(1, done).await;
    let broken = || Finish::Failed { error: "broken".into(), retryable: false, retry_after: None };
    hand.end(1, broken).await;
    let done = hand.stage.services.tasks.get(Actor::DEFAULT, super::id(1)).await.unwrap();
    assert_eq!(done.state.status, Status::Completed);
    assert_eq!(hand.tick_after(7.0 * DAY - 0.001).await, EVERY);
    assert_eq!(hand.counts().await, [0, 0, 1, 1, 0]);
    assert_eq!(hand.tick_after(0.001).await, EVERY);
    assert_eq!(hand.counts().await, [0, 0, 0, 1, 0]);
    let gone = hand.stage.services.tasks.get(Actor::DEFAULT, super::id(1)).await;
    assert!(matches!(gone, Err(ServiceError::NotFound(_))), "{gone:?}");
    hand.tick_after(23.0 * DAY).await;
    assert_eq!(hand.counts().await, [0; 5]);
}

#[tokio::test(start_paused = true)]
async fn many_tasks_go_in_steps_with_short_rests_between_them() {
    let mut hand = ByHand::new(Some(10), None);
    let tasks = 2 * PRUNE_MAX as usize + 7;
    hand.end(tasks, done).await;
    assert!(hand.tick_after(10.0).await < Duration::from_millis(100));
    assert_eq!(hand.counts().await[2], tasks as u64 - u64::from(PRUNE_MAX));
    assert!(hand.tick_after(0.0).await < Duration::from_millis(100));
    assert_eq!(hand.tick_after(0.0).await, EVERY, "nothing is left");
    assert_eq!(hand.counts().await, [0; 5]);
}

#[tokio::test(start_paused = true)]
async fn without_a_retention_everything_stays() {
    let mut hand = ByHand::new(None, None);
    hand.end(3, done).await;
    assert_eq!(hand.tick_after(10_000.0 * DAY).await, EVERY);
    assert_eq!(hand.counts().await[2], 3);
}

/// The bundle's own janitor, as a server runs it.
#[tokio::test(start_paused = true)]
async fn a_server_s_duties_remove_what_is_over_its_time() {
    let mut stage = Stage::simulated(NEVER);
    let everywhere = Periods { completed: Some(60), ..Periods::default() };
    stage.services = stage.services.retaining(Retention { everywhere, ..Retention::default() });
    let _duties = stage.on_duty();
    let id = stage.create("a").await;
    let claimed = stage.claim(one(&["a"], Duration::ZERO)).await.unwrap();
    stage.finish(&claimed[0], done()).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    stage.task(id).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let gone = stage.services.tasks.get(Actor::DEFAULT, id).await;
    assert!(matches!(gone, Err(ServiceError::NotFound(_))), "{gone:?}");
}
