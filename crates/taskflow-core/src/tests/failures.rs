//! Which errors are of one sort, and that a sort is short and its own sort.

use proptest::prelude::*;

use crate::failures::{NO_ERROR, cut, first_line, sort_of};
use crate::limits::{ERROR_SORT_CHARS_MAX, FAILURE_ERROR_CHARS_MAX};

#[test]
fn an_error_s_sort_is_its_first_line_without_numbers_and_ids() {
    let table = [
        ("timeout after 31 s at 0x7f3a", "timeout after # s at #"),
        ("timeout after 29 s at 0x8B21", "timeout after # s at #"),
        ("connect 10.0.0.17:5432: refused", "connect #.#.#.#:#: refused"),
        ("worker3 of job_17 lost", "worker# of job_# lost"),
        ("HTTP 503", "HTTP #"),
        ("commit 7f3a9c1 is bad", "commit # is bad"),
        ("no order 123e4567-e89b-12d3-a456-426614174000!", "no order #!"),
        ("id=dead0000-beef-4bad-face-decadeaccede;", "id=#;"),
        ("key 01HZX3KQ9V5T2M8N4P7R6S1W0Y is held", "key # is held"),
        ("the facade was defaced", "the facade was defaced"),
        ("a-b-c -5 +7.25e10", "a-b-c -# +#.#e#"),
        ("\n \t\n  first   line\t here \r\nsecond 2", "first line here"),
        ("one\rline\u{a0}still", "one line still"),
        ("\u{1b}[31mred\u{1b}[0m", "[#mred [#m"),
        ("größe 12 überschritten: 日本7", "größe # überschritten: 日本#"),
        ("0x", "#x"),
        ("12", "#"),
        ("##", "##"),
        ("", NO_ERROR),
        (" \n\t\r\n", NO_ERROR),
    ];
    for (error, sort) in table {
        assert_eq!(sort_of(Some(error)), sort, "{error:?}");
    }
    assert_eq!(sort_of(None), NO_ERROR);
}

#[test]
fn a_sort_is_cut_between_characters() {
    let long = "é".repeat(ERROR_SORT_CHARS_MAX + 1);
    assert_eq!(sort_of(Some(&long)), "é".repeat(ERROR_SORT_CHARS_MAX));
    let blank_at_the_cut = format!("{} x", "e".repeat(ERROR_SORT_CHARS_MAX - 1));
    assert_eq!(sort_of(Some(&blank_at_the_cut)), "e".repeat(ERROR_SORT_CHARS_MAX - 1));
    let far = format!("{}x", " ".repeat(FAILURE_ERROR_CHARS_MAX as usize));
    assert_eq!(sort_of(Some(&far)), NO_ERROR, "what no list of failures shows");
}

#[test]
fn the_first_line_is_the_first_with_anything_in_it() {
    assert_eq!(first_line("\n\t \n  17 was wrong \nand more"), Some("17 was wrong"));
    assert_eq!(first_line(" \u{1b}\n"), None);
    assert_eq!((cut("äöü", 2), cut("äöü", 3), cut("äöü", 0)), ("äö", "äöü", ""));
}

proptest! {
    #[test]
    fn a_sort_is_bounded_and_its_own_sort(text in "\\PC{0,40}|[0-9a-fxA-FX #\\-\\n\\t.]{0,400}|(?s).{0,300}") {
        let sort = sort_of(Some(&text));
        prop_assert_eq!(sort_of(Some(&sort)), sort.clone());
        prop_assert!(sort.chars().count() <= ERROR_SORT_CHARS_MAX);
        prop_assert!(!sort.is_empty() && !sort.chars().any(|c| c.is_control() || c.is_ascii_digit()));
    }

    #[test]
    fn numbers_do_not_make_another_sort(before in "[a-z :]{0,20}", a: u64, b: u64, after in "[ :/][a-z :]{0,20}") {
        let sort = |number: u64| sort_of(Some(&format!("{before} {number}{after}")));
        prop_assert_eq!(sort(a), sort(b));
    }
}
