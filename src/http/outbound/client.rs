//! The HTTP client: posts JSON over connections that are kept open.

use super::stream::{Dialer, OutboundStream};
use crate::config::HttpUrl;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Request, StatusCode, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;
use tower_service::Service;

/// Time after which a connection without requests is closed: shorter than most servers wait, so that a request seldom
/// meets a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum PostError {
    /// The server cannot be reached, or ended the connection.
    #[error("{0}")]
    Connection(String),
    /// Following a redirect would send what is in the request to an address that no setting names.
    #[error("the response has the status {0}, and redirects are not followed; name the address itself")]
    Redirect(StatusCode),
    /// The server has refused.
    #[error("the response has the status {0}")]
    Status(StatusCode),
    /// The response ended early, or is too long.
    #[error("the response is not complete, or has more than {0} bytes")]
    Body(usize),
    /// The request cannot be made of this.
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
}

/// Posts JSON. Cloning counts a reference; the clones share their connections.
#[derive(Clone)]
pub(crate) struct HttpClient(Client<Connect, Full<Bytes>>);

impl HttpClient {
    pub(crate) fn new() -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE_TIMEOUT).pool_timer(TokioTimer::new());
        Self(builder.build(Connect { dialer: Arc::default() }))
    }

    /// Posts a body of JSON and returns that of the response, if its status is one of success.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; whether the server gets the request is not known then.
    pub(crate) async fn post(
        &self,
        url: &HttpUrl,
        headers: HeaderMap,
        body: Bytes,
        response_bytes_max: usize,
    ) -> Result<Bytes, PostError> {
        let mut request = Request::post(url.as_str()).body(Full::new(body))?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        let response = self.0.request(request).await.map_err(|error| PostError::Connection(causes(&error)))?;
        match response.status() {
            status if status.is_success() => {}
            status if status.is_redirection() => return Err(PostError::Redirect(status)),
            status => return Err(PostError::Status(status)),
        }
        let body = Limited::new(response.into_body(), response_bytes_max).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|_| PostError::Body(response_bytes_max))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient(..)")
    }
}

/// Returns an error with what caused it: the first text alone only says that something failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Makes the connections of the client.
#[derive(Clone)]
struct Connect {
    dialer: Arc<Dialer>,
}

impl Service<Uri> for Connect {
    type Response = TokioIo<OutboundStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = Arc::clone(&self.dialer);
        Box::pin(async move {
            let is_encrypted = uri.scheme_str() == Some("https");
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
            dialer.connect(host, port, is_encrypted).await.map(TokioIo::new)
        })
    }
}
