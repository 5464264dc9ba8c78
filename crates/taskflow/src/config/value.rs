//! Values that several sections share: truth, numbers, lines of text, lists.
//! Every reason begins with the text at fault, so none of these is for secrets.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::fault::Wrong;

/// `text` in quotes, control characters escaped, cut to what fits a line.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The words that pydantic reads as truth, in any letter case.
pub(super) fn truth(text: &str) -> Result<bool, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
        _ => Err(format!("{} is neither true nor false", quote(text)).into()),
    }
}

/// A number within `range`.
pub(super) fn number<N>(text: &str, range: &RangeInclusive<N>) -> Result<N, Wrong>
where
    N: FromStr + PartialOrd,
{
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("{} is not a number in range", quote(text)).into()),
    }
}

/// Seconds within `range`; a fraction is fine.
pub(super) fn seconds(text: &str, range: &RangeInclusive<f64>) -> Result<Duration, Wrong> {
    number(text, range).map(Duration::from_secs_f64)
}

/// One line, not empty.
pub(super) fn line(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{} holds control characters", quote(text)).into());
    }
    Ok(text.to_owned())
}

/// A JSON list of strings, as pydantic reads lists, or the same separated by commas. Empty items go.
pub(super) fn list(text: &str) -> Result<Vec<String>, Wrong> {
    let items: Vec<String> = if text.starts_with('[') {
        serde_json::from_str(text)
            .map_err(|error| format!("{} is no JSON list of strings: {error}", quote(text)))?
    } else {
        text.split(',').map(str::to_owned).collect()
    };
    let trimmed = items.iter().map(|item| item.trim().to_owned());
    Ok(trimmed.filter(|item| !item.is_empty()).collect())
}

/// [`list`], then `parse` on every item: all faulty items are named. Repeated ones are kept once.
pub(super) fn list_of<T: PartialEq>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Wrong> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for item in list(text)? {
        match parse(&item) {
            Ok(value) if good.contains(&value) => {}
            Ok(value) => good.push(value),
            Err(reason) => bad.push(reason),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(Wrong(bad)) }
}
