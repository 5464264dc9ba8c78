//! A task's history: the entry that is the task's own row, and how many entries an answer has.

use super::*;
use crate::attempt::{Attempt, Outcome};
use crate::lease::LastFinish;
use crate::limits::ATTEMPTS_KEPT;

/// A written entry of the `n`-th attempt.
fn written(n: u32) -> Attempt {
    Attempt {
        attempt: n,
        worker: Some("w1".into()),
        started_at: at(0.0),
        ended_at: at(1.0),
        outcome: Outcome::Failed,
        error: Some("boom".into()),
    }
}

/// Claimed as attempt 1 at 0 and completed by its worker at 1.
fn completed() -> State {
    let mut case = Case::new(Terms::default());
    case.run(claim(1), at(0.0));
    case.run(finish(1, Finish::Completed { result: None }), at(1.0));
    case.state
}

#[test]
fn only_the_attempt_that_completed_a_task_is_its_own_row() {
    let ended = |status, outcome| State {
        status,
        last: Some(LastFinish { token: token(1), call: None, outcome }),
        ..completed()
    };
    for status in Status::ALL {
        for outcome in Outcome::ALL {
            let own = status == Status::Completed && outcome == Outcome::Completed;
            let entry = ended(status, outcome).completed_attempt();
            assert_eq!(entry.is_some(), own, "{status:?}, last attempt {outcome:?}");
        }
        let nobody = State { status, last: None, ..completed() };
        assert_eq!(nobody.completed_attempt(), None, "{status:?}, no attempt by a lease");
    }
}

#[test]
fn a_completed_attempt_reads_from_the_row_and_falls_back_on_its_latest_change() {
    let entry = |started_at, ended_at| {
        let row = State { started_at, ended_at, updated_at: at(9.0), ..completed() };
        row.completed_attempt().expect("the row is the entry")
    };
    let table = [
        ((Some(at(0.0)), Some(at(1.0))), (at(0.0), at(1.0))),
        ((None, Some(at(1.0))), (at(9.0), at(1.0))),
        ((Some(at(0.0)), None), (at(0.0), at(9.0))),
        ((None, None), (at(9.0), at(9.0))),
    ];
    for ((started_at, ended_at), (start, end)) in table {
        let expected = Attempt {
            attempt: 1,
            worker: Some("w1".into()),
            started_at: start,
            ended_at: end,
            outcome: Outcome::Completed,
            error: None,
        };
        assert_eq!(entry(started_at, ended_at), expected, "{started_at:?} to {ended_at:?}");
    }
}

#[test]
fn a_retry_writes_down_the_entry_that_the_row_was() {
    let mut case = Case { terms: Terms::default(), state: completed() };
    let entry = case.state.completed_attempt();
    let made = case.run(Command::Move(Status::Pending), at(2.0));
    assert_eq!(made.closed, entry);
    assert_eq!(case.state.completed_attempt(), None, "it stands in the history only");
}

#[test]
fn a_history_is_the_newest_entries_and_the_row_counts_as_one() {
    let (most, pending) = (ATTEMPTS_KEPT, State::born(at(0.0), 0, at(0.0)));
    // Entries written, and then (first, last, number) without and with an entry in the row.
    let table = [
        (1, (1, 1, 1), (1, 2, 2)),
        (most - 1, (1, most - 1, most - 1), (1, most, most)),
        (most, (1, most, most), (2, most + 1, most)),
        (most + 3, (4, most + 3, most), (5, most + 4, most)),
    ];
    for (count, without, with) in table {
        let row = State { attempt: count + 1, ..completed() };
        for (state, expected) in [(&pending, without), (&row, with)] {
            let history = state.history((1..=count).map(written).collect());
            let numbers: Vec<u32> = history.iter().map(|a| a.attempt).collect();
            assert!(numbers.is_sorted(), "{count} written: oldest first");
            let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
            assert_eq!((first, last, numbers.len()), (expected.0, expected.1, expected.2 as usize));
        }
    }
    assert_eq!(pending.history(vec![]), vec![]);
}
