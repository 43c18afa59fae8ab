//! What is asked of a hub, and what can go wrong.

use super::{Look, Options, Sample};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Time for one answer. A hub that takes longer is in trouble, which is worth saying.
const PATIENCE: Duration = Duration::from_secs(5);

/// Largest answer: a metrics page of 64 shards is a tenth of it.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Connections and channels that are asked for: more than a screen has lines.
const ROWS: usize = 100;

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// Nobody answers.
    Away(String),
    /// The key is none, or not one of the hub's.
    Refusal(StatusCode, String),
}

impl Trouble {
    pub(super) fn into_error(self) -> anyhow::Error {
        anyhow::anyhow!("{}", self.text())
    }

    /// Returns what is wrong and what to do.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Away(text) => text.clone(),
            Self::Refusal(status, text) => format!("{}: {}", status.as_u16(), text.trim()),
        }
    }
}

/// Asks one hub.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    authority: String,
    key: Option<String>,
}

impl Asker {
    pub(super) fn new(options: &Options) -> Self {
        Self { authority: options.url.authority().to_owned(), key: options.key.clone() }
    }

    /// Asks for the metrics of this moment.
    pub(super) async fn metrics(&self) -> Result<Sample, Trouble> {
        match self.get("/metrics").await {
            Ok(page) => Ok(Sample::parse(&page)),
            Err(Trouble::Refusal(StatusCode::NOT_FOUND, _)) => {
                let text = format!("{} has no /metrics; give the hub's --internal-addr with --url", self.authority);
                Err(Trouble::Away(text))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Waits for `interval`, counts what goes on meanwhile, and asks for everything. The metrics are the heart: without
    /// them there is nothing to see; a list that is refused says so in its place.
    pub(super) async fn look(&self, before: Option<&Sample>, sort: &str, interval: Duration) -> Result<Look, Trouble> {
        let channels = format!("/admin/channels?sort=rate&limit={ROWS}&over={}ms", interval.as_millis());
        let (channels, ()) = tokio::join!(self.list(&channels, "channels"), sleep(interval));
        let connections = format!("/admin/connections?sort={sort}&limit={ROWS}");
        let (metrics, connections) = tokio::join!(self.metrics(), self.list(&connections, "connections"));
        Ok(Look::new(before, metrics?, connections, channels))
    }

    async fn list(&self, path: &str, name: &str) -> Result<Vec<Value>, String> {
        let answer = self.get(path).await.map_err(|trouble| self.advise(&trouble))?;
        let mut answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        match answer[name].take() {
            Value::Array(rows) => Ok(rows),
            _ => Err("the hub's answer has no list: is it of another version?".to_owned()),
        }
    }

    /// Says what a person can do about a list that is not told.
    fn advise(&self, trouble: &Trouble) -> String {
        match trouble {
            Trouble::Refusal(StatusCode::UNAUTHORIZED, _) if self.key.is_none() => {
                "give one of the hub's --admin-keys with --key or THRONG_TOP_KEY".to_owned()
            }
            Trouble::Refusal(StatusCode::UNAUTHORIZED, _) => "the key is none of the hub's --admin-keys".to_owned(),
            Trouble::Refusal(StatusCode::NOT_FOUND, _) => {
                "the hub tells nobody: start it with --admin-keys, and give one with --key".to_owned()
            }
            other => other.text(),
        }
    }

    async fn get(&self, path: &str) -> Result<String, Trouble> {
        let said = |error: &dyn std::fmt::Display| Trouble::Away(format!("no answer from {}: {error}", self.authority));
        match timeout(PATIENCE + sleeping(path), self.exchange(path)).await {
            Ok(Ok((StatusCode::OK, text))) => Ok(text),
            Ok(Ok((status, text))) => Err(Trouble::Refusal(status, text)),
            Ok(Err(error)) => Err(said(&error)),
            Err(_) => Err(said(&"it takes too long")),
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
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        tokio::pin!(answer);
        tokio::select! {
            // It ends when the answer is complete, and says by itself what went wrong.
            ended = connection => ended?,
            answer = &mut answer => return answer,
        }
        answer.await
    }
}

/// Returns how long an answer takes because it was asked to.
fn sleeping(path: &str) -> Duration {
    let over = path.split("over=").nth(1).and_then(|over| humantime::parse_duration(over).ok());
    over.unwrap_or_default()
}
