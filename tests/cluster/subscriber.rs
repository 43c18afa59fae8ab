//! A subscriber of one channel in a task of its own: it connects, and connects again when that ends, until it is
//! stopped. What it speaks is in `sdk.rs` and `chat.rs`.

use crate::chat::Chat;
use crate::checker::Seen;
use crate::sdk::Sdk;
use crate::server::within;
use futures_util::SinkExt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// A connection that says nothing for so long is taken for dead: longer than a client waits for a ping.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(40);

/// Between two attempts to connect.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// What a subscriber speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The Centrifuge protocol, as an SDK does: it recovers.
    Sdk,
    /// Lines with numbers, of `/ws`: it recovers with `?since=`.
    Numbered,
    /// Lines, of `/ws`: what is published between two of its connections is not for it.
    Plain,
}

pub(crate) struct Subscriber {
    kind: Kind,
    notes: Arc<Notes>,
    changes: watch::Receiver<()>,
    task: JoinHandle<()>,
}

/// What a subscriber has seen so far.
pub(crate) struct Notes {
    pub(crate) channel: String,
    seen: Mutex<Vec<Seen>>,
    began: Instant,
    /// What happened on its way, for people who read why a test has failed.
    way: Mutex<Vec<String>>,
    changed: watch::Sender<()>,
}

impl Notes {
    pub(crate) fn note(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
        self.changed.send_replace(());
    }

    pub(crate) fn tell(&self, what: &str) {
        self.way.lock().unwrap().push(format!("  {:?} {what}", self.began.elapsed()));
    }
}

impl Subscriber {
    /// Subscribes at the first address; a connection that ends is followed by one to the next address.
    pub(crate) async fn start(kind: Kind, addrs: Vec<SocketAddr>, channel: &str) -> Self {
        let mut subscriber = Self::run(kind, addrs, channel, None);
        subscriber.until(|seen| !seen.is_empty()).await;
        subscriber
    }

    /// Subscribes as an SDK client that was away since it stood at a position.
    pub(crate) async fn return_from(position: (String, u64), addrs: Vec<SocketAddr>, channel: &str) -> Self {
        let mut subscriber = Self::run(Kind::Sdk, addrs, channel, Some(position));
        // The first one is that position.
        subscriber.until(|seen| seen.iter().filter(|one| matches!(one, Seen::Start { .. })).count() > 1).await;
        subscriber
    }

    fn run(kind: Kind, addrs: Vec<SocketAddr>, channel: &str, position: Option<(String, u64)>) -> Self {
        let (changed, changes) = watch::channel(());
        let start = position.clone().map(|(epoch, offset)| Seen::Start { epoch, offset });
        let notes = Arc::new(Notes {
            channel: channel.to_owned(),
            seen: Mutex::new(start.into_iter().collect()),
            began: Instant::now(),
            way: Mutex::default(),
            changed,
        });
        let task = tokio::spawn(run(kind, addrs, position, Arc::clone(&notes)));
        Self { kind, notes, changes, task }
    }

    /// Waits until it has seen what `is_enough` wants.
    pub(crate) async fn until(&mut self, is_enough: impl Fn(&[Seen]) -> bool) {
        let wait = async {
            while !is_enough(&self.notes.seen.lock().unwrap()) {
                self.changes.changed().await.unwrap();
            }
        };
        if timeout(Duration::from_secs(120), wait).await.is_err() {
            let seen = self.notes.seen.lock().unwrap();
            let last = &seen[seen.len().saturating_sub(3)..];
            let way = self.notes.way.lock().unwrap();
            panic!(
                "{:?} of {}: still waiting after {} events, the last of them {last:?}; its way:\n{}",
                self.kind,
                self.notes.channel,
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
                Seen::Start { .. } | Seen::Gap | Seen::Away | Seen::Here => false,
            })
        })
        .await;
    }

    /// Waits until it gets what is published from now on, if nothing else would bring that to it later.
    pub(crate) async fn listens(&mut self) {
        self.until(|seen| !matches!(seen.iter().rev().find(|one| one.is_about_connection()), Some(Seen::Away))).await;
    }

    pub(crate) fn channel(&self) -> &str {
        &self.notes.channel
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.notes.seen.lock().unwrap().clone()
    }

    /// Ends it, and returns what it saw.
    pub(crate) fn stop(self) -> (String, Vec<Seen>) {
        self.task.abort();
        let seen = std::mem::take(&mut *self.notes.seen.lock().unwrap());
        (self.notes.channel.clone(), seen)
    }
}

/// One of the two protocols.
enum Client {
    Sdk(Sdk),
    Chat(Chat),
}

async fn run(kind: Kind, addrs: Vec<SocketAddr>, position: Option<(String, u64)>, notes: Arc<Notes>) {
    let mut client = match kind {
        Kind::Sdk => Client::Sdk(Sdk::new(Arc::clone(&notes), position)),
        Kind::Numbered | Kind::Plain => Client::Chat(Chat::new(kind == Kind::Numbered, Arc::clone(&notes))),
    };
    for addr in addrs.iter().cycle() {
        // However it ends, the next connection says where it was.
        let _ = match &mut client {
            Client::Sdk(client) => client.connection(*addr).await,
            Client::Chat(client) => client.connection(*addr).await,
        };
        notes.tell(&format!("{addr} ended"));
        sleep(RETRY).await;
    }
}

/// Makes a handshake.
pub(crate) async fn open(addr: SocketAddr, request: impl IntoClientRequest + Unpin) -> Option<Socket> {
    let stream = timeout(Duration::from_secs(5), TcpStream::connect(addr)).await.ok()?.ok()?;
    let handshake = tokio_tungstenite::client_async(request, stream);
    let (socket, _) = timeout(Duration::from_secs(10), handshake).await.ok()?.ok()?;
    Some(socket)
}

pub(crate) async fn send(socket: &mut Socket, message: Message) -> Option<()> {
    within(socket.send(message)).await.ok()
}
