//! A session: one client of the chat or the echo protocol, between its frames and the hub.
//!
//! Everything is tried at once, without waiting. What has to wait for the credits of a shard is returned as
//! [`Pending`], and while the reader [completes](Session::complete) it the socket is not read.

use super::permission::{self, Action, ClientOfChannel, Who};
use crate::config::ChannelOptions;
use crate::hub::{Channel, Command, ConnectionId, Hub, MessageShape, Sink, SlotReservation, SubscribeError};
use crate::metrics::Metrics;
use crate::protocol::channel_name::ChannelName;
use crate::protocol::websocket::frame::{self, Opcode};
use crate::protocol::{CloseReason, Encoding, Event, MessageKind, ProtocolError, chat};
use crate::rate::{FixedWindow, MessageQuota, MessageRate};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// Lines of text to every subscriber of the channel, as the chat example of gorilla/websocket.
    Chat,
    /// The client's own messages back, unchanged, through the whole data plane. For conformance tests.
    Echo,
}

impl Protocol {
    const fn encoding(self) -> Encoding {
        match self {
            Self::Chat => Encoding::Lines,
            Self::Echo => Encoding::Frames,
        }
    }
}

/// How [`Session::open`] begins.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// What the client speaks.
    pub protocol: Protocol,
    /// How it wants its messages.
    pub shape: MessageShape,
    /// Whether the limits on messages and bytes per second apply to the client.
    pub is_rate_limited: bool,
    /// The options of its channel, which the session follows to its end.
    pub channel: Arc<ChannelOptions>,
}

/// One client of the chat or the echo protocol.
#[derive(Debug)]
pub struct Session<S: Sink> {
    hub: Hub<S>,
    id: ConnectionId,
    protocol: Protocol,
    channel: Arc<Channel>,
    control: FixedWindow,
    /// What the client has sent; `None` if its rate is not limited. Boxed, because most connections are silent and
    /// small.
    rate: Option<Box<MessageRate>>,
    /// Most bytes of a message; `None` if the client may not publish.
    publish_bytes_max: Option<u32>,
}

/// Result of an event.
#[derive(Debug)]
pub enum Flow<S> {
    /// Done: the next event may follow.
    Done,
    /// It has to be [completed](Session::complete) first.
    Wait(Pending<S>),
    /// The client broke a rule or ends: close the connection.
    Fail(CloseReason),
}

/// What waits for the credits of a shard, or for its time.
#[derive(Debug)]
pub enum Pending<S> {
    /// A message for the session's channel.
    Publication(Bytes),
    /// A message of a client over its rate, which has to wait for this long first.
    Throttled(Duration, Bytes),
    /// A command for the connection's own shard.
    Command(Command<S>),
}

impl<S: Sink> Session<S> {
    /// Connects and subscribes a client that has finished its handshake.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when another client took the last free channel, or the last place in it, since the handshake.
    /// The connection is closed with 1013 then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a future dropped between the two steps leaves a connection that is never disconnected.
    pub async fn open(
        hub: Hub<S>,
        slot: SlotReservation,
        sink: S,
        options: OpenOptions,
        name: &ChannelName,
    ) -> Result<Self, SubscribeError> {
        let shard = slot.id().shard();
        let id = hub.connect(slot, sink, hub.inbox(shard).credit(0).await);
        if options.shape != MessageShape::default() {
            hub.inbox(shard).send(Command::Shape { id, shape: options.shape }).await;
        }
        let (encoding, credit) = (options.protocol.encoding(), hub.inbox(shard).credit(0).await);
        let subscribed = hub.subscribe_with(id, name, encoding, &options.channel, credit);
        match subscribed {
            Ok(channel) => {
                let now = Instant::now();
                let rate = options.is_rate_limited.then(|| Box::new(MessageRate::new(now)));
                let (protocol, control) = (options.protocol, FixedWindow::new(now));
                let publish_bytes_max = publish_bytes_max(name, &options.channel);
                Ok(Self { id, protocol, channel, control, rate, publish_bytes_max, hub })
            }
            Err(full) => {
                let reason = match full {
                    SubscribeError::Directory(_) => CloseReason::TooManyChannels,
                    SubscribeError::ChannelFull { .. } => CloseReason::ChannelFull,
                };
                let close = Command::Close { id, reason };
                hub.inbox(shard).send(close).await;
                hub.inbox(shard).send(Command::Disconnect { id }).await;
                Err(full)
            }
        }
    }

    /// Returns the id of the connection.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Returns the hub.
    pub fn hub(&self) -> &Hub<S> {
        &self.hub
    }

    /// Acts on what the client sent.
    ///
    /// # Hot path
    ///
    /// Once per inbound message: one allocation for its encoded body, then [`Hub::publish`].
    pub fn receive(&mut self, event: Event<'_>) -> Flow<S> {
        match event {
            Event::Message { kind, body } => match self.check(body.len()).and_then(|()| self.encode(kind, body)) {
                Ok(body) => match self.count(body.len()) {
                    Some(Duration::ZERO) => self.publish(body),
                    Some(wait) => Flow::Wait(Pending::Throttled(wait, body)),
                    None => Flow::Fail(CloseReason::TooManyRequests),
                },
                Err(reason) => Flow::Fail(reason),
            },
            Event::Ping(body) => self.control(Command::Ping { id: self.id, body: Bytes::copy_from_slice(body) }),
            Event::Pong => self.control(Command::Pong { id: self.id }),
            Event::Close(code) => Flow::Fail(CloseReason::Peer(code)),
        }
    }

    /// Counts what the client sent. Returns how long the client is not read because of it; `None` when it is closed.
    fn count(&mut self, bytes: usize) -> Option<Duration> {
        let Some(rate) = &mut self.rate else { return Some(Duration::ZERO) };
        let limits = self.hub.socket_limits();
        let limits = MessageQuota { messages: limits.message_rate_max, bytes: limits.message_bytes_rate_max };
        rate.acquire(Instant::now(), bytes, limits)
    }

    /// Checks that the client may publish, and that many bytes.
    fn check(&self, bytes: usize) -> Result<(), CloseReason> {
        match self.publish_bytes_max {
            Some(max) if bytes <= max as usize => Ok(()),
            Some(max) => {
                let (len, max) = (bytes as u64, max as usize);
                Err(CloseReason::Protocol(ProtocolError::MessageTooBig { len, max }))
            }
            None => Err(CloseReason::PermissionDenied),
        }
    }

    fn encode(&self, kind: MessageKind, body: &[u8]) -> Result<Bytes, CloseReason> {
        match (self.protocol, kind) {
            (Protocol::Chat, MessageKind::Text | MessageKind::Binary) => {
                chat::line(body).map_err(CloseReason::Protocol)
            }
            (Protocol::Echo, MessageKind::Text) => Ok(frame::encode(Opcode::Text, body)),
            (Protocol::Echo, MessageKind::Binary) => Ok(frame::encode(Opcode::Binary, body)),
        }
    }

    fn publish(&self, body: Bytes) -> Flow<S> {
        let mut credits = self.hub.credits(body.len()).arrived(self.now());
        match self.hub.publish(&self.channel, &body, &mut credits) {
            Ok(_) => Flow::Done,
            Err(_) => Flow::Wait(Pending::Publication(body)),
        }
    }

    fn control(&mut self, command: Command<S>) -> Flow<S> {
        let is_allowed = self.control.try_count(Instant::now(), self.hub.socket_limits().control_rate_max);
        // A control frame counts as a message too, but is too small to be worth a wait.
        if !is_allowed || self.count(0).is_none() {
            return Flow::Fail(CloseReason::TooManyRequests);
        }
        match self.hub.inbox(self.id.shard()).try_credit(0) {
            Some(credit) => {
                match command {
                    Command::Pong { .. } => credit.push_lazily(command),
                    command => credit.push(command),
                }
                Flow::Done
            }
            None => Flow::Wait(Pending::Command(command)),
        }
    }

    /// Does what is pending, as soon as it can be done.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the collected credits back; what is pending is lost.
    pub async fn complete(&self, pending: Pending<S>) {
        match pending {
            Pending::Command(command) => self.submit(command).await,
            Pending::Throttled(wait, body) => {
                sleep(wait).await;
                self.publish_later(body).await;
            }
            Pending::Publication(body) => self.publish_later(body).await,
        }
    }

    /// Returns the time since the hub's start.
    fn now(&self) -> Duration {
        Instant::now().duration_since(Instant::from_std(self.hub.metrics().started()))
    }

    async fn publish_later(&self, body: Bytes) {
        let mut credits = self.hub.credits(body.len()).arrived(self.now());
        // The set of shards may change while one is waited for, so every attempt looks at it anew.
        while let Err(no_credit) = self.hub.publish(&self.channel, &body, &mut credits) {
            let (metrics, start) = (self.hub.metrics(), Instant::now());
            Metrics::count(&metrics.process.credit_waits);
            let credit = credits.wait(no_credit.shard).await;
            Metrics::add(
                &metrics.process.credit_wait_micros,
                u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
            );
            credits.keep(credit);
        }
    }

    /// Asks the shard to close the connection. It ends once its socket does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the connection open.
    pub async fn close(&self, reason: CloseReason) {
        self.submit(Command::Close { id: self.id, reason }).await;
    }

    /// Ends the session after its socket has ended.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a future that is dropped leaves the connection's slot taken.
    pub async fn end(self) {
        self.hub.unsubscribe(self.id, &self.channel);
        self.submit(Command::Disconnect { id: self.id }).await;
    }

    async fn submit(&self, command: Command<S>) {
        self.hub.inbox(self.id.shard()).send(command).await;
    }
}

/// Returns the most bytes of a message to the channel; `None` if a subscriber without a token may not publish.
fn publish_bytes_max(name: &ChannelName, options: &Arc<ChannelOptions>) -> Option<u32> {
    let client = ClientOfChannel { who: Who::Anonymous, has_channel_token: false, is_subscribed: true };
    permission::check(client, Action::Publish, name.as_str(), options).ok()?;
    Some(u32::try_from(options.publish_bytes_max()).unwrap_or(u32::MAX))
}
