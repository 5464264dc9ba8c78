//! How long tasks have waited in their queues, and leases that nobody rescues.

use super::*;

const ME: Actor = Actor::DEFAULT;

async fn overdue(stage: &Stage) -> u64 {
    stage.services.stats.overdue(ME).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_oldest_ready_task_of_each_queue_is_told_however_many_are_asked_for() {
    let stage = Stage::simulated(NEVER);
    let begun = stage.clock.now();
    stage.create_as(NewTask { queue: queue("a"), ..stage.new_task("x") }).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    stage.create_as(NewTask { queue: queue("a"), ..stage.new_task("y") }).await;
    let mut queues = vec![queue("b"); 1_500];
    queues.push(queue("a"));
    let oldest = stage.services.stats.oldest(ME, queues).await.unwrap();
    assert_eq!(oldest.len(), 1_501);
    assert_eq!((oldest[0], oldest[1_500]), (None, Some(begun)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_overdue_when_nobody_rescued_it_for_a_while() {
    let stage = Stage::simulated(NEVER);
    stage.create("a").await;
    let lease = Want { lease_seconds: Some(10), ..one(&["a"], Duration::ZERO) };
    assert_eq!(stage.claim(lease).await.unwrap().len(), 1);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(overdue(&stage).await, 0);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(overdue(&stage).await, 1);
    let duty = stage.on_duty();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(overdue(&stage).await, 0);
    duty.end().await;
}
