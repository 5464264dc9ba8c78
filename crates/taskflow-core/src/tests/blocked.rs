//! Tasks that wait for other tasks.

use super::*;

fn blocked(parents: u32) -> Case {
    Case { state: State::born(at(0.0), parents, at(0.0)), terms: Terms::default() }
}

fn lost() -> Command {
    Command::ParentLost(TaskId::new(3).unwrap())
}

#[test]
fn a_task_waits_until_its_last_parent_completed() {
    let mut case = blocked(2);
    case.run(Command::Unblock, at(5.0));
    assert_eq!(case.attempt(claim(1), at(5.0)), Err(Illegal::NotDue));
    case.run(Command::Unblock, at(6.0));
    assert_eq!((case.state.blocked_by, case.state.run_at), (0, at(6.0)), "in line from now on");
    assert_eq!(case.attempt(Command::Unblock, at(7.0)), Err(Illegal::NotDue));
    case.run(claim(1), at(7.0));
}

#[test]
fn the_last_parent_does_not_move_a_later_run_at() {
    let mut case = blocked(1);
    case.state.run_at = at(60.0);
    case.run(Command::Unblock, at(5.0));
    assert_eq!(case.state.run_at, at(60.0));
}

#[test]
fn a_task_whose_parent_was_lost_is_cancelled_and_says_which() {
    let mut case = blocked(2);
    case.run(lost(), at(5.0));
    assert_eq!((case.state.status, case.state.ended_at), (Status::Cancelled, Some(at(5.0))));
    let reason = case.state.cancel_reason.as_deref();
    assert_eq!(reason, Some("task 3, which it waits for, did not complete"));
}

#[test]
fn parents_mean_nothing_to_a_task_that_does_not_wait() {
    for status in Status::ALL {
        for command in [Command::Unblock, lost()] {
            let mut case = Case::that_is(status);
            assert_eq!(case.attempt(command, at(5.0)), Err(Illegal::NotDue), "{status:?}");
        }
    }
}

/// Its parents end while it is no longer pending; nobody would ever unblock it afterwards.
#[test]
fn a_blocked_task_that_a_person_started_is_not_blocked_for_ever_when_given_back() {
    let mut case = blocked(1);
    case.run(Command::Move(Status::InProgress), at(1.0));
    assert_eq!(case.attempt(Command::Unblock, at(2.0)), Err(Illegal::NotDue));
    case.run(Command::Move(Status::Pending), at(3.0));
    case.run(claim(1), at(3.0));
}

#[test]
fn a_retry_no_longer_waits_for_parents() {
    let mut case = blocked(1);
    case.run(lost(), at(1.0));
    case.run(Command::Move(Status::Pending), at(2.0));
    assert_eq!(case.state.blocked_by, 0);
    case.run(claim(1), at(2.0));
}
