//! Style, script and icon of the pages, out of the binary. Their paths carry a hash of what they hold, so that
//! browsers keep them until they change.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::problem::{Problem, of_status};
use crate::state::ApiState;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    path: LazyLock<String>,
}

impl Asset {
    const fn new(
        name: &'static str,
        kind: &'static str,
        text: &'static str,
        path: fn() -> String,
    ) -> Self {
        Self { name, kind, text, path: LazyLock::new(path) }
    }

    /// `/static/<hash>/<name>`.
    fn place(&self) -> String {
        let hash = Sha256::digest(self.text);
        let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("/static/{hash}/{}", self.name)
    }
}

static STYLE: Asset = Asset::new(
    "dashboard.css",
    "text/css; charset=utf-8",
    include_str!("../../static/dashboard.css"),
    || STYLE.place(),
);
static SCRIPT: Asset = Asset::new(
    "dashboard.js",
    "text/javascript; charset=utf-8",
    include_str!("../../static/dashboard.js"),
    || SCRIPT.place(),
);
static ICON: Asset =
    Asset::new("icon.svg", "image/svg+xml", include_str!("../../static/icon.svg"), || ICON.place());

/// The path of the style.
pub(super) fn style() -> &'static str {
    &STYLE.path
}

/// The path of the script.
pub(super) fn script() -> &'static str {
    &SCRIPT.path
}

/// The path of the icon.
pub(super) fn icon() -> &'static str {
    &ICON.path
}

/// The route.
pub(super) fn router() -> Router<ApiState> {
    Router::new().route("/static/{hash}/{name}", get(asset))
}

async fn asset(Path((hash, name)): Path<(String, String)>) -> Result<Response, Problem> {
    let wanted = format!("/static/{hash}/{name}");
    // An older page, or a newer one from another node, gets what there is.
    let known = [&STYLE, &SCRIPT, &ICON].into_iter().find(|asset| asset.name == name);
    let asset = known.ok_or_else(|| of_status(http::StatusCode::NOT_FOUND))?;
    let mut response = shown(asset);
    if *asset.path == wanted {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, forever);
    }
    Ok(response)
}

fn shown(asset: &'static Asset) -> Response {
    let mut response = asset.text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    response
}
