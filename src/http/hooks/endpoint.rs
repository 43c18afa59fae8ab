//! An endpoint: where one question is asked, and how often at the same time.

use crate::config::{HookConfig, HookName};
use crate::http::outbound::{HttpClient, PostError};
use crate::metrics::HookOutcome;
use crate::protocol::centrifuge::ErrorCode;
use crate::session::hooks::Asker;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// Largest answer: several times what a client may get in one message by default.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Why a question has no answer of the application.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{0} requests were under way for half of the timeout; raise requests_max, or answer faster")]
    Busy(usize),
    #[error("there was no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    #[error("{0}")]
    Post(#[from] PostError),
    #[error("the answer is not one of the documented ones: {0}")]
    Malformed(String),
}

impl Failure {
    pub(super) const fn outcome(&self) -> HookOutcome {
        match self {
            Self::Busy(_) => HookOutcome::Busy,
            Self::Timeout(_) => HookOutcome::Timeout,
            Self::Post(PostError::Connection(_) | PostError::Request(_)) => HookOutcome::Connection,
            Self::Post(PostError::Redirect(_) | PostError::Status(_)) => HookOutcome::Status,
            Self::Post(PostError::Body(_)) | Self::Malformed(_) => HookOutcome::Malformed,
        }
    }

    /// Returns the error that the client gets.
    pub(super) const fn code(&self) -> ErrorCode {
        match self {
            Self::Busy(_) => ErrorCode::TooManyRequests,
            _ => ErrorCode::Internal,
        }
    }
}

/// Where one question is asked.
#[derive(Debug)]
pub(super) struct Endpoint {
    config: HookConfig,
    turns: Semaphore,
}

impl Endpoint {
    pub(super) fn new(config: &HookConfig) -> Self {
        Self { config: config.clone(), turns: Semaphore::new(config.requests_max) }
    }

    /// Returns whether it is asked this question about channels of that namespace; `None` stands for all that no table
    /// names.
    pub(super) fn is_for(&self, name: HookName, namespace: Option<&str>) -> bool {
        let names = &self.config.namespaces;
        let is_named = namespace.map_or(names.is_empty(), |one| names.iter().any(|known| known.as_str() == one));
        self.config.name == name && is_named
    }

    /// Asks, within the timeout. Half of it is for the answer, also to those that have to wait for their turn: with
    /// less they would be asked in vain, and each of them would keep the turn from the next.
    pub(super) async fn ask(&self, client: &HttpClient, asker: &Asker, body: Bytes) -> Result<Bytes, Failure> {
        let HookConfig { url, timeout, requests_max, .. } = &self.config;
        let now = Instant::now();
        let deadline = now + *timeout;
        let Ok(Ok(_turn)) = timeout_at(now + *timeout / 2, self.turns.acquire()).await else {
            return Err(Failure::Busy(*requests_max));
        };
        let posted = timeout_at(deadline, client.post(url, self.headers(asker), body, ANSWER_BYTES_MAX)).await;
        Ok(posted.map_err(|_| Failure::Timeout(*timeout))??)
    }

    fn headers(&self, asker: &Asker) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for fixed in &self.config.static_headers {
            headers.append(&fixed.name, fixed.value.clone());
        }
        for (name, value) in &asker.headers {
            let passed = self.config.headers.iter().find(|one| one.name.as_str() == name);
            if let (Some(passed), Ok(value)) = (passed, HeaderValue::from_maybe_shared(value.clone())) {
                headers.append(&passed.name, value);
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::hub::ClientId;

    /// A client that waits in vain is told that it may try again. docs/threats.md, row 42.
    #[tokio::test(start_paused = true)]
    async fn request_that_gets_no_turn_is_refused_after_half_of_the_timeout() {
        let text = "[[hook]]\nname = \"rpc\"\nurl = \"http://127.0.0.1:1/\"\nrequests_max = 1\ntimeout = \"700ms\"\n";
        let endpoint = Endpoint::new(&Config::from_toml(text).unwrap().hooks[0]);
        let _turn = endpoint.turns.acquire().await.unwrap();
        let client = ClientId::parse("0/1.1").unwrap();
        let asker = Asker { client, user: None, format: None, meta: None, headers: Vec::new() };
        let began = Instant::now();
        let failure = endpoint.ask(&HttpClient::new(), &asker, Bytes::new()).await.unwrap_err();
        assert_eq!((failure.outcome(), failure.code()), (HookOutcome::Busy, ErrorCode::TooManyRequests));
        assert_eq!(began.elapsed().as_millis(), 350);
        assert!(failure.to_string().contains("raise requests_max"), "{failure}");
    }
}
