//! `Idempotency-Key`: which request comes again. What a handler does with it is in `v1/idempotency.rs`.

use std::sync::{Arc, OnceLock};

use aide::operation::OperationInput;
use axum::extract::{FromRef, FromRequestParts, MatchedPath};
use http::HeaderMap;
use http::request::Parts;
use taskflow_core::idempotency::body_hash;
use taskflow_core::{Clock, Fingerprint, IdempotencyKey, Ticket};
use taskflow_service::idempotency::Onces;

use super::header;
use crate::problem::Problem;

/// The header, as a route that takes it asks for it. The body must be read after it.
pub(crate) struct Key {
    pub(crate) given: Option<Given>,
    pub(crate) onces: Onces,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A key that was given, and for what.
pub(crate) struct Given {
    key: IdempotencyKey,
    route: String,
    method: String,
    target: String,
    body: BodyHash,
}

/// Where whoever reads the body leaves its SHA-256. It is asked for with a key only.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodyHash(Arc<OnceLock<[u8; 32]>>);

impl BodyHash {
    /// Notes the body, once.
    pub(crate) fn note(&self, body: &[u8]) {
        self.0.get_or_init(|| body_hash(body));
    }
}

impl Given {
    /// The request as a store may know it. A body that was not read is none.
    pub(crate) fn ticket(&self) -> Ticket {
        let body = *self.body.0.get_or_init(|| body_hash(b""));
        self.key.ticket(&self.route, Fingerprint::of(&self.method, &self.target, body))
    }
}

impl<S> FromRequestParts<S> for Key
where
    S: Send + Sync,
    Onces: FromRef<S>,
    Arc<dyn Clock>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let given = key(&parts.headers)?.map(|key| {
            let body = BodyHash::default();
            parts.extensions.insert(body.clone());
            let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
            let method = parts.method.to_string();
            let route = format!("{method} {}", path.unwrap_or_else(|| parts.uri.path()));
            Given { key, route, method, target: parts.uri.to_string(), body }
        });
        Ok(Self { given, onces: Onces::from_ref(state), clock: FromRef::from_ref(state) })
    }
}

/// The header's one value.
fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let refused =
        |why: &str| Problem::new("invalid-idempotency-key", format!("Idempotency-Key {why}"));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(refused("must be given once")),
        (Some(value), None) => {
            let key = IdempotencyKey::parse(value.to_str().unwrap_or_default());
            key.map(Some).map_err(|bad| refused(&bad.to_string()))
        }
    }
}

impl OperationInput for Key {
    fn operation_input(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) {
        let about = "1 to 255 visible ASCII characters, best a fresh UUID. The request is done once: sent \
                 again with the same key within 24 hours it gets the first answer again, with \
                 `Idempotency-Replayed: true`.";
        let schema = schemars::json_schema!({
            "type": "string",
            "pattern": r#"^[!#-~][!-~]{0,254}$"#
        });
        header::optional(context, operation, ("Idempotency-Key", about), schema);
    }
}
