//! Single commands on single tasks: each rule of the state machine by name.

use super::*;
use crate::attempt::Outcome;
use crate::json::Json;
use crate::retry::{RetryPolicy, Strategy};
use crate::task::Progress;

const DONE: Finish = Finish::Completed { result: None };

fn terms(change: impl FnOnce(&mut Terms)) -> Terms {
    let mut terms = Terms {
        retry: RetryPolicy {
            strategy: Strategy::Fixed,
            base_seconds: 10.0,
            jitter: 0.0,
            ..RetryPolicy::default()
        },
        ..Terms::default()
    };
    change(&mut terms);
    terms
}

fn claimed(change: impl FnOnce(&mut Terms)) -> Case {
    let mut case = Case::new(terms(change));
    case.run(claim(1), at(0.0));
    case
}

fn until(case: &Case) -> Timestamp {
    case.state.lease.as_ref().expect("a lease").until
}

#[test]
fn a_claim_counts_the_attempt_and_begins_a_lease() {
    let mut case = Case::new(terms(|_| {}));
    let made = case.run(claim(1), at(5.0));
    assert!(made.changed && made.closed.is_none());
    let state = &case.state;
    assert_eq!((state.status, state.attempt, state.attempts_used()), (Status::InProgress, 1, 1));
    assert_eq!((state.worker.as_deref(), state.started_at), (Some("w1"), Some(at(5.0))));
    let lease = state.lease.as_ref().unwrap();
    assert_eq!((lease.token, lease.until, lease.seconds), (token(1), at(35.0), 30));
    assert_eq!(case.attempt(claim(2), at(6.0)), Err(Illegal::NotDue), "it is held");
}

#[test]
fn a_claim_may_name_the_length_of_its_lease() {
    let mut case = Case::new(terms(|_| {}));
    let worker = WorkerName::parse("w1").unwrap();
    case.run(Command::Claim { worker, token: token(1), lease_seconds: Some(5) }, at(0.0));
    assert_eq!(until(&case), at(5.0));
    case.run(extend(1), at(4.0));
    assert_eq!(until(&case), at(9.0), "heartbeats extend by the same length");
}

#[test]
fn no_claim_before_run_at_nor_while_blocked_nor_after_the_end() {
    let mut case = Case::new(terms(|_| {}));
    case.state.run_at = at(10.0);
    assert_eq!(case.attempt(claim(1), at(9.999999)), Err(Illegal::NotDue));
    assert!(case.clone().attempt(claim(1), at(10.0)).is_ok());
    case.state.blocked_by = 1;
    assert_eq!(case.attempt(claim(1), at(10.0)), Err(Illegal::NotDue));
    for late in [terms(|t| t.expires_at = Some(at(3.0))), terms(|t| t.deadline_at = Some(at(3.0)))]
    {
        let mut case = Case::new(late);
        assert!(case.clone().attempt(claim(1), at(2.9)).is_ok());
        assert_eq!(case.attempt(claim(1), at(3.0)), Err(Illegal::NotDue));
    }
}

#[test]
fn a_heartbeat_extends_its_own_lease_and_is_no_change_of_the_task() {
    let mut case = claimed(|_| {});
    let before = case.state.clone();
    let progress = Some(Progress { percent: 40.0, message: None });
    let checkpoint = Some(Json::from_stored("7".into()));
    let beat = Command::Extend { token: token(1), progress: progress.clone(), checkpoint };
    assert!(case.run(beat, at(20.0)).changed);
    assert_eq!(until(&case), at(50.0));
    assert_eq!((case.state.version, case.state.updated_at), (before.version, before.updated_at));
    case.run(extend(1), at(25.0));
    assert_eq!(case.state.progress, progress, "a beat that says nothing takes nothing back");
    assert_eq!(case.state.checkpoint.as_ref().map(Json::as_str), Some("7"));
    case.run(extend(1), at(20.0));
    assert_eq!(until(&case), at(55.0), "a clock that went back shortens no lease");
}

#[test]
fn the_next_attempt_finds_the_checkpoint_but_no_progress() {
    let mut case = claimed(|_| {});
    let progress = Some(Progress { percent: 40.0, message: Some("half".into()) });
    let checkpoint = Some(Json::from_stored("7".into()));
    case.run(Command::Extend { token: token(1), progress, checkpoint }, at(1.0));
    case.run(finish(1, Finish::Released), at(2.0));
    case.run(claim(2), at(2.0));
    assert_eq!(case.state.progress, None);
    assert_eq!(case.state.checkpoint.as_ref().map(Json::as_str), Some("7"));
}

#[test]
fn a_heartbeat_never_reaches_beyond_the_timeout_or_the_deadline() {
    let mut case = claimed(|t| t.timeout_seconds = Some(40));
    case.run(extend(1), at(25.0));
    assert_eq!(until(&case), at(40.0));
    case.run(extend(1), at(39.0));
    assert_eq!(until(&case), at(40.0));
    let mut case = claimed(|t| t.deadline_at = Some(at(12.5)));
    assert_eq!(until(&case), at(12.5), "the first lease ends there too");
    case.run(extend(1), at(12.0));
    assert_eq!(until(&case), at(12.5));
    let case = claimed(|t| (t.timeout_seconds, t.deadline_at) = (Some(9), Some(at(8.0))));
    assert_eq!(until(&case), at(8.0), "the earlier of the two");
}

#[test]
fn a_stale_lease_cannot_extend_or_finish_a_task() {
    let mut case = claimed(|_| {});
    case.run(Command::Expire, at(30.0));
    for command in [extend(1), finish(1, DONE), finish(1, failed("late"))] {
        assert_eq!(
            case.attempt(command, at(31.0)),
            Err(Illegal::LeaseLost),
            "before the next claim"
        );
    }
    case.run(claim(2), at(31.0));
    let held = case.state.clone();
    for command in [extend(1), finish(1, DONE), finish(1, Finish::Released), extend(9)] {
        assert_eq!(case.attempt(command, at(32.0)), Err(Illegal::LeaseLost), "after it");
    }
    assert_eq!(case.state, held);
}

#[test]
fn a_lease_that_ran_out_still_counts_until_it_is_taken_back() {
    let mut case = claimed(|_| {});
    case.run(extend(1), at(31.0));
    assert_eq!(until(&case), at(61.0));
    case.run(finish(1, DONE), at(99.0));
    assert_eq!(case.state.status, Status::Completed);
}

#[test]
fn a_completion_keeps_its_result_and_clears_earlier_errors() {
    let mut case = claimed(|_| {});
    case.run(finish(1, failed("first")), at(1.0));
    assert_eq!(case.state.error_message.as_deref(), Some("first"));
    case.run(claim(2), at(11.0));
    let result = Some(Json::from_stored(r#"{"n":1}"#.into()));
    let made = case.run(finish(2, Finish::Completed { result: result.clone() }), at(12.0));
    assert_eq!(made.closed, None, "the row is its history entry");
    let state = &case.state;
    assert!(state.completed_by_attempt());
    assert_eq!((state.status, &state.result), (Status::Completed, &result));
    assert_eq!((state.completed_at, state.ended_at), (Some(at(12.0)), Some(at(12.0))));
    assert_eq!((&state.error_message, &state.lease), (&None, &None));
}

#[test]
fn a_failure_waits_for_its_back_off_and_then_runs_again() {
    let mut case = claimed(|_| {});
    let closed = case.run(finish(1, failed("no")), at(2.0)).closed.unwrap();
    assert_eq!((closed.attempt, closed.outcome), (1, Outcome::Failed));
    assert_eq!((closed.started_at, closed.ended_at), (at(0.0), at(2.0)));
    assert_eq!((closed.worker.as_deref(), closed.error.as_deref()), (Some("w1"), Some("no")));
    let state = &case.state;
    assert_eq!((state.status, state.run_at, state.retrying), (Status::Pending, at(12.0), true));
    assert_eq!((state.ended_at, state.completed_at), (None, None));
    assert_eq!(case.attempt(claim(2), at(11.9)), Err(Illegal::NotDue));
    case.run(claim(2), at(12.0));
    assert!(!case.state.retrying);
}

#[test]
fn a_worker_may_say_when_to_try_again() {
    let mut case = claimed(|_| {});
    let error = "busy".to_owned();
    case.run(
        finish(1, Finish::Failed { error, retryable: true, retry_after: Some(90.0) }),
        at(1.0),
    );
    assert_eq!((case.state.run_at, case.state.retrying), (at(91.0), true));
}

#[test]
fn a_failure_is_for_good_when_it_is_said_or_attempts_are_used_up_or_the_deadline_is_too_near() {
    let for_good = Finish::Failed { error: "no".into(), retryable: false, retry_after: None };
    let mut said = claimed(|_| {});
    said.run(finish(1, for_good), at(1.0));
    let mut used_up = claimed(|t| t.max_attempts = 1);
    used_up.run(finish(1, failed("no")), at(1.0));
    let mut too_near = claimed(|t| t.deadline_at = Some(at(11.0)));
    too_near.run(finish(1, failed("no")), at(1.0));
    for case in [said, used_up, too_near] {
        let state = &case.state;
        assert_eq!((state.status, state.ended_at), (Status::Failed, Some(at(1.0))));
        assert_eq!((state.completed_at, &state.lease), (None, &None));
        assert_eq!(state.error_message.as_deref(), Some("no"));
    }
    let mut in_time = claimed(|t| t.deadline_at = Some(at(11.000001)));
    in_time.run(finish(1, failed("no")), at(1.0));
    assert_eq!(in_time.state.status, Status::Pending);
}

#[test]
fn a_failure_after_the_timeout_is_a_timeout() {
    let mut case = claimed(|t| t.timeout_seconds = Some(20));
    let closed = case.run(finish(1, failed("late")), at(20.0)).closed.unwrap();
    assert_eq!((closed.outcome, closed.error.as_deref()), (Outcome::TimedOut, Some("late")));
}

#[test]
fn a_task_that_kills_its_worker_ends_failed() {
    let mut case = Case::new(terms(|t| t.max_attempts = 3));
    for n in 1..=3 {
        let now = at(f64::from(n) * 100.0);
        case.run(claim(n), now);
        let closed = case.run(Command::Expire, now.plus_seconds(30.0)).closed.unwrap();
        assert_eq!((closed.attempt, closed.outcome), (u32::from(n), Outcome::LeaseExpired));
        assert_eq!(case.state.run_at, if n < 3 { now.plus_seconds(30.0) } else { at(230.0) });
    }
    assert_eq!((case.state.status, case.state.attempts_used()), (Status::Failed, 3));
    let error = case.state.error_message.as_deref();
    assert_eq!(error, Some("lease expired: no heartbeat from worker w1"));
}

#[test]
fn time_alone_ends_a_lease_exactly_at_its_end() {
    let mut case = claimed(|_| {});
    assert_eq!(case.attempt(Command::Expire, at(29.999999)), Err(Illegal::NotDue));
    case.run(Command::Expire, at(30.0));
    let mut case = claimed(|t| t.timeout_seconds = Some(5));
    let closed = case.run(Command::Expire, at(5.0)).closed.unwrap();
    assert_eq!(closed.outcome, Outcome::TimedOut);
    assert_eq!((case.state.status, case.state.run_at), (Status::Pending, at(15.0)));
    let mut case = claimed(|t| t.deadline_at = Some(at(5.0)));
    let closed = case.run(Command::Expire, at(5.0)).closed.unwrap();
    assert_eq!((closed.outcome, case.state.status), (Outcome::TimedOut, Status::Failed));
}

#[test]
fn a_task_not_started_in_time_is_cancelled_or_failed() {
    let mut case = Case::new(terms(|t| t.expires_at = Some(at(5.0))));
    assert_eq!(case.attempt(Command::Expire, at(4.9)), Err(Illegal::NotDue));
    case.run(Command::Expire, at(5.0));
    assert_eq!(case.state.status, Status::Cancelled);
    assert_eq!(case.state.cancel_reason.as_deref(), Some("expired"));
    let both = terms(|t| (t.expires_at, t.deadline_at) = (Some(at(5.0)), Some(at(5.0))));
    let mut case = Case::new(both);
    case.run(Command::Expire, at(5.0));
    assert_eq!((case.state.status, case.state.ended_at), (Status::Failed, Some(at(5.0))));
    assert!(case.state.error_message.as_deref().is_some_and(|e| e.contains("deadline")));
}

#[test]
fn what_a_person_works_on_is_never_rescued() {
    let mut case = Case::new(terms(|t| t.expires_at = Some(at(5.0))));
    case.run(Command::Move(Status::InProgress), at(1.0));
    assert_eq!((&case.state.lease, &case.state.worker), (&None, &None));
    assert_eq!(case.attempt(Command::Expire, at(1e6)), Err(Illegal::NotDue));
    case.run(Command::Move(Status::Completed), at(2.0));
    assert_eq!((case.state.attempt, case.state.completed_at), (0, Some(at(2.0))));
    assert!(!case.state.completed_by_attempt());
}

#[test]
fn what_is_given_back_uses_up_no_attempt() {
    for (given, outcome, run_at) in [
        (finish(1, Finish::Released), Outcome::Released, 1.0),
        (finish(1, Finish::Interrupted), Outcome::Interrupted, 1.0),
        (finish(1, Finish::Snoozed { delay: 60.0 }), Outcome::Snoozed, 61.0),
        (Command::Move(Status::Pending), Outcome::Released, 1.0),
    ] {
        let mut case = claimed(|t| t.max_attempts = 1);
        let closed = case.run(given, at(1.0)).closed.unwrap();
        assert_eq!(closed.outcome, outcome);
        let state = &case.state;
        assert_eq!((state.status, state.run_at), (Status::Pending, at(run_at)));
        assert_eq!((state.attempt, state.attempts_used(), state.retrying), (1, 0, false));
        case.run(claim(2), at(run_at));
        case.run(finish(2, failed("no")), at(run_at));
        assert_eq!((case.state.status, case.state.attempt), (Status::Failed, 2));
    }
}

#[test]
fn a_persons_own_work_gives_back_no_attempt_of_a_worker() {
    let mut case = claimed(|_| {});
    case.run(finish(1, failed("no")), at(1.0));
    case.run(Command::Move(Status::InProgress), at(2.0));
    let made = case.run(Command::Move(Status::Pending), at(3.0));
    assert_eq!(made.closed, None);
    assert_eq!((case.state.attempt, case.state.attempts_used()), (1, 1));
}

#[test]
fn a_person_who_moves_a_running_task_fences_its_worker() {
    for (to, why) in [
        (Status::Pending, Illegal::LeaseLost),
        (Status::Completed, Illegal::LeaseLost),
        (Status::Failed, Illegal::LeaseLost),
        (Status::Cancelled, Illegal::Cancelled),
    ] {
        let mut case = claimed(|_| {});
        case.run(Command::Move(to), at(1.0));
        let moved = case.state.clone();
        for command in [extend(1), finish(1, DONE), finish(1, failed("no"))] {
            assert_eq!(case.attempt(command, at(2.0)), Err(why), "{to:?}");
        }
        assert_eq!(case.attempt(extend(2), at(2.0)), Err(Illegal::LeaseLost));
        assert_eq!(case.state, moved);
    }
}

#[test]
fn an_attempt_that_was_over_before_the_cancel_is_not_called_cancelled() {
    let mut case = claimed(|_| {});
    case.run(finish(1, Finish::Released), at(1.0));
    case.run(Command::Move(Status::Cancelled), at(2.0));
    assert_eq!(case.attempt(finish(1, DONE), at(3.0)), Err(Illegal::LeaseLost));
    assert!(!case.run(finish(1, Finish::Released), at(3.0)).changed, "the replay is known still");
}

#[test]
fn the_same_finish_again_changes_nothing_and_a_different_one_is_refused() {
    let result = Some(Json::from_stored("1".into()));
    let calls = [
        Finish::Completed { result },
        failed("no"),
        Finish::Snoozed { delay: 5.0 },
        Finish::Released,
        Finish::Interrupted,
    ];
    for (i, first) in calls.iter().enumerate() {
        let mut case = claimed(|_| {});
        case.run(finish(1, first.clone()), at(1.0));
        let after = case.state.clone();
        for (j, second) in calls.iter().enumerate() {
            let answer = case.attempt(finish(1, second.clone()), at(50.0));
            if i == j {
                let want = Step { state: after.clone(), closed: None, changed: false };
                assert_eq!(answer, Ok(want), "{first:?}");
            } else {
                assert_eq!(answer, Err(Illegal::LeaseLost), "{first:?} then {second:?}");
            }
        }
        assert_eq!(case.attempt(extend(1), at(1.0)), Err(Illegal::LeaseLost));
    }
}

#[test]
fn a_finish_is_forgotten_at_the_next_claim() {
    let mut case = claimed(|_| {});
    case.run(finish(1, Finish::Released), at(1.0));
    case.run(claim(2), at(1.0));
    assert_eq!(case.attempt(finish(1, Finish::Released), at(2.0)), Err(Illegal::LeaseLost));
}

#[test]
fn a_retry_starts_a_new_life_with_rising_attempt_numbers() {
    let mut case = claimed(|t| t.max_attempts = 1);
    case.run(finish(1, Finish::Completed { result: Some(Json::from_stored("1".into())) }), at(1.0));
    let closed = case.run(Command::Move(Status::Pending), at(9.0)).closed.unwrap();
    assert_eq!((closed.attempt, closed.outcome), (1, Outcome::Completed));
    assert_eq!((closed.started_at, closed.ended_at), (at(0.0), at(1.0)));
    let state = &case.state;
    assert_eq!((state.status, state.run_at), (Status::Pending, at(9.0)));
    assert_eq!((state.completed_at, state.ended_at, &state.result), (None, None, &None));
    assert_eq!((&state.error_message, &state.cancel_reason), (&None, &None));
    assert_eq!((state.attempt, state.attempts_used()), (1, 0));
    case.run(claim(2), at(9.0));
    assert_eq!(case.state.attempt, 2);
}

#[test]
fn a_retry_of_a_failed_or_cancelled_task_clears_why_it_ended() {
    let mut gave_up = claimed(|t| t.max_attempts = 1);
    gave_up.run(finish(1, failed("no")), at(1.0));
    let mut cancelled = claimed(|_| {});
    cancelled.run(Command::Move(Status::Cancelled), at(1.0));
    assert_eq!(cancelled.state.cancel_reason.as_deref(), Some("requested"));
    for mut case in [gave_up, cancelled] {
        assert_eq!((case.state.completed_at, case.state.ended_at), (None, Some(at(1.0))));
        assert_eq!(case.run(Command::Move(Status::Pending), at(2.0)).closed, None);
        let state = &case.state;
        assert_eq!((state.ended_at, &state.last, state.attempts_used()), (None, &None, 0));
        assert_eq!((&state.error_message, &state.cancel_reason), (&None, &None));
    }
}
