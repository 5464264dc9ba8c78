//! The rules against histories written by hand: each must let an honest one pass and catch the
//! dishonest ones. A checker that never failed proves nothing.

mod book;
mod keeping;
mod moving;
mod working;

use self::book::Book;
use super::{RULES, Violation};
use crate::Options;
use crate::history::Kind;
use crate::story::story;
use crate::verdict::Verdict;
use crate::view::Status;

/// What the rule named `name` finds in `book`.
fn find(book: &Book, name: &str) -> Vec<Violation> {
    let rule = RULES.iter().find(|rule| rule.name == name).unwrap();
    (rule.find)(&book.evidence())
}

#[track_caller]
fn assert_passes(book: &Book) {
    for rule in RULES {
        assert_eq!(find(book, rule.name), [], "{}", rule.name);
    }
}

/// Asserts that the rule finds something about `task` that says `word`.
#[track_caller]
fn assert_finds(book: &Book, name: &str, task: i64, word: &str) {
    let found = find(book, name);
    let says = |v: &Violation| v.task == Some(task) && v.text.contains(word);
    assert!(found.iter().any(says), "{name} found {found:?}");
}

/// Three tasks: one fails once and is completed, one is given up, one is deleted.
fn honest() -> Book {
    let mut book = Book::new();
    book.create(1);
    book.create(2);
    book.create(3);
    book.claim(1, 1);
    book.fail(1, 1, true);
    book.claim(1, 2);
    book.heartbeat(1, 2);
    book.complete(1, 2);
    book.complete(1, 2);
    book.claim(2, 1);
    book.fail(2, 1, false);
    book.delete(3);
    book.end(1, Status::Completed, &["failed", "completed"]);
    book.end(2, Status::Failed, &["failed"]);
    book
}

#[test]
fn every_rule_lets_an_honest_history_pass() {
    assert_passes(&honest());
}

#[test]
fn every_rule_lets_unknown_calls_pass_whether_they_happened_or_not() {
    for happened in [true, false] {
        let mut book = Book::new();
        book.create(1).kind = Kind::Info;
        book.create(2);
        book.claim(2, 1).kind = Kind::Info;
        book.wait(2000);
        book.claim(2, 2);
        book.complete(2, 2).kind = Kind::Info;
        book.create(3);
        book.delete(3).kind = Kind::Info;
        if happened {
            book.end(1, Status::Cancelled, &[]);
        } else {
            book.gone(1);
            book.end(3, Status::Cancelled, &[]);
        }
        book.end(2, Status::Completed, &["lease_expired", "completed"]);
        assert_passes(&book);
    }
}

#[test]
fn a_run_with_too_little_work_proves_nothing_though_no_rule_is_violated() {
    let mut options = Options::new("server".into(), "run".into(), 1);
    let verdict = Verdict::of(&honest().evidence(), &options);
    assert_eq!(verdict.violations(), 0);
    assert!(!verdict.is_clean());
    let says = |verdict: &Verdict, word: &str| verdict.weak.iter().any(|w| w.contains(word));
    assert!(says(&verdict, "3 tasks acknowledged, 500 wanted"), "{:?}", verdict.weak);
    assert!(says(&verdict, "0 kills done, 20 wanted"), "{:?}", verdict.weak);
    assert!(says(&verdict, "no sync was ever answered well"), "{:?}", verdict.weak);
    (options.acked_min, options.kills) = (3, 0);
    let verdict = Verdict::of(&honest().evidence(), &options);
    assert!(!says(&verdict, "wanted"), "{:?}", verdict.weak);
}

#[test]
fn a_story_tells_the_calls_of_its_task_in_order_of_time() {
    let lines = story(&honest().evidence(), 1);
    let at = |word: &str| lines.iter().position(|line| line.contains(word)).unwrap();
    assert!(at("Create") < at("Claim"), "{lines:?}");
    assert!(at("Claim") < at("Fail"), "{lines:?}");
    assert!(at("Fail") < at("Heartbeat"), "{lines:?}");
    assert!(at("Heartbeat") < at("at the end  Completed"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("mark-2")), "{lines:?}");
}
