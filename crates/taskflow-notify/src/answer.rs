//! From the response (or its absence) to the outcome of the attempt. Which statuses are final and how
//! long to wait is said here and nowhere else; nothing is sent from here.

use std::borrow::Cow;

use ::http::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use ::http::{StatusCode, header};
use serde_json::value::RawValue;
use taskflow_core::Json;
use taskflow_service::worker::handler::Answer;

use crate::client::{Reply, SendError};

/// Longest wait that a `Retry-After` can ask for, in seconds: an endpoint that says "in a year", by
/// mistake or in malice, must not park somebody's task for a year.
const RETRY_AFTER_SECONDS_MAX: f64 = 3600.0;
/// Longest piece of an answer quoted in an error, in characters: one line of a log.
const QUOTE_CHARS_MAX: usize = 300;

/// The outcome of an attempt that sent something.
pub(crate) fn answer(sent: Result<Reply, SendError>) -> Answer {
    let reply = match sent {
        Ok(reply) => reply,
        Err(SendError::Refused(why)) => return Answer::give_up(format!("payload.url {why}")),
        Err(why) => return Answer::retry(why.to_string()),
    };
    let status = reply.status;
    if status.is_success() {
        return Answer::Completed(Some(result(&reply)));
    }
    let error = format!("answered {}{}", words(status), remark(&reply));
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Answer::Failed { error, retryable: true, retry_after: asked_wait(&reply.headers) }
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Answer::retry(error),
        _ if status.is_client_error() => Answer::give_up(error),
        _ => Answer::retry(error),
    }
}

fn words(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// What helps a person to understand the status: where a redirect points, or what the body says.
fn remark(reply: &Reply) -> String {
    if reply.status.is_redirection() {
        let to = text_header(&reply.headers, &header::LOCATION).unwrap_or("nowhere");
        return format!("; redirects are not followed (to {})", quote(to));
    }
    let body = String::from_utf8_lossy(&reply.body);
    let said = quote(body.trim());
    if said.is_empty() { said } else { format!(": {said}") }
}

/// One line of at most [`QUOTE_CHARS_MAX`] characters, without control characters.
fn quote(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().map(clean).take(QUOTE_CHARS_MAX).collect();
    if text.chars().nth(QUOTE_CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}

fn text_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Seconds that `Retry-After` asks for, capped. A date is measured from the answer's own `Date`, so
/// neither clock has to be right; without one it is ignored and the task's back-off applies.
pub(crate) fn asked_wait(headers: &HeaderMap) -> Option<f64> {
    let asked = text_header(headers, &RETRY_AFTER)?.trim();
    let seconds = if !asked.is_empty() && asked.bytes().all(|b| b.is_ascii_digit()) {
        // Digits beyond any integer are still a number, and capped like the others.
        asked.parse().unwrap_or(RETRY_AFTER_SECONDS_MAX)
    } else {
        let then = httpdate::parse_http_date(asked).ok()?;
        let sent_at = httpdate::parse_http_date(text_header(headers, &DATE)?).ok()?;
        then.duration_since(sent_at).map_or(0.0, |wait| wait.as_secs_f64())
    };
    Some(seconds.min(RETRY_AFTER_SECONDS_MAX))
}

/// `{"status", "body", "truncated"?}`. The body is a JSON value when the answer says it is one and
/// TaskFlow's rules for JSON accept it, null when there is none, otherwise text.
fn result(reply: &Reply) -> Json {
    let status = reply.status.as_u16();
    let whole = |body: &str| {
        let more = if reply.truncated { r#","truncated":true"# } else { "" };
        Json::parse(&format!(r#"{{"status":{status},"body":{body}{more}}}"#))
    };
    let value = json_text(reply).and_then(|text| whole(text).ok());
    value.unwrap_or_else(|| {
        let text = serde_json::Value::from(text(&reply.body, reply.truncated));
        whole(&text.to_string()).expect("a number and a string without U+0000 are plain JSON")
    })
}

fn json_text(reply: &Reply) -> Option<&str> {
    if reply.body.is_empty() {
        return Some("null");
    }
    let kind = text_header(&reply.headers, &CONTENT_TYPE)?;
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if reply.truncated || !(kind == "application/json" || kind.ends_with("+json")) {
        return None;
    }
    let raw: &RawValue = serde_json::from_slice(&reply.body).ok()?;
    Some(raw.get())
}

/// The bytes as text that every store can hold. A character that the cut went through is left out.
fn text(bytes: &[u8], cut: bool) -> String {
    let bytes = match std::str::from_utf8(bytes) {
        Err(e) if cut && e.error_len().is_none() => &bytes[..e.valid_up_to()],
        _ => bytes,
    };
    let text: Cow<'_, str> = String::from_utf8_lossy(bytes);
    text.replace('\0', "\u{fffd}")
}
