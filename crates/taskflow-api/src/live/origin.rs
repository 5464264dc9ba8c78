//! Which web pages may listen. A browser opens a WebSocket to anywhere and reads it, whatever the rules of
//! CORS; only the `Origin` header tells whose page it is (RFC 6455, 10.2). What is no browser sends none.
//! Whether a page is of the host that it asks, the dashboard's `guard.rs` asks of acts too.

use http::{HeaderMap, header};

use crate::problem::Problem;
use crate::state::Cors;

/// Refuses pages of other origins than this server's own and those that may call the API.
pub(super) fn check(headers: &HeaderMap, cors: &Cors) -> Result<(), Problem> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return Ok(()),
        (Some(origin), None) => origin.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => "",
    };
    let allowed = match cors {
        Cors::Any => !origin.is_empty(),
        Cors::Only(listed) => listed.iter().any(|one| one == origin) || is_of_host(origin, headers),
    };
    if allowed {
        return Ok(());
    }
    Err(Problem::new(
        "foreign-origin",
        "pages of this origin may not listen; CORS_ORIGINS lists those that may",
    ))
}

/// Whether the page came from the host that it asks.
pub(crate) fn is_of_host(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let of = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    of.is_some() && of == host
}

#[cfg(test)]
mod tests;
