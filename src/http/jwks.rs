//! The fetch of a JWK Set: one request at a time to one address of the settings, bounded in size and time, without
//! redirects. Nothing that a token says decides where it goes.

use super::outbound::Dialer;
use crate::auth::jwk::JwkSet;
use crate::config::{HttpUrl, JwksUrl};
use crate::operation::state::State;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{sleep, timeout};

/// Longest time of a fetch, from the look-up of the name to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest key set: ten times one with as many keys as are used.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Time between two fetches if all goes well. An issuer's old key is valid here for so much longer.
const REFRESH_INTERVAL: Duration = Duration::from_secs(600);

/// Time until the next attempt after one that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Why there are no keys.
#[derive(Debug, Error)]
enum FetchError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("the response has the status {0}, and redirects are not followed; name the address itself")]
    Redirect(StatusCode),
    #[error("the response has the status {0}")]
    Status(StatusCode),
    #[error("the response is not complete, or has more than {BODY_BYTES_MAX} bytes")]
    Body,
    #[error("it took longer than {} s", FETCH_TIMEOUT.as_secs())]
    Timeout,
}

/// Fetches the keys at once, every ten minutes, and when they are asked for, for ever.
pub(crate) async fn keep_fresh(state: Arc<State>, url: JwksUrl) {
    let (dialer, url) = (Dialer::default(), url.url());
    loop {
        state.tokens.begin_fetch();
        let fetched = timeout(FETCH_TIMEOUT, fetch(url, &dialer)).await;
        let fetched = fetched.unwrap_or(Err(FetchError::Timeout)).map_err(|error| error.to_string());
        let set = fetched.and_then(|body| JwkSet::parse(&body).map_err(|error| error.to_string()));
        let wait = match set {
            Ok(JwkSet { keys, skipped }) => {
                let usable = keys.len();
                state.tokens.end_fetch(Some(keys));
                tracing::info!(usable, skipped, "--jwks-url: the keys of tokens are read");
                REFRESH_INTERVAL
            }
            Err(error) => {
                state.tokens.end_fetch(None);
                tracing::error!("--jwks-url {} cannot be read, the keys stay as they are: {error}", url.as_str());
                RETRY_INTERVAL
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = state.tokens.fetch_requested() => {}
        }
    }
}

async fn fetch(url: &HttpUrl, dialer: &Dialer) -> Result<Bytes, FetchError> {
    let stream = dialer.connect(&url.host, url.port, url.is_encrypted).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(&url.target)
        .header(header::HOST, url.authority())
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let response = async {
        let response = sender.send_request(request).await?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_redirection() => return Err(FetchError::Redirect(status)),
            status => return Err(FetchError::Status(status)),
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|_| FetchError::Body)
    };
    tokio::pin!(response);
    tokio::select! {
        // The connection drives the exchange. It may end before the response is taken out of it.
        ended = connection => ended?,
        response = &mut response => return response,
    }
    response.await
}
