//! Of which sort an error is: what its text has in common with those of other tasks that failed for the same
//! reason. It reads texts and nothing else; which tasks failed is the store's to say.

use crate::limits::{ERROR_SORT_CHARS_MAX, FAILURE_ERROR_CHARS_MAX};

/// The sort of an error without a text.
pub const NO_ERROR: &str = "no error was given";

/// A run of letters and digits that is this long and all hexadecimal is a name of something, not a word.
const HEX_MIN: usize = 6;

/// A run of letters and digits with some digits in it that is this long is one too, in whatever alphabet.
const NAME_MIN: usize = 20;

/// So many digits make a long run the name of something.
const NAME_DIGITS_MIN: usize = 3;

/// The lengths of the parts of a UUID.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// The first line of a text that has anything in it, without the white space around it.
pub fn first_line(text: &str) -> Option<&str> {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    text.lines().map(|line| line.trim_matches(blank)).find(|line| !line.is_empty())
}

/// The sort of an error: the first line of its text, in which numbers, addresses and ids are `#` and white
/// space is one blank. Two texts that differ in those alone have the same sort, and a sort is its own sort.
/// At most `limits::ERROR_SORT_CHARS_MAX` characters, of the first `limits::FAILURE_ERROR_CHARS_MAX`.
pub fn sort_of(error: Option<&str>) -> String {
    let text = error.map_or("", |text| cut(text, FAILURE_ERROR_CHARS_MAX as usize));
    let Some(line) = first_line(text) else { return NO_ERROR.to_owned() };
    let blank = |c: char| c.is_whitespace() || c.is_control();
    let (mut sort, mut chars) = (String::new(), 0);
    for word in line.split(blank).filter(|word| !word.is_empty()) {
        if !sort.is_empty() {
            sort.push(' ');
        }
        let word = generic(word);
        chars += word.chars().count() + 1;
        sort.push_str(&word);
        // What follows is cut off: thousands of errors are sorted while somebody waits.
        if chars > ERROR_SORT_CHARS_MAX {
            break;
        }
    }
    cut(&sort, ERROR_SORT_CHARS_MAX).trim_end().to_owned()
}

/// At most so many characters of a text, from its beginning on.
pub fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

/// A word without what is only of one task.
fn generic(word: &str) -> String {
    let mut kept = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let run = run(rest);
        let length = if let Some(length) = uuid(rest) {
            kept.push('#');
            length
        } else if is_name(run) {
            kept.push('#');
            run.len()
        } else if run.is_empty() {
            kept.push(first);
            first.len_utf8()
        } else {
            without_digits(run, &mut kept);
            run.len()
        };
        rest = &rest[length..];
    }
    kept
}

/// The letters and digits with which a text begins.
fn run(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    &text[..end]
}

/// The length of the UUID with which a text begins. Every UUID has a digit: its version.
fn uuid(text: &str) -> Option<usize> {
    let mut length = 0;
    for (place, part) in UUID.into_iter().enumerate() {
        if place > 0 {
            length += text[length..].starts_with('-').then_some(1)?;
        }
        let run = run(&text[length..]);
        length += (run.len() == part && is_hex(run)).then_some(part)?;
    }
    has_digits(&text[..length], 1).then_some(length)
}

/// Whether letters and digits are an address, a hash or an id. Only what has digits is one, so that nothing is
/// that a sort has in it.
fn is_name(run: &str) -> bool {
    let address = run.strip_prefix("0x").or(run.strip_prefix("0X"));
    address.is_some_and(|digits| !digits.is_empty() && is_hex(digits))
        || (run.len() >= HEX_MIN && is_hex(run) && has_digits(run, 1))
        || (run.len() >= NAME_MIN && has_digits(run, NAME_DIGITS_MIN))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn has_digits(text: &str, least: usize) -> bool {
    text.bytes().filter(u8::is_ascii_digit).take(least).count() == least
}

/// Adds letters and digits, each run of digits as `#`.
fn without_digits(run: &str, to: &mut String) {
    let mut in_digits = false;
    for letter in run.chars() {
        let digit = letter.is_ascii_digit();
        if !digit {
            to.push(letter);
        } else if !in_digits {
            to.push('#');
        }
        in_digits = digit;
    }
}
