//! A link: one connection to NATS, which comes back by itself.
//!
//! Only this file knows the client library. What it says of lost messages and connections is a hint, since its own
//! queues are bounded and drop: what hubs rely on are the sequences of streams.

use super::credentials::{Credentials, CredentialsError};
use super::id::random;
use crate::config::ClusterConfig;
use async_nats::client::PublishErrorKind;
use async_nats::{Client, ClientError, ConnectErrorKind, ConnectOptions, Event, HeaderMap, ServerError, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Time between two pings: a connection that is dead is noticed after three of them.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// Time for one attempt to connect, with TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest pause between two attempts to connect.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Messages that may wait of each subscription where answers come: more than are asked for.
pub const ANSWERS_MAX: usize = 65_536;

/// Status of an answer that says that nobody takes the request.
const NO_RESPONDERS: u16 = 503;

/// A connection to NATS. Dropping it closes the connection.
#[derive(Debug)]
pub struct Link {
    client: Client,
    /// Where answers come back; a number follows.
    inbox: String,
    next: AtomicU64,
    waiting: Arc<Waiting>,
    state: watch::Receiver<LinkState>,
    answers: AbortHandle,
}

/// Requests that wait for an answer, by number.
type Waiting = Mutex<HashMap<u64, oneshot::Sender<Message>>>;

/// What is known of a connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LinkState {
    /// Whether it is there.
    pub is_connected: bool,
    /// How often it was made: a change means that messages may have been missed.
    pub connects: u64,
    /// Messages that this process dropped because it did not take them in time, as far as it noticed.
    pub dropped: u64,
    /// What the server or the network said last.
    pub complaint: Option<String>,
}

/// A message of NATS.
#[derive(Debug)]
pub struct Message(async_nats::Message);

/// Messages of a subject.
#[derive(Debug)]
pub struct Messages(Subscriber);

/// Why a link could not be made.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The file with credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A file for TLS cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The server does not let the hub in.
    #[error("NATS does not accept the hub: {0}; give --nats-credentials of a user that the servers know")]
    Refused(String),
    /// There is no connection.
    #[error("NATS cannot be reached: {0}")]
    Unreachable(String),
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RequestError {
    /// Nobody takes requests of this subject: the stream has no leader, or JetStream is off.
    #[error("no server answers")]
    NoResponders,
    /// There was no answer in time. Whether the request was worked on is not known.
    #[error("no answer in time")]
    Timeout,
    /// It is larger than servers accept.
    #[error("larger than the servers accept")]
    TooLarge,
    /// The link is closed.
    #[error("the connection is closed")]
    Closed,
}

impl Link {
    /// Makes a link that connects as soon as a server can be reached, and again whenever it is lost. `purpose` is the
    /// end of its name in the lists of the servers; of each subscription `capacity` messages may wait.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if a file cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future makes no link.
    pub async fn keep(config: &ClusterConfig, purpose: &str, capacity: usize) -> Result<Self, LinkError> {
        Self::open(config, purpose, capacity, true).await
    }

    /// Makes a link, if a server can be reached now.
    ///
    /// # Errors
    ///
    /// [`LinkError`] says why there is none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future makes no link.
    pub async fn once(config: &ClusterConfig, purpose: &str) -> Result<Self, LinkError> {
        Self::open(config, purpose, ANSWERS_MAX, false).await
    }

    async fn open(config: &ClusterConfig, purpose: &str, capacity: usize, is_patient: bool) -> Result<Self, LinkError> {
        let (sender, state) = watch::channel(LinkState::default());
        let servers: Vec<_> = config.nats_servers.iter().map(ToString::to_string).collect();
        let about = About { link: purpose.to_owned(), servers: servers.join(", ") };
        let mut options = options(config, purpose, capacity)?.event_callback(move |event| {
            about.note(&sender, &event);
            std::future::ready(())
        });
        if is_patient {
            options = options.retry_on_initial_connect();
        }
        let client = options.connect(servers).await.map_err(|error| refusal(&error))?;
        let inbox = client.new_inbox();
        let answers = client.subscribe(format!("{inbox}.*")).await;
        let answers = answers.map_err(|error| LinkError::Unreachable(error.to_string()))?;
        let waiting = Arc::default();
        let answers = tokio::spawn(answer(answers, Arc::clone(&waiting))).abort_handle();
        Ok(Self { client, inbox, next: AtomicU64::new(0), waiting, state, answers })
    }

    /// Returns the state, and every change of it.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// Returns the version of the server, and whether it has JetStream; `None` before the first connection.
    pub fn server(&self) -> Option<(String, bool)> {
        self.client.try_server_info().map(|info| (info.version, info.jetstream))
    }

    /// Returns the most bytes of a message that the server accepts.
    pub fn payload_max(&self) -> usize {
        self.client.max_payload()
    }

    /// Publishes, once the connection is there. That it returns does not mean that it has arrived.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if it is too large, or the link is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future publishes nothing.
    pub async fn publish(&self, subject: String, payload: Bytes) -> Result<(), RequestError> {
        self.client.publish(subject, payload).await.map_err(|error| unsent(error.kind()))
    }

    /// Publishes what those who get it answer to `reply`, which [`Link::subscribe`] follows.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if it is too large, or the link is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future publishes nothing.
    pub async fn publish_with_reply(&self, subject: String, reply: String, payload: Bytes) -> Result<(), RequestError> {
        self.client.publish_with_reply(subject, reply, payload).await.map_err(|error| unsent(error.kind()))
    }

    /// Asks, and waits until there is one answer or the deadline has passed.
    ///
    /// # Errors
    ///
    /// [`RequestError`] says why there is none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the request, which may have been sent.
    pub async fn request(&self, subject: String, payload: Bytes, deadline: Duration) -> Result<Message, RequestError> {
        self.ask(subject, None, payload, deadline, || ()).await
    }

    /// Publishes into a stream, and waits until it has it. `id` is one by which the stream knows it again;
    /// `sent` is called once it goes before whatever is published after that.
    ///
    /// # Errors
    ///
    /// [`RequestError`] says why that is not known.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the request, which may have been sent.
    pub async fn store(
        &self,
        subject: String,
        id: &str,
        payload: Bytes,
        deadline: Duration,
        sent: impl FnOnce(),
    ) -> Result<Message, RequestError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        self.ask(subject, Some(headers), payload, deadline, sent).await
    }

    /// Publishes what no stream may take, because it expects another one: the answer shows whether it may be published.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if there is no answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn store_nowhere(&self, subject: String, deadline: Duration) -> Result<Message, RequestError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Stream", "none");
        self.ask(subject, Some(headers), Bytes::new(), deadline, || ()).await
    }

    async fn ask(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
        deadline: Duration,
        note_sent: impl FnOnce(),
    ) -> Result<Message, RequestError> {
        let (sender, answer) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().insert(number, sender);
        // Forgotten in any case, also when this future is dropped.
        let _entry = Entry { number, waiting: &self.waiting };
        let reply = format!("{}.{number}", self.inbox);
        let answered = async {
            let sent = match headers {
                Some(headers) => self.client.publish_with_reply_and_headers(subject, reply, headers, payload).await,
                None => self.client.publish_with_reply(subject, reply, payload).await,
            };
            sent.map_err(|error| unsent(error.kind()))?;
            note_sent();
            answer.await.map_err(|_| RequestError::Closed)
        };
        let message = timeout(deadline, answered).await.unwrap_or(Err(RequestError::Timeout))?;
        if message.status() == Some(NO_RESPONDERS) { Err(RequestError::NoResponders) } else { Ok(message) }
    }

    /// Waits until what was published has left this process.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn flush(&self) {
        // Without a connection there is nothing to wait for.
        self.client.flush().await.ok();
    }

    /// Returns a subject that nobody else has, for several answers.
    pub fn new_inbox(&self) -> String {
        self.client.new_inbox()
    }

    /// Follows a subject, once the connection is there. What is not taken in time is dropped: see
    /// [`LinkState::dropped`].
    ///
    /// # Errors
    ///
    /// [`RequestError::Closed`] if the link is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future follows nothing.
    pub async fn subscribe(&self, subject: String) -> Result<Messages, RequestError> {
        self.client.subscribe(subject).await.map(Messages).map_err(|_| RequestError::Closed)
    }

    /// Drops the connection, and makes it anew.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it as it is.
    pub async fn reconnect(&self) {
        // Without a task that connects there is nothing to do again.
        self.client.force_reconnect().await.ok();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.answers.abort();
    }
}

impl Message {
    /// Returns the subject.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Returns where an answer goes.
    pub fn reply(&self) -> Option<&str> {
        self.0.reply.as_deref()
    }

    /// Returns what it says.
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
    }

    /// Returns the status, if it has one.
    pub fn status(&self) -> Option<u16> {
        self.0.status.map(|status| status.as_u16())
    }
}

impl Messages {
    /// Returns the next message; `None` once the link is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Message> {
        self.0.next().await.map(Message)
    }
}

/// A request that waits, until it is dropped.
struct Entry<'a> {
    number: u64,
    waiting: &'a Waiting,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.number);
    }
}

/// Gives answers to the requests that wait for them.
async fn answer(mut answers: Subscriber, waiting: Arc<Waiting>) {
    while let Some(message) = answers.next().await {
        let number = message.subject.rsplit_once('.').and_then(|(_, number)| number.parse().ok());
        let sender = number.and_then(|number: u64| waiting.lock().remove(&number));
        if let Some(sender) = sender {
            // The request may be given up just now.
            sender.send(Message(message)).ok();
        }
    }
}

fn options(config: &ClusterConfig, purpose: &str, capacity: usize) -> Result<ConnectOptions, LinkError> {
    let name = config.hub_name.clone().unwrap_or_else(host_name);
    let mut options = ConnectOptions::new()
        .name(format!("throng {name} {purpose}"))
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .subscription_capacity(capacity)
        .reconnect_delay_callback(pause);
    if let Some(path) = &config.nats_tls_ca {
        options = options.add_root_certificates(readable(path)?);
    }
    if let (Some(certificate), Some(key)) = (&config.nats_tls_certificate, &config.nats_tls_key) {
        options = options.add_client_certificate(readable(certificate)?, readable(key)?);
    }
    let Some(path) = &config.nats_credentials else { return Ok(options) };
    Ok(match Credentials::read(path)? {
        Credentials::Token(text) => options.credentials(&text).map_err(|error| CredentialsError::new(path, &error))?,
        Credentials::Seed(seed) => options.nkey(seed),
        Credentials::Password { user, password } => options.user_and_password(user, password),
    })
}

/// Returns the name of this machine.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns the file, if it can be read: the library would say so only when it connects.
fn readable(path: &PathBuf) -> Result<PathBuf, LinkError> {
    let file = std::fs::File::open(path);
    file.map(|_| path.clone()).map_err(|error| LinkError::File { path: path.clone(), error })
}

/// Returns how long to wait before an attempt to connect: at once at first, then longer, and not all hubs together.
fn pause(attempts: usize) -> Duration {
    if attempts <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempts - 2).unwrap_or(u32::MAX).min(8);
    let longest = (Duration::from_millis(50) * 2_u32.pow(doublings)).min(PAUSE_MAX);
    let part = u32::try_from(random() % 50).unwrap_or_default() + 50;
    longest * part / 100
}

fn refusal(error: &async_nats::ConnectError) -> LinkError {
    match error.kind() {
        // What the server says is no more than this.
        ConnectErrorKind::AuthorizationViolation => LinkError::Refused(error.kind().to_string()),
        ConnectErrorKind::Authentication => LinkError::Refused(error.to_string()),
        _ => LinkError::Unreachable(error.to_string()),
    }
}

fn unsent(kind: PublishErrorKind) -> RequestError {
    match kind {
        PublishErrorKind::MaxPayloadExceeded => RequestError::TooLarge,
        _ => RequestError::Closed,
    }
}

/// What the log says of a link.
struct About {
    /// What it is for.
    link: String,
    /// Where it connects.
    servers: String,
}

impl About {
    /// Notes what the library says, and logs what an operator can use.
    fn note(&self, state: &watch::Sender<LinkState>, event: &Event) {
        let link = &self.link;
        state.send_if_modified(|state| {
            match event {
                Event::Connected => {
                    tracing::info!(link, "connected to NATS");
                    (state.is_connected, state.complaint) = (true, None);
                    state.connects += 1;
                }
                Event::Disconnected => {
                    tracing::warn!(link, "the connection to NATS is lost; it is made again");
                    state.is_connected = false;
                }
                Event::SlowConsumer(_) => state.dropped += 1,
                Event::LameDuckMode => {
                    tracing::info!(link, "the NATS server will stop; the connection moves to another");
                    return false;
                }
                Event::ServerError(ServerError::Other(text)) => return self.complain(state, text.clone()),
                Event::ServerError(error) => return self.complain(state, error.to_string()),
                Event::ClientError(ClientError::Other(text)) => {
                    return self.complain(state, format!("no connection to {}: {text}", self.servers));
                }
                Event::ClientError(error) => return self.complain(state, error.to_string()),
                Event::Draining | Event::Closed => return false,
            }
            true
        });
    }

    /// Logs a complaint, unless it is the last one again: attempts to connect repeat it every second.
    fn complain(&self, state: &mut LinkState, text: String) -> bool {
        if state.complaint.as_ref() == Some(&text) {
            return false;
        }
        tracing::warn!(link = self.link, "NATS: {text}");
        state.complaint = Some(text);
        true
    }
}
