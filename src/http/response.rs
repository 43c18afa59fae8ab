//! Responses: how they are built, and the future of one that may have to await the shards.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A response.
pub(crate) type HttpResponse = Response<ResponseBody>;

/// The body of a response: in memory, or made while it is sent.
pub(crate) enum ResponseBody {
    /// All of it.
    Full(Full<Bytes>),
    /// Boxed, because it is rare.
    Stream(Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>),
}

impl ResponseBody {
    /// Returns a body that is made while it is sent. It has to tell the progress of its connection when it ends.
    pub(crate) fn stream(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Self::Stream(Box::pin(body))
    }

    /// Returns whether it is made while it is sent.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::Full(Full::default())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Full(body) => Pin::new(body).poll_frame(cx),
            Self::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

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
    let mut response = Response::new(ResponseBody::Full(Full::new(body.into())));
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
