//! Which changes have which shape.

use taskflow_core::lease::{LastFinish, Lease};
use taskflow_core::task::Progress;
use taskflow_core::{Json, Outcome, Timestamp, TokenHash};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn waiting() -> State {
    State::born(at(1), 0, at(1))
}

fn claimed() -> State {
    State {
        status: Status::InProgress,
        attempt: 1,
        lease: Some(Lease { token: TokenHash([1; 16]), until: at(32), seconds: 30 }),
        worker: Some("w".into()),
        started_at: Some(at(2)),
        updated_at: at(2),
        version: 2,
        ..waiting()
    }
}

fn completed() -> State {
    State {
        status: Status::Completed,
        lease: None,
        last: Some(LastFinish {
            token: TokenHash([1; 16]),
            call: None,
            outcome: Outcome::Completed,
        }),
        completed_at: Some(at(3)),
        ended_at: Some(at(3)),
        result: Json::parse("1").ok(),
        updated_at: at(3),
        version: 3,
        ..claimed()
    }
}

#[test]
fn claims_and_completions_write_their_own_columns() {
    assert_eq!(Shape::between(&waiting(), &claimed()), Shape::Claimed);
    assert_eq!(Shape::between(&claimed(), &completed()), Shape::Completed);
}

#[test]
fn whatever_else_changes_is_written_whole() {
    let whole =
        |old: State, new: State| assert_eq!(Shape::between(&old, &new), Shape::Any, "{new:?}");
    let progress = Some(Progress { percent: 100.0, message: None });
    whole(State { retrying: true, ..waiting() }, claimed());
    whole(State { last: completed().last, ..waiting() }, claimed());
    whole(State { progress: progress.clone(), ..waiting() }, claimed());
    whole(State { result: completed().result, ..waiting() }, claimed());
    whole(waiting(), State { started_at: Some(at(1)), ..claimed() });
    whole(waiting(), State { lease: None, ..claimed() });
    whole(claimed(), State { progress, ..completed() });
    whole(State { error_message: Some("x".into()), ..claimed() }, completed());
    whole(claimed(), State { run_at: at(3), ..completed() });
    whole(claimed(), State { attempt: 2, ..completed() });
    whole(claimed(), State { completed_at: Some(at(2)), ..completed() });
    whole(claimed(), State { last: None, ..completed() });
    whole(claimed(), State { status: Status::Failed, ..completed() });
    whole(completed(), waiting());
}
