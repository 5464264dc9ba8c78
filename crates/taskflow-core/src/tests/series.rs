//! What each change of a task adds to the minute's numbers.

use super::{Case, at, claim, failed, finish};
use crate::lease::Finish;
use crate::series::{Cell, Counter, Minute, Tally, cells};
use crate::status::Status;
use crate::step::Command;
use crate::task::Terms;

/// The cells of one command on a case.
fn told(case: &mut Case, command: Command, seconds: f64) -> Tally {
    let before = case.state.clone();
    let step = case.run(command, at(seconds));
    let mut tally = Tally::default();
    if step.changed {
        cells(&before, &step.state).for_each(|cell| tally.add(cell, 1));
    }
    tally
}

/// The counters that are not zero, and how many lengths there are of waiting and of running.
fn words(tally: &Tally) -> (Vec<Counter>, u64, u64) {
    let counted = Counter::ALL.into_iter().filter(|counter| tally.of(*counter) > 0).collect();
    (counted, tally.waiting.count(), tally.running.count())
}

#[test]
fn each_step_of_a_task_counts_what_it_is() {
    use Counter as C;
    let completed = || Finish::Completed { result: None };
    let broken = || Finish::Failed { error: "broken".into(), retryable: false, retry_after: None };
    let steps = [
        (claim(1), (vec![C::Started], 1, 0)),
        (finish(1, failed("once")), (vec![C::AttemptsFailed, C::Retried], 0, 1)),
        (claim(2), (vec![C::Started], 1, 0)),
        (finish(2, Finish::Released), (vec![], 0, 1)),
        (claim(3), (vec![C::Started], 1, 0)),
        (finish(3, Finish::Snoozed { delay: 1.0 }), (vec![], 0, 1)),
        (claim(4), (vec![C::Started], 1, 0)),
        (finish(4, completed()), (vec![C::Completed], 0, 1)),
        (finish(4, completed()), (vec![], 0, 0)),
        (Command::Retry, (vec![C::Retried], 0, 0)),
        (Command::Move(Status::InProgress), (vec![C::Started], 0, 0)),
        (Command::Move(Status::Cancelled), (vec![C::Cancelled], 0, 0)),
        (Command::Move(Status::Pending), (vec![C::Retried], 0, 0)),
        (claim(5), (vec![C::Started], 1, 0)),
        (finish(5, broken()), (vec![C::Failed, C::AttemptsFailed], 0, 1)),
    ];
    let mut case = Case::new(Terms::default());
    for (n, (command, wanted)) in steps.into_iter().enumerate() {
        let label = format!("step {n}, {command:?}");
        let tally = told(&mut case, command, 1_000.0 * (n as f64 + 1.0));
        assert_eq!(words(&tally), wanted, "{label}");
    }
}

#[test]
fn a_lease_that_ends_is_a_failed_attempt() {
    let mut case = Case::new(Terms::default());
    told(&mut case, claim(1), 0.0);
    let tally = told(&mut case, Command::Expire, 31.0);
    assert_eq!(words(&tally), (vec![Counter::AttemptsFailed, Counter::Retried], 0, 1));
}

#[test]
fn waiting_begins_when_a_task_may_run_and_running_when_it_is_claimed() {
    let mut case = Case::new(Terms::default());
    let waited = told(&mut case, claim(1), 0.000_008).waiting.percentile(0.5);
    assert_eq!(waited, Some(8.0));
    let ran = told(&mut case, finish(1, failed("once")), 0.000_020).running.percentile(0.5);
    assert_eq!(ran, Some(12.0));
}

#[test]
fn a_tally_adds_up_and_passes_over_what_it_does_not_know() {
    let (mut one, mut other) = (Tally::default(), Tally::default());
    one.add(Counter::Created.cell(), 2);
    other.add(Counter::Created.cell(), 3);
    other.add(1_007, 1);
    other.add(2_003, 4);
    for unknown in [-1, 7, 999, Cell::MIN] {
        other.add(unknown, 1);
    }
    one.merge(&other);
    assert_eq!(one.of(Counter::Created), 5);
    assert_eq!(one.waiting.buckets().collect::<Vec<_>>(), [(7, 1)]);
    assert_eq!(one.running.buckets().collect::<Vec<_>>(), [(3, 4)]);
}

#[test]
fn a_minute_begins_at_its_first_second() {
    let minute = Minute::of(at(59.999_999));
    assert_eq!((minute, minute.start()), (Minute::of(at(0.0)), at(0.0)));
    assert_eq!(Minute::of(at(60.0)), minute.plus(1));
    assert_eq!(Minute::of(crate::time::Timestamp::from_micros(-1)), Minute(-1));
}
