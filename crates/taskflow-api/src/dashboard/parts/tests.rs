//! How instants, lengths and numbers read.

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("an instant")
}

#[test]
fn a_distance_has_one_unit() {
    let now = at("2026-01-31T12:00:00Z");
    for (then, words) in [
        ("2026-01-31T12:00:00.4Z", "now"),
        ("2026-01-31T11:59:57Z", "3 s ago"),
        ("2026-01-31T11:58:01Z", "1 min ago"),
        ("2026-01-31T09:59:00Z", "2 h ago"),
        ("2026-01-28T11:00:00Z", "3 d ago"),
        ("2026-01-31T12:01:30Z", "in 1 min"),
    ] {
        assert_eq!(distance(at(then), now), words, "{then}");
    }
}

#[test]
fn an_exact_instant_has_milliseconds_at_most() {
    assert_eq!(exact(at("2026-01-31T09:30:00Z")), "2026-01-31 09:30:00 UTC");
    assert_eq!(exact(at("2026-01-31T09:30:00.123456Z")), "2026-01-31 09:30:00.123 UTC");
}

#[test]
fn a_length_is_told_in_what_fits_it() {
    for (seconds, words) in [
        (0.000_25, "250 µs"),
        (0.25, "250 ms"),
        (2.34, "2.3 s"),
        (30.0, "30 s"),
        (61.0, "1 min 01 s"),
        (7260.0, "2 h 01 min"),
        (90_000.0, "1 d 01 h"),
    ] {
        assert_eq!(length(seconds), words);
    }
}

#[test]
fn large_numbers_are_grouped_by_thousands() {
    for (n, words) in [(0, "0"), (999, "999"), (1000, "1,000"), (3_000_000, "3,000,000")] {
        assert_eq!(number(n), words);
    }
    assert_eq!((tasks(1).as_str(), tasks(1200).as_str()), ("1 task", "1,200 tasks"));
}

#[test]
fn texts_are_shown_as_texts() {
    let hostile = "<script>alert(1)</script>";
    let shown = label(hostile, "quiet").into_string();
    assert!(!shown.contains("<script>") && shown.contains("&lt;script&gt;"), "{shown}");
}
