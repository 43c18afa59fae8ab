//! Responses: how they are built, and the future of one that may have to await the shards.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A response whose body is in memory.
pub(crate) type HttpResponse = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";

/// A response that is ready, or one that awaits the shards.
pub(crate) enum ResponseFuture {
    /// `None` once it was returned.
    Ready(Option<HttpResponse>),
    /// Boxed, because it is rare and would make the task of every handshake larger.
    Boxed(Pin<Box<dyn Future<Output = HttpResponse> + Send>>),
}

impl ResponseFuture {
    pub(crate) fn ready(response: HttpResponse) -> Self {
        Self::Ready(Some(response))
    }

    pub(crate) fn boxed(response: impl Future<Output = HttpResponse> + Send + 'static) -> Self {
        Self::Boxed(Box::pin(response))
    }
}

impl Future for ResponseFuture {
    type Output = Result<HttpResponse, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            // Polling after completion is a bug of the caller; stay pending.
            Self::Ready(response) => response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            Self::Boxed(response) => response.as_mut().poll(cx).map(Ok),
        }
    }
}

/// Returns a response with a plain text body.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> HttpResponse {
    with_body(status, TEXT, body)
}

/// Returns a response with a body of the given content type.
pub(crate) fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    set_header(&mut response, header::CONTENT_TYPE, content_type);
    // What the hub says of itself is true now only. A page overrides this.
    set_header(&mut response, header::CACHE_CONTROL, "no-store");
    set_header(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// Sets a header, replacing its value.
pub(crate) fn set_header(response: &mut HttpResponse, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
