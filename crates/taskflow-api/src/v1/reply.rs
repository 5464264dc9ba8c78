//! JSON answers: serialised once, with status, ETag and Location where they belong.

use aide::operation::OperationOutput;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use crate::problem::Problem;

/// What a handler answers.
pub(crate) type Answer<T> = Result<Reply<T>, Problem>;

/// A JSON answer.
pub(crate) struct Reply<T> {
    pub(super) status: StatusCode,
    pub(super) bytes: Vec<u8>,
    pub(super) etag: Option<u64>,
    pub(super) location: Option<String>,
    pub(super) next: Option<String>,
    /// Whether it was answered before, to the same request with the same key.
    pub(super) again: bool,
    pub(super) shape: std::marker::PhantomData<fn() -> T>,
}

/// Tells an answer that was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A task with a common payload fits without growing.
const ROOM: usize = 1024;

impl<T> Reply<T> {
    /// 200 with `body`, whose shape is documented as `T`.
    pub(crate) fn ok(body: &impl Serialize) -> Answer<T> {
        let mut bytes = Vec::with_capacity(ROOM);
        serde_json::to_writer(&mut bytes, body).map_err(|error| {
            Problem::new("internal-error", "the answer could not be written").with_source(error)
        })?;
        let shape = std::marker::PhantomData;
        let (status, etag, location, next) = (StatusCode::OK, None, None, None);
        Ok(Self { status, bytes, etag, location, next, again: false, shape })
    }

    /// With another status.
    #[must_use]
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With the version as ETag.
    #[must_use]
    pub(crate) fn etag(mut self, version: u64) -> Self {
        self.etag = Some(version);
        self
    }

    /// With the path of the next page.
    #[must_use]
    pub(crate) fn next(mut self, path: String) -> Self {
        self.next = Some(path);
        self
    }

    /// With the place of the new thing.
    #[must_use]
    pub(crate) fn location(mut self, path: String) -> Self {
        self.location = Some(path);
        self
    }
}

impl<T> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(version) = self.etag
            && let Ok(value) = HeaderValue::from_str(&format!("\"{version}\""))
        {
            headers.insert(header::ETAG, value);
        }
        if self.again {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        if let Some(path) = self.location
            && let Ok(value) = HeaderValue::from_str(&path)
        {
            headers.insert(header::LOCATION, value);
        }
        if let Some(path) = self.next
            && let Ok(value) = HeaderValue::from_str(&format!("<{path}>; rel=\"next\""))
        {
            headers.insert(header::LINK, value);
        }
        response
    }
}

impl<T: JsonSchema> OperationOutput for Reply<T> {
    type Inner = T;

    fn operation_response(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) -> Option<aide::openapi::Response> {
        axum::Json::<T>::operation_response(context, operation)
    }

    fn inferred_responses(
        context: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) -> Vec<(Option<u16>, aide::openapi::Response)> {
        let response = Self::operation_response(context, operation);
        response.map(|response| (Some(200), response)).into_iter().collect()
    }
}

impl OperationOutput for Problem {
    type Inner = Self;
}
