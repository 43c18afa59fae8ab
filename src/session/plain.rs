//! A session: one client of the plain face or of the echo face, between its frames and the hub.
//!
//! Everything is tried at once, without waiting; what has to wait for a shard's credits comes back as [`Pending`], and
//! while the reader [settles](Session::settle) it the socket is not read.

use super::rate::Rate;
use crate::hub::{Channel, Command, ConnectionId, DirectoryFull, Hub, Seat, Sink};
use crate::protocol::frame::{self, Opcode};
use crate::protocol::name::ChannelName;
use crate::protocol::{CloseReason, Encoding, Event, MessageKind, ProtocolError, plain};
use bytes::Bytes;
use std::sync::Arc;
use tokio::time::Instant;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Face {
    /// Lines of text to everyone in the channel, as the chat example of gorilla/websocket.
    Plain,
    /// Its own messages back, unchanged, through the whole data plane. For conformance tests.
    Echo,
}

impl Face {
    const fn encoding(self) -> Encoding {
        match self {
            Self::Plain => Encoding::Lines,
            Self::Echo => Encoding::Frames,
        }
    }
}

/// One client of the plain or the echo face.
#[derive(Debug)]
pub struct Session<S: Sink> {
    hub: Hub<S>,
    id: ConnectionId,
    face: Face,
    channel: Arc<Channel>,
    control: Rate,
}

/// What became of an event.
#[derive(Debug)]
pub enum Flow<S> {
    /// Done; go on.
    Done,
    /// It has to wait for a shard.
    Wait(Pending<S>),
    /// It broke a rule: close the connection.
    Fail(CloseReason),
}

/// What waits for a shard's credits.
#[derive(Debug)]
pub enum Pending<S> {
    /// A message for the session's channel.
    Publication(Bytes),
    /// A command for the connection's own shard.
    Command(Command<S>),
}

impl<S: Sink> Session<S> {
    /// Connects and subscribes a client that has finished its handshake.
    ///
    /// # Errors
    ///
    /// [`DirectoryFull`] when the last free channel went to somebody else since the handshake; the connection is
    /// closed with 1013 then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a future dropped between the two steps leaves a connection that nobody disconnects.
    pub async fn open(hub: Hub<S>, seat: Seat, sink: S, face: Face, name: &ChannelName) -> Result<Self, DirectoryFull> {
        let shard = seat.id().shard();
        let id = hub.connect(seat, sink, credit(&hub, shard).await);
        let subscribed = hub.subscribe(id, name, face.encoding(), credit(&hub, shard).await);
        match subscribed {
            Ok(channel) => Ok(Self { id, face, channel, control: Rate::new(Instant::now()), hub }),
            Err(full) => {
                let close = Command::Close { id, reason: CloseReason::TooManyChannels };
                hub.inbox(shard).push(credit(&hub, shard).await, close);
                hub.inbox(shard).push(credit(&hub, shard).await, Command::Disconnect { id });
                Err(full)
            }
        }
    }

    /// Returns the connection's id.
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
            Event::Message { kind, body } => match self.encode(kind, body) {
                Ok(body) => self.publish(body),
                Err(error) => Flow::Fail(CloseReason::Protocol(error)),
            },
            Event::Ping(body) => self.control(Command::Ping { id: self.id, body: Bytes::copy_from_slice(body) }),
            Event::Pong => self.control(Command::Pong { id: self.id }),
            Event::Close(code) => Flow::Fail(CloseReason::Peer(code)),
        }
    }

    fn encode(&self, kind: MessageKind, body: &[u8]) -> Result<Bytes, ProtocolError> {
        match (self.face, kind) {
            (Face::Plain, MessageKind::Text | MessageKind::Binary) => plain::line(body),
            (Face::Echo, MessageKind::Text) => Ok(frame::encode(Opcode::Text, body)),
            (Face::Echo, MessageKind::Binary) => Ok(frame::encode(Opcode::Binary, body)),
        }
    }

    fn publish(&self, body: Bytes) -> Flow<S> {
        let mut credits = self.hub.credits(body.len());
        match self.hub.publish(&self.channel, &body, &mut credits) {
            Ok(_) => Flow::Done,
            Err(_) => Flow::Wait(Pending::Publication(body)),
        }
    }

    fn control(&mut self, command: Command<S>) -> Flow<S> {
        if !self.control.allow(Instant::now(), self.hub.limits().control_rate_max) {
            return Flow::Fail(CloseReason::TooManyRequests);
        }
        let inbox = self.hub.inbox(self.id.shard());
        match inbox.try_take(1) {
            Some(credit) => {
                match command {
                    Command::Pong { .. } => inbox.push_lazily(credit, command),
                    command => inbox.push(credit, command),
                }
                Flow::Done
            }
            None => Flow::Wait(Pending::Command(command)),
        }
    }

    /// Waits until what was pending is done.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the collected credits back; what was pending is lost.
    pub async fn settle(&self, pending: Pending<S>) {
        match pending {
            Pending::Command(command) => self.submit(command).await,
            Pending::Publication(body) => {
                let mut credits = self.hub.credits(body.len());
                while let Err(blocked) = self.hub.publish(&self.channel, &body, &mut credits) {
                    // An inbox is never closed.
                    let Ok(permit) = credits.wait(blocked.shard).await else { return };
                    credits.keep(blocked.shard, permit);
                }
            }
        }
    }

    /// Asks the shard to close the connection; it is over once the socket ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the connection open.
    pub async fn close(&self, reason: CloseReason) {
        self.submit(Command::Close { id: self.id, reason }).await;
    }

    /// Ends the session: its socket has ended.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a future that is dropped leaves the connection's slot taken.
    pub async fn end(self) {
        self.hub.unsubscribe(self.id, &self.channel);
        self.submit(Command::Disconnect { id: self.id }).await;
    }

    async fn submit(&self, command: Command<S>) {
        let shard = self.id.shard();
        self.hub.inbox(shard).push(credit(&self.hub, shard).await, command);
    }
}

/// Waits for one credit of a shard.
async fn credit<S: Sink>(hub: &Hub<S>, shard: usize) -> tokio::sync::SemaphorePermit<'_> {
    let Ok(credit) = hub.inbox(shard).take(1).await else { unreachable!("an inbox is never closed") };
    credit
}
