//! From the payload of an `http` task to the request that it asks for. Every fault is for good: the
//! same payload would fail again. It looks nothing up and sends nothing.

use std::collections::BTreeMap;

use ::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, header};
use bytes::Bytes;
use serde_json::value::RawValue;
use taskflow_core::Json;

use crate::client::{Order, Outbound};

/// Most headers of a request, and their bytes: what common servers accept.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 * 1024;
const FIELDS: &str = "method, url, headers and body";
const METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD];
/// Headers that the client owns. A payload that sets them could send a second request inside the
/// first one, or speak to another virtual host than the one that was checked.
const OWNED: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::PROXY_AUTHORIZATION,
];
/// The same without a constant, and the names that TaskFlow itself sends.
const OWNED_PREFIXES: [&str; 3] = ["proxy-", "keep-alive", "taskflow-"];

/// Reads the payload; the error is a sentence that names the field.
pub(crate) fn order(payload: Option<&Json>, outbound: &Outbound) -> Result<Order, String> {
    let text = payload.map(Json::as_str).filter(|text| *text != "null").unwrap_or("{}");
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)
        .map_err(|_| format!("payload must be an object with {FIELDS}"))?;
    // `null` says the same as leaving the field out.
    fields.retain(|_, raw| raw.get() != "null");
    let url = fields.remove("url").ok_or("payload.url is missing")?;
    let url: String = read(url, "payload.url must be a string")?;
    let target = outbound.check(&url).map_err(|why| format!("payload.url {why}"))?;
    let mut headers = headers(fields.remove("headers"))?;
    let body = fields.remove("body").map(|raw| body(raw, &mut headers)).transpose()?;
    let method = method(fields.remove("method"), body.is_some())?;
    if let Some(name) = fields.keys().next() {
        return Err(format!("payload has the unknown field `{name}`; known are {FIELDS}"));
    }
    Ok(Order { method, target, headers, body })
}

fn read<T: serde::de::DeserializeOwned>(raw: &RawValue, rule: &str) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|_| rule.to_owned())
}

fn method(raw: Option<&RawValue>, has_body: bool) -> Result<Method, String> {
    const RULE: &str = "payload.method must be GET, POST, PUT, PATCH, DELETE or HEAD";
    let Some(raw) = raw else {
        return Ok(if has_body { Method::POST } else { Method::GET });
    };
    let word: String = read(raw, RULE)?;
    METHODS
        .into_iter()
        .find(|m| m.as_str().eq_ignore_ascii_case(&word))
        .ok_or_else(|| RULE.to_owned())
}

/// A string goes out as it is; any other value as JSON, digit for digit.
fn body(raw: &RawValue, headers: &mut HeaderMap) -> Result<Bytes, String> {
    if raw.get().starts_with('"') {
        return read::<String>(raw, "payload.body is not a valid string").map(Bytes::from);
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    Ok(Bytes::copy_from_slice(raw.get().as_bytes()))
}

fn headers(raw: Option<&RawValue>) -> Result<HeaderMap, String> {
    let Some(raw) = raw else { return Ok(HeaderMap::new()) };
    let given: BTreeMap<String, String> =
        read(raw, "payload.headers must be an object of strings")?;
    if given.len() > HEADERS_MAX {
        return Err(format!("payload.headers has more than {HEADERS_MAX} entries"));
    }
    if given.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > HEADER_BYTES_MAX
    {
        return Err(format!("payload.headers is longer than {HEADER_BYTES_MAX} bytes"));
    }
    let mut headers = HeaderMap::with_capacity(given.len());
    for (given_name, value) in given {
        let name = HeaderName::from_bytes(given_name.as_bytes())
            .map_err(|_| format!("payload.headers has `{given_name}`, which is no header name"))?;
        if OWNED.contains(&name) || OWNED_PREFIXES.iter().any(|p| name.as_str().starts_with(p)) {
            return Err(format!("payload.headers has `{name}`, which TaskFlow sets itself"));
        }
        // The value may be a secret, so the error does not repeat it.
        let value =
            HeaderValue::from_str(&value).ok().filter(|_| value.is_ascii()).ok_or_else(|| {
                format!("payload.headers has a value for `{name}` that is not printable ASCII")
            })?;
        if headers.insert(name.clone(), value).is_some() {
            return Err(format!("payload.headers has `{name}` twice"));
        }
    }
    Ok(headers)
}
