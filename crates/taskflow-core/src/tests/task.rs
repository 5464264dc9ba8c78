//! Free-text fields, error texts, pending reasons, and edits.

use super::*;
use crate::name::Kind;
use crate::patch::{Pinned, TaskPatch};
use crate::retry::RetryPolicy;
use crate::status::{PendingReason, Priority};
use crate::task::{NewTask, Task};
use crate::text::{description_fault, kept_error, key_fault, tag_fault, title_fault};

type Rule = fn(&str) -> Option<(&'static str, &'static str)>;

fn check(rule: Rule, good: &[&str], bad: &[(&str, &str)]) {
    for text in good {
        assert_eq!(rule(text), None, "{:?} …", text.chars().take(20).collect::<String>());
    }
    for (text, code) in bad {
        let fault = rule(text).map(|(code, _)| code);
        assert_eq!(fault, Some(*code), "{:?} …", text.chars().take(20).collect::<String>());
    }
}

#[test]
fn a_title_has_1_to_255_characters_as_people_count() {
    let (most, more) = ("x".repeat(255), "x".repeat(256));
    let (emoji, more_emoji) = ("😀".repeat(255), "😀".repeat(256));
    let blanks = " ".repeat(300);
    check(
        title_fault,
        &["x", "  x  ", "two\nlines", "<b>", "'; DROP TABLE tasks; --", &most, &emoji],
        &[
            ("", "too-short"),
            (" \t\n", "too-short"),
            ("\u{a0}\u{3000}", "too-short"),
            (&more, "too-long"),
            (&more_emoji, "too-long"),
            (&blanks, "too-long"),
            ("a\0b", "nul"),
            ("\0", "nul"),
        ],
    );
}

#[test]
fn a_description_has_at_most_64_kib() {
    let (most, more) = ("x".repeat(65_536), "x".repeat(65_537));
    let wide = "é".repeat(32_769);
    check(
        description_fault,
        &["", " ", "a\n\tb\u{7}", &most],
        &[(&more, "too-long"), (&wide, "too-long"), ("a\0", "nul")],
    );
}

#[test]
fn a_key_has_1_to_255_characters_and_no_control_characters() {
    let (most, more) = ("😀".repeat(255), "x".repeat(256));
    check(
        key_fault,
        &["k", " ", "user:42/mail,now", "é", &most],
        &[
            ("", "length"),
            (&more, "length"),
            ("a\nb", "control-character"),
            ("a\0", "control-character"),
            ("\u{85}", "control-character"),
            ("a\u{7f}", "control-character"),
        ],
    );
}

#[test]
fn a_tag_has_1_to_100_characters_and_no_comma() {
    let (most, more) = ("😀".repeat(100), "x".repeat(101));
    check(
        tag_fault,
        &["t", "customer 42", "a;b", &most],
        &[
            ("", "length"),
            (&more, "length"),
            ("a,b", "character"),
            (",", "character"),
            ("a\tb", "character"),
            ("a\0", "character"),
        ],
    );
}

#[test]
fn a_short_error_is_kept_as_it_is() {
    let most = "x".repeat(16 * 1024);
    for text in ["", "boom", "Traceback:\n\tline 1\u{1b}[0m", most.as_str()] {
        assert_eq!(kept_error(text), text);
    }
    assert_eq!(kept_error("a\0b\0"), "a\u{FFFD}b\u{FFFD}");
}

#[test]
fn a_long_error_is_cut_between_characters_with_a_mark() {
    for unit in ["x", "é", "€", "😀", "\0", "a😀"] {
        for pad in 0..4 {
            let text = format!("{}{}", "-".repeat(pad), unit.repeat(20_000));
            let kept = kept_error(&text);
            assert!(kept.len() <= 16 * 1024, "{unit:?} {}", kept.len());
            assert!(kept.len() > 16 * 1024 - 4, "{unit:?} cuts no more than it must");
            let head = kept.strip_suffix("… [cut]").expect("the mark");
            assert!(text.replace('\0', "\u{FFFD}").starts_with(head));
            assert!(!kept.contains('\0'));
        }
    }
}

#[test]
fn a_pending_task_says_why_it_waits() {
    let mut state = State::born(at(10.0), 1, at(0.0));
    assert_eq!(state.pending_reason(at(0.0)), Some(PendingReason::Blocked));
    assert_eq!(state.pending_reason(at(99.0)), Some(PendingReason::Blocked));
    state.blocked_by = 0;
    assert_eq!(state.pending_reason(at(9.9)), Some(PendingReason::Scheduled));
    assert_eq!(state.pending_reason(at(10.0)), Some(PendingReason::Ready));
    state.retrying = true;
    assert_eq!(state.pending_reason(at(9.9)), Some(PendingReason::Retrying));
    assert_eq!(state.pending_reason(at(10.0)), Some(PendingReason::Ready));
    for status in [Status::InProgress, Status::Completed, Status::Failed, Status::Cancelled] {
        let case = Case::that_is(status);
        assert_eq!(case.state.pending_reason(at(99.0)), None);
    }
}

#[test]
fn an_id_is_a_positive_integer() {
    for good in [1, 7, i64::MAX] {
        assert_eq!(TaskId::new(good).map(TaskId::get), Some(good));
    }
    for bad in [0, -1, i64::MIN] {
        assert_eq!(TaskId::new(bad), None);
    }
    assert_eq!(id().to_string(), "7");
}

#[test]
fn a_task_is_born_pending_with_the_documented_defaults() {
    let task = Task::born(id(), NewTask::titled("x", at(-5.0)), 0, at(0.0));
    assert_eq!((task.queue.as_str(), task.kind.as_str()), ("default", "log"));
    assert_eq!(task.priority, Priority::Medium);
    assert_eq!((task.terms.max_attempts, task.terms.lease_seconds), (5, 30));
    assert_eq!(task.terms.retry, RetryPolicy::default());
    assert_eq!(task.state.status, Status::Pending);
    assert_eq!(task.state.run_at, at(0.0), "a run_at in the past means now");
    assert_eq!((task.state.attempt, task.state.version), (0, 1));
    assert_eq!((task.created_at, task.state.updated_at), (at(0.0), at(0.0)));
    let later = Task::born(id(), NewTask::titled("x", at(60.0)), 2, at(0.0));
    assert_eq!((later.state.run_at, later.state.blocked_by), (at(60.0), 2));
}

fn task() -> Task {
    Task::born(id(), NewTask::titled("x", at(60.0)), 0, at(0.0))
}

#[test]
fn an_edit_counts_as_one_change_and_only_when_it_changes_something() {
    let mut edited = task();
    assert!(!TaskPatch::default().apply(&mut edited, at(5.0)));
    let same = TaskPatch {
        title: Some("x".into()),
        description: Some(None),
        run_at: Some(at(60.0)),
        ..TaskPatch::default()
    };
    assert!(!same.apply(&mut edited, at(5.0)));
    assert_eq!(edited, task());

    let patch = TaskPatch {
        title: Some("y".into()),
        description: Some(Some("why".into())),
        priority: Some(Priority::Urgent),
        max_attempts: Some(9),
        tags: Some(vec!["t".into()]),
        expires_at: Some(Some(at(900.0))),
        ..TaskPatch::default()
    };
    assert!(patch.apply(&mut edited, at(5.0)));
    assert_eq!((edited.title.as_str(), edited.description.as_deref()), ("y", Some("why")));
    assert_eq!((edited.priority, edited.terms.max_attempts), (Priority::Urgent, 9));
    assert_eq!((edited.tags.len(), edited.terms.expires_at), (1, Some(at(900.0))));
    assert_eq!((edited.state.version, edited.state.updated_at), (2, at(5.0)));
    assert!(!patch.apply(&mut edited, at(6.0)), "the same edit again changes nothing");
    let cleared = TaskPatch { expires_at: Some(None), ..TaskPatch::default() };
    assert!(cleared.apply(&mut edited, at(7.0)));
    assert_eq!(edited.terms.expires_at, None);
}

#[test]
fn run_at_moves_a_pending_task_only_and_never_into_the_past() {
    let patch = TaskPatch { run_at: Some(at(1.0)), ..TaskPatch::default() };
    let mut pending = task();
    pending.state.retrying = true;
    assert!(patch.apply(&mut pending, at(5.0)));
    assert_eq!(pending.state.run_at, at(5.0));
    assert!(!pending.state.retrying, "a chosen time is no back-off");
    for status in [Status::InProgress, Status::Completed, Status::Failed, Status::Cancelled] {
        let mut other = Task { state: Case::that_is(status).state, ..task() };
        let before = other.clone();
        assert!(!patch.apply(&mut other, at(5.0)));
        assert_eq!(other, before);
    }
}

#[test]
fn an_edit_may_repeat_what_is_fixed_but_not_change_it() {
    let mut fixed = task();
    fixed.kind = Kind::parse("mail").unwrap();
    fixed.unique_key = Some("u".into());
    fixed.depends_on = vec![TaskId::new(3).unwrap()];
    let same = Pinned {
        queue: Some("default".into()),
        kind: Some("mail".into()),
        unique_key: Some(Some("u".into())),
        concurrency_key: Some(None),
        depends_on: Some(vec![3]),
    };
    assert!(same.faults(&fixed).is_empty());
    assert!(Pinned::default().faults(&fixed).is_empty());
    let other = Pinned {
        queue: Some("q".into()),
        kind: Some("log".into()),
        unique_key: Some(None),
        concurrency_key: Some(Some("c".into())),
        depends_on: Some(vec![]),
    };
    let faults = other.faults(&fixed);
    let pointers: Vec<_> = faults.iter().map(|f| f.pointer.as_str()).collect();
    assert_eq!(pointers, ["/queue", "/kind", "/unique_key", "/concurrency_key", "/depends_on"]);
    assert!(faults.iter().all(|f| f.code == "immutable"));
}
