//! R16, R23 and R24: a task never goes back, the server goes on by itself, its answers are sound.

use super::book::Book;
use super::{assert_finds, assert_passes, find, honest};
use crate::history::Kind;
use crate::view::Status;

#[test]
fn r16_catches_a_version_that_fell() {
    let mut book = honest();
    book.get(2, Status::Failed, 1).tasks[0].version = 5;
    book.get(2, Status::Failed, 1).tasks[0].version = 4;
    assert_finds(&book, "R16", 2, "from version 5 back to 4");
}

#[test]
fn r16_catches_an_attempt_that_fell() {
    let mut book = honest();
    book.get(2, Status::Failed, 0);
    assert_finds(&book, "R16", 2, "from attempt 1 back to 0");
}

#[test]
fn r16_catches_an_ended_task_that_lives_again() {
    let mut book = honest();
    book.get(2, Status::Failed, 1);
    book.end(2, Status::Completed, &["failed"]);
    assert_finds(&book, "R16", 2, "from Failed to Completed");
}

#[test]
fn r16_catches_one_version_with_two_states() {
    let mut book = honest();
    book.get(2, Status::Pending, 1);
    book.get(2, Status::Failed, 1);
    assert_finds(&book, "R16", 2, "is Pending and Failed");
}

#[test]
fn r16_catches_a_deleted_task_that_is_seen() {
    let mut book = honest();
    book.get(3, Status::Pending, 0);
    assert_finds(&book, "R16", 3, "after it was deleted");
}

#[test]
fn r16_lets_reads_that_overlap_come_in_any_order() {
    let mut book = honest();
    let long = book.get(2, Status::Failed, 1);
    long.t1 = Some(long.t0 + 20);
    long.tasks[0].version = 5;
    let short = book.get(2, Status::Pending, 1);
    short.tasks[0].version = 4;
    book.end(2, Status::Failed, &["failed"]).task.as_mut().unwrap().version = 5;
    assert_passes(&book);
}

#[test]
fn r23_catches_a_server_that_does_not_come_back() {
    let mut book = honest();
    let outage = book.outage(100);
    (outage.ready_at, outage.error) = (None, Some("database is malformed".into()));
    assert!(find(&book, "R23")[0].text.contains("malformed"));
}

#[test]
fn r23_catches_a_slow_recovery() {
    let mut book = honest();
    book.outage(3001);
    assert!(find(&book, "R23")[0].text.contains("3001 ms"));
}

#[test]
fn r23_catches_a_drain_that_does_not_end() {
    let mut book = honest();
    book.raw.drained_ms = None;
    assert_eq!(find(&book, "R23").len(), 1);
}

#[test]
fn r23_lets_quick_recoveries_pass() {
    let mut book = honest();
    book.outage(3000);
    book.outage(20);
    assert_passes(&book);
}

#[test]
fn r24_catches_a_panic_and_an_end_without_a_kill() {
    let mut book = honest();
    book.raw.panics = vec!["thread 'main' panicked at src/x.rs:1:1".into()];
    book.outage(10).by_itself = Some("exit status: 101".into());
    assert_eq!(find(&book, "R24").len(), 2);
}

#[test]
fn r24_catches_a_5xx_while_nothing_is_wrong_and_lets_one_pass_in_an_outage() {
    let mut book = Book::new();
    book.outage(10).killed_at = 0;
    let read = book.get(1, Status::Pending, 0);
    (read.t0, read.t1, read.kind, read.status) = (5, Some(9), Kind::Info, Some(503));
    read.tasks.clear();
    assert_passes(&book);
    let read = book.get(1, Status::Pending, 0);
    (read.kind, read.status) = (Kind::Info, Some(503));
    assert_finds(&book, "R24", 1, "503 while nothing was wrong");
}

#[test]
fn r24_catches_a_well_formed_call_that_is_refused() {
    let mut book = honest();
    let edit = book.edit(2, "fine");
    (edit.kind, edit.status) = (Kind::Fail, Some(422));
    assert_finds(&book, "R24", 2, "refused with 422");
}

#[test]
fn r24_catches_an_answer_outside_the_contract() {
    let mut book = honest();
    book.edit(1, "title-1").odd = Some("a body that is not JSON".into());
    assert_finds(&book, "R24", 1, "not JSON");
}
