//! JSON values as TaskFlow keeps them: text that was checked once and is never parsed again.
//! It expects text that already is well-formed JSON (the body parser saw to that); it checks what
//! parsers let pass: depth, NUL, lone surrogates, numbers that no double can hold, doubled keys.

use std::collections::HashSet;
use std::ops::Range;

use crate::limits::{JSON_DEPTH_MAX, JSON_NUMBER_CHARS_MAX};

/// A checked JSON value: its text, digits exact. Of doubled keys in an object the last one stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(Box<str>);

/// Why a JSON value is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadJson {
    /// Arrays and objects nest deeper than [`JSON_DEPTH_MAX`].
    #[error("nests deeper than {JSON_DEPTH_MAX} levels")]
    TooDeep,
    /// A string holds U+0000, which PostgreSQL's text cannot.
    #[error("contains the character U+0000")]
    Nul,
    /// An escape names half of a surrogate pair.
    #[error("contains a lone surrogate")]
    LoneSurrogate,
    /// A number has more than [`JSON_NUMBER_CHARS_MAX`] characters.
    #[error("contains a number of more than {JSON_NUMBER_CHARS_MAX} characters")]
    NumberTooLong,
    /// A number is beyond the range of a double.
    #[error("contains a number beyond the range of a double")]
    NumberTooLarge,
    /// Not JSON at all.
    #[error("is not JSON")]
    Malformed,
}

impl Json {
    /// Checks `text`, which must be one well-formed JSON value.
    pub fn parse(text: &str) -> Result<Self, BadJson> {
        let mut scan = Scan { bytes: text.as_bytes(), at: 0, keys: Vec::new(), doubled: false };
        scan.document()?;
        if !scan.doubled {
            return Ok(Self(text.into()));
        }
        // Rare: let a real parser keep the last of doubled keys. Depth is bounded by now.
        let text = rebuild(text.trim()).map_err(|_| BadJson::Malformed)?;
        Ok(Self(text.into()))
    }

    /// Takes text that a store kept; it was checked when it came in.
    pub fn from_stored(text: String) -> Self {
        Self(text.into_boxed_str())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Length of the text in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: an empty text is no JSON.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One pass over the bytes; an explicit stack of open containers, so no input can exhaust the stack.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    keys: Vec<Range<usize>>,
    doubled: bool,
}

/// An open container: where its keys start in `Scan::keys`, or none for an array.
struct Open {
    keys_from: Option<usize>,
}

impl Scan<'_> {
    fn document(&mut self) -> Result<(), BadJson> {
        let mut open: Vec<Open> = Vec::new();
        let mut key_next = false;
        loop {
            self.blank();
            let Some(&byte) = self.bytes.get(self.at) else {
                return if open.is_empty() { Ok(()) } else { Err(BadJson::Malformed) };
            };
            match byte {
                b'{' | b'[' => {
                    if open.len() == JSON_DEPTH_MAX {
                        return Err(BadJson::TooDeep);
                    }
                    let object = byte == b'{';
                    open.push(Open { keys_from: object.then_some(self.keys.len()) });
                    key_next = object;
                    self.at += 1;
                }
                b'}' | b']' => {
                    let closed = open.pop().ok_or(BadJson::Malformed)?;
                    if let Some(from) = closed.keys_from {
                        self.close(from);
                    }
                    key_next = false;
                    self.at += 1;
                }
                b',' => {
                    key_next = open.last().is_some_and(|o| o.keys_from.is_some());
                    self.at += 1;
                }
                b':' => self.at += 1,
                b'"' => {
                    let text = self.string()?;
                    if std::mem::take(&mut key_next) {
                        self.keys.push(text);
                    }
                }
                b'-' | b'0'..=b'9' => self.number()?,
                _ => self.word()?,
            }
        }
    }

    fn blank(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn word(&mut self) -> Result<(), BadJson> {
        for word in [&b"true"[..], b"false", b"null"] {
            if self.bytes[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        Err(BadJson::Malformed)
    }

    /// Looks for doubled keys among those of the object that closes. An escaped key could equal
    /// another one spelt differently, so it takes the slow road too.
    fn close(&mut self, from: usize) {
        let keys = &self.keys[from..];
        let text = |r: &Range<usize>| &self.bytes[r.clone()];
        let doubled = if keys.len() <= 16 {
            keys.iter().enumerate().any(|(i, a)| keys[..i].iter().any(|b| text(a) == text(b)))
        } else {
            let mut seen = HashSet::with_capacity(keys.len());
            !keys.iter().all(|k| seen.insert(text(k)))
        };
        self.doubled |= doubled || keys.iter().any(|k| text(k).contains(&b'\\'));
        self.keys.truncate(from);
    }

    fn string(&mut self) -> Result<Range<usize>, BadJson> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.bytes.get(at).ok_or(BadJson::Malformed)? {
                b'"' => break,
                b'\\' if self.bytes.get(at + 1) == Some(&b'u') => {
                    let unit = self.unit(at + 2)?;
                    at += 6;
                    match unit {
                        0 => return Err(BadJson::Nul),
                        0xDC00..=0xDFFF => return Err(BadJson::LoneSurrogate),
                        0xD800..=0xDBFF => {
                            let low = self.bytes.get(at..at + 2) == Some(b"\\u")
                                && matches!(self.unit(at + 2)?, 0xDC00..=0xDFFF);
                            if !low {
                                return Err(BadJson::LoneSurrogate);
                            }
                            at += 6;
                        }
                        _ => {}
                    }
                }
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Ok(start..at)
    }

    fn unit(&self, at: usize) -> Result<u32, BadJson> {
        let hex = self.bytes.get(at..at + 4).ok_or(BadJson::Malformed)?;
        hex.iter().try_fold(0, |unit, &digit| {
            let value = char::from(digit).to_digit(16).ok_or(BadJson::Malformed)?;
            Ok(unit * 16 + value)
        })
    }

    fn number(&mut self) -> Result<(), BadJson> {
        let start = self.at;
        while matches!(
            self.bytes.get(self.at),
            Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
        ) {
            self.at += 1;
        }
        let text = &self.bytes[start..self.at];
        if text.len() > JSON_NUMBER_CHARS_MAX {
            return Err(BadJson::NumberTooLong);
        }
        // 300 plain characters are below 1e300; only longer ones and exponents need a look.
        if text.len() > 300 || text.iter().any(|b| matches!(b, b'e' | b'E')) {
            let value: f64 = std::str::from_utf8(text)
                .ok()
                .and_then(|t| t.parse().ok())
                .ok_or(BadJson::Malformed)?;
            if !value.is_finite() {
                return Err(BadJson::NumberTooLarge);
            }
        }
        Ok(())
    }
}

/// Writes `text` anew; in objects the last of equal keys wins and keeps the first one's place.
fn rebuild(text: &str) -> Result<String, serde_json::Error> {
    use serde_json::value::RawValue;
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(text)?;
            let mut out = String::from("{");
            for (i, (key, raw)) in members.0.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(key)?);
                out.push(':');
                out.push_str(&rebuild(raw.get())?);
            }
            out.push('}');
            Ok(out)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let items: Result<Vec<_>, _> = items.iter().map(|raw| rebuild(raw.get())).collect();
            Ok(format!("[{}]", items?.join(",")))
        }
        _ => Ok(text.to_owned()),
    }
}

/// An object's members in order, doubled keys already merged.
struct Members<'a>(Vec<(String, &'a serde_json::value::RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> serde::de::Visitor<'de> for Visit {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &'de serde_json::value::RawValue)> = Vec::new();
                let mut place = std::collections::HashMap::new();
                while let Some((key, raw)) = map.next_entry::<String, _>()? {
                    match place.get(&key) {
                        Some(&i) => {
                            let member: &mut (String, _) = &mut members[i];
                            member.1 = raw;
                        }
                        None => {
                            place.insert(key.clone(), members.len());
                            members.push((key, raw));
                        }
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}
