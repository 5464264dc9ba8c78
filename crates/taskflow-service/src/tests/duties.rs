//! The supervisor of duties: errors and panics do not end one, `stop` ends all.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use taskflow_core::{Clock, Timestamp};
use taskflow_store::StoreError;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{RuntimeClock, until};
use crate::ServiceError;
use crate::duties::{Duty, run};

/// What a tick does; past the end of the script it goes well.
#[derive(Clone, Copy)]
enum Act {
    Well(Duration),
    Fails,
    Panics,
}

/// A duty that follows a script and notes when it ticked.
struct Scripted {
    script: Vec<Act>,
    ticks: Arc<Mutex<Vec<Instant>>>,
    wake: Arc<Notify>,
}

#[async_trait]
impl Duty for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn tick(&mut self, _now: Timestamp) -> Result<Duration, ServiceError> {
        let n = self.ticks.lock().len();
        self.ticks.lock().push(Instant::now());
        match self.script.get(n).copied().unwrap_or(Act::Well(Duration::from_secs(1))) {
            Act::Well(pause) => Ok(pause),
            Act::Fails => Err(StoreError::Busy.into()),
            Act::Panics => panic!("a tick went wrong"),
        }
    }

    async fn woken(&mut self) {
        self.wake.notified().await;
    }
}

struct Watched {
    ticks: Arc<Mutex<Vec<Instant>>>,
    wake: Arc<Notify>,
}

impl Watched {
    /// Waits for `n` ticks and answers the pauses between them, in milliseconds.
    async fn pauses(&self, n: usize) -> Vec<u128> {
        until(|| self.ticks.lock().len() >= n).await;
        let ticks = self.ticks.lock();
        ticks.windows(2).take(n - 1).map(|two| (two[1] - two[0]).as_millis()).collect()
    }
}

fn duty(script: &[Act]) -> (Box<dyn Duty>, Watched) {
    let (ticks, wake) = (Arc::default(), Arc::new(Notify::new()));
    let watched = Watched { ticks: Arc::clone(&ticks), wake: Arc::clone(&wake) };
    (Box::new(Scripted { script: script.to_vec(), ticks, wake }), watched)
}

fn clock() -> Arc<dyn Clock> {
    RuntimeClock::started()
}

#[tokio::test(start_paused = true)]
async fn an_error_or_a_panic_is_tried_again_later_and_later() {
    let (duty, watched) = duty(&[
        Act::Fails,
        Act::Panics,
        Act::Fails,
        Act::Well(Duration::from_millis(10)),
        Act::Panics,
        Act::Well(Duration::from_millis(10)),
    ]);
    let stop = CancellationToken::new();
    let running = run(vec![duty], &clock(), &stop);
    assert_eq!(watched.pauses(7).await, [100, 200, 400, 10, 100, 10], "success starts anew");
    stop.cancel();
    running.wait().await;
}

#[tokio::test(start_paused = true)]
async fn the_pause_after_failures_has_a_ceiling() {
    let (duty, watched) = duty(&[Act::Fails; 12]);
    let stop = CancellationToken::new();
    let running = run(vec![duty], &clock(), &stop);
    let pauses = watched.pauses(12).await;
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(*pauses.last().unwrap() <= 5000, "{pauses:?}");
    stop.cancel();
    running.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_duty_does_not_hold_up_another() {
    let (bad, bad_watched) = duty(&[Act::Panics; 100]);
    let (good, good_watched) = duty(&[]);
    let stop = CancellationToken::new();
    let running = run(vec![bad, good], &clock(), &stop);
    assert_eq!(good_watched.pauses(4).await, [1000; 3]);
    assert!(bad_watched.ticks.lock().len() > 2);
    stop.cancel();
    running.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_cuts_the_pause_short() {
    let (duty, watched) = duty(&[Act::Well(Duration::from_secs(3600))]);
    let stop = CancellationToken::new();
    let running = run(vec![duty], &clock(), &stop);
    watched.pauses(1).await;
    watched.wake.notify_one();
    assert!(watched.pauses(2).await[0] < 10);
    stop.cancel();
    running.wait().await;
}

#[tokio::test(start_paused = true)]
async fn stop_ends_every_duty_at_once_whatever_it_waits_for() {
    let hour = Act::Well(Duration::from_secs(3600));
    let (duties, watched): (Vec<_>, Vec<_>) =
        [duty(&[hour]), duty(&[Act::Fails; 20]), duty(&[Act::Panics; 20])].into_iter().unzip();
    let stop = CancellationToken::new();
    let running = run(duties, &clock(), &stop);
    for one in &watched {
        one.pauses(1).await;
    }
    let stopped = Instant::now();
    stop.cancel();
    running.wait().await;
    assert_eq!(stopped.elapsed(), Duration::ZERO);
    let ticks = |one: &Watched| one.ticks.lock().len();
    let before: Vec<usize> = watched.iter().map(ticks).collect();
    tokio::time::sleep(Duration::from_secs(7200)).await;
    assert_eq!(watched.iter().map(ticks).collect::<Vec<_>>(), before, "none is left running");
}
