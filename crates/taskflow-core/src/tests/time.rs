//! RFC 3339 both ways, arithmetic that saturates, and the clock for tests.

use proptest::prelude::*;

use crate::limits::INSTANT_MAX_MICROS;
use crate::time::{BadInstant, Clock, ManualClock, Timestamp};

const MIN_MICROS: i64 = -62_135_596_800_000_000;

fn shown(text: &str) -> Result<String, BadInstant> {
    Timestamp::parse(text).map(|at| at.to_string())
}

#[test]
fn every_rfc_3339_instant_is_read() {
    for (text, utc) in [
        ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000000Z"),
        ("2026-01-31t09:30:00z", "2026-01-31T09:30:00.000000Z"),
        ("2026-01-31 09:30:00Z", "2026-01-31T09:30:00.000000Z"),
        ("2026-01-31T09:30:00.5Z", "2026-01-31T09:30:00.500000Z"),
        ("2026-01-31T09:30:00.123456789Z", "2026-01-31T09:30:00.123456Z"),
        ("2026-01-31T09:30:00+05:30", "2026-01-31T04:00:00.000000Z"),
        ("2026-01-31T09:30:00-00:00", "2026-01-31T09:30:00.000000Z"),
        ("2026-01-31T00:30:00.25+23:59", "2026-01-30T00:31:00.250000Z"),
        ("2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00.000000Z"),
        ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9998-12-31T23:59:59.999999999Z", "9998-12-31T23:59:59.999999Z"),
        ("9999-01-01T00:00:00+01:00", "9998-12-31T23:00:00.000000Z"),
    ] {
        assert_eq!(shown(text).as_deref(), Ok(utc), "{text}");
    }
}

#[test]
fn everything_else_is_refused() {
    for text in [
        "",
        "tomorrow",
        "now",
        "1769851800",
        "1769851800000",
        "2026-01-31",
        "2026-01-31T09:30:00",
        "2026-01-31T09:30:00.000000",
        "2026-01-31T09:30Z",
        "2026-01-31T09:30:60Z",
        "2016-12-31T23:59:60Z",
        "2016-12-31T23:59:60.5+00:00",
        "2026-01-31T24:00:00Z",
        "2026-01-31T09:60:00Z",
        "2026-02-29T09:30:00Z",
        "2026-13-01T09:30:00Z",
        "2026-00-01T09:30:00Z",
        "2026-01-31T09:30:00.Z",
        "2026-01-31T09:30:00,5Z",
        "2026-01-31T09:30:00.1234567890Z",
        "2026-01-31T09:30:00+05",
        "2026-01-31T09:30:00+0530",
        "2026-01-31T09:30:00+05:30:15",
        "2026-01-31T09:30:00+05:60",
        "2026-01-31T09:30:00+24:00",
        "2026-01-31T09:30:00 +05:30",
        "2026-01-31T09:30:00\u{2212}05:00",
        "2026-01-31T09:30:00Z[UTC]",
        "2026-01-31T09:30:00+00:00[Europe/Berlin]",
        "2026-01-31T09:30:00Zjunk",
        " 2026-01-31T09:30:00Z",
        "2026-01-31T09:30:00Z ",
        "2026-01-31T09:30:00Z\0",
        "20260131T093000Z",
        "2026-W05-6T09:30:00Z",
        "２０２６-01-31T09:30:00Z",
        "0000-01-01T00:00:00Z",
        "0000-12-31T23:59:59.999999999Z",
        "0001-01-01T00:00:00+00:01",
        "-0001-01-01T00:00:00Z",
        "+002026-01-31T09:30:00Z",
        "9999-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9998-12-31T23:59:59-01:00",
        "10000-01-01T00:00:00Z",
        "-292277-01-09T04:00:54Z",
        "Sat, 31 Jan 2026 09:30:00 GMT",
    ] {
        assert_eq!(shown(text), Err(BadInstant), "{text:?}");
    }
}

#[test]
fn the_refusal_says_what_is_wanted() {
    let words = BadInstant.to_string();
    assert!(words.contains("RFC 3339") && words.contains("1 and 9998"), "{words}");
    let example = words.rsplit(' ').next().unwrap();
    assert!(Timestamp::parse(example).is_ok(), "{example}");
}

/// Cut downwards before 1970 too, so that an instant never moves to a later one.
#[test]
fn nanoseconds_are_cut_off_not_rounded() {
    assert_eq!(Timestamp::parse("1970-01-01T00:00:00.000000999Z").unwrap().micros(), 0);
    assert_eq!(Timestamp::parse("1969-12-31T23:59:59.999999999Z").unwrap().micros(), -1);
}

#[test]
fn the_limits_are_the_years_1_and_9998() {
    assert_eq!(Timestamp::from_micros(MIN_MICROS).to_string(), "0001-01-01T00:00:00.000000Z");
    let last = Timestamp::from_micros(INSTANT_MAX_MICROS);
    assert_eq!(last.to_string(), "9998-12-31T23:59:59.999999Z");
}

#[test]
fn an_instant_outside_shows_as_the_nearest_one_inside() {
    for micros in [i64::MIN, MIN_MICROS - 1] {
        assert_eq!(Timestamp::from_micros(micros).to_string(), "0001-01-01T00:00:00.000000Z");
    }
    for micros in [INSTANT_MAX_MICROS + 1, i64::MAX] {
        assert_eq!(Timestamp::from_micros(micros).to_string(), "9998-12-31T23:59:59.999999Z");
    }
}

#[test]
fn arithmetic_saturates() {
    let start = Timestamp::from_micros(0);
    assert_eq!(start.plus_seconds(1.5).micros(), 1_500_000);
    assert_eq!(start.plus_seconds(-1.5).micros(), -1_500_000);
    assert_eq!(start.plus_seconds(f64::INFINITY).micros(), INSTANT_MAX_MICROS);
    assert_eq!(start.plus_seconds(1e300).micros(), INSTANT_MAX_MICROS);
    assert_eq!(start.plus_seconds(f64::NEG_INFINITY).micros(), i64::MIN);
    assert_eq!(start.plus_seconds(f64::NAN), start);
    let (first, last) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
    assert!(last.seconds_since(first) > 9e12);
    assert_eq!(start.seconds_since(start.plus_seconds(2.5)), -2.5);
}

#[test]
fn a_manual_clock_moves_only_when_told() {
    let clock = ManualClock::new(Timestamp::from_micros(10));
    assert_eq!((clock.now().micros(), clock.now().micros()), (10, 10));
    clock.advance(2.0);
    assert_eq!(clock.now().micros(), 2_000_010);
    clock.advance(-1.0);
    assert_eq!(clock.now().micros(), 1_000_010);
}

proptest! {
    #[test]
    fn what_is_shown_is_read_again(micros in MIN_MICROS..=INSTANT_MAX_MICROS) {
        let instant = Timestamp::from_micros(micros);
        prop_assert_eq!(Timestamp::parse(&instant.to_string()), Ok(instant));
    }

    #[test]
    fn an_instant_always_shows_six_digits_and_z(micros in any::<i64>()) {
        let text = Timestamp::from_micros(micros).to_string();
        prop_assert_eq!(text.len(), "2026-01-31T09:30:00.000000Z".len());
        prop_assert_eq!(text.as_bytes()[19], b'.');
        prop_assert!(text.ends_with('Z'), "{}", text);
    }

    #[test]
    fn the_text_sorts_like_the_instant(a in MIN_MICROS..=INSTANT_MAX_MICROS, b in MIN_MICROS..=INSTANT_MAX_MICROS) {
        let (x, y) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
        prop_assert_eq!(x.to_string().cmp(&y.to_string()), a.cmp(&b));
    }

    #[test]
    fn no_text_is_a_panic(text in "[0-9TtZz:+. \\[-]{0,45}|\\PC{0,45}") {
        if let Ok(at) = Timestamp::parse(&text) {
            prop_assert!((MIN_MICROS..=INSTANT_MAX_MICROS).contains(&at.micros()));
        }
    }

    #[test]
    fn a_later_instant_is_never_before(micros in any::<i64>(), seconds in 0.0..1e18f64) {
        let start = Timestamp::from_micros(micros.min(INSTANT_MAX_MICROS));
        prop_assert!(start.plus_seconds(seconds) >= start);
    }
}
