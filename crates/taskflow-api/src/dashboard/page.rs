//! The frame around every page: head, navigation, and the headers that keep it from loading or running anything of
//! another server. What stands inside is the pages' own.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{Html, IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, header};
use maud::{DOCTYPE, Markup, html};
use taskflow_core::{Clock, Timestamp};

use super::assets;
use crate::problem::Problem;
use crate::state::{ApiOptions, ApiState};

/// What a page may load and run: nothing but what this server has. The script builds no HTML from text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types pages";

/// The places of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Tasks,
    Create,
    Queues,
    Workers,
    Failed,
    /// Nowhere: sign-in and errors.
    None,
}

const PLACES: [(Place, &str, &str); 5] = [
    (Place::Overview, "/", "Overview"),
    (Place::Tasks, "/tasks", "Tasks"),
    (Place::Queues, "/queues", "Queues"),
    (Place::Workers, "/workers", "Workers"),
    (Place::Failed, "/failed", "Failed"),
];

/// What every page needs to know.
#[derive(Clone)]
pub(super) struct Frame {
    /// The options of the API.
    pub(super) options: Arc<ApiOptions>,
    /// The instant that the page is for.
    pub(super) now: Timestamp,
    /// The query of the events that concern it; none when it does not change by itself.
    live: Option<String>,
}

impl FromRequestParts<ApiState> for Frame {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let clock: Arc<dyn Clock> = FromRef::from_ref(state);
        Ok(Self { options: Arc::clone(state.options()), now: clock.now(), live: None })
    }
}

impl Frame {
    /// The same for a page that follows the events of a query (`queue=mail`, or empty for all).
    #[must_use]
    pub(super) fn live(mut self, query: impl Into<String>) -> Self {
        self.live = Some(query.into());
        self
    }

    /// A whole page.
    pub(super) fn page(&self, place: Place, title: &str, inside: &Markup) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang="en" data-now=(self.now) {
                (self.head(title))
                body {
                    a.skip href="#main" { "Skip to the content" }
                    @if place != Place::None || self.options.key.is_none() { (top(place, self.options.key.is_some())) }
                    main id="main" tabindex="-1" data-live=[self.live.as_deref()] { (inside) }
                    (self.foot())
                }
            }
        };
        answer(page)
    }

    fn head(&self, title: &str) -> Markup {
        html! {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (self.options.title) }
                link rel="icon" type="image/svg+xml" href=(assets::icon());
                link rel="stylesheet" href=(assets::style());
                script src=(assets::script()) defer {}
            }
        }
    }

    fn foot(&self) -> Markup {
        html! {
            footer.foot {
                p {
                    "TaskFlow " (self.options.version)
                    @if self.live.is_some() {
                        span.live id="live" data-keep hidden {}
                    }
                }
                p {
                    a href="/docs" { "API, to try out" } " "
                    a href="/redoc" { "API, to read" } " "
                    a href="/openapi.json" { "OpenAPI" } " "
                    a href="/errors" { "Errors" } " "
                    a href="/api/v1/health" { "Health" }
                }
            }
        }
    }
}

/// The navigation; with a way out where somebody had to sign in.
pub(super) fn top(place: Place, signed: bool) -> Markup {
    html! {
        header.top {
            a.brand href="/" {
                svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" {
                    path d="M3 6h11M3 12h15M3 18h8" {}
                    path.dot d="M18 18l2 2 3-4" {}
                }
                "TaskFlow"
            }
            nav aria-label="Main" {
                ul {
                    @for (at, path, word) in PLACES {
                        li {
                            a href=(path) aria-current=[(at == place).then_some("page")] { (word) }
                        }
                    }
                }
            }
            div.end {
                a.button.primary href="/tasks/new"
                    aria-current=[(place == Place::Create).then_some("page")] { "New task" }
                @if signed {
                    form.act method="post" action="/sign-out" {
                        button.plain type="submit" { "Sign out" }
                    }
                }
            }
        }
    }
}

/// HTML with the headers of a page.
pub(super) fn answer(page: Markup) -> Response {
    let mut response = Html(page.into_string()).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (http::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (http::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            http::HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Forms send their origin along only when the policy does not forbid it.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
