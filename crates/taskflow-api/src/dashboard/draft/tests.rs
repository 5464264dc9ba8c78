//! Forms become the JSON that was meant, and nothing else.

use super::*;
use crate::v1::words::Raw;

#[derive(serde::Deserialize)]
struct Read {
    title: String,
    payload: Option<Raw>,
}

fn draft(sort: Sort, name: &'static str, text: &str) -> Draft {
    let mut draft = Draft::default();
    draft.add("title", Sort::Text, "a \"title\"\n");
    draft.add(name, sort, text);
    draft
}

#[test]
fn json_stays_as_it_was_typed() {
    let typed = "{ \"n\": 123456789012345678901234567890,\n \"d\": 0.10 }";
    let read: Read = draft(Sort::Json, "payload", typed).read().expect("is read");
    assert_eq!(
        (read.title.as_str(), read.payload.expect("is there").0.get()),
        ("a \"title\"\n", typed)
    );
}

#[test]
fn json_cannot_reach_beyond_its_field() {
    for typed in ["1, \"title\": \"other\"", "1}", "{", "1 2", ""] {
        let read: Result<Read, _> = draft(Sort::Json, "payload", typed).read();
        let faults = read.err().expect("is refused");
        assert_eq!(faults[0].pointer, "/payload", "{typed:?}");
    }
}

#[test]
fn lists_and_numbers_are_read_as_people_write_them() {
    assert_eq!(json(Sort::Words, "a, b c ,,d").as_deref(), Ok(r#"["a","b c","d"]"#));
    assert_eq!(json(Sort::Numbers, "#7, 12 3").as_deref(), Ok("[7,12,3]"));
    assert_eq!(json(Sort::Number, "0.5").as_deref(), Ok("0.5"));
    for text in ["a", "1e", "NaN", "inf", "1,\"x\":2"] {
        assert!(json(Sort::Number, text).is_err(), "{text}");
    }
    assert!(json(Sort::Numbers, "7; 8").is_err());
}
