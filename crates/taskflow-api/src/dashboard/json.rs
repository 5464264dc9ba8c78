//! JSON as a tree that can be opened and closed. Numbers, escapes and repeated keys are shown as they were written:
//! nothing is parsed into numbers of our own. It shows only so much; the whole text is one click away.

use std::fmt;

use maud::{Markup, PreEscaped, html};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::parts as words;

/// So many values are shown; a page with more is slow to draw.
const VALUES_MAX: usize = 1000;

/// Longer texts are not taken apart for a page, in bytes.
const BYTES_MAX: usize = 256 * 1024;

/// So much is read for a tree, all its layers together, in bytes: some milliseconds.
const READ_MAX: usize = 1024 * 1024;

/// So much of one text is shown, in characters.
const TEXT_CHARS_MAX: usize = 2000;

/// Objects and lists with more parts than this are closed at first.
const OPEN_MAX: usize = 30;

/// What may still be read and shown, and whether something was left out.
struct Left {
    values: usize,
    bytes: usize,
    short: bool,
}

/// One layer of a value, with its parts as they were written.
enum Layer<'a> {
    Object(Vec<(String, &'a RawValue)>),
    List(Vec<&'a RawValue>),
}

impl<'de> Deserialize<'de> for Layer<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Layer<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or a list")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Layer<'de>, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = map.next_entry()? {
                    parts.push(part);
                }
                Ok(Layer::Object(parts))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Layer<'de>, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element()? {
                    parts.push(part);
                }
                Ok(Layer::List(parts))
            }
        }
        deserializer.deserialize_any(Parts)
    }
}

/// The tree of a JSON text; `path` names its places for who keeps them open.
pub(super) fn tree(text: &str, path: &str) -> Markup {
    if text.len() > BYTES_MAX {
        return html! { p.quiet { "Too long to be shown here: " (words::number(text.len() as u64)) " bytes." } };
    }
    let mut left = Left { values: VALUES_MAX, bytes: READ_MAX, short: false };
    let inside = value(text, path, &mut left);
    html! {
        div.json { (inside) }
        @if left.short { p.quiet { "Too much for a page: the rest is not shown." } }
    }
}

fn value(text: &str, path: &str, left: &mut Left) -> Markup {
    left.values = left.values.saturating_sub(1);
    let text = text.trim();
    match text.as_bytes().first() {
        // Each layer is read by itself: deep ones are read again and again.
        Some(b'{' | b'[') if left.bytes < text.len() => {
            left.short = true;
            html! { span.v.null { "…" } }
        }
        Some(b'{' | b'[') => match serde_json::from_str::<Layer<'_>>(text) {
            Ok(layer) => {
                left.bytes -= text.len();
                parts(&layer, path, left)
            }
            Err(_) => scalar(text),
        },
        _ => scalar(text),
    }
}

fn scalar(text: &str) -> Markup {
    let kind = match text.as_bytes().first() {
        Some(b'"') => "text",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "null",
        _ => "number",
    };
    html! { span class={ "v " (kind) } { (cut(text)) } }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn parts(layer: &Layer<'_>, path: &str, left: &mut Left) -> Markup {
    let (n, open, close) = match layer {
        Layer::Object(parts) => (parts.len(), "{", "}"),
        Layer::List(parts) => (parts.len(), "[", "]"),
    };
    if n == 0 {
        return html! { span.v.null { (open) (close) } };
    }
    let mut rows = Vec::new();
    let mut row = |name: &dyn Fn() -> String, text: &RawValue, left: &mut Left| {
        if left.values > 0 {
            let at = format!("{path}.{}", rows.len());
            rows.push((name(), value(text.get(), &at, left)));
        } else {
            left.short = true;
        }
    };
    match layer {
        Layer::Object(parts) => {
            parts.iter().for_each(|(name, text)| row(&|| name.clone(), text, left));
        }
        Layer::List(parts) => {
            parts.iter().enumerate().for_each(|(i, text)| row(&|| i.to_string(), text, left));
        }
    }
    let unit = if open == "{" { "field" } else { "item" };
    let plural = if n == 1 { "" } else { "s" };
    html! {
        details open[n <= OPEN_MAX] data-key=(path) {
            summary { (open) span.quiet { (n) " " (unit) (plural) } (close) }
            ul { @for (name, inside) in &rows { li { span.k { (cut(name)) } (PreEscaped(": ")) (inside) } } }
        }
    }
}

#[cfg(test)]
mod tests;
