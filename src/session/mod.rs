//! The session layer: what one client may do, and what the hub is asked when it does it.
//!
//! Everything is tried at once, without waiting. What has to wait for the credits of a shard is returned as
//! [`Pending`], and while the reader [completes](Session::complete) it the socket is not read.

pub mod centrifuge;
mod chat;
mod client;
mod echo;
pub mod environment;
mod flow;
pub mod hooks;
pub mod permission;
pub mod users;

pub use centrifuge::Centrifuge;
pub use chat::Chat;
pub use echo::Echo;
pub use environment::{Environment, TokenRefusal};
pub use flow::{CentrifugeOptions, Flow, OpenOptions, Pending, Protocol};

use crate::engine::{Engine, NotSubscribed};
use crate::hub::observer::Change;
use crate::hub::{ConnectionId, Full, Hub, MessageShape, Sink, SlotReservation};
use crate::protocol::{ChannelName, CloseReason, Encoding, Event};
use client::Client;
use std::sync::Arc;
use tokio::time::Instant;

/// One client, in the protocol that it speaks.
#[derive(Debug)]
pub enum Session<S: Sink> {
    /// Lines of text to every subscriber of a channel.
    Chat(Chat<S>),
    /// Its own messages back.
    Echo(Echo<S>),
    /// Commands and their replies. Boxed, because it is larger.
    Centrifuge(Box<Centrifuge<S>>),
}

impl<S: Sink> Session<S> {
    /// Connects and subscribes a client that has finished its handshake.
    ///
    /// # Errors
    ///
    /// [`NotSubscribed`] when another client took the last free channel, or the last place in it, since the handshake, or
    /// the hub does not follow the channel. The connection is closed with 1013 then.
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
    ) -> Result<Self, NotSubscribed> {
        let client = Client::connect(engine, slot, sink, options.shape, options.is_rate_limited).await;
        client.engine().hub().observe(Change::Connected(client.id()));
        match client.subscribe(name, &options).await {
            Ok(channel) => Ok(match options.protocol {
                Protocol::Chat => Self::Chat(Chat::new(client, channel, options.publish_bytes_max)),
                Protocol::Echo => Self::Echo(Echo::new(client, channel)),
            }),
            Err(refusal) => {
                let reason = match refusal {
                    NotSubscribed::Full(Full::Channel { .. }) => CloseReason::ChannelFull,
                    NotSubscribed::NotFollowed => CloseReason::CutOff,
                    // Only an opening can be declined, and there is none.
                    NotSubscribed::Full(Full::Directory(_)) | NotSubscribed::Declined => CloseReason::TooManyChannels,
                };
                client.engine().hub().observe(Change::Disconnected(client.id()));
                client.close(reason).await;
                client.disconnect().await;
                Err(refusal)
            }
        }
    }

    /// Connects a client of the Centrifuge protocol, which says later who it is and what it wants.
    ///
    /// # Cancel safety
    ///
    /// As [`Session::open`].
    pub async fn open_centrifuge(
        engine: Engine<S>,
        slot: SlotReservation,
        sink: S,
        options: CentrifugeOptions,
        environment: Arc<dyn Environment<S>>,
    ) -> Self {
        let CentrifugeOptions { format, is_rate_limited, headers } = options;
        let shape = MessageShape { encoding: Encoding::Centrifuge(format), ..MessageShape::default() };
        let client = Client::connect(engine, slot, sink, shape, is_rate_limited).await;
        Self::Centrifuge(Box::new(Centrifuge::new(client, format, headers, environment)))
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
                Self::Centrifuge(centrifuge) => centrifuge.receive(body),
            },
            Event::Ping(body) => self.client_mut().receive_ping(body),
            Event::Pong => match self {
                // Its pings and pongs are messages.
                Self::Centrifuge(centrifuge) => centrifuge.client.receive_stray_pong(),
                Self::Chat(_) | Self::Echo(_) => self.client_mut().receive_pong(),
            },
            Event::Close(code) => Flow::Fail(CloseReason::Peer(code)),
        }
    }

    /// Does what is pending, as soon as it can be done.
    ///
    /// # Errors
    ///
    /// The reason why the client is closed, if it broke a rule.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the collected credits back; what is pending is lost.
    pub async fn complete(&mut self, pending: Pending<S>) -> Result<(), CloseReason> {
        match (self, pending) {
            (Self::Chat(chat), pending) => return chat.client.complete(&chat.channel, pending).await,
            (Self::Echo(echo), pending) => return echo.client.complete(&echo.channel, pending).await,
            // Boxed, so that what waits in other protocols stays small.
            (Self::Centrifuge(centrifuge), Pending::Frame(frame)) => return Box::pin(centrifuge.run(&frame)).await,
            (Self::Centrifuge(centrifuge), Pending::Command(command)) => centrifuge.client.submit(command).await,
            // Its publications are commands.
            (Self::Centrifuge(_), Pending::Publication(_) | Pending::Throttled(..)) => {}
        }
        Ok(())
    }

    /// Returns when the client is closed, and why, if it does not go on until then.
    pub fn deadline(&self) -> Option<(Instant, CloseReason)> {
        match self {
            Self::Centrifuge(centrifuge) => centrifuge.deadline(),
            Self::Chat(_) | Self::Echo(_) => None,
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
        let (client, channel) = match self {
            Self::Chat(Chat { client, channel, .. }) | Self::Echo(Echo { client, channel }) => (client, channel),
            Self::Centrifuge(centrifuge) => return Box::pin(centrifuge.end()).await,
        };
        client.engine().leave(client.id(), &channel);
        client.engine().hub().observe(Change::Disconnected(client.id()));
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
        match self {
            Self::Chat(Chat { client, .. }) | Self::Echo(Echo { client, .. }) => client,
            Self::Centrifuge(centrifuge) => &centrifuge.client,
        }
    }

    fn client_mut(&mut self) -> &mut Client<S> {
        match self {
            Self::Chat(Chat { client, .. }) | Self::Echo(Echo { client, .. }) => client,
            Self::Centrifuge(centrifuge) => &mut centrifuge.client,
        }
    }
}
