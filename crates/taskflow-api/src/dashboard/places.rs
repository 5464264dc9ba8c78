//! Where pages are, where a button leads back to, and how the server is called in commands.

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, header};

use super::fields::encoded;
use super::guard;

/// What addresses say of what was done a moment ago: true once.
const ONCE: [&str; 7] = ["did", "changed", "skipped", "more", "saved", "released", "redriven"];

/// The page of a queue.
pub(super) fn queue(name: &str) -> String {
    format!("/queues/{}", encoded(name))
}

/// The page of a worker.
pub(super) fn worker(name: &str) -> String {
    format!("/workers/{}", encoded(name))
}

/// To the page on which the button stood, as the browser says.
pub(super) fn back(headers: &HeaderMap, otherwise: &str) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let path = text(header::REFERER).zip(text(header::HOST)).and_then(|(from, host)| {
        let rest = from.strip_prefix("http://").or_else(|| from.strip_prefix("https://"))?;
        rest.strip_prefix(host).filter(|path| path.starts_with('/'))
    });
    let path = path.map_or_else(|| otherwise.to_owned(), lasting);
    Redirect::to(&guard::local(Some(&path))).into_response()
}

/// An address without what was true once.
fn lasting(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let lasts = |pair: &&str| !ONCE.contains(&pair.split('=').next().unwrap_or_default());
    let query: Vec<&str> = query.split('&').filter(lasts).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// The address of this server in a command, as far as the host by which a page was asked for may stand in
/// one. With a key pages are seen over TLS or on this machine only.
pub(super) fn server(headers: &HeaderMap, key: bool) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
    let host = host.filter(|host| host.len() <= 255 && host.chars().all(plain));
    let host = host.unwrap_or("127.0.0.1:8000");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let here = name == "localhost" || name == "[::1]" || name.starts_with("127.");
    let scheme = if key && !here { "https" } else { "http" };
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests;
