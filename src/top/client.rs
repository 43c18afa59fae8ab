//! A client of a hub's HTTP interface, with errors that say what to do.

use super::options::UnsendableKey;
use super::screen::Sorts;
use super::{Options, Sample, Snapshot};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Longest time until a response is complete, in addition to the time over which the hub was asked to count. A hub that
/// takes longer is overloaded, and the user should see that.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest response: a metrics page of 64 shards has a tenth of it.
const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Connections and channels that are requested: more than a screen has lines.
const ROWS: usize = 100;

/// Why the hub gave no answer, or not the one that was asked for.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(super) enum HubError {
    /// No connection, or no complete response.
    #[error("no answer from {authority}: {reason}")]
    Unreachable { authority: String, reason: String },
    /// The hub serves its metrics on another address.
    #[error("{authority} has no /metrics; give the hub's --internal-addr with --url")]
    NoMetrics { authority: String },
    /// The hub refused the request, such as for its key.
    #[error("{}: {}", status.as_u16(), body.trim())]
    Refused { status: StatusCode, body: String },
}

/// Makes requests to one hub, each on a new connection.
#[derive(Clone, Debug)]
pub(super) struct HubClient {
    authority: String,
    key: Option<String>,
}

impl HubClient {
    pub(super) fn new(options: &Options) -> Result<Self, UnsendableKey> {
        Ok(Self { authority: options.url.authority().to_owned(), key: options.key()?.map(str::to_owned) })
    }

    /// Requests the metrics.
    pub(super) async fn sample(&self) -> Result<Sample, HubError> {
        match self.get("/metrics", Duration::ZERO).await {
            Ok(page) => Ok(Sample::parse(&page)),
            Err(HubError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                Err(HubError::NoMetrics { authority: self.authority.clone() })
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for `interval` while the hub counts publications, then requests the rest. An error is returned for the
    /// metrics only, without which there is nothing to show; a list that cannot be had is replaced by the reason.
    pub(super) async fn snapshot(
        &self,
        before: Option<&Sample>,
        sorts: Sorts,
        interval: Duration,
    ) -> Result<Snapshot, HubError> {
        let Sorts { connections, channels } = sorts;
        let channels = format!("/admin/channels?sort={channels}&limit={ROWS}&over={}ms", interval.as_millis());
        let (channels, ()) = tokio::join!(self.list(&channels, interval, "channels"), sleep(interval));
        let connections = format!("/admin/connections?sort={connections}&limit={ROWS}");
        let (sample, connections, cluster) =
            tokio::join!(self.sample(), self.list(&connections, Duration::ZERO, "connections"), self.cluster());
        Ok(Snapshot::new(before, sample?, connections, channels).with_cluster(cluster))
    }

    /// Requests what the hub knows of its cluster; `None` without one, and without a key, of which lists tell.
    async fn cluster(&self) -> Option<Value> {
        let body = self.get("/admin/cluster", Duration::ZERO).await.ok()?;
        serde_json::from_str(&body).ok()
    }

    /// Requests a list; the error is for a person.
    async fn list(&self, path: &str, counting: Duration, name: &str) -> Result<Vec<Value>, String> {
        let body = self.get(path, counting).await.map_err(|error| self.advise(&error))?;
        let mut body: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        match body[name].take() {
            Value::Array(rows) => Ok(rows),
            _ => Err("the response of the hub has no list; its version may be another one".to_owned()),
        }
    }

    /// Returns what a person can do about a list that was refused.
    fn advise(&self, error: &HubError) -> String {
        match error {
            HubError::Refused { status: StatusCode::UNAUTHORIZED, .. } if self.key.is_none() => {
                "give one of the hub's --admin-keys with --key or THRONG_TOP_KEY".to_owned()
            }
            HubError::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
                "the key is none of the hub's --admin-keys".to_owned()
            }
            HubError::Refused { status: StatusCode::NOT_FOUND, .. } => {
                "the hub has no --admin-keys; start it with some, and give one here with --key".to_owned()
            }
            other => other.to_string(),
        }
    }

    /// Makes a request. `counting` is the time that the hub takes because the request asks it to count.
    async fn get(&self, path: &str, counting: Duration) -> Result<String, HubError> {
        let unreachable = |reason: String| HubError::Unreachable { authority: self.authority.clone(), reason };
        match timeout(RESPONSE_TIMEOUT + counting, self.exchange(path)).await {
            Ok(Ok((StatusCode::OK, body))) => Ok(body),
            Ok(Ok((status, body))) => Err(HubError::Refused { status, body }),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("the response took more than {} s", RESPONSE_TIMEOUT.as_secs()))),
        }
    }

    async fn exchange(&self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::get(path).header(header::HOST, &self.authority).header(header::CONNECTION, "close");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request.body(Empty::<Bytes>::new())?;
        let response = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        tokio::pin!(response);
        tokio::select! {
            // The connection drives the exchange. It may end before the response is taken out of it, and if it fails,
            // its error is the precise one.
            ended = connection => ended?,
            response = &mut response => return response,
        }
        response.await
    }
}
