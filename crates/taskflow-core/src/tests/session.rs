//! Sessions: for how long they count, with which key, and what their text shows.

use proptest::prelude::*;

use super::at;
use crate::lease::LeaseToken;
use crate::limits::{SESSION_IDLE_SECONDS, SESSION_SECONDS};
use crate::session::{Session, SessionHash, SessionToken};

const KEY: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];
const HOUR: f64 = 3600.0;
const TICK: f64 = 1e-6;

/// One that was opened and seen at these seconds.
fn session(opened: f64, seen: f64) -> Session {
    let new = Session::opened(SessionHash([7; 32]), KEY, at(opened));
    assert_eq!(new.seen_at, new.opened_at);
    Session { seen_at: at(seen), ..new }
}

#[test]
fn a_session_holds_until_it_is_idle_for_too_long_or_too_old() {
    let week = SESSION_SECONDS;
    // Opened, seen last, now, whether it holds.
    let table = [
        (0.0, 0.0, 0.0, true),
        (0.0, 0.0, SESSION_IDLE_SECONDS - TICK, true),
        (0.0, 0.0, SESSION_IDLE_SECONDS, false),
        (0.0, 6.0 * HOUR, SESSION_IDLE_SECONDS, true),
        (0.0, 6.0 * HOUR, 6.0 * HOUR + SESSION_IDLE_SECONDS, false),
        (0.0, week - HOUR, week - TICK, true),
        (0.0, week - HOUR, week, false),
        (0.0, week - TICK, week + HOUR, false),
        // Another node's clock may be a little ahead.
        (5.0, 5.0, 0.0, true),
    ];
    for (opened, seen, now, holds) in table {
        let (session, now) = (session(opened, seen), at(now));
        assert_eq!(session.holds(KEY, now), holds, "{opened} {seen} {now}");
        assert_eq!(session.is_over(now), !holds, "{opened} {seen} {now}");
    }
}

#[test]
fn another_key_ends_a_session() {
    let session = session(0.0, 0.0);
    assert!(session.holds(KEY, at(1.0)) && !session.holds(OTHER, at(1.0)));
    assert!(!session.is_over(at(1.0)), "its time is not what is over");
}

#[test]
fn a_visit_is_written_down_once_a_minute() {
    let table = [(0.0, false), (59.999_999, false), (60.0, true), (HOUR, true), (-5.0, false)];
    for (now, due) in table {
        assert_eq!(session(-HOUR, 0.0).is_due_to_be_seen(at(now)), due, "{now}");
    }
}

#[test]
fn what_is_no_session_token_is_refused() {
    let good = SessionToken::new([LeaseToken::new([0xa5; 16]); 2]).to_wire();
    assert_eq!(good, "a5".repeat(32));
    assert!(SessionToken::from_wire(&good.to_uppercase()).is_some());
    let long = format!("{good}0");
    let wide = "é".repeat(32);
    for text in ["", "a5", &good[1..], &good[..32], &long, &wide, &good.replace('a', "g")] {
        assert!(SessionToken::from_wire(text).is_none(), "{text:?}");
    }
}

#[test]
fn no_text_of_a_session_shows_its_secrets() {
    let token = SessionToken::new([LeaseToken::new([0xab; 16]); 2]);
    let session = Session::opened(token.hash(), [0xcd; 32], at(0.0));
    let (opened, seen) = (session.opened_at, session.seen_at);
    let shown = format!("Session {{ opened_at: {opened:?}, seen_at: {seen:?}, .. }}");
    assert_eq!(format!("{session:?}"), shown);
    assert_eq!(format!("{token:?} {:?}", token.hash()), "SessionToken(…) SessionHash(…)");
}

/// Stored, so that no release may change it: SHA-256 over the 64 digits.
#[test]
fn the_stored_form_of_a_session_token_is_pinned() {
    let SessionHash(hash) = SessionToken::new([LeaseToken::new([0; 16]); 2]).hash();
    let text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text, "60e05bd1b195af2f94112fa7197a5c88289058840ce7c6df9693756bc6250f55");
}

proptest! {
    #[test]
    fn a_session_token_survives_the_wire(first: [u8; 16], second: [u8; 16]) {
        let token = SessionToken::new([LeaseToken::new(first), LeaseToken::new(second)]);
        let wire = token.to_wire();
        prop_assert!(wire.len() == 64 && wire.bytes().all(|b| b.is_ascii_hexdigit()));
        prop_assert!(SessionToken::from_wire(&wire) == Some(token));
    }

    #[test]
    fn no_text_is_a_panic(text in any::<String>()) {
        if let Some(token) = SessionToken::from_wire(&text) {
            prop_assert_eq!(token.to_wire(), text.to_ascii_lowercase());
        }
    }
}
