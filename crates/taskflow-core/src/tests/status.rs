//! The words, their stored numbers, the transition table and the page printed from it.

use super::*;
use crate::attempt::Outcome;
use crate::diagram::{counts, state_machine_markdown};
use crate::status::{PendingReason, Priority, TRANSITIONS};

#[test]
fn the_page_on_the_state_machine_is_what_the_code_prints() {
    let page = include_str!("../../../../docs/state-machine.md").replace("\r\n", "\n");
    assert!(
        page == state_machine_markdown(),
        "docs/state-machine.md is stale; print it anew: \
         cargo run -p taskflow-core --example state_machine > docs/state-machine.md"
    );
}

#[test]
fn statuses_keep_their_words_and_numbers() {
    let pinned = ["pending", "in_progress", "completed", "failed", "cancelled"];
    assert_eq!(Status::ALL.map(Status::as_str), pinned);
    assert_eq!(Status::ALL.map(Status::number), [0, 1, 2, 3, 4]);
    for status in Status::ALL {
        assert_eq!(Status::from_number(status.number()), Some(status));
        assert_eq!(Status::parse(status.as_str()), Some(status));
    }
    for number in [-1, 5, i64::MIN, i64::MAX, 1 << 32] {
        assert_eq!(Status::from_number(number), None, "{number}");
    }
    for word in ["", "Pending", "done", "pending ", "in-progress", "expired"] {
        assert_eq!(Status::parse(word), None, "{word:?}");
    }
}

#[test]
fn priorities_keep_their_words_numbers_and_order() {
    assert_eq!(Priority::ALL.map(Priority::as_str), ["low", "medium", "high", "urgent"]);
    assert_eq!(Priority::ALL.map(Priority::number), [0, 1, 2, 3]);
    assert!(Priority::ALL.is_sorted());
    assert_eq!(Priority::default(), Priority::Medium);
    for priority in Priority::ALL {
        assert_eq!(Priority::from_number(priority.number()), Some(priority));
        assert_eq!(Priority::parse(priority.as_str()), Some(priority));
    }
    assert_eq!(Priority::from_number(4), None);
    assert_eq!(Priority::from_number(-1), None);
    assert_eq!(Priority::parse("URGENT"), None);
}

#[test]
fn outcomes_keep_their_words_and_numbers() {
    let pinned = [
        "completed",
        "failed",
        "timed_out",
        "lease_expired",
        "released",
        "snoozed",
        "cancelled",
        "interrupted",
    ];
    assert_eq!(Outcome::ALL.map(Outcome::as_str), pinned);
    assert_eq!(Outcome::ALL.map(Outcome::number), [0, 1, 2, 3, 4, 5, 6, 7]);
    for outcome in Outcome::ALL {
        assert_eq!(Outcome::from_number(outcome.number()), Some(outcome));
    }
    assert_eq!(Outcome::from_number(8), None);
    assert_eq!(Outcome::from_number(-1), None);
}

#[test]
fn pending_reasons_keep_their_words() {
    use PendingReason as R;
    let words = [R::Ready, R::Scheduled, R::Retrying, R::Blocked].map(R::as_str);
    assert_eq!(words, ["ready", "scheduled", "retrying", "blocked"]);
}

#[test]
fn refusals_keep_their_words() {
    let moved = Illegal::Transition { from: Status::Completed, to: Status::InProgress };
    assert_eq!(moved.to_string(), "a task that is completed cannot become in_progress");
    assert_eq!(Illegal::LeaseLost.to_string(), "the lease is not held any more");
    assert_eq!(Illegal::Cancelled.to_string(), "the task was cancelled");
    assert_eq!(Illegal::NotDue.to_string(), "not due");
}

#[test]
fn a_person_may_set_what_the_contract_says() {
    use Status as S;
    assert_eq!(S::Pending.allowed(), [S::InProgress, S::Completed, S::Failed, S::Cancelled]);
    assert_eq!(S::InProgress.allowed(), [S::Pending, S::Completed, S::Failed, S::Cancelled]);
    for ended in [S::Completed, S::Failed, S::Cancelled] {
        assert!(ended.is_ended());
        assert_eq!(ended.allowed(), [S::Pending]);
    }
    assert!(!S::Pending.is_ended() && !S::InProgress.is_ended());
}

#[test]
fn the_table_has_no_row_twice_and_leaves_no_status_unchanged() {
    for (i, row) in TRANSITIONS.iter().enumerate() {
        assert!(!TRANSITIONS[..i].contains(row), "{row:?} stands twice");
        assert_ne!(row.0, row.2);
    }
}

#[test]
fn a_move_to_any_status_follows_the_table() {
    for from in Status::ALL {
        for to in Status::ALL {
            let mut case = Case::that_is(from);
            let before = case.state.clone();
            let moved = case.attempt(Command::Move(to), at(2.0));
            if from == to {
                let made = moved.unwrap();
                assert!(!made.changed && made.closed.is_none());
                assert_eq!(case.state, before, "{from:?} again must change nothing");
            } else if from.allowed().contains(&to) {
                let made = moved.unwrap();
                assert!(made.changed);
                assert_eq!(made.state.status, to);
                assert_eq!(made.state.version, before.version + 1);
                assert_eq!(made.state.updated_at, at(2.0));
            } else {
                assert_eq!(moved, Err(Illegal::Transition { from, to }));
                assert_eq!(case.state, before);
            }
        }
    }
}

/// Attempts used up by one attempt that ended as `outcome`.
fn used_by(outcome: Outcome) -> u32 {
    let mut case = Case::new(Terms { timeout_seconds: Some(60), ..Terms::default() });
    case.run(claim(1), at(0.0));
    let end = match outcome {
        Outcome::Completed => finish(1, Finish::Completed { result: None }),
        Outcome::Failed => finish(1, failed("no")),
        Outcome::TimedOut => {
            case.run(extend(1), at(29.0));
            case.run(extend(1), at(58.0));
            Command::Expire
        }
        Outcome::LeaseExpired => Command::Expire,
        Outcome::Released => finish(1, Finish::Released),
        Outcome::Snoozed => finish(1, Finish::Snoozed { delay: 1.0 }),
        Outcome::Cancelled => Command::Move(Status::Cancelled),
        Outcome::Interrupted => finish(1, Finish::Interrupted),
    };
    let when = if outcome == Outcome::TimedOut { at(60.0) } else { at(30.0) };
    case.run(end, when);
    assert_eq!(case.state.last.as_ref().unwrap().outcome, outcome);
    case.state.attempts_used()
}

#[test]
fn the_page_says_rightly_which_outcomes_count() {
    for outcome in Outcome::ALL {
        assert_eq!(used_by(outcome), u32::from(counts(outcome)), "{outcome:?}");
    }
}
