//! Reads the text of a `.env` file the way python-dotenv does, because the files that are already
//! there were written for it: `API_TITLE=Two words`, `CORS_ORIGINS=["*"]` and `"pa$word"` keep their
//! spaces, quotes and dollar signs (the dotenvy crate refuses or changes all three).
//! It does not touch the process environment and does not know which names are settings.

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    /// Names and values in the order of the file; a name may come twice.
    pub(super) pairs: Vec<(String, String)>,
    /// Lines, counted from 1, that are no assignment, and why. The text is not repeated: it may
    /// hold a secret.
    pub(super) faults: Vec<(usize, &'static str)>,
}

/// Reads `text`. `${NAME}` and `${NAME:-default}`, but for single quotes, stand for an earlier value
/// of the file, else for what `outer` knows, else for the default or nothing.
pub(super) fn parse(text: &str, outer: impl Fn(&str) -> Option<String>) -> Parsed {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parsed = Parsed::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if rest.starts_with('#') {
            rest = next_line(rest).trim_start();
            continue;
        }
        match assignment(rest) {
            Ok(found) => {
                let value = if found.literal {
                    found.value
                } else {
                    expand(&found.value, |name| {
                        let earlier = parsed.pairs.iter().rev().find(|(known, _)| known == name);
                        earlier.map(|(_, value)| value.clone()).or_else(|| outer(name))
                    })
                };
                parsed.pairs.push((found.name.to_owned(), value));
                rest = found.rest;
            }
            Err(why) => {
                let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
                parsed.faults.push((line, why));
                rest = next_line(rest);
            }
        }
        rest = rest.trim_start();
    }
    parsed
}

struct Assignment<'a> {
    name: &'a str,
    value: String,
    /// From single quotes: no `${…}` in it.
    literal: bool,
    rest: &'a str,
}

fn assignment(text: &str) -> Result<Assignment<'_>, &'static str> {
    let text = match text.strip_prefix("export") {
        Some(after) if after.starts_with([' ', '\t']) => after.trim_start_matches([' ', '\t']),
        _ => text,
    };
    let end = text.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(named) {
        return Err("is not NAME=value: the name holds something other than A-Z a-z 0-9 _ . -");
    }
    let Some(after) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
        return Err("is not NAME=value: there is no = after the name");
    };
    let value = after.trim_start_matches([' ', '\t']);
    if let Some(quote @ ('"' | '\'')) = value.chars().next() {
        let (value, after) = quoted(&value[1..], quote)?;
        let (tail, rest) = after.split_at(after.find('\n').unwrap_or(after.len()));
        if !(tail.trim().is_empty() || tail.trim_start().starts_with('#')) {
            return Err("has text after the closing quote");
        }
        return Ok(Assignment { name, value, literal: quote == '\'', rest });
    }
    let (line, rest) = after.split_at(after.find('\n').unwrap_or(after.len()));
    Ok(Assignment { name, value: bare(line).to_owned(), literal: false, rest })
}

/// The rest of the line, up to a `#` that stands after white space.
fn bare(line: &str) -> &str {
    let comment = line
        .char_indices()
        .find(|&(at, c)| c == '#' && line[..at].ends_with(char::is_whitespace))
        .map_or(line.len(), |(at, _)| at);
    line[..comment].trim()
}

/// What stands before the closing `quote`, and what follows it. May run over several lines.
fn quoted(text: &str, quote: char) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Ok((value, &text[at + 1..]));
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        match chars.next().map(|(_, c)| c) {
            Some(c @ ('\\' | '\'')) => value.push(c),
            Some('"') if quote == '"' => value.push('"'),
            Some('n') if quote == '"' => value.push('\n'),
            Some('r') if quote == '"' => value.push('\r'),
            Some('t') if quote == '"' => value.push('\t'),
            Some(c) => value.extend(['\\', c]),
            None => value.push('\\'),
        }
    }
    Err("opens a quote that is never closed")
}

fn expand(value: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let inner = &rest[start + 2..start + length];
        let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
        out.push_str(&rest[..start]);
        out.push_str(&lookup(name).unwrap_or_else(|| default.to_owned()));
        rest = &rest[start + length + 1..];
    }
    out + rest
}

fn next_line(text: &str) -> &str {
    text.find('\n').map_or("", |at| &text[at + 1..])
}
