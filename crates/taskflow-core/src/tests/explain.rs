//! Every reason that a task can have, with its word, its object and its end.

use super::*;
use crate::explain::{Around, Reason, explain};
use crate::gate::Barred;
use crate::queue::{Pause, RateLimit, Settings};
use crate::{Kind, NewTask, Task};

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_micros(0).plus_seconds(seconds)
}

fn task() -> Task {
    let id = TaskId::new(7).expect("an id");
    Task::born(id, NewTask::titled("t", at(0.0)), 0, at(0.0))
}

fn only(task: &Task, around: &Around) -> Reason {
    let mut reasons = explain(task, around, at(10.0));
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    reasons.remove(0)
}

#[test]
fn a_ready_task_says_what_stands_before_it() {
    let around = |ahead, more, wanted| Around { ahead, more, wanted, ..Around::default() };
    for (around, code, says) in [
        (around(3, false, true), "in-line", "3 ready tasks"),
        (around(10_000, true, false), "in-line", "more than 10000 ready tasks"),
        (around(0, false, true), "starting", "next"),
        (around(0, false, false), "no-worker", "no worker for kind log in queue default"),
    ] {
        let reason = only(&task(), &around);
        assert_eq!(reason.code, code);
        assert!(reason.detail.contains(says) && reason.ends.is_some(), "{reason:?}");
    }
}

#[test]
fn a_task_whose_time_has_not_come_says_when_it_does() {
    let mut task = task();
    task.state.run_at = at(60.0);
    let reason = only(&task, &Around::default());
    assert_eq!((reason.code, reason.until), ("scheduled", Some(at(60.0))));
    (task.state.retrying, task.state.attempt) = (true, 2);
    task.state.error_message = Some("disk full\nmore".into());
    let reason = only(&task, &Around::default());
    assert_eq!((reason.code, reason.until), ("retrying", Some(at(60.0))));
    assert!(reason.detail.contains("attempt 2 of 5 failed (disk full)"), "{reason:?}");
}

#[test]
fn a_blocked_task_names_those_it_waits_for_and_what_else_holds_it() {
    let mut task = task();
    (task.state.blocked_by, task.state.run_at) = (2, at(60.0));
    task.kind = Kind::parse(Kind::MANUAL).expect("a name");
    let id = |n| TaskId::new(n).expect("an id");
    let parents =
        vec![(id(1), Status::Completed), (id(2), Status::InProgress), (id(3), Status::Pending)];
    let around = Around { parents, ..Around::default() };
    let reasons = explain(&task, &around, at(10.0));
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code).collect();
    assert_eq!(codes, ["blocked", "scheduled", "manual"]);
    assert_eq!(reasons[0].tasks, [id(2), id(3)]);
    assert!(reasons[0].detail.contains("task 2 (in_progress), task 3 (pending)"), "{reasons:?}");
}

#[test]
fn a_task_that_runs_or_has_ended_says_so() {
    let mut running = task();
    running.state.status = Status::InProgress;
    assert_eq!(only(&running, &Around::default()).code, "by-hand");
    running.state.worker = Some("w1".into());
    let token = crate::lease::LeaseToken::new([1; 16]).hash();
    running.state.lease = Some(crate::lease::Lease { token, until: at(30.0), seconds: 30 });
    let reason = only(&running, &Around::default());
    assert_eq!((reason.code, reason.until), ("running", Some(at(30.0))));
    assert!(reason.detail.contains("w1"), "{reason:?}");
    for (status, code, says) in [
        (Status::Completed, "completed", "completed"),
        (Status::Failed, "failed", "no such file"),
        (Status::Cancelled, "cancelled", "expired"),
    ] {
        let mut ended = task();
        ended.state.status = status;
        ended.state.error_message = Some("no such file".into());
        ended.state.cancel_reason = Some("expired".into());
        let reason = only(&ended, &Around::default());
        assert_eq!(reason.code, code);
        assert!(reason.detail.contains(says), "{reason:?}");
    }
}

#[test]
fn a_task_that_its_queue_holds_back_says_by_what_and_by_whom() {
    let mut task = task();
    task.concurrency_key = Some("acme".into());
    let holders = vec![TaskId::new(3).expect("an id"), TaskId::new(5).expect("an id")];
    let settings = Settings {
        concurrency_limit: Some(2),
        concurrency_key_limit: Some(1),
        rate_limit: Some(RateLimit { tasks: 9, per_seconds: 60 }),
        ..Settings::default()
    };
    let pause = Pause { reason: Some("repair".into()), since: at(1.0) };
    let around = Around {
        settings: Some(settings),
        pause: Some(pause),
        key_holders: holders[..1].to_vec(),
        holders: holders.clone(),
        ..Around::default()
    };
    let none: [TaskId; 0] = [];
    for (barred, code, says, tasks, until) in [
        (Barred::Paused, "paused", "is paused since 1970-01-01T00:00:01", &none[..], None),
        (Barred::Paused, "paused", "(repair)", &none[..], None),
        (
            Barred::Full,
            "queue-limit",
            "2 tasks run at once, and as many do: task 3, task 5",
            &holders[..],
            None,
        ),
        (Barred::KeyFull, "key-limit", "1 tasks of concurrency_key \"acme\"", &holders[..1], None),
        (
            Barred::Rate(at(70.0)),
            "rate-limit",
            "9 tasks start in 60 seconds",
            &none[..],
            Some(at(70.0)),
        ),
    ] {
        let reason = only(&task, &Around { barred: vec![barred], ..around.clone() });
        assert_eq!((reason.code, reason.until, &reason.tasks[..]), (code, until, tasks));
        assert!(reason.detail.contains(says) && reason.ends.is_some(), "{reason:?}");
    }
    // All that hold are told: a scheduled task of a paused queue waits for both.
    task.state.run_at = at(60.0);
    let both = explain(&task, &Around { barred: vec![Barred::Paused], ..around }, at(10.0));
    assert_eq!(both.iter().map(|r| r.code).collect::<Vec<_>>(), ["scheduled", "paused"]);
}

#[test]
fn a_ready_task_whose_workers_are_busy_names_up_to_three_of_them() {
    let busy = |names: &[&str]| {
        let takers = names.iter().map(|name| (*name).to_owned()).collect();
        only(&task(), &Around { takers, ..Around::default() })
    };
    for (names, says) in [
        (&["w1"][..], "called: w1"),
        (&["w1", "w2", "w3"], "called: w1, w2, w3"),
        (&["w1", "w2", "w3", "w4", "w5"], "called: w1, w2, w3 and 2 more"),
    ] {
        let reason = busy(names);
        assert_eq!(reason.code, "workers-busy");
        assert!(reason.detail.ends_with(says), "{reason:?}");
    }
    let around = Around { wanted: true, takers: vec!["w1".into()], ..Around::default() };
    assert_eq!(only(&task(), &around).code, "starting", "one of them waits");
}
