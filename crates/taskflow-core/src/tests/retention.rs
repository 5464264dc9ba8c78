//! Which period counts for a queue and a status, and from when on a task is over its time.

use super::at;
use crate::name::QueueName;
use crate::retention::{Override, Periods, Retention};
use crate::status::Status;

fn queue(name: &str) -> QueueName {
    QueueName::parse(name).unwrap()
}

fn retention() -> Retention {
    let own = [
        ("short", Override { completed: Some(Some(1)), ..Override::default() }),
        ("kept", Override { completed: Some(None), failed: Some(None), cancelled: Some(None) }),
        ("silent", Override::default()),
    ];
    Retention {
        everywhere: Periods { completed: Some(60), failed: None, cancelled: Some(0) },
        queues: own.into_iter().map(|(name, own)| (queue(name), own)).collect(),
    }
}

#[test]
fn a_queue_s_own_period_counts_before_the_one_of_everywhere() {
    use Status as S;
    let table = [
        ("other", S::Completed, Some(60)),
        ("other", S::Failed, None),
        ("other", S::Cancelled, Some(0)),
        ("silent", S::Completed, Some(60)),
        ("short", S::Completed, Some(1)),
        ("short", S::Failed, None),
        ("short", S::Cancelled, Some(0)),
        ("kept", S::Completed, None),
        ("kept", S::Cancelled, None),
        ("other", S::Pending, None),
        ("short", S::InProgress, None),
    ];
    for (name, status, period) in table {
        assert_eq!(retention().period(&queue(name), status), period, "{name} {status:?}");
    }
}

#[test]
fn a_task_is_over_its_time_as_many_seconds_after_its_end_as_the_period_has() {
    let until = |name, status| retention().until(&queue(name), status, at(100.0));
    assert_eq!(until("other", Status::Completed), Some(at(40.0)));
    assert_eq!(until("short", Status::Completed), Some(at(99.0)));
    assert_eq!(until("other", Status::Cancelled), Some(at(100.0)));
    assert_eq!(until("kept", Status::Completed), None);
}

#[test]
fn nothing_is_removed_for_ever_only_when_no_queue_says_otherwise() {
    assert!(Retention::default().is_for_ever());
    assert!(!retention().is_for_ever());
    let queues = retention().queues;
    assert!(!Retention { everywhere: Periods::default(), queues: queues.clone() }.is_for_ever());
    let kept = queues.into_iter().filter(|(name, _)| name.as_str() == "kept").collect();
    assert!(Retention { everywhere: Periods::default(), queues: kept }.is_for_ever());
}
