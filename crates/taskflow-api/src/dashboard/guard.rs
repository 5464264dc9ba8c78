//! Who may see and do what: a session where a key is set, and no act that another site's page began. The API asks for
//! its key itself and takes no cookie.

use std::sync::Arc;

use axum::extract::{FromRef, OriginalUri, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, Method, header};
use taskflow_service::Actor;
use taskflow_service::sessions::Sessions;

use super::fault::Shown;
use super::fields::encoded;
use crate::live::origin::is_of_host;
use crate::problem::{Problem, of_status};
use crate::state::{ApiKey, ApiState};

/// The cookie of a session. Its prefix has browsers keep it to this host and to HTTPS (RFC 6265bis, 4.1.3).
pub(super) const COOKIE: &str = "__Host-taskflow";

/// The layer.
pub(super) async fn guard(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let page = is_document(&parts.headers);
    let back = above(parts.uri.path());
    let mut response = match admitted(&state, &parts).await {
        Ok(None) => next.run(Request::from_parts(parts, body)).await,
        Ok(Some(elsewhere)) => elsewhere,
        Err(problem) => problem.into_response(),
    };
    if page {
        response.extensions_mut().insert(shown(&state, back));
    }
    response
}

fn shown(state: &ApiState, back: Option<String>) -> Shown {
    let options = state.options();
    Shown { signed: options.key.is_some(), back, title: options.title.clone() }
}

/// What stands where no page is: a page for who looks for one.
pub(crate) async fn nowhere(
    State(state): State<ApiState>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let mut response = of_status(http::StatusCode::NOT_FOUND).into_response();
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let looks = accept.is_some_and(|accept| accept.contains("text/html"));
    if looks && !uri.path().starts_with("/api/") {
        response.extensions_mut().insert(shown(&state, None));
    }
    response
}

/// The page above an act: that of the task, queue or worker.
fn above(path: &str) -> Option<String> {
    let mut parts = path.split('/').skip(1);
    let (what, name, act) = (parts.next()?, parts.next()?, parts.next()?);
    let known = matches!(what, "tasks" | "queues" | "workers");
    (known && !act.is_empty()).then(|| format!("/{what}/{name}"))
}

/// Whether somebody looks at the answer, and no script.
fn is_document(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_none_or(|dest| dest == "document")
}

/// None when the request may go on; where else it leads otherwise.
async fn admitted(state: &ApiState, request: &Parts) -> Result<Option<Response>, Problem> {
    let acts = !matches!(request.method, Method::GET | Method::HEAD);
    if acts && !is_own(&request.headers) {
        return Err(Problem::new(
            "foreign-origin",
            "what is done here must begin on a page of this server",
        ));
    }
    let path = request.uri.path();
    let open = path == "/sign-in" || path.starts_with("/static/");
    let Some(key) = &state.options().key else { return Ok(None) };
    if open || is_signed_in(state, key, &request.headers).await? {
        return Ok(None);
    }
    if acts || !is_document(&request.headers) {
        return Err(Problem::new("unauthorized", "the session is over: sign in again"));
    }
    let here = request.uri.path_and_query().map_or("/", |target| target.as_str());
    Ok(Some(Redirect::to(&format!("/sign-in?next={}", encoded(here))).into_response()))
}

/// Whether the request has a session that holds.
pub(super) async fn is_signed_in(
    state: &ApiState,
    key: &ApiKey,
    headers: &HeaderMap,
) -> Result<bool, Problem> {
    let Some(token) = session(headers) else { return Ok(false) };
    let sessions: Sessions = FromRef::from_ref(state);
    Ok(sessions.check(Actor::DEFAULT, &token, key.print()).await?)
}

/// The token of the session's cookie. Two are none: nobody could tell which one counts.
pub(super) fn session(headers: &HeaderMap) -> Option<String> {
    // As bytes: what others keep on this host need not be ASCII.
    let lines = headers.get_all(header::COOKIE).iter().map(http::HeaderValue::as_bytes);
    let cookies = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    let mut named = cookies.filter_map(|cookie| {
        let value = cookie.trim_ascii().strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    });
    match (named.next(), named.next()) {
        (Some(token), None) => Some(token),
        _ => None,
    }
}

/// Whether a page of this server began the request: by Fetch Metadata (W3C), and where a browser does not send it
/// (plain HTTP to another machine) by `Origin`. Who sends neither is no browser, and is refused all the same.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    origin.is_some_and(|origin| is_of_host(origin, headers))
}

/// A longer address does not come through a sign-in, in bytes: encoded in another one it still fits.
const NEXT_BYTES_MAX: usize = 2000;

/// A path of this server to which a sign-in may lead: nothing that a browser could take for another host.
pub(super) fn local(next: Option<&str>) -> String {
    let fits = |next: &&str| {
        next.len() <= NEXT_BYTES_MAX
            && next.starts_with('/')
            && !next.starts_with("//")
            && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
            && !next.starts_with("/sign-")
    };
    next.filter(fits).unwrap_or("/").to_owned()
}

/// The options' key, when there is one.
pub(super) fn key(state: &ApiState) -> Option<ApiKey> {
    Arc::clone(state.options()).key.clone()
}

#[cfg(test)]
mod tests;
