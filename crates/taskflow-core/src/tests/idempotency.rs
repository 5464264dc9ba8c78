//! Keys, fingerprints and seals.

use proptest::prelude::*;

use crate::idempotency::{Fingerprint, IdempotencyKey, body_hash};

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

fn request(body: &str) -> Fingerprint {
    Fingerprint::of("POST", "/tasks?x=1", body_hash(body.as_bytes()))
}

#[test]
fn a_key_is_visible_ascii_alone_or_as_a_string() {
    let long = "k".repeat(255);
    for (value, means) in [
        ("k", "k"),
        ("!~", "!~"),
        ("a\"b", "a\"b"),
        ("a\\b", "a\\b"),
        (&long, &long),
        ("\"k\"", "k"),
        (r#""a\"b""#, "a\"b"),
        (r#""a\\b""#, "a\\b"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\""),
    ] {
        assert_eq!(key(value), key(means), "{value}");
    }
    let longer = "k".repeat(256);
    let quoted = format!("\"{longer}\"");
    for value in [
        "",
        " ",
        "a b",
        "a\tb",
        "ä",
        "a\u{7f}",
        &longer,
        &quoted,
        "\"",
        "\"\"",
        "\"a",
        "\"a b\"",
        "\"a\"b",
        "\"a\";p=1",
        r#""a\b""#,
        r#""a\"#,
        "\"a\" ",
    ] {
        assert!(IdempotencyKey::parse(value).is_err(), "{value:?}");
    }
}

#[test]
fn a_ticket_tells_routes_keys_and_requests_apart() {
    let ticket = key("k").ticket("POST /tasks", request("a"));
    assert_eq!(ticket.key, key("\"k\"").ticket("POST /tasks", request("b")).key);
    assert_ne!(ticket.key, key("k2").ticket("POST /tasks", request("a")).key);
    assert_ne!(ticket.key, key("k").ticket("POST /tasks/bulk", request("a")).key);
    // Not by putting them together either.
    assert_ne!(key("sk").ticket("POST /task", request("a")).key, ticket.key);
    assert_ne!(request("a"), request("b"));
    let body = body_hash(b"a");
    assert_ne!(Fingerprint::of("POST", "/a", body), Fingerprint::of("POST", "/b", body));
    assert_ne!(Fingerprint::of("POST", "/a", body), Fingerprint::of("POS", "T/a", body));
}

#[test]
fn neither_a_key_nor_a_ticket_says_its_secret() {
    let key = key("hush-hush");
    let ticket = key.ticket("POST /tasks", request("a"));
    let said = format!("{key:?} {ticket:?}");
    assert!(!said.contains("hush") && !said.contains("secret"), "{said}");
}

#[test]
fn a_seal_opens_with_its_key_only_and_hides_what_it_holds() {
    let ticket = key("k").ticket("POST /tasks", request("a"));
    let answer = "lease_token ".repeat(100).into_bytes();
    let sealed = ticket.seal([1; 16], &answer);
    assert_eq!(ticket.open(&sealed).unwrap(), answer);
    assert!(!sealed.windows(5).any(|window| window == b"lease"));
    // No block is like another: repeated text does not show.
    let blocks: std::collections::BTreeSet<&[u8]> = sealed[16..].chunks(12).collect();
    assert_eq!(blocks.len(), 100);
    let other = key("k2").ticket("POST /tasks", request("a"));
    assert_ne!(other.open(&sealed).unwrap(), answer);
    assert_ne!(ticket.seal([2; 16], &answer)[16..], sealed[16..]);
    assert_eq!(ticket.open(b"too short"), None);
}

proptest! {
    #[test]
    fn whatever_is_sealed_comes_back(nonce: [u8; 16], answer: Vec<u8>, text in "[!-~]{1,255}") {
        prop_assume!(!text.starts_with('"'));
        let ticket = key(&text).ticket("POST /tasks", request("a"));
        prop_assert_eq!(ticket.open(&ticket.seal(nonce, &answer)), Some(answer));
    }

    #[test]
    fn quotes_change_nothing(text in "[!-~]{1,255}") {
        prop_assume!(!text.starts_with('"'));
        let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        prop_assert_eq!(key(&quoted), key(&text));
    }
}
