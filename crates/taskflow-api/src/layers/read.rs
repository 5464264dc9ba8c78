//! Whether a request's body was read to its end. It does not read by itself.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Knows whether a body was read; a request without one always was.
pub(crate) struct Read(Option<Arc<AtomicBool>>);

impl Read {
    /// Watches the body of a request.
    pub(crate) fn of(request: &mut Request) -> Self {
        if request.body().is_end_stream() {
            return Self(None);
        }
        let whole = Arc::new(AtomicBool::new(false));
        let inner = std::mem::take(request.body_mut());
        *request.body_mut() = Body::new(Watched { inner, whole: Arc::clone(&whole) });
        Self(Some(whole))
    }

    /// Whether it was read to its end by now.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.as_ref().is_none_or(|whole| whole.load(Ordering::Relaxed))
    }
}

struct Watched {
    inner: Body,
    whole: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.inner.is_end_stream() {
            self.whole.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
