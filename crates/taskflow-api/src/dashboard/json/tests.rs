//! Trees show what was written.

use super::*;

fn shown(text: &str) -> String {
    tree(text, "payload").into_string()
}

#[test]
fn numbers_keep_every_digit() {
    for number in ["1970670598291982290", "123456789012345678901234567890", "1e400", "0.10", "-0"] {
        let page = shown(&format!("{{\"n\": {number}}}"));
        assert!(page.contains(&format!(">{number}</span>")), "{page}");
    }
}

#[test]
fn hostile_texts_are_texts() {
    let page = shown(r#"{"<img src=x onerror=alert(1)>": "</span><script>alert(1)</script>"}"#);
    assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
    assert!(page.contains("&lt;script&gt;"), "{page}");
}

#[test]
fn repeated_keys_are_all_shown() {
    let page = shown(r#"{"a": 1, "a": 2}"#);
    assert!(page.contains(">1<") && page.contains(">2<"), "{page}");
}

#[test]
fn a_huge_value_is_shown_in_part() {
    let list = format!("[{}1]", "1,".repeat(5000));
    let page = shown(&list);
    assert!(page.matches("<li>").count() < VALUES_MAX + 1, "bounded");
    assert!(
        page.contains("5001 items") && page.contains("the rest is not shown"),
        "{}",
        &page[..300]
    );
    let long = format!("\"{}\"", "ä".repeat(5000));
    assert!(shown(&long).chars().count() < TEXT_CHARS_MAX + 200);
}

#[test]
fn a_deep_value_does_not_overflow() {
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert_eq!(shown(&deep).matches("<details").count(), 63);
}

#[test]
fn what_is_deep_and_long_is_shown_in_part() {
    let inside = vec!["1"; 100_000].join(",");
    let page = shown(&format!("{}{inside}{}", "[".repeat(60), "]".repeat(60)));
    let layers = page.matches("<details").count();
    assert!(layers <= READ_MAX / inside.len() + 1, "{layers} layers were read");
    assert!(page.contains("the rest is not shown"));
}

#[test]
fn as_many_values_as_may_be_shown_are_shown_whole() {
    let list = format!("[{}1]", "1,".repeat(VALUES_MAX - 2));
    assert!(!shown(&list).contains("the rest is not shown"));
}

#[test]
fn plain_values_have_a_kind_each() {
    for (text, kind) in [("\"a\"", "text"), ("true", "bool"), ("null", "null"), ("7", "number")] {
        assert!(shown(text).contains(&format!("v {kind}")), "{text}");
    }
}
