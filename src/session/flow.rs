//! How a session begins, and what an event leads to.

use super::hooks::{Asker, Hooks};
use super::users::Users;
use crate::config::ChannelOptions;
use crate::engine::replies::ReplyBudget;
use crate::hub::{Command, MessageShape, Since};
use crate::protocol::centrifuge::Format;
use crate::protocol::{CloseReason, Payload, Profile};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// Lines of text to every subscriber of the channel, as the chat example of gorilla/websocket.
    Chat,
    /// The client's own messages back, unchanged, through the whole data plane. For conformance tests.
    Echo,
}

/// How [`Session::open`](super::Session::open) begins.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// What the client speaks.
    pub protocol: Protocol,
    /// How it wants its messages.
    pub shape: MessageShape,
    /// What it wants of the channel's past.
    pub since: Since,
    /// Whether the limits on messages and bytes per second apply to the client.
    pub is_rate_limited: bool,
    /// The options of its channel, which the session follows to its end.
    pub channel: Arc<ChannelOptions>,
    /// What others in the channel may know of the client; `None` for an anonymous one.
    pub info: Option<Arc<Profile>>,
    /// What a client of the chat protocol may publish.
    pub publishing: Publishing,
}

/// What a client of the chat protocol may publish.
#[derive(Clone, Debug)]
pub enum Publishing {
    /// Nothing.
    Forbidden,
    /// Messages of at most so many bytes.
    Allowed(u32),
    /// The same, if the application agrees to each. Boxed, because it is rare.
    Asked(u32, Box<Application>),
}

/// The application, and how it is asked about a client of the chat protocol.
#[derive(Clone, Debug)]
pub struct Application {
    /// Who is asked.
    pub hooks: Arc<dyn Hooks>,
    /// Know what the application has said of the client since it connected.
    pub users: Arc<Users>,
    /// The client, as it was when it connected.
    pub asker: Arc<Asker>,
    /// Pays for the lines that tell it what is not published.
    pub budget: ReplyBudget,
}

/// How a client of the Centrifuge protocol begins.
#[derive(Clone, Debug)]
pub struct CentrifugeOptions {
    /// What its messages are written in.
    pub format: Format,
    /// Whether the limits on messages and bytes per second apply to the client.
    pub is_rate_limited: bool,
    /// Headers of its handshake that the application gets.
    pub headers: Vec<(String, Bytes)>,
}

/// Result of an event.
#[derive(Debug)]
pub enum Flow<S> {
    /// Done: the next event may follow.
    Done,
    /// It has to be [completed](super::Session::complete) first.
    Wait(Pending<S>),
    /// The client broke a rule or ends: close the connection.
    Fail(CloseReason),
}

/// What waits for the credits of a shard, or for its time.
#[derive(Debug)]
pub enum Pending<S> {
    /// A message for the session's channel.
    Publication(Payload),
    /// A message of a client over its rate, which has to wait for this long first.
    Throttled(Duration, Payload),
    /// A frame of commands.
    Frame(Box<[u8]>),
    /// A command for the connection's own shard.
    Command(Command<S>),
}
