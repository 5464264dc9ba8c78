//! R5 to R8 and R15: attempts, leases and outcomes.

use serde_json::json;

use super::book::{Book, LEASE, result};
use super::{assert_finds, assert_passes, honest};
use crate::history::Kind;
use crate::view::Status;

#[test]
fn r5_catches_an_attempt_that_was_handed_out_twice() {
    let mut book = honest();
    book.claim(2, 1);
    assert_finds(&book, "R5", 2, "handed out twice");
}

#[test]
fn r5_catches_an_attempt_without_a_record() {
    let mut book = honest();
    let remains = book.end(1, Status::Completed, &["failed", "completed"]);
    remains.attempts.remove(0);
    assert_finds(&book, "R5", 1, "[2], not 1 to 2");
}

#[test]
fn r5_catches_a_start_after_a_completion() {
    let mut book = Book::new();
    book.create(1);
    book.claim(1, 1);
    book.complete(1, 1);
    book.claim(1, 2);
    book.complete(1, 2);
    book.end(1, Status::Completed, &["completed", "completed"]);
    assert_finds(&book, "R5", 1, "attempt 1 had completed");
}

#[test]
fn r5_catches_a_claim_that_was_forgotten() {
    let mut book = Book::new();
    book.create(1);
    book.claim(1, 1);
    book.fail(1, 1, false);
    book.claim(1, 2);
    book.end(1, Status::Failed, &["failed"]);
    assert_finds(&book, "R5", 1, "counts 1 attempts");
}

#[test]
fn r6_catches_two_outcomes_of_one_attempt() {
    let mut book = honest();
    book.fail(1, 2, true);
    assert_finds(&book, "R6", 1, "ended twice");
}

#[test]
fn r6_catches_a_repeat_that_is_refused() {
    let mut book = honest();
    let repeat = book.complete(1, 2);
    (repeat.kind, repeat.status) = (Kind::Fail, Some(409));
    assert_finds(&book, "R6", 1, "same call again");
}

#[test]
fn r6_lets_a_different_second_finish_be_refused() {
    let mut book = honest();
    let second = book.fail(1, 2, true);
    (second.kind, second.status) = (Kind::Fail, Some(409));
    book.end(1, Status::Completed, &["failed", "completed"]).attempts[1].ended_at = None;
    assert_passes(&book);
}

#[test]
fn r6_catches_a_result_that_is_not_the_accepted_one() {
    let mut book = honest();
    let remains = book.end(1, Status::Completed, &["failed", "completed"]);
    remains.task.as_mut().unwrap().result = result(1);
    assert_finds(&book, "R6", 1, "was completed with");
}

#[test]
fn r6_catches_an_accepted_completion_that_was_not_stored() {
    let mut book = Book::new();
    book.create(1);
    book.claim(1, 1);
    book.complete(1, 1);
    book.end(1, Status::Failed, &["lease_expired"]);
    assert_finds(&book, "R6", 1, "stored as lease_expired");
}

#[test]
fn r6_catches_a_result_that_nobody_gave() {
    let mut book = honest();
    let remains = book.end(2, Status::Failed, &["failed"]);
    remains.task.as_mut().unwrap().result = json!(5);
    assert_finds(&book, "R6", 2, "did not give");
}

#[test]
fn r7_catches_a_completion_with_a_dead_token() {
    let mut book = honest();
    book.complete(1, 1);
    assert_finds(&book, "R7", 1, "token of attempt 1");
}

#[test]
fn r7_catches_a_heartbeat_with_a_dead_token() {
    let mut book = honest();
    book.heartbeat(1, 1);
    assert_finds(&book, "R7", 1, "Heartbeat");
}

#[test]
fn r7_lets_a_dead_token_be_refused_and_one_pass_that_was_sent_before_the_next_claim_was_over() {
    let mut book = honest();
    let late = book.complete(1, 1);
    (late.kind, late.status) = (Kind::Fail, Some(409));
    assert_passes(&book);

    let mut book = Book::new();
    book.create(1);
    book.claim(1, 1);
    let long = book.fail(1, 1, true);
    long.t1 = Some(long.t0 + 100);
    book.claim(1, 2);
    book.complete(1, 2);
    book.end(1, Status::Completed, &["failed", "completed"]);
    assert_passes(&book);
}

#[test]
fn r8_catches_a_lease_that_was_taken_back_before_its_end() {
    let mut book = Book::new();
    book.create(1);
    book.claim(1, 1);
    book.claim(1, 2);
    book.complete(1, 2);
    let remains = book.end(1, Status::Completed, &["lease_expired", "completed"]);
    *remains.attempts[0].ended_at.as_mut().unwrap() -= 1;
    assert_finds(&book, "R8", 1, "taken back 1 µs before its end");
}

#[test]
fn r8_catches_a_grant_before_the_end_of_the_attempt_before() {
    let mut book = honest();
    let remains = book.end(1, Status::Completed, &["failed", "completed"]);
    *remains.attempts[0].ended_at.as_mut().unwrap() += LEASE;
    assert_finds(&book, "R8", 1, "before attempt 1 had failed");
}

#[test]
fn r8_counts_what_a_heartbeat_added_to_the_lease() {
    let mut book = Book::new();
    book.create(1);
    book.claim(1, 1);
    book.wait(500);
    book.heartbeat(1, 1);
    book.wait(600);
    book.claim(1, 2);
    book.complete(1, 2);
    book.end(1, Status::Completed, &["lease_expired", "completed"]);
    assert_finds(&book, "R8", 1, "before its end");
}

#[test]
fn r8_catches_overlapping_leases_of_a_task_that_was_deleted() {
    let mut book = Book::new();
    book.create(1);
    book.claim(1, 1);
    book.claim(1, 2);
    book.delete(1);
    book.gone(1);
    assert_finds(&book, "R8", 1, "before the lease of attempt 1 ended");
}

#[test]
fn r8_lets_a_grant_follow_a_lease_that_ran_out() {
    let mut book = Book::new();
    book.create(1);
    book.claim(1, 1);
    book.wait(LEASE.unsigned_abs());
    book.claim(1, 2);
    book.complete(1, 2);
    book.end(1, Status::Completed, &["lease_expired", "completed"]);
    assert_passes(&book);
}

#[test]
fn r15_catches_more_attempts_than_allowed() {
    let mut book = Book::new();
    book.create(1);
    for attempt in 1..=4 {
        book.claim(1, attempt);
        book.fail(1, attempt, true);
    }
    book.end(1, Status::Failed, &["failed"; 4]);
    assert_finds(&book, "R15", 1, "4 attempts of 3");
}

#[test]
fn r15_catches_a_task_that_was_given_up_too_early() {
    let mut book = Book::new();
    book.create(1);
    book.claim(1, 1);
    book.fail(1, 1, true);
    book.end(1, Status::Failed, &["failed"]);
    assert_finds(&book, "R15", 1, "after 1 attempts of 3");
}

#[test]
fn r15_lets_a_task_be_given_up_after_all_its_attempts() {
    let mut book = Book::new();
    book.create(1);
    for attempt in 1..=3 {
        book.claim(1, attempt);
        book.wait(LEASE.unsigned_abs());
    }
    book.end(1, Status::Failed, &["lease_expired"; 3]);
    assert_passes(&book);
}
