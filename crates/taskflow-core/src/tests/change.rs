//! Which events come of which changes, and whom they interest.

use super::{Case, Finish, State, Status, at, claim, extend, finish, id};
use crate::change::{Change, Interest, Sort, TaskChange, TaskEvent};
use crate::name::{Kind, QueueName, WorkerName};
use crate::task::{Progress, TaskId, Terms};

fn state(status: Status) -> State {
    State { status, ..State::born(at(0.0), 0, at(0.0)) }
}

#[test]
fn every_move_to_another_status_is_an_event_of_that_status() {
    for was in Status::ALL {
        for is in Status::ALL.into_iter().filter(|is| *is != was) {
            let told = TaskEvent::between(&state(was), &state(is));
            let right = match is {
                Status::Pending => TaskEvent::Retried,
                Status::InProgress => TaskEvent::Started,
                Status::Completed => TaskEvent::Completed,
                Status::Failed => TaskEvent::Failed,
                Status::Cancelled => TaskEvent::Cancelled,
            };
            assert_eq!(told, Some(right), "{was:?} to {is:?}");
        }
    }
}

#[test]
fn within_a_status_there_is_progress_or_an_update_or_nothing() {
    let was = state(Status::InProgress);
    let progress = Some(Progress { percent: 5.0, message: None });
    let moved = State { progress: progress.clone(), updated_at: at(1.0), ..was.clone() };
    assert_eq!(TaskEvent::between(&was, &moved), Some(TaskEvent::Progress));
    let edited = State { version: was.version + 1, progress, ..was.clone() };
    assert_eq!(TaskEvent::between(&was, &edited), Some(TaskEvent::Updated));
    let beat = State { updated_at: at(1.0), ..was.clone() };
    assert_eq!(TaskEvent::between(&was, &beat), None);
}

#[test]
fn a_heartbeat_without_news_is_no_event_and_an_end_is_one() {
    let mut case = Case::new(Terms::default());
    case.run(claim(1), at(0.0));
    let held = case.state.clone();
    let beat = case.run(extend(1), at(1.0));
    assert_eq!(TaskEvent::between(&held, &beat.state), None);
    let back = case.run(finish(1, Finish::Released), at(2.0));
    assert_eq!(TaskEvent::between(&held, &back.state), Some(TaskEvent::Retried));
}

#[test]
fn every_sort_has_a_word_of_its_own() {
    let words: Vec<&str> = Sort::all().map(Sort::as_str).collect();
    assert_eq!(words.len(), 11);
    for (sort, word) in Sort::all().zip(&words) {
        assert_eq!(Sort::parse(word), Some(sort));
        if let Sort::Task(event) = sort {
            assert_eq!(*word, format!("task.{}", event.as_str()));
            assert_eq!(TaskEvent::parse(event.as_str()), Some(event));
        }
    }
    assert_eq!(Sort::parse("task"), None);
}

fn change() -> TaskChange {
    let (queue, kind) = (QueueName::parse("mail").unwrap(), Kind::parse("send").unwrap());
    let of =
        TaskChange::of(id(), (&queue, &kind), TaskEvent::Failed, &state(Status::Failed), at(2.0));
    TaskChange { tags: vec!["a".into(), "b".into()], ..of }
}

#[test]
fn an_interest_takes_what_fits_all_its_parts() {
    let task = Change::Task(Box::new(change()));
    let mail = || QueueName::parse("mail").ok();
    let fits = Interest {
        sorts: Some(vec![Sort::Queue, Sort::Task(TaskEvent::Failed)]),
        tasks: Some(vec![id()]),
        queue: mail(),
        kind: Kind::parse("send").ok(),
        status: Some(Status::Failed),
        tag: Some("b".into()),
    };
    assert!(fits.takes(&task) && Interest::default().takes(&task));
    let others = [
        Interest { sorts: Some(vec![Sort::Task(TaskEvent::Created)]), ..fits.clone() },
        Interest { tasks: Some(vec![TaskId::new(8).unwrap()]), ..fits.clone() },
        Interest { queue: QueueName::parse("other").ok(), ..fits.clone() },
        Interest { kind: Kind::parse("other").ok(), ..fits.clone() },
        Interest { status: Some(Status::Completed), ..fits.clone() },
        Interest { tag: Some("c".into()), ..fits.clone() },
    ];
    for other in others {
        assert!(!other.takes(&task), "{other:?}");
    }
}

#[test]
fn what_is_asked_of_tasks_leaves_out_queues_and_workers() {
    let mail = || QueueName::parse("mail").ok();
    let queue = Change::Queue(mail().unwrap());
    let worker = Change::Worker(WorkerName::parse("w").unwrap());
    assert!(Interest::default().takes(&queue) && Interest::default().takes(&worker));
    let of_queue = Interest { queue: mail(), ..Interest::default() };
    assert!(of_queue.takes(&queue) && !of_queue.takes(&worker));
    let other = Interest { queue: QueueName::parse("other").ok(), ..Interest::default() };
    assert!(!other.takes(&queue));
    let of_tasks = Interest { tag: Some("a".into()), ..Interest::default() };
    assert!(!of_tasks.takes(&queue) && !of_tasks.takes(&worker));
    let sorts = Some(vec![Sort::Worker]);
    let of_workers = Interest { sorts, ..Interest::default() };
    assert!(of_workers.takes(&worker) && !of_workers.takes(&queue));
}
