//! The rules of free text: titles, descriptions, keys, tags, error texts. Names are in `name.rs`.

use crate::limits as max;

/// Checks a title: 1 to 255 code points, not only white space, no U+0000.
pub fn title_fault(title: &str) -> Option<(&'static str, &'static str)> {
    let chars = title.chars().count();
    if title.contains('\0') {
        Some(("nul", "must not contain the character U+0000"))
    } else if chars > max::TITLE_CHARS_MAX {
        Some(("too-long", "must be at most 255 characters"))
    } else if title.trim().is_empty() {
        Some(("too-short", "must have at least 1 character that is not white space"))
    } else {
        None
    }
}

/// Checks a description: at most 64 KiB, no U+0000.
pub fn description_fault(text: &str) -> Option<(&'static str, &'static str)> {
    if text.contains('\0') {
        Some(("nul", "must not contain the character U+0000"))
    } else if text.len() > max::DESCRIPTION_BYTES_MAX {
        Some(("too-long", "must be at most 65536 bytes"))
    } else {
        None
    }
}

/// Checks a unique or concurrency key: 1 to 255 characters, no control characters.
pub fn key_fault(key: &str) -> Option<(&'static str, &'static str)> {
    let chars = key.chars().count();
    if chars == 0 || chars > max::KEY_CHARS_MAX {
        Some(("length", "must be 1 to 255 characters"))
    } else if key.chars().any(char::is_control) {
        Some(("control-character", "must not contain control characters"))
    } else {
        None
    }
}

/// Checks a tag: 1 to 100 characters, no comma (lists of tags use it), no control characters.
pub fn tag_fault(tag: &str) -> Option<(&'static str, &'static str)> {
    let chars = tag.chars().count();
    if chars == 0 || chars > max::TAG_CHARS_MAX {
        Some(("length", "must be 1 to 100 characters"))
    } else if tag.contains(',') || tag.chars().any(char::is_control) {
        Some(("character", "must not contain commas or control characters"))
    } else {
        None
    }
}

/// A worker's diagnostic text as it is kept: U+0000 becomes U+FFFD, and more than 16 KiB is cut with
/// a mark. Never refused: refusing would leave the task running.
pub fn kept_error(text: &str) -> String {
    let clean = text.replace('\0', "\u{FFFD}");
    if clean.len() <= max::ERROR_BYTES_MAX {
        return clean;
    }
    let mark = "… [cut]";
    let end = clean.floor_char_boundary(max::ERROR_BYTES_MAX - mark.len());
    format!("{}{mark}", &clean[..end])
}
