//! What is told of many commits.

use futures_util::FutureExt;
use taskflow_core::{Kind, Timestamp};

use super::*;

fn ready(queue: &str, second: i64) -> Ready {
    Ready {
        queue: QueueName::parse(queue).expect("a name"),
        kind: Kind::parse("k").expect("a name"),
        run_at: Timestamp::from_micros(second * 1_000_000),
    }
}

#[test]
fn a_queue_is_told_once_from_its_earliest_task_on() {
    let all = Announcements::default();
    all.add(TenantId(1), &[ready("a", 30), ready("b", 5)]);
    all.add(TenantId(1), &[ready("a", 20)]);
    all.add(TenantId(2), &[ready("a", 40)]);
    assert_eq!(all.take(), ["20 1 a", "5 1 b", "40 2 a"]);
    assert!(all.take().is_empty());
}

#[test]
fn more_queues_than_are_told_are_told_as_everything() {
    let all = Announcements::default();
    for number in 0..2 * QUEUES_MAX {
        all.add(TenantId(1), &[ready(&format!("q{number}"), 1)]);
    }
    assert_eq!(all.take(), [EVERYTHING]);
    all.add(TenantId(1), &[ready("a", 1)]);
    assert_eq!(all.take(), ["1 1 a"]);
}

#[tokio::test]
async fn what_comes_while_nobody_waits_is_due_at_once_but_for_the_gap() {
    let all = Announcements::default();
    all.add(TenantId(1), &[ready("a", 1)]);
    let begun = Instant::now();
    all.due(begun).await;
    // Nothing was taken: dropped and asked again, it is due still.
    all.due(begun + GAP).await;
    assert!(begun.elapsed() >= GAP);
    all.take();
    assert!(all.due(begun).now_or_never().is_none(), "there is nothing to tell");
}

#[test]
fn a_node_that_is_alone_tells_nobody_until_another_one_comes_which_is_told_everything() {
    let all = Announcements::default();
    all.see(&[], all.newcomers());
    all.add(TenantId(1), &[ready("a", 1)]);
    assert!(all.take().is_empty());
    all.join(Some("node-2"));
    assert_eq!(all.take(), [EVERYTHING]);
    all.add(TenantId(1), &[ready("a", 1)]);
    assert_eq!(all.take(), ["1 1 a"]);
}

#[test]
fn a_look_for_others_that_one_came_after_says_nothing() {
    let all = Announcements::default();
    let before = all.newcomers();
    all.join(None);
    all.see(&[], before);
    all.add(TenantId(1), &[ready("a", 1)]);
    assert_eq!(all.take(), ["1 1 a"]);
}

#[test]
fn a_node_that_was_heard_and_never_seen_may_be_there_for_ever() {
    let all = Announcements::default();
    let others = ["node-2".to_owned()];
    let told = |all: &Announcements| {
        all.add(TenantId(1), &[ready("a", 1)]);
        !all.take().is_empty()
    };
    all.join(Some("node-2"));
    all.see(&[], all.newcomers());
    assert!(told(&all), "its name is hidden");
    all.see(&others, all.newcomers());
    assert!(told(&all), "it is there");
    all.see(&[], all.newcomers());
    assert!(!told(&all), "it has gone");
}
