//! Publishers: backends that publish one by one at a rate, and note what was acknowledged.

use crate::checker::Acknowledged;
use crate::hubs::KEY;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Longer than a hub tries.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What a publisher came to.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) acknowledged: Vec<Acknowledged>,
    pub(crate) refused: usize,
    /// The longest time without an acknowledgement.
    pub(crate) longest_pause: Duration,
}

/// A publisher in a task of its own.
pub(crate) struct Publisher {
    is_over: Arc<AtomicBool>,
    task: JoinHandle<Published>,
}

impl Publisher {
    /// Publishes to the channels in turn, `rate` times a second, to hubs that are tried in turn.
    pub(crate) fn start(name: &str, addrs: &[SocketAddr], channels: &[String], rate: f64) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(run(
            Backend { addrs: addrs.to_vec(), next: 0, stream: None },
            name.to_owned(),
            channels.to_vec(),
            rate,
            Arc::clone(&is_over),
        ));
        Self { is_over, task }
    }

    /// Ends it once its publication under way is answered.
    pub(crate) async fn stop(self) -> Published {
        self.is_over.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Publishes once, and returns whether it was acknowledged.
pub(crate) async fn publish(addr: SocketAddr, channel: &str, body: &str) -> Option<Acknowledged> {
    Backend { addrs: vec![addr], next: 0, stream: None }.publish(channel, body).await
}

async fn run(
    mut backend: Backend,
    name: String,
    channels: Vec<String>,
    rate: f64,
    is_over: Arc<AtomicBool>,
) -> Published {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut published, mut last) = (Published::default(), Instant::now());
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        ticks.tick().await;
        let channel = &channels[number % channels.len()];
        match backend.publish(channel, &format!("{name}-{number}")).await {
            Some(acknowledged) => {
                published.acknowledged.push(acknowledged);
                published.longest_pause = published.longest_pause.max(last.elapsed());
                last = Instant::now();
            }
            None => published.refused += 1,
        }
    }
    published.longest_pause = published.longest_pause.max(last.elapsed());
    published
}

/// One connection to one of several hubs.
struct Backend {
    addrs: Vec<SocketAddr>,
    next: usize,
    stream: Option<TcpStream>,
}

impl Backend {
    async fn publish(&mut self, channel: &str, body: &str) -> Option<Acknowledged> {
        let request = json!({ "channel": channel, "data": body });
        let Ok(Some(answer)) = timeout(ANSWER_MAX, self.exchange(&request)).await else {
            (self.stream, self.next) = (None, self.next + 1);
            return None;
        };
        let result = answer.get("result")?;
        let position = result["epoch"].as_str().map(str::to_owned).zip(result["offset"].as_u64());
        Some(Acknowledged { channel: channel.to_owned(), body: body.to_owned(), position })
    }

    async fn exchange(&mut self, body: &Value) -> Option<Value> {
        if self.stream.is_none() {
            let addr = self.addrs[self.next % self.addrs.len()];
            self.stream = Some(timeout(Duration::from_secs(2), TcpStream::connect(addr)).await.ok()?.ok()?);
        }
        let stream = self.stream.as_mut()?;
        let body = body.to_string();
        let request = format!(
            "POST /api/publish HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        loop {
            if stream.read_buf(&mut answer).await.ok()? == 0 {
                return None;
            }
            if let Some(body) = complete(&answer) {
                return serde_json::from_slice(body).ok();
            }
        }
    }
}

/// Returns the body of an answer that has come as a whole.
fn complete(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(str::parse::<usize>)?.ok()?;
    answer.get(end..end + length)
}
