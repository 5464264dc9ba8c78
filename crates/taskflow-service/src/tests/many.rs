//! Decisions about many tasks: their steps, their end, and what they leave alone.

use taskflow_core::Status;
use taskflow_core::many::Verdict;
use taskflow_store::Filter;

use super::*;
use crate::many::Outcome;

const ME: Actor = Actor::DEFAULT;

async fn peopled(tasks: usize) -> Stage {
    let stage = Stage::simulated(NEVER);
    stage.slip_in("a", tasks).await;
    stage
}

async fn act(stage: &Stage, verdict: Verdict) -> Outcome {
    stage.services.many.act(ME, verdict, Filter::default()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_says_that_there_is_more_and_the_same_again_goes_on() {
    let stage = peopled(7_000).await;
    // Two pages: the second is found when time is over.
    stage.store.let_find_take(Duration::from_secs(15));
    let first = act(&stage, Verdict::Cancel).await;
    assert_eq!(first, Outcome { changed: 5_000, skipped: 0, more: true });
    let second = act(&stage, Verdict::Cancel).await;
    assert_eq!(second, Outcome { changed: 0, skipped: 5_000, more: true });
    stage.store.let_find_take(Duration::ZERO);
    let third = act(&stage, Verdict::Cancel).await;
    assert_eq!(third, Outcome { changed: 2_000, skipped: 5_000, more: false });
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_the_process_stops() {
    let stage = peopled(3).await;
    stage.services.bus.close();
    assert_eq!(act(&stage, Verdict::Delete).await, Outcome { more: true, ..Outcome::default() });
    let counts = stage.services.tasks.count(ME).await.unwrap();
    assert_eq!(counts.of(Status::Pending), 3);
}

#[tokio::test(start_paused = true)]
async fn a_count_stops_at_its_bound() {
    let stage = peopled(7).await;
    let counted = stage.services.many.count(ME, Filter::default()).await.unwrap();
    assert_eq!(counted, (7, false));
    let stage = peopled(11_000).await;
    stage.store.let_find_take(Duration::from_secs(15));
    let counted = stage.services.many.count(ME, Filter::default()).await.unwrap();
    assert_eq!(counted, (10_000, true));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_created_meanwhile_is_left_alone() {
    let stage = peopled(6_000).await;
    stage.store.let_find_take(Duration::from_secs(1));
    let late = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        stage.create("late").await
    };
    let (outcome, late) = tokio::join!(act(&stage, Verdict::Cancel), late);
    assert_eq!(outcome, Outcome { changed: 6_000, skipped: 0, more: false });
    assert_eq!(stage.task(late).await.state.status, Status::Pending);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_end_of_a_task_is_told() {
    let stage = peopled(1).await;
    let waits = stage.services.tasks.wait(ME, id(1), LONG);
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        act(&stage, Verdict::Cancel).await;
    };
    let begun = Instant::now();
    let (task, ()) = tokio::join!(waits, cancel);
    assert_eq!(task.unwrap().state.status, Status::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(1));
}
