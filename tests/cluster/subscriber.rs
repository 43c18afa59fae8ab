//! A subscriber of one channel that behaves as an SDK does: it connects again, and recovers.

use crate::checker::Seen;
use crate::server::within;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A connection that says nothing for so long is taken for dead: longer than an SDK waits for a ping.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(100);

type Socket = WebSocketStream<TcpStream>;

/// A subscriber in a task of its own.
pub(crate) struct Subscriber {
    channel: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// What happened on its way, for people who read why a test has failed.
    way: Arc<Mutex<Vec<String>>>,
    changes: watch::Receiver<()>,
    task: JoinHandle<()>,
}

/// The state of the task.
struct Client {
    addrs: Vec<SocketAddr>,
    /// Where it connects next.
    next: usize,
    channel: String,
    /// Where it stands.
    position: Option<(String, u64)>,
    seen: Arc<Mutex<Vec<Seen>>>,
    began: Instant,
    way: Arc<Mutex<Vec<String>>>,
    changed: watch::Sender<()>,
}

impl Subscriber {
    /// Subscribes at the first address; a connection that ends is followed by one to the next address.
    pub(crate) async fn start(addrs: &[SocketAddr], channel: &str) -> Self {
        let (changed, changes) = watch::channel(());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let way = Arc::new(Mutex::new(Vec::new()));
        let client = Client {
            addrs: addrs.to_vec(),
            next: 0,
            channel: channel.to_owned(),
            position: None,
            seen: Arc::clone(&seen),
            began: Instant::now(),
            way: Arc::clone(&way),
            changed,
        };
        let task = tokio::spawn(client.run());
        let mut subscriber = Self { channel: channel.to_owned(), seen, way, changes, task };
        subscriber.until(|seen| !seen.is_empty()).await;
        subscriber
    }

    /// Waits until it has seen what `is_enough` wants.
    pub(crate) async fn until(&mut self, is_enough: impl Fn(&[Seen]) -> bool) {
        let wait = async {
            while !is_enough(&self.seen.lock().unwrap()) {
                self.changes.changed().await.unwrap();
            }
        };
        if timeout(Duration::from_secs(120), wait).await.is_err() {
            let seen = self.seen.lock().unwrap();
            let last = &seen[seen.len().saturating_sub(3)..];
            let way = self.way.lock().unwrap();
            panic!(
                "{}: still waiting after {} events, the last of them {last:?}; its way:\n{}",
                self.channel,
                seen.len(),
                way.join("\n")
            );
        }
    }

    /// Waits until it has this publication.
    pub(crate) async fn has(&mut self, wanted: &str) {
        // It is one of the newest, so the search begins at the end.
        self.until(|seen| {
            seen.iter().rev().any(|one| match one {
                Seen::Publication { body, .. } | Seen::Recovered { body, .. } | Seen::Line { body } => body == wanted,
                Seen::Start { .. } | Seen::Gap => false,
            })
        })
        .await;
    }

    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Ends it, and returns what it saw.
    pub(crate) fn stop(self) -> (String, Vec<Seen>) {
        self.task.abort();
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        (self.channel, seen)
    }
}

impl Client {
    async fn run(mut self) {
        loop {
            // However it ends, the next connection says where it was.
            let _ = self.connection().await;
            self.tell("ended");
            self.next += 1;
            sleep(RETRY).await;
        }
    }

    fn tell(&self, what: &str) {
        let addr = self.addrs[self.next % self.addrs.len()];
        self.way.lock().unwrap().push(format!("  {:?} {addr} {what}", self.began.elapsed()));
    }

    async fn connection(&mut self) -> Option<()> {
        let addr = self.addrs[self.next % self.addrs.len()];
        let stream = timeout(Duration::from_secs(5), TcpStream::connect(addr)).await.ok()?.ok()?;
        let url = "ws://throng.test/connection/websocket";
        let handshake = tokio_tungstenite::client_async(url, stream);
        let (mut socket, _) = timeout(Duration::from_secs(10), handshake).await.ok()?.ok()?;
        send(&mut socket, &json!({ "id": 1, "connect": {} })).await?;
        loop {
            let text = match timeout(SILENCE_MAX, socket.next()).await.ok()??.ok()? {
                Message::Text(text) => text,
                Message::Close(_) => return None,
                _ => continue,
            };
            for line in text.split('\n') {
                let object: Value = serde_json::from_str(line).unwrap();
                self.handle(&mut socket, object).await?;
            }
        }
    }

    async fn handle(&mut self, socket: &mut Socket, object: Value) -> Option<()> {
        if object == json!({}) {
            return send(socket, &object).await;
        }
        if object["push"]["pub"].is_null() && object["subscribe"].is_null() {
            self.tell(&object.to_string());
        }
        if object["connect"].is_object() {
            return self.subscribe(socket).await;
        }
        if object["error"].is_object() {
            sleep(RETRY).await;
            return self.subscribe(socket).await;
        }
        if object["subscribe"].is_object() {
            self.subscribed(&object["subscribe"]);
        }
        let push = &object["push"];
        if push["pub"].is_object() {
            self.publication(&push["pub"], false);
        }
        if push["unsubscribe"].is_object() {
            return self.subscribe(socket).await;
        }
        Some(())
    }

    async fn subscribe(&self, socket: &mut Socket) -> Option<()> {
        let mut request = json!({ "channel": self.channel, "recoverable": true, "positioned": true });
        if let Some((epoch, offset)) = &self.position {
            request["recover"] = true.into();
            request["epoch"] = epoch.as_str().into();
            request["offset"] = (*offset).into();
        }
        send(socket, &json!({ "id": 2, "subscribe": request })).await
    }

    fn subscribed(&mut self, result: &Value) {
        let is_return = self.position.is_some();
        if is_return && result["recovered"] != json!(true) {
            self.tell(&format!("gap after {:?}: {result}", self.position));
            self.note(Seen::Gap);
        } else {
            for publication in result["publications"].as_array().into_iter().flatten() {
                self.publication(publication, true);
            }
        }
        let epoch = result["epoch"].as_str().unwrap_or_default().to_owned();
        // That of what it had before, if it gets what it missed.
        let offset = result["offset"].as_u64().unwrap_or_default();
        let offset = self.position.take().filter(|(known, _)| *known == epoch).map_or(offset, |(_, at)| at.max(offset));
        self.position = Some((epoch.clone(), offset));
        self.note(Seen::Start { epoch, offset });
    }

    fn publication(&mut self, publication: &Value, is_recovered: bool) {
        let offset = publication["offset"].as_u64().unwrap_or_default();
        let data = &publication["data"];
        let body = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
        if let Some((_, at)) = &mut self.position {
            *at = offset;
        }
        self.note(if is_recovered { Seen::Recovered { offset, body } } else { Seen::Publication { offset, body } });
    }

    fn note(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
        self.changed.send_replace(());
    }
}

async fn send(socket: &mut Socket, object: &Value) -> Option<()> {
    within(socket.send(Message::text(object.to_string()))).await.ok()
}
