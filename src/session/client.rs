//! A client: what the sessions of all protocols have in common. Its connection, its rates, its control frames.

use super::flow::{Flow, OpenOptions, Pending};
use crate::engine::{Engine, NotSubscribed};
use crate::hub::{Channel, Command, ConnectionId, MessageShape, OnLag, Sink, SlotReservation, SubscribeOptions};
use crate::metrics::Metrics;
use crate::protocol::{ChannelName, CloseReason, Disconnection, Payload};
use crate::rate::{FixedWindow, MessageQuota, MessageRate};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// One client between its frames and the engine.
#[derive(Debug)]
pub(super) struct Client<S: Sink> {
    engine: Engine<S>,
    id: ConnectionId,
    control: FixedWindow,
    /// What the client has sent; `None` if its rate is not limited. Boxed, because most connections are silent and
    /// small.
    rate: Option<Box<MessageRate>>,
}

impl<S: Sink> Client<S> {
    /// Hands the connection to its shard.
    pub(super) async fn connect(
        engine: Engine<S>,
        slot: SlotReservation,
        sink: S,
        shape: MessageShape,
        is_rate_limited: bool,
    ) -> Self {
        let credit = engine.hub().inbox(slot.id().shard()).credit(0).await;
        let id = engine.hub().connect(slot, sink, shape, credit);
        Metrics::count(&engine.hub().metrics().process.connections_opened[shape.encoding.protocol()]);
        let now = Instant::now();
        let rate = is_rate_limited.then(|| Box::new(MessageRate::new(now)));
        Self { id, control: FixedWindow::new(now), rate, engine }
    }

    pub(super) async fn subscribe(
        &self,
        name: &ChannelName,
        options: &OpenOptions,
    ) -> Result<Arc<Channel>, NotSubscribed> {
        let OpenOptions { since, shape, .. } = *options;
        let info = options.info.clone();
        let bytes_max = self.engine.hub().limits().outbox_bytes_max;
        let channel = Arc::clone(&options.channel);
        // All of them: the default options of a channel are those of the settings, which takes as long as a handshake.
        let on_lag = OnLag::default();
        let options = SubscribeOptions { since, shape, bytes_max, channel, info, now: 0, on_lag };
        Ok(self.engine.subscribe(self.id, name, options).await?.channel)
    }

    pub(super) fn engine(&self) -> &Engine<S> {
        &self.engine
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Publishes what the client sent, unless it sends too much.
    pub(super) fn publish(&mut self, channel: &Arc<Channel>, payload: Payload) -> Flow<S> {
        match self.count(payload.len()) {
            Some(Duration::ZERO) => match self.engine.try_publish(channel, &payload) {
                Ok(_) => Flow::Done,
                Err(_) => Flow::Wait(Pending::Publication(payload)),
            },
            Some(wait) => Flow::Wait(Pending::Throttled(wait, payload)),
            None => Flow::Fail(CloseReason::TooManyRequests),
        }
    }

    /// Lets a message wait that the application is asked about, for as long as the client's rate demands.
    pub(super) fn wait(&mut self, payload: Payload) -> Flow<S> {
        match self.count(payload.len()) {
            Some(wait) => Flow::Wait(Pending::Throttled(wait, payload)),
            None => Flow::Fail(CloseReason::TooManyRequests),
        }
    }

    /// Counts what the client sent. Returns how long the client is not read because of it; `None` when it is closed.
    fn count(&mut self, bytes: usize) -> Option<Duration> {
        let Some(rate) = &mut self.rate else { return Some(Duration::ZERO) };
        let limits = self.engine.hub().socket_limits();
        let limits = MessageQuota { messages: limits.message_rate_max, bytes: limits.message_bytes_rate_max };
        rate.acquire(Instant::now(), bytes, limits)
    }

    /// Counts a command with so many bytes, and waits for as long as the client is not to be read because of it.
    pub(super) async fn throttle(&mut self, bytes: usize) -> Result<(), CloseReason> {
        match self.count(bytes) {
            Some(Duration::ZERO) => Ok(()),
            Some(wait) => {
                sleep(wait).await;
                Ok(())
            }
            None => Err(CloseReason::TooManyRequests),
        }
    }

    /// Lets everything wait that the client gets, until it is [released](Client::release).
    pub(super) async fn hold(&self) {
        self.submit(Command::Hold { id: self.id }).await;
    }

    pub(super) async fn release(&self) {
        self.submit(Command::Release { id: self.id }).await;
    }

    /// Tells the shard that the client is alive, and may be pinged.
    pub(super) async fn pong(&self) {
        self.submit(Command::Pong { id: self.id }).await;
    }

    /// Counts a frame that means nothing to the client's protocol.
    pub(super) fn receive_stray_pong(&mut self) -> Flow<S> {
        let is_allowed = self.control.try_count(Instant::now(), self.engine.hub().socket_limits().control_rate_max);
        if is_allowed { Flow::Done } else { Flow::Fail(CloseReason::TooManyRequests) }
    }

    pub(super) fn receive_ping(&mut self, body: &[u8]) -> Flow<S> {
        self.control(Command::Ping { id: self.id, body: Bytes::copy_from_slice(body) })
    }

    pub(super) fn receive_pong(&mut self) -> Flow<S> {
        self.control(Command::Pong { id: self.id })
    }

    fn control(&mut self, command: Command<S>) -> Flow<S> {
        let is_allowed = self.control.try_count(Instant::now(), self.engine.hub().socket_limits().control_rate_max);
        // A control frame counts as a message too, but is too small to be worth a wait.
        if !is_allowed || self.count(0).is_none() {
            return Flow::Fail(CloseReason::TooManyRequests);
        }
        match self.engine.hub().inbox(self.id.shard()).try_credit(0) {
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

    /// Does what is pending; publications are for `channel`. Returns why the client is closed, if its publication was
    /// not taken.
    pub(super) async fn complete(&self, channel: &Arc<Channel>, pending: Pending<S>) -> Result<(), CloseReason> {
        match pending {
            Pending::Command(command) => self.submit(command).await,
            // Sessions of one channel have no frames of commands.
            Pending::Frame(_) => {}
            Pending::Throttled(wait, payload) => {
                sleep(wait).await;
                self.publish_as_soon(channel, &payload).await?;
            }
            Pending::Publication(payload) => self.publish_as_soon(channel, &payload).await?,
        }
        Ok(())
    }

    /// Publishes as soon as it can be done.
    pub(super) async fn publish_as_soon(&self, channel: &Arc<Channel>, payload: &Payload) -> Result<(), CloseReason> {
        self.engine.publish(channel, payload).await.map(drop).map_err(|refused| {
            tracing::debug!(channel = %channel.name(), "not published: {refused}");
            CloseReason::NotPublished
        })
    }

    pub(super) async fn close(&self, reason: CloseReason) {
        self.submit(Command::Close { id: self.id, reason }).await;
    }

    /// Asks the shard to close the connection in the words of the application, and returns the reason that it has.
    pub(super) async fn close_with(&self, disconnection: Disconnection) -> CloseReason {
        let reason = disconnection.reason();
        self.submit(Command::CloseWith { id: self.id, disconnection: Box::new(disconnection) }).await;
        reason
    }

    pub(super) async fn disconnect(&self) {
        self.submit(Command::Disconnect { id: self.id }).await;
    }

    pub(super) async fn submit(&self, command: Command<S>) {
        self.engine.hub().inbox(self.id.shard()).send(command).await;
    }
}
