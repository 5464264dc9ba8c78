//! R1 and R2: nothing is lost, nothing is there that nobody did.

use serde_json::json;

use super::super::lost::split;
use super::book::Book;
use super::{assert_finds, assert_passes, honest};
use crate::history::{Kind, Op};
use crate::view::Status;

#[test]
fn r1_catches_an_acknowledged_task_that_is_gone() {
    let mut book = honest();
    book.gone(2);
    assert_finds(&book, "R1", 2, "gone");
}

#[test]
fn r1_catches_a_task_that_the_list_does_not_name() {
    let mut book = honest();
    book.end(2, Status::Failed, &["failed"]).listed = false;
    assert_finds(&book, "R1", 2, "listed false");
}

#[test]
fn r1_catches_a_task_that_did_not_end() {
    let mut book = honest();
    book.create(4);
    book.end(4, Status::Pending, &[]);
    assert_finds(&book, "R1", 4, "not ended");
}

#[test]
fn r1_catches_a_payload_that_changed() {
    let mut book = honest();
    let remains = book.end(2, Status::Failed, &["failed"]);
    remains.task.as_mut().unwrap().payload = json!({"p": "mark-1"});
    assert_finds(&book, "R1", 2, "payload");
}

#[test]
fn r1_catches_a_read_that_does_not_find_a_task_which_comes_back_later() {
    let mut book = Book::new();
    book.create(1);
    let read = book.get(1, Status::Pending, 0);
    (read.kind, read.status) = (Kind::Fail, Some(404));
    read.tasks.clear();
    book.end(1, Status::Cancelled, &[]);
    assert_finds(&book, "R1", 1, "did not find");
}

#[test]
fn r1_lets_a_read_miss_a_task_whose_delete_was_tried() {
    let mut book = Book::new();
    book.create(1);
    book.delete(1).kind = Kind::Info;
    let read = book.get(1, Status::Pending, 0);
    (read.kind, read.status) = (Kind::Fail, Some(404));
    read.tasks.clear();
    book.gone(1);
    assert_passes(&book);
}

#[test]
fn r1_catches_an_acknowledged_edit_that_is_forgotten() {
    let mut book = Book::new();
    book.create(1);
    book.edit(1, "new");
    book.end(1, Status::Cancelled, &[]);
    assert_finds(&book, "R1", 1, "later");
}

#[test]
fn r1_lets_the_last_edit_and_an_unknown_edit_win() {
    for (kind, title) in [(Kind::Ok, "second"), (Kind::Info, "second"), (Kind::Info, "first")] {
        let mut book = Book::new();
        book.create(1);
        book.edit(1, "first");
        book.edit(1, "second").kind = kind;
        let remains = book.end(1, Status::Cancelled, &[]);
        remains.task.as_mut().unwrap().title = title.to_owned();
        assert_passes(&book);
    }
}

#[test]
fn lost_tasks_are_told_apart_by_where_they_lie_in_their_producers_order() {
    let mut book = Book::new();
    for id in 1..=8 {
        book.create(id);
    }
    for id in [3, 5, 6] {
        book.end(id, Status::Cancelled, &[]);
    }
    assert_eq!(split(&book.evidence()), (2, 1, 2));
}

#[test]
fn r2_catches_a_task_that_nobody_created() {
    let mut book = honest();
    book.end(9, Status::Cancelled, &[]);
    assert_finds(&book, "R2", 9, "never created");
}

#[test]
fn r2_catches_a_refused_create_that_took_effect() {
    let mut book = honest();
    let create = book.create(4);
    (create.kind, create.status) = (Kind::Fail, Some(409));
    book.end(4, Status::Cancelled, &[]);
    assert_finds(&book, "R2", 4, "refused");
}

#[test]
fn r2_catches_a_deleted_task_that_is_there() {
    let mut book = honest();
    book.end(3, Status::Cancelled, &[]);
    assert_finds(&book, "R2", 3, "deleted");
}

#[test]
fn r2_catches_one_create_that_made_two_tasks() {
    let mut book = honest();
    let remains = book.end(4, Status::Cancelled, &[]);
    remains.task.as_mut().unwrap().payload = json!({"p": "mark-1"});
    assert_finds(&book, "R2", 4, "made tasks 1 and 4");
}

#[test]
fn r2_catches_an_id_that_was_given_twice() {
    let mut book = honest();
    book.create(1).args["payload"]["p"] = json!("mark-7");
    assert_finds(&book, "R2", 1, "mark-7");
}

#[test]
fn r2_catches_a_refused_edit_that_took_effect() {
    let mut book = honest();
    let edit = book.edit(2, "refused");
    (edit.kind, edit.status) = (Kind::Fail, Some(409));
    let remains = book.end(2, Status::Failed, &["failed"]);
    remains.task.as_mut().unwrap().title = "refused".into();
    assert_finds(&book, "R2", 2, "nobody gave");
}

#[test]
fn r2_catches_an_end_of_an_attempt_that_nobody_asked_for() {
    let mut book = honest();
    book.end(2, Status::Failed, &["snoozed"]);
    assert_finds(&book, "R2", 2, "snoozed");

    let mut book = Book::new();
    book.create(1);
    book.claim(1, 1);
    let refused = book.complete(1, 1);
    (refused.op, refused.kind, refused.status) = (Op::Complete, Kind::Fail, Some(409));
    book.end(1, Status::Completed, &["completed"]);
    assert_finds(&book, "R2", 1, "completed");
}
