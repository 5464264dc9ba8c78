//! What is kept of a worker's words about itself, who drains, and tasks that an operator takes away.

use super::*;
use crate::attempt::Outcome;
use crate::name::Instance;
use crate::workers::{Drained, kept_version};

fn instance(name: &str) -> Option<Instance> {
    Some(Instance::parse(name).unwrap())
}

fn withdraw(worker: &str) -> Command {
    Command::Withdraw(WorkerName::parse(worker).unwrap())
}

#[test]
fn the_first_hundred_printable_characters_of_a_program_s_name_are_kept() {
    let long = "v".repeat(101);
    for (given, kept) in [
        ("taskflow/0.3.0", Some("taskflow/0.3.0")),
        (" my worker/1 (x) ", Some("my worker/1 (x)")),
        ("a\tb\u{7f}c\n", Some("abc")),
        ("münze", Some("mnze")),
        ("", None),
        (" \u{1b} ", None),
        (long.as_str(), Some(&long[..100])),
    ] {
        assert_eq!(kept_version(given).as_deref(), kept, "{given:?}");
    }
}

#[test]
fn a_drain_covers_the_process_that_was_meant_and_no_other() {
    let mut drained = Drained::default();
    assert!(drained.is_empty() && !drained.covers(None));
    drained.add(instance("one"));
    for (caller, covered) in [(instance("one"), true), (instance("two"), false), (None, false)] {
        assert_eq!(drained.covers(caller.as_ref()), covered, "{caller:?}");
    }
    drained.add(None);
    assert!(drained.covers_nameless() && drained.covers(instance("one").as_ref()));
    assert!(!drained.covers(instance("two").as_ref()));
}

#[test]
fn beyond_eight_drained_processes_the_oldest_is_forgotten() {
    let mut drained = Drained::default();
    for n in 0..9 {
        drained.add(instance(&format!("i{n}")));
        drained.add(instance(&format!("i{n}")));
    }
    assert!(!drained.covers(instance("i0").as_ref()));
    assert!((1..9).all(|n| drained.covers(instance(&format!("i{n}")).as_ref())));
}

#[test]
fn who_drains_survives_as_text() {
    let mut drained = Drained::default();
    assert_eq!(drained.to_text(), None);
    assert_eq!(Drained::from_text(None), Some(drained.clone()));
    drained.add(instance("a-1"));
    drained.add(None);
    assert_eq!(drained.to_text().as_deref(), Some("a-1 *"));
    assert_eq!(Drained::from_text(Some("a-1 *")), Some(drained));
    assert_eq!(Drained::from_text(Some("a-1 ?")), None);
}

#[test]
fn an_operator_takes_a_task_from_the_worker_that_holds_it_uncounted() {
    let mut case = Case::that_is(Status::InProgress);
    assert_eq!(case.attempt(withdraw("w2"), at(1.0)), Err(Illegal::LeaseLost), "not the holder");
    let made = case.run(withdraw("w1"), at(2.0));
    let state = &case.state;
    assert_eq!((state.status, state.run_at, state.attempts_used()), (Status::Pending, at(2.0), 0));
    assert!(state.lease.is_none() && !state.retrying);
    let closed = made.closed.expect("it stands in the history");
    assert_eq!((closed.outcome, closed.worker.as_deref()), (Outcome::Released, Some("w1")));
    let again = case.attempt(withdraw("w1"), at(3.0));
    assert_eq!(again, Err(Illegal::LeaseLost), "it holds it no more");
}

#[test]
fn a_worker_that_comes_back_after_an_operator_took_its_task_is_fenced() {
    let mut case = Case::that_is(Status::InProgress);
    case.run(withdraw("w1"), at(2.0));
    for end in [Finish::Completed { result: None }, Finish::Released, failed("x")] {
        assert_eq!(case.attempt(finish(1, end), at(3.0)), Err(Illegal::LeaseLost));
    }
    assert_eq!(case.attempt(extend(1), at(3.0)), Err(Illegal::LeaseLost));
    case.run(claim(2), at(4.0));
    assert_eq!(case.attempt(extend(1), at(5.0)), Err(Illegal::LeaseLost));
    assert!(case.attempt(extend(2), at(5.0)).is_ok());
}

#[test]
fn nothing_is_taken_from_a_worker_that_holds_no_lease() {
    for status in [Status::Pending, Status::Completed, Status::Failed, Status::Cancelled] {
        let mut case = Case::that_is(status);
        assert_eq!(case.attempt(withdraw("w1"), at(2.0)), Err(Illegal::LeaseLost), "{status:?}");
    }
    let mut by_hand = Case::that_is(Status::Pending);
    by_hand.run(Command::Move(Status::InProgress), at(1.0));
    assert_eq!(by_hand.attempt(withdraw("w1"), at(2.0)), Err(Illegal::LeaseLost));
}
