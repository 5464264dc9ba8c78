//! What a search text finds, and that a sketch never denies a text that is in it.

use proptest::prelude::*;

use crate::search::{SKETCH_BYTES, Search, Sketch, may_hold};

fn search(text: &str) -> Search {
    Search::parse(text).unwrap_or_else(|broken| panic!("{text:?}: {broken:?}"))
}

#[test]
fn a_text_is_found_by_its_parts_whatever_their_case() {
    let found: &[(&str, &str, Option<&str>)] = &[
        ("invoice", "Send INVOICE 4711", None),
        ("4711", "INV-004711", None),
        ("send 47", "Send invoice 4711", None),
        ("47 send", "Send invoice 4711", None),
        ("\"invoice 47\"", "Send invoice 4711", None),
        ("invoice paris", "Invoice", Some("for Paris")),
        ("ÜBER straße", "über Straße", None),
        ("ΟΔΟΣ", "οδος", None),
        ("οδος", "Η ΟΔΟΣ ΕΔΩ", None),
        ("7f3c-9", "run 1b2d7F3C-9aaa", None),
        ("100%", "at 100% load", None),
        ("a_b", "the a_b case", None),
        ("%_", "%_", None),
        ("say \"hi", "say \"hi\" to all", None),
        ("\"", "a \" alone", None),
        ("(a+)+$", "regex (a+)+$", None),
        ("日本", "東京は日本", None),
    ];
    for (text, title, description) in found {
        assert!(search(text).finds(title, *description), "{text} in {title} {description:?}");
    }
    let missed: &[(&str, &str, Option<&str>)] = &[
        ("invoices", "Send invoice 4711", None),
        ("\"invoice 4711 s\"", "Send invoice 4711", None),
        ("\"4711 invoice\"", "Send invoice 4711", None),
        ("invoice paris", "Invoice", Some("for Rome")),
        ("ab", "a", Some("b")),
        ("%", "all of it", None),
        ("a_b", "the axb case", None),
        ("*", "anything", Some("at all")),
    ];
    for (text, title, description) in missed {
        assert!(!search(text).finds(title, *description), "{text} in {title} {description:?}");
    }
}

#[test]
fn a_search_text_has_rules() {
    let long = "x".repeat(200);
    for fine in ["x", "\"a b\" c", "a b c d e f g h i j", &long, "\"\" x"] {
        assert!(Search::parse(fine).is_ok(), "{fine}");
    }
    let longer = "x".repeat(201);
    let broken = [
        ("", "length"),
        (longer.as_str(), "length"),
        ("a\0b", "control-character"),
        ("a\nb", "control-character"),
        ("  ", "too-short"),
        ("\"\"", "too-short"),
        ("\"  \"", "too-short"),
        ("a b c d e f g h i j k", "too-many"),
    ];
    for (text, rule) in broken {
        assert_eq!(Search::parse(text).unwrap_err().0, rule, "{text:?}");
    }
}

#[test]
fn a_sketch_tells_where_a_number_is_not() {
    let sketches: Vec<Vec<u8>> = (0..100_u64)
        .map(|block| {
            let mut sketch = Sketch::default();
            for n in 0..1_000 {
                // Six digits that follow no order.
                let number = (block * 1_000 + n) * 7_919 % 1_000_000;
                sketch.add(&format!("Send invoice {number:06} to customer"));
            }
            sketch.into_bytes()
        })
        .collect();
    let places = search("invoice 424243").places().unwrap();
    let held = sketches.iter().filter(|sketch| may_hold(sketch, &places)).count();
    assert!(held <= 3, "{held} of 100 sketches may hold it");
    let places = search("invoice").places().unwrap();
    assert!(sketches.iter().all(|sketch| may_hold(sketch, &places)));
    let places = search("refund").places().unwrap();
    assert!(!sketches.iter().any(|sketch| may_hold(sketch, &places)));
}

#[test]
fn a_sketch_ends_when_it_is_full_and_says_nothing_when_it_is_blurred() {
    let mut sketch = Sketch::default();
    let mut texts = 0_u64;
    while !sketch.is_full() {
        texts += 1;
        sketch.add(&format!("{:x}", texts.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    }
    assert!((150..400).contains(&texts), "{texts}");
    assert!(!sketch.is_blurred());
    let mut other = Sketch::default();
    other.add("quite another text");
    let mut joined = sketch.clone();
    joined.join(&other);
    let joined = joined.into_bytes();
    for text in ["another text", "9e3779b97f4a7c15"] {
        assert!(may_hold(&joined, &search(text).places().unwrap()), "{text}");
    }
    while !sketch.is_blurred() {
        texts += 1;
        sketch.add(&format!("{:x}", texts.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    }
    let places = search("nowhere").places().unwrap();
    assert!(may_hold(&[], &places), "none was kept");
    assert!(!may_hold(&[0; SKETCH_BYTES], &places));
}

#[test]
fn the_places_of_a_text_never_change() {
    // They are kept in databases: a change of these numbers needs new sketches.
    assert_eq!(search("invoice").places().unwrap()[..4], [4888, 56851, 36408, 34932]);
    assert_eq!(search("abc").places(), None);
}

proptest! {
    #[test]
    fn what_is_in_a_text_is_never_denied_by_its_sketch(
        texts in proptest::collection::vec("[a-cA-C0-9 äÄİſ日\"]{0,30}", 1..20),
        at in 0..20_usize,
        from in 0..30_usize,
        length in 1..20_usize,
    ) {
        let text = &texts[at % texts.len()];
        let part: String = text.chars().skip(from).take(length).collect();
        if let Ok(search) = Search::parse(&part) && search.finds(text, None) {
            let mut sketch = Sketch::default();
            texts.iter().for_each(|text| sketch.add(text));
            let kept = Sketch::kept(sketch.into_bytes()).unwrap().into_bytes();
            if let Some(places) = search.places() {
                prop_assert!(may_hold(&kept, &places));
            }
        }
    }

    #[test]
    fn a_part_of_a_text_is_found_in_it(text in "\\PC{1,40}", from in 0..40_usize, length in 1..20_usize) {
        let part: String = text.chars().skip(from).take(length).collect();
        let quoted = format!("\"{part}\"");
        if !part.contains('"') && let Ok(search) = Search::parse(&quoted) {
            prop_assert!(search.finds(&text, None), "{part:?} in {text:?}");
        }
    }
}
