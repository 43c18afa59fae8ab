//! A reply and a push: what a client gets, whatever format it is written in.

use super::codes::{DisconnectCode, ErrorCode, UnsubscribeCode};
use crate::protocol::presence::{PresenceEvent, PresenceEventKind};
use crate::protocol::publication::ClientInfo;
use crate::protocol::{Payload, Publication};
use std::borrow::Cow;
use std::sync::Arc;

/// The answer to a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// That of the command.
    pub id: u32,
    /// What it came to.
    pub result: Result<ReplyBody, Error>,
}

/// Why a command was not done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// One of [`ErrorCode`], or one of the application from 400 on.
    pub code: u32,
    /// What a person reads.
    pub message: Cow<'static, str>,
    /// Whether the client may try again.
    pub is_temporary: bool,
}

/// What a command came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReplyBody {
    /// The client is connected.
    Connect(ConnectResult),
    /// The client is subscribed.
    Subscribe(SubscribeResult),
    /// The client is not subscribed any more.
    Unsubscribe,
    /// It is published.
    Publish,
    /// Who is subscribed.
    Presence(Vec<Arc<ClientInfo>>),
    /// How many are subscribed.
    PresenceStats {
        /// Connections.
        clients: u32,
        /// Users that they belong to.
        users: u32,
    },
    /// What was published.
    History(HistoryResult),
    /// What the backend returned.
    Rpc(Option<Payload>),
    /// The connection lives on.
    Refresh(RefreshResult),
    /// The subscription lives on.
    SubRefresh(Option<Expiry>),
}

/// When a token ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Expiry {
    /// Seconds until then.
    pub ttl: u32,
}

/// A connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConnectResult {
    /// The id of the connection.
    pub client: String,
    /// The version of the hub.
    pub version: String,
    /// When the client has to refresh; `None` if it need not.
    pub expires: Option<Expiry>,
    /// Of the backend.
    pub data: Option<Payload>,
    /// The server-side subscriptions, by channel.
    pub subs: Vec<(String, SubscribeResult)>,
    /// Seconds between two pings of ours; 0 for none.
    pub ping: u32,
    /// Whether they have to be answered.
    pub pong: bool,
}

/// A subscription.
#[expect(clippy::struct_excessive_bools, reason = "the fields of the protocol")]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SubscribeResult {
    /// When the client has to refresh; `None` if it need not.
    pub expires: Option<Expiry>,
    /// Whether the client may ask for what it misses later.
    pub recoverable: bool,
    /// Whether it is told when it may have missed something.
    pub positioned: bool,
    /// The incarnation of the channel's history; empty without.
    pub epoch: String,
    /// Where the client stands: its own position when everything was recovered, else that of the channel.
    pub offset: u64,
    /// Whether it asked for what it missed.
    pub was_recovering: bool,
    /// Whether that is everything.
    pub recovered: bool,
    /// What it missed, from the oldest to the newest.
    pub publications: Vec<Publication>,
    /// Of the backend.
    pub data: Option<Payload>,
    /// Whether publications come as what has changed since the one before, these first.
    pub delta: bool,
}

/// What was published.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HistoryResult {
    /// In the order that was asked for.
    pub publications: Vec<Publication>,
    /// The incarnation of the history.
    pub epoch: String,
    /// Number of the newest publication.
    pub offset: u64,
}

/// A connection that lives on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RefreshResult {
    /// The id of the connection.
    pub client: String,
    /// The version of the hub.
    pub version: String,
    /// When the client has to refresh again; `None` if it need not.
    pub expires: Option<Expiry>,
}

/// What a client gets without a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Push {
    /// The channel; empty where it belongs to none.
    pub channel: String,
    /// What it is.
    pub body: PushBody,
}

/// What a client can get without a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PushBody {
    /// Something was published.
    Publication(Publication),
    /// A client has subscribed.
    Join(Arc<ClientInfo>),
    /// A client is not subscribed any more.
    Leave(Arc<ClientInfo>),
    /// Its subscription has ended.
    Unsubscribe(Unsubscribe),
    /// The hub, or a backend, has subscribed it.
    Subscribe(ServerSubscription),
    /// A message for this client.
    Message(Payload),
    /// Its connection ends; where the transport has no close code.
    Disconnect(Disconnect),
    /// Its token ends at another time.
    Refresh(Option<Expiry>),
}

/// The end of a subscription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unsubscribe {
    /// One of [`UnsubscribeCode`], or one of the application.
    pub code: u32,
    /// What a person reads.
    pub reason: Cow<'static, str>,
}

/// The end of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disconnect {
    /// One of [`DisconnectCode`], or one of the application.
    pub code: u32,
    /// What a person reads.
    pub reason: Cow<'static, str>,
}

/// A subscription that the client did not ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerSubscription {
    /// Whether the client gets what it missed when it connects again.
    pub recoverable: bool,
    /// Whether it is told when it may have missed something.
    pub positioned: bool,
    /// The incarnation of the channel's history; empty without.
    pub epoch: String,
    /// Where the channel stands.
    pub offset: u64,
    /// Of the backend.
    pub data: Option<Payload>,
}

impl Push {
    /// Returns the push of a client that has joined the channel of that name, or left it.
    pub fn presence(channel: &str, event: &PresenceEvent) -> Self {
        let client = Arc::new(ClientInfo::of(&event.client, event.info()));
        let body = match event.kind {
            PresenceEventKind::Join => PushBody::Join(client),
            PresenceEventKind::Leave => PushBody::Leave(client),
        };
        Self { channel: channel.to_owned(), body }
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self { code: code.number(), message: code.text().into(), is_temporary: code.is_temporary() }
    }
}

impl From<UnsubscribeCode> for Unsubscribe {
    fn from(code: UnsubscribeCode) -> Self {
        Self { code: code.number(), reason: code.text().into() }
    }
}

impl From<DisconnectCode> for Disconnect {
    fn from(code: DisconnectCode) -> Self {
        Self { code: code.number().into(), reason: code.text().into() }
    }
}
