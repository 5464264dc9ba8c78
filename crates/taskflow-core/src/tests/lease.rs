//! Tokens, their stored form, and the fingerprint that tells calls apart.

use proptest::prelude::*;

use crate::json::Json;
use crate::lease::{Finish, LeaseToken, TokenHash};

const WIRE: &str = "000102030405060708090a0b0c0d0eff";

#[test]
fn a_token_goes_over_the_wire_as_lower_case_hexadecimal() {
    let mut bytes: [u8; 16] = std::array::from_fn(|i| i as u8);
    bytes[15] = 0xff;
    assert_eq!(LeaseToken::new(bytes).to_wire(), WIRE);
    assert!(LeaseToken::from_wire(WIRE) == Some(LeaseToken::new(bytes)));
}

#[test]
fn a_token_in_upper_case_is_the_same_token() {
    let upper = LeaseToken::from_wire(&WIRE.to_uppercase());
    assert!(upper.is_some() && upper == LeaseToken::from_wire(WIRE));
}

#[test]
fn what_is_no_token_is_told_apart_from_a_wrong_one() {
    let long = format!("{WIRE}0");
    let signed = format!("+{}", &WIRE[1..]);
    let wide = "é".repeat(16);
    for text in
        ["", &WIRE[1..], &long, &signed, &wide, &WIRE.replace('f', "g"), &WIRE.replace('0', " ")]
    {
        assert!(LeaseToken::from_wire(text).is_none(), "{text:?}");
    }
}

#[test]
fn the_debug_text_of_a_token_shows_nothing_of_it() {
    let texts = [0u8, 1, 0xab, 0xff].map(|b| format!("{:?}", LeaseToken::new([b; 16])));
    assert!(texts.iter().all(|text| text == "LeaseToken(…)"), "{texts:?}");
}

/// Stored, so that no release may change it: the first half of SHA-256 over the 16 bytes.
#[test]
fn the_stored_form_of_a_token_is_pinned() {
    let TokenHash(hash) = LeaseToken::new([0; 16]).hash();
    let pinned = 0x374708fff7719dd5979ec875d56cd228_u128;
    assert_eq!(u128::from_be_bytes(hash), pinned);
}

/// Stored too: a call repeated across an upgrade must be known again.
#[test]
fn fingerprints_are_pinned() {
    let result = Some(Json::from_stored("{}".into()));
    let failed = Finish::Failed { error: "no".into(), retryable: true, retry_after: Some(1.5) };
    let pinned = [
        (Finish::Completed { result: None }, 0x2e7d2c03a9507ae265ecf5b5356885a5_u128),
        (Finish::Completed { result }, 0x7ed0bc022e61394074858c49e5e2f884_u128),
        (failed, 0xce2fbce8adc23fd37fedcb0b73bfbfd3_u128),
        (Finish::Snoozed { delay: 60.0 }, 0x06290874539532804533bc1398417d1d_u128),
        (Finish::Released, 0x454349e422f05297191ead13e21d3db5_u128),
        (Finish::Interrupted, 0xde7d1b721a1e0632b7cf04edf5032c8e_u128),
    ];
    for (finish, want) in pinned {
        let print = u128::from_be_bytes(finish.fingerprint());
        assert_eq!(format!("{print:#034x}"), format!("{want:#034x}"), "{finish:?}");
    }
}

#[test]
fn calls_that_say_different_things_have_different_fingerprints() {
    let json = |text: &str| Some(Json::from_stored(text.to_owned()));
    let failed = |error: &str, retryable, retry_after| Finish::Failed {
        error: error.to_owned(),
        retryable,
        retry_after,
    };
    let calls = [
        Finish::Completed { result: None },
        Finish::Completed { result: json("null") },
        Finish::Completed { result: json("1") },
        Finish::Completed { result: json("1.0") },
        failed("", true, None),
        failed("", false, None),
        failed("", true, Some(0.0)),
        failed("", true, Some(1.0)),
        failed("no", true, None),
        failed("no ", true, None),
        Finish::Snoozed { delay: 0.0 },
        Finish::Snoozed { delay: 1.0 },
        Finish::Released,
        Finish::Interrupted,
    ];
    for (i, a) in calls.iter().enumerate() {
        assert_eq!(a.fingerprint(), a.clone().fingerprint());
        for b in &calls[..i] {
            assert_ne!(a.fingerprint(), b.fingerprint(), "{a:?} and {b:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_token_survives_the_wire(bytes in any::<[u8; 16]>()) {
        let token = LeaseToken::new(bytes);
        let wire = token.to_wire();
        prop_assert_eq!(wire.len(), 32);
        prop_assert!(wire.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        prop_assert!(LeaseToken::from_wire(&wire) == Some(token));
    }

    #[test]
    fn no_text_from_the_wire_is_a_panic(text in any::<String>()) {
        if let Some(token) = LeaseToken::from_wire(&text) {
            prop_assert_eq!(token.to_wire(), text.to_ascii_lowercase());
        }
    }

    #[test]
    fn different_tokens_are_stored_differently(a in any::<[u8; 16]>(), b in any::<[u8; 16]>()) {
        let (a, b) = (LeaseToken::new(a), LeaseToken::new(b));
        prop_assert_eq!(a == b, a.hash() == b.hash());
    }
}
