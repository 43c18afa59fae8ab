//! The session layer: what one client may do, and what the hub is asked when it does it.
//!
//! Everything is tried at once, without waiting. What has to wait for the credits of a shard is returned as
//! [`Pending`], and while the reader [completes](Session::complete) it the socket is not read.

mod chat;
mod client;
mod echo;
mod flow;
pub mod hooks;
pub mod permission;
pub mod users;

pub use chat::Chat;
pub use echo::Echo;
pub use flow::{Flow, OpenOptions, Pending, Protocol};

use crate::engine::Engine;
use crate::hub::{ConnectionId, Full, Hub, Sink, SlotReservation};
use crate::protocol::{ChannelName, CloseReason, Event};
use client::Client;

/// One client, in the protocol that it speaks.
#[derive(Debug)]
pub enum Session<S: Sink> {
    /// Lines of text to every subscriber of a channel.
    Chat(Chat<S>),
    /// Its own messages back.
    Echo(Echo<S>),
}

impl<S: Sink> Session<S> {
    /// Connects and subscribes a client that has finished its handshake.
    ///
    /// # Errors
    ///
    /// [`Full`] when another client took the last free channel, or the last place in it, since the handshake. The
    /// connection is closed with 1013 then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a future dropped between the two steps leaves a connection that is never disconnected.
    pub async fn open(
        engine: Engine<S>,
        slot: SlotReservation,
        sink: S,
        options: OpenOptions,
        name: &ChannelName,
    ) -> Result<Self, Full> {
        let client = Client::connect(engine, slot, sink, &options).await;
        match client.subscribe(name, &options).await {
            Ok(channel) => Ok(match options.protocol {
                Protocol::Chat => Self::Chat(Chat::new(client, channel, options.publish_bytes_max)),
                Protocol::Echo => Self::Echo(Echo::new(client, channel)),
            }),
            Err(full) => {
                let reason = match full {
                    Full::Directory(_) => CloseReason::TooManyChannels,
                    Full::Channel { .. } => CloseReason::ChannelFull,
                };
                client.close(reason).await;
                client.disconnect().await;
                Err(full)
            }
        }
    }

    /// Acts on what the client sent.
    ///
    /// # Hot path
    ///
    /// Once per inbound message: one allocation for its data, then [`Engine::try_publish`].
    pub fn receive(&mut self, event: Event<'_>) -> Flow<S> {
        match event {
            Event::Message { kind, body } => match self {
                Self::Chat(chat) => chat.receive(body),
                Self::Echo(echo) => echo.receive(kind, body),
            },
            Event::Ping(body) => self.client_mut().receive_ping(body),
            Event::Pong => self.client_mut().receive_pong(),
            Event::Close(code) => Flow::Fail(CloseReason::Peer(code)),
        }
    }

    /// Does what is pending, as soon as it can be done.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the collected credits back; what is pending is lost.
    pub async fn complete(&self, pending: Pending<S>) {
        match self {
            Self::Chat(chat) => chat.client.complete(&chat.channel, pending).await,
            Self::Echo(echo) => echo.client.complete(&echo.channel, pending).await,
        }
    }

    /// Asks the shard to close the connection. It ends once its socket does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the connection open.
    pub async fn close(&self, reason: CloseReason) {
        self.client().close(reason).await;
    }

    /// Ends the session after its socket has ended.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a future that is dropped leaves the connection's slot taken.
    pub async fn end(self) {
        let (Self::Chat(Chat { client, channel, .. }) | Self::Echo(Echo { client, channel })) = self;
        client.engine().leave(client.id(), &channel);
        client.disconnect().await;
    }

    /// Returns the id of the connection.
    pub fn id(&self) -> ConnectionId {
        self.client().id()
    }

    /// Returns the hub.
    pub fn hub(&self) -> &Hub<S> {
        self.client().engine().hub()
    }

    fn client(&self) -> &Client<S> {
        let (Self::Chat(Chat { client, .. }) | Self::Echo(Echo { client, .. })) = self;
        client
    }

    fn client_mut(&mut self) -> &mut Client<S> {
        let (Self::Chat(Chat { client, .. }) | Self::Echo(Echo { client, .. })) = self;
        client
    }
}
