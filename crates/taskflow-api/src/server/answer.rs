//! The service of one connection: marks where requests begin and answers end, and passes the rest
//! to the router. It adds nothing to an answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tower::Service as _;

use super::refuse::{fault, problem, refused};
use super::watch::{BodyLength, Watch};

/// How long the request's body is, as its head says.
pub(super) fn body_length(request: &Request<Incoming>) -> BodyLength {
    request.body().size_hint().exact().map_or(BodyLength::Chunked, BodyLength::Exactly)
}

/// Answers one request. The caller has marked it with [`Watch::called`] before this future runs.
pub(super) async fn answer(
    mut router: Router,
    watch: Arc<Watch>,
    request: Request<Incoming>,
    body: BodyLength,
) -> Result<Response<Answered>, Infallible> {
    let response = match fault(&request, body) {
        // The router's edge gives it an id and a log line; a router without one does not matter.
        Some(fault) => problem(fault, router.call(refused(&request, fault)).await?),
        None => router.call(request).await?,
    };
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        watch.upgrade();
    }
    Ok(response.map(|inner| Answered { inner, watch }))
}

/// A response body whose end, or loss, is the end of the request.
pub(super) struct Answered {
    inner: Body,
    watch: Arc<Watch>,
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.watch.answered();
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
