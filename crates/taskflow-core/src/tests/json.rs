//! JSON as it is kept: what is refused, what stays digit for digit, and doubled keys.

use proptest::prelude::*;
use serde_json::Value;

use crate::json::{BadJson, Json};
use crate::limits::{JSON_DEPTH_MAX, JSON_NUMBER_CHARS_MAX};

fn kept(text: &str) -> Result<String, BadJson> {
    Json::parse(text).map(|json| json.as_str().to_owned())
}

/// Arrays and objects by turns, `depth` of them.
fn nested(depth: usize) -> String {
    let (mut open, mut close) = (String::new(), String::new());
    for level in 0..depth {
        open.push_str(if level % 2 == 0 { "[" } else { r#"{"k":"# });
        close.insert(0, if level % 2 == 0 { ']' } else { '}' });
    }
    let inner = if depth.is_multiple_of(2) && depth > 0 { "1" } else { "" };
    format!("{open}{inner}{close}")
}

#[test]
fn plain_values_are_kept_letter_for_letter() {
    for text in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-0.0",
        "1e5",
        "1E+5",
        "2.50",
        r#""""#,
        r#""é😀""#,
        "[]",
        "{}",
        "[ 1 ,\n2\t]",
        r#"{"a":{"a":[{"a":1}]},"b":{"a":2}}"#,
        r#"" \" \\ \/ \b \f \n \r \t""#,
        r#""\u00e9\ud83d\ude00""#,
        r#""\\u0000""#,
        r#""\\ud800""#,
        r#"{"b":1,"a":2}"#,
        r#"["true","{","]",","]"#,
        r#"{"a":"a"}"#,
        r#"["a","a"]"#,
        r#"[{"a":1},{"a":1}]"#,
    ] {
        assert_eq!(kept(text).as_deref(), Ok(text));
    }
}

#[test]
fn sixty_four_levels_are_kept_and_one_more_is_refused() {
    assert_eq!(JSON_DEPTH_MAX, 64);
    for depth in [1, 2, 63, 64] {
        let text = nested(depth);
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
        assert_eq!(kept(&text), Ok(text));
    }
    assert_eq!(kept(&nested(65)), Err(BadJson::TooDeep));
    let sibling = format!("[{},{}]", nested(63), nested(63));
    assert_eq!(kept(&sibling).as_ref(), Ok(&sibling), "levels are counted in depth, not in total");
    assert_eq!(kept(&format!("[{}]", nested(64))), Err(BadJson::TooDeep));
}

#[test]
fn a_hundred_thousand_brackets_do_not_overflow_the_stack() {
    let brackets = "[".repeat(100_000);
    assert_eq!(kept(&brackets), Err(BadJson::TooDeep));
    let objects = r#"{"a":"#.repeat(100_000);
    assert_eq!(kept(&objects), Err(BadJson::TooDeep));
    let doubled = format!(r#"{{"a":1,"a":{}"#, "[".repeat(100_000));
    assert_eq!(kept(&doubled), Err(BadJson::TooDeep));
    assert_eq!(kept(&"]".repeat(100_000)), Err(BadJson::Malformed));
}

#[test]
fn the_character_zero_is_refused_wherever_it_stands() {
    for text in [
        r#""\u0000""#,
        r#""a\u0000b""#,
        r#"{"\u0000":1}"#,
        r#"{"a":{"b\u0000":1}}"#,
        r#"[[["\u0000"]]]"#,
        r#""\\\u0000""#,
        r#""\ud83d\ude00\u0000""#,
    ] {
        assert_eq!(kept(text), Err(BadJson::Nul), "{text}");
    }
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    for text in [
        r#""\ud800""#,
        r#""\uDBFF""#,
        r#""\udc00""#,
        r#""\uDFFF""#,
        r#""\ude00\ud83d""#,
        r#""\ud83dx""#,
        r#""\ud83d\n""#,
        r#""\ud83d\u0041""#,
        r#""\ud83d\ud83d\ude00""#,
        r#""\ud83d\\ude00""#,
        r#"{"\ud800":1}"#,
    ] {
        assert_eq!(kept(text), Err(BadJson::LoneSurrogate), "{text}");
    }
}

#[test]
fn numbers_beyond_a_double_are_refused() {
    let digits = "9".repeat(400);
    let fraction = format!("{digits}.5");
    let padded = format!("1e{}400", "0".repeat(500));
    for text in [
        "1e400",
        "-1e400",
        "1E309",
        "[1,-1.8e308]",
        r#"{"a":1e999999999}"#,
        &digits,
        &fraction,
        &padded,
    ] {
        assert_eq!(kept(text), Err(BadJson::NumberTooLarge), "{text}");
    }
}

#[test]
fn numbers_within_a_double_stay_digit_for_digit() {
    let digits = "3".repeat(300);
    let small = format!("0.{}1", "0".repeat(900));
    let exact = format!("0.1{}", "0123456789".repeat(90));
    for text in [
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
        "0.1000000000000000055511151231257827021181583404541015625",
        "3.14159265358979323846264338327950288419716939937510",
        "1.7976931348623157e308",
        "-1.7976931348623157E+308",
        "5e-324",
        "1e-400",
        "1.0",
        "1.10",
        &digits,
        &small,
        &exact,
    ] {
        assert_eq!(kept(text).as_deref(), Ok(text));
        let inside = format!(r#"{{"\u0061":[{text}]}}"#);
        assert_eq!(
            kept(&inside),
            Ok(format!(r#"{{"a":[{text}]}}"#)),
            "rewritten, digits untouched"
        );
    }
}

#[test]
fn a_number_has_at_most_a_thousand_characters() {
    assert_eq!(JSON_NUMBER_CHARS_MAX, 1000);
    let longest = format!("0.{}", "1".repeat(998));
    assert_eq!(kept(&longest).as_ref(), Ok(&longest));
    for text in [format!("{longest}1"), "9".repeat(1001), format!("1e{}", "0".repeat(999))] {
        assert_eq!(text.len(), 1001);
        assert_eq!(kept(&text), Err(BadJson::NumberTooLong));
        assert_eq!(kept(&format!("[{text}]")), Err(BadJson::NumberTooLong));
    }
    assert!(
        kept(&format!(r#""{}""#, "9".repeat(2000))).is_ok(),
        "digits in a string are no number"
    );
}

#[test]
fn of_doubled_keys_the_last_wins_in_the_place_of_the_first() {
    for (text, want) in [
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (
            r#" { "a" : 1 , "b" : [ 1 , 2 ] , "a" : { "x" : 1.10 } } "#,
            r#"{"a":{ "x" : 1.10 },"b":[ 1 , 2 ]}"#,
        ),
        (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
        (r#"{"\u0061":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"\u00e9":1,"é":2}"#, r#"{"é":2}"#),
        (r#"{"\ud83d\ude00":1,"😀":2}"#, r#"{"😀":2}"#),
        (r#"{"\/":1,"/":2}"#, r#"{"/":2}"#),
        (r#"{"":1,"":2}"#, r#"{"":2}"#),
        (r#"{"a":{"a":1},"b":{"a":1,"a":3}}"#, r#"{"a":{"a":1},"b":{"a":3}}"#),
        (r#"[[{"a":[{"b":1,"b":2}]}]]"#, r#"[[{"a":[{"b":2}]}]]"#),
        (r#"{"a":{"x":1,"x":2},"a":{"y":1,"y":2}}"#, r#"{"a":{"y":2}}"#),
        (r#"{"a":1,"a":2,"a":3,"b":0,"b":null}"#, r#"{"a":3,"b":null}"#),
    ] {
        let got = kept(text).unwrap();
        let value = |text| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&got), value(want), "{text}");
        assert_eq!(got.replace(' ', ""), want.replace(' ', ""), "{text}");
    }
}

#[test]
fn doubled_keys_are_found_among_many() {
    let mut members: Vec<String> = (0..1000).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let single = format!("{{{}}}", members.join(","));
    assert_eq!(kept(&single).as_ref(), Ok(&single));
    members.push(r#""k3":"last""#.into());
    let doubled = kept(&format!("{{{}}}", members.join(","))).unwrap();
    assert_eq!(doubled, single.replace(r#""k3":3,"#, r#""k3":"last","#));
}

#[test]
fn a_key_that_comes_again_in_another_object_is_not_doubled() {
    let text = r#"{"a" :{"b":1},"c" :{"a":1,"b":2},"d" :[{"a":1},"a"],"b" :"a"}"#;
    assert_eq!(kept(text).as_deref(), Ok(text), "kept with its blanks, so not rewritten");
}

#[test]
fn what_is_no_json_is_refused_where_the_pass_sees_it() {
    for text in [
        "nul",
        "undefined",
        "NaN",
        "Infinity",
        "'a'",
        r#""a"#,
        r#""\"#,
        r#""\u12"#,
        r#""\u12g4""#,
        "[",
        "{",
        r#"{"a":"#,
        "]",
        "1e",
        "-e",
    ] {
        assert_eq!(kept(text), Err(BadJson::Malformed), "{text}");
    }
}

#[test]
fn a_document_of_a_megabyte_is_one_pass() {
    let text = format!("[{}1]", r#"{"a":[1.5,"x",null]},"#.repeat(50_000));
    assert_eq!(kept(&text).as_ref(), Ok(&text));
    let json = Json::from_stored(text.clone());
    assert_eq!((json.len(), json.is_empty()), (text.len(), false));
}

#[test]
fn refusals_keep_their_words() {
    for (why, words) in [
        (BadJson::TooDeep, "nests deeper than 64 levels"),
        (BadJson::Nul, "contains the character U+0000"),
        (BadJson::LoneSurrogate, "contains a lone surrogate"),
        (BadJson::NumberTooLong, "contains a number of more than 1000 characters"),
        (BadJson::NumberTooLarge, "contains a number beyond the range of a double"),
        (BadJson::Malformed, "is not JSON"),
    ] {
        assert_eq!(why.to_string(), words);
    }
}

/// Any text without U+0000, the characters that JSON escapes more often than chance would.
fn texts() -> impl Strategy<Value = String> {
    let odd =
        proptest::sample::select(vec!['"', '\\', '/', '\n', '\u{1}', '\u{7f}', 'é', '😀', 'u']);
    let char = prop_oneof![odd, any::<char>().prop_filter("no NUL", |c| *c != '\0')];
    proptest::collection::vec(char, 0..8).prop_map(String::from_iter)
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((texts(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_printed_value_is_kept_as_it_is(value in values()) {
        let text = value.to_string();
        prop_assert_eq!(kept(&text), Ok(text.clone()));
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        prop_assert_eq!(parsed(&kept(&pretty).unwrap()), parsed(&pretty));
    }

    #[test]
    fn doubled_keys_mean_what_a_parser_makes_of_them(
        members in proptest::collection::vec((0usize..6, values()), 0..24),
    ) {
        let keys = [r#""a""#, r#""\u0061""#, r#""b""#, r#""\n""#, r#""\u000a""#, r#""c""#];
        let members: Vec<_> =
            members.iter().map(|(k, value)| format!("{}:{value}", keys[*k])).collect();
        let text = format!("{{{}}}", members.join(","));
        let expected: Value = serde_json::from_str(&text).unwrap();
        let got: Value = serde_json::from_str(&kept(&text).unwrap()).unwrap();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn what_was_kept_once_is_kept_unchanged(value in values(), double in any::<bool>()) {
        let text = if double { format!(r#"{{"a":1,"a":{value}}}"#) } else { value.to_string() };
        let once = kept(&text).unwrap();
        prop_assert_eq!(kept(&once), Ok(once.clone()));
    }

    #[test]
    fn no_text_is_a_panic(text in "[\\[\\]{}\",:\\\\u0-9a-fetE+. -]{0,40}|\\PC{0,20}") {
        let scanned = Json::parse(&text).is_ok();
        let parsed = serde_json::from_str::<Value>(&text).is_ok();
        // The pass leaves grammar to the body parser, but never refuses what is fit to keep.
        prop_assert!(scanned || !parsed || text.contains("\\u0000"), "{}", text);
    }
}
