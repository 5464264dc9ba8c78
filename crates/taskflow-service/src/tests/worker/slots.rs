//! Slots: a worker never runs more than it said, and no slot is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use taskflow_core::Status;

use super::{Crew, Door, does, sleep};
use crate::Actor;
use crate::tests::{Stage, until};
use crate::worker::handler::Answer;
use crate::worker::registry::Registry;

/// Counts how many run at once, and the most that ever did.
#[derive(Default)]
struct Gauge {
    now: AtomicU32,
    most: AtomicU32,
    done: AtomicU32,
}

/// A handler that takes 10 to 50 ms and panics now and then.
fn busy() -> (Registry, Arc<Gauge>) {
    let gauge = Arc::new(Gauge::default());
    let seen = Arc::clone(&gauge);
    let registry = does(move |cx| {
        let gauge = Arc::clone(&seen);
        async move {
            let now = gauge.now.fetch_add(1, SeqCst) + 1;
            gauge.most.fetch_max(now, SeqCst);
            let n = cx.job().id.get();
            tokio::time::sleep(Duration::from_millis(10 + 10 * (n.unsigned_abs() % 5))).await;
            gauge.now.fetch_sub(1, SeqCst);
            gauge.done.fetch_add(1, SeqCst);
            assert!(n % 10 != 0 || cx.job().attempt > 1, "now and then");
            Answer::Completed(None)
        }
    });
    (registry, gauge)
}

async fn all_completed(stage: &Stage, n: u64) {
    let ended = async || {
        let counts = stage.services.tasks.count(Actor::DEFAULT).await.unwrap();
        counts.of(Status::Completed) == n
    };
    for _ in 0..60_000 {
        if ended().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("waited in vain");
}

#[tokio::test(start_paused = true)]
async fn a_worker_never_runs_more_jobs_than_it_said_and_uses_every_slot() {
    let (registry, gauge) = busy();
    let crew = Crew::start(registry, 7);
    for _ in 0..100 {
        crew.stage.create("a").await;
    }
    all_completed(&crew.stage, 100).await;
    assert_eq!(gauge.most.load(SeqCst), 7);
    assert_eq!(gauge.done.load(SeqCst), 110, "ten were tried twice");
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_takes_more_than_one_claim_can_carry() {
    let (registry, gauge) = busy();
    let crew = Crew::start(registry, 250);
    crew.stage.waiting(1).await;
    for _ in 0..300 {
        crew.stage.create("a").await;
    }
    all_completed(&crew.stage, 300).await;
    let most = gauge.most.load(SeqCst);
    assert!((101..=250).contains(&most), "at most {most} at once");
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_of_nought_counts_as_one() {
    let (registry, gauge) = busy();
    let crew = Crew::start(registry, 0);
    for _ in 0..5 {
        crew.stage.create("a").await;
    }
    all_completed(&crew.stage, 5).await;
    assert_eq!(gauge.most.load(SeqCst), 1);
    crew.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_worker_claims_nothing_until_a_slot_is_free() {
    let crew = Crew::start(
        does(|_| async {
            sleep(10.0).await;
            Answer::Completed(None)
        }),
        2,
    );
    for _ in 0..3 {
        crew.stage.create("a").await;
    }
    sleep(9.0).await;
    let counts = crew.stage.services.tasks.count(Actor::DEFAULT).await.unwrap();
    assert_eq!((counts.of(Status::InProgress), counts.of(Status::Pending)), (2, 1));
    assert_eq!(crew.stage.services.bus.waiting(), 0, "a claim without a slot would hoard");
    all_completed(&crew.stage, 3).await;
    crew.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_slot_and_no_task_is_lost_on_disk() {
    let (stage, _folder) = Stage::on_disk(Duration::from_secs(1));
    let (registry, gauge) = busy();
    let door = Door::to(&stage, &registry);
    let crew = Crew::at(stage, door, registry, 5, Duration::from_secs(60));
    for _ in 0..60 {
        crew.stage.create("a").await;
    }
    all_completed(&crew.stage, 60).await;
    assert!(gauge.most.load(SeqCst) <= 5);
    until(|| gauge.now.load(SeqCst) == 0).await;
    crew.end().await;
}
