//! Signing in and out: the key is exchanged for a session, which the browser keeps as a cookie that no script reads.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use maud::{Markup, html};
use taskflow_core::limits::SESSION_SECONDS;
use taskflow_service::Actor;
use taskflow_service::sessions::Sessions;

use super::fields::{Asked, SentSmall, encoded};
use super::guard::{self, COOKIE};
use super::page::{Frame, Place};
use crate::problem::Problem;
use crate::state::ApiState;

/// The routes.
pub(super) fn router() -> Router<ApiState> {
    Router::new().route("/sign-in", get(form).post(sign_in)).route("/sign-out", post(sign_out))
}

async fn form(
    State(state): State<ApiState>,
    frame: Frame,
    headers: HeaderMap,
    Asked(fields): Asked,
) -> Result<Response, Problem> {
    let next = guard::local(fields.get("next"));
    let Some(key) = guard::key(&state) else { return Ok(Redirect::to(&next).into_response()) };
    if guard::is_signed_in(&state, &key, &headers).await? {
        return Ok(Redirect::to(&next).into_response());
    }
    let trouble = fields.ticked("back").then(|| {
        html! {
            "The key was right, but your browser did not keep the session: it does so over HTTPS and on "
            code { "localhost" } " only. Put a proxy with TLS before this server, or go through an SSH tunnel."
        }
    });
    Ok(frame.page(Place::None, "Sign in", &inside(&next, trouble.as_ref())))
}

fn inside(next: &str, trouble: Option<&Markup>) -> Markup {
    html! {
        section.card.narrow {
            h1 { "Sign in" }
            p.quiet { "This server asks for its API key." }
            @if let Some(trouble) = trouble { p.notice.bad role="alert" { (trouble) } }
            form method="post" action="/sign-in" {
                input type="hidden" name="next" value=(next);
                label.field {
                    span { "API key" }
                    input type="password" name="key" required autocomplete="current-password" autofocus;
                }
                button.primary type="submit" { "Sign in" }
            }
        }
    }
}

async fn sign_in(
    State(state): State<ApiState>,
    State(sessions): State<Sessions>,
    frame: Frame,
    headers: HeaderMap,
    SentSmall(fields): SentSmall,
) -> Result<Response, Problem> {
    let next = guard::local(fields.get("next"));
    let Some(key) = guard::key(&state) else { return Ok(Redirect::to(&next).into_response()) };
    if !key.is(fields.get("key").unwrap_or_default().as_bytes()) {
        tracing::warn!("somebody tried to sign in with a wrong key");
        let trouble = html! { "That is not the key." };
        let page = frame.page(Place::None, "Sign in", &inside(&next, Some(&trouble)));
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    }
    // A session that was there before ends: nobody goes on with one that somebody else chose.
    if let Some(token) = guard::session(&headers) {
        sessions.close(Actor::DEFAULT, &token).await?;
    }
    let token = sessions.open(Actor::DEFAULT, key.print()).await?;
    let back = format!("/sign-in?back=1&next={}", encoded(&next));
    Ok(with_cookie(Redirect::to(&back).into_response(), &token, SESSION_SECONDS as u64))
}

async fn sign_out(
    State(sessions): State<Sessions>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(token) = guard::session(&headers)
        && let Err(error) = sessions.close(Actor::DEFAULT, &token).await
    {
        // This browser is signed out all the same.
        tracing::warn!(%error, "a session could not be ended; without a visit it is over in some hours");
    }
    Ok(with_cookie(Redirect::to("/sign-in").into_response(), "", 0))
}

fn with_cookie(mut response: Response, token: &str, seconds: u64) -> Response {
    let cookie =
        format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
