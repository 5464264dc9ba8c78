//! Which numbers and indexes filters lead to.

use super::*;
use taskflow_core::{Kind, QueueName};

#[test]
fn every_number_belongs_to_one_status_and_one_reason() {
    let codes = |filter: &Filter| Codes::of(filter).all();
    let all = codes(&Filter::default());
    assert_eq!(all, (0..32).collect::<Vec<_>>());
    let mut by_status: Vec<i32> = Status::ALL
        .into_iter()
        .flat_map(|status| codes(&Filter { status: Some(status), ..Filter::default() }))
        .collect();
    by_status.sort_unstable();
    assert_eq!(by_status, all);
    let waiting = codes(&Filter { status: Some(Status::Pending), ..Filter::default() });
    for reason in PendingReason::ALL {
        let filter = Filter { reason: Some(reason), ..Filter::default() };
        assert!(codes(&filter).iter().all(|code| waiting.contains(code)), "{reason:?}");
        let running = Filter { status: Some(Status::InProgress), ..filter };
        assert_eq!(codes(&running), [0; 0], "{reason:?}");
    }
}

#[test]
fn statuses_and_priorities_are_numbered_as_rows_keep_them() {
    for status in Status::ALL {
        assert_eq!(i64::from(status as u8), status.number());
    }
    for priority in Priority::ALL {
        assert_eq!(i64::from(priority as u8), priority.number());
        let filter =
            Filter { status: Some(Status::Failed), priority: Some(priority), ..Filter::default() };
        assert_eq!(Codes::of(&filter).all(), [12 + priority as i32]);
    }
}

#[test]
fn a_walk_begins_in_lanes_or_a_tag_when_they_are_asked_for() {
    let queue = Some(QueueName::default());
    let kind = Some(Kind::default());
    let status = Some(Status::Failed);
    let tag = Some("t".to_owned());
    let none = Filter::default();
    let cases = [
        (none.clone(), vec![Source::All]),
        (Filter { status, ..none.clone() }, vec![Source::Lanes]),
        (Filter { status, queue: queue.clone(), ..none.clone() }, vec![Source::Lanes]),
        (Filter { queue, kind, ..none.clone() }, vec![Source::Lanes]),
        (Filter { tag: tag.clone(), ..none.clone() }, vec![Source::Tag]),
        (Filter { status, tag, ..none }, vec![Source::Lanes, Source::Tag]),
    ];
    for (filter, sources) in cases {
        assert_eq!(Source::of(&filter), sources, "{filter:?}");
    }
}

#[test]
fn a_kept_count_is_the_lanes_whose_numbers_fit() {
    let (queue, kind) = (QueueName::default(), Kind::default());
    let numbers = |filter: &Filter, status, priority| {
        let lanes = Lane::among(&Codes::of(filter).all(), (&queue, &kind), (status, priority));
        assert!(lanes.iter().all(|lane| lane.queue == queue && lane.kind == kind));
        lanes.iter().map(|lane| lane.code).collect::<Vec<_>>()
    };
    let all = Filter::default();
    assert_eq!(numbers(&all, Status::Pending, Priority::High), [2, 22, 26, 30]);
    assert_eq!(numbers(&all, Status::Failed, Priority::Low), [12]);
    let blocked = Filter { reason: Some(PendingReason::Blocked), ..Filter::default() };
    assert_eq!(numbers(&blocked, Status::Pending, Priority::Low), [28]);
    assert_eq!(numbers(&blocked, Status::Failed, Priority::Low), [0; 0]);
    let urgent = Filter { priority: Some(Priority::Urgent), ..Filter::default() };
    assert_eq!(numbers(&urgent, Status::Completed, Priority::Low), [0; 0]);
    assert_eq!(numbers(&urgent, Status::Completed, Priority::Urgent), [11]);
}
