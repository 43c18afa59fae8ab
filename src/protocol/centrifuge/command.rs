//! A command: what a client asks for, whatever format it was written in.
//!
//! Fields that this hub has no use for are not here, and are ignored where a client sends them.

use super::format::Format;
use super::value;
use super::wire::command as wire;
use crate::protocol::{Content, Payload};
use bytes::Bytes;

/// What a client asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    /// Chosen by the client and repeated in the reply; 0 where none is wanted.
    pub id: u32,
    /// What it asks for: the first request of the command, in the order of the variants.
    pub request: Request,
}

/// What a client can ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// To be let in; comes first.
    Connect(Connect),
    /// To get what is published to a channel.
    Subscribe(Subscribe),
    /// To get no more of the channel of that name.
    Unsubscribe(String),
    /// To publish.
    Publish(Publish),
    /// Who is subscribed to the channel of that name.
    Presence(String),
    /// How many are subscribed to the channel of that name.
    PresenceStats(String),
    /// What was published to a channel.
    History(History),
    /// A message to the backend, without a reply.
    Send(Option<Payload>),
    /// A call of the backend.
    Rpc(Rpc),
    /// To stay connected, with a new token.
    Refresh(Refresh),
    /// To stay subscribed, with a new token.
    SubRefresh(SubRefresh),
    /// The answer to a ping of ours: an empty command.
    Pong,
    /// Something that this hub does not know, under an id.
    Unknown,
}

/// A request to be let in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Connect {
    /// Who the client is; empty without one.
    pub token: String,
    /// For the backend.
    pub data: Option<Payload>,
    /// The server-side subscriptions that the client had, by channel.
    pub subs: Vec<(String, Option<StreamPosition>)>,
    /// What the client is; empty when it does not say.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What a browser cannot send as headers of the handshake.
    pub headers: Vec<(String, String)>,
}

/// A request to get what is published to a channel.
#[expect(clippy::struct_excessive_bools, reason = "the fields of the protocol")]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subscribe {
    /// The channel.
    pub channel: String,
    /// What lets the client in there; empty without one.
    pub token: String,
    /// For the backend.
    pub data: Option<Payload>,
    /// What the client has already, if it wants what it missed.
    pub recover: Option<StreamPosition>,
    /// It wants to know when it may have missed something.
    pub positioned: bool,
    /// It wants to be able to ask for what it missed.
    pub recoverable: bool,
    /// It wants to know who comes and goes.
    pub join_leave: bool,
    /// It wants an error instead of a subscription when not all that it missed is there (bit 2 of `flag`).
    pub rejects_unrecovered: bool,
    /// How publications may be shortened; empty for not at all.
    pub delta: String,
    /// It wants only publications with some tags.
    pub has_filter: bool,
    /// What kind of subscription it is; 0 for a channel of publications.
    pub kind: i32,
}

/// Where a client stands in a channel's history.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StreamPosition {
    /// The incarnation of the channel's history, as the hub sent it; empty when the client does not know it.
    pub epoch: String,
    /// Number of the newest publication that it has.
    pub offset: u64,
}

/// A request to publish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Publish {
    /// The channel.
    pub channel: String,
    /// What is published; `None` when there is none.
    pub data: Option<Payload>,
    /// What kind of publication it is; 0 for one of a channel of publications.
    pub kind: i32,
}

/// A request for what was published.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// The channel.
    pub channel: String,
    /// Most publications; 0 for where the history stands only, less for as many as there may be.
    pub limit: i32,
    /// Where to begin; `None` for the beginning, or the end when it is read backwards.
    pub since: Option<StreamPosition>,
    /// From the newest to the oldest.
    pub reverse: bool,
}

/// A call of the backend.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rpc {
    /// What is called.
    pub method: String,
    /// With what.
    pub data: Option<Payload>,
}

/// A request to stay connected.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Refresh {
    /// The new token.
    pub token: String,
}

/// A request to stay subscribed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SubRefresh {
    /// The channel.
    pub channel: String,
    /// The new token.
    pub token: String,
    /// What kind of request it is; 0 for a new token.
    pub kind: i32,
}

/// Bit of `flag` that asks for an error instead of a subscription that has missed something.
const REJECT_UNRECOVERED: i64 = 2;

impl Command {
    /// Makes a command of what a client sent in that format.
    pub(super) fn new(command: wire::Command, format: Format) -> Self {
        let id = command.id;
        let has_ping = command.ping.is_some();
        let request = Request::new(command, format);
        let nothing = if id == 0 && !has_ping { Request::Pong } else { Request::Unknown };
        Self { id, request: request.unwrap_or(nothing) }
    }
}

impl Request {
    /// Returns the first request of a command.
    fn new(command: wire::Command, format: Format) -> Option<Self> {
        let wire::Command { connect, subscribe, unsubscribe, publish, presence, presence_stats, history, .. } = command;
        let wire::Command { send, rpc, refresh, sub_refresh, .. } = command;
        None.or_else(|| connect.map(|one| Self::Connect(Connect::new(one, format))))
            .or_else(|| subscribe.map(|one| Self::Subscribe(Subscribe::new(one, format))))
            .or_else(|| unsubscribe.map(|one| Self::Unsubscribe(one.channel)))
            .or_else(|| publish.map(|one| Self::Publish(Publish::new(one, format))))
            .or_else(|| presence.map(|one| Self::Presence(one.channel)))
            .or_else(|| presence_stats.map(|one| Self::PresenceStats(one.channel)))
            .or_else(|| history.map(|one| Self::History(one.into())))
            .or_else(|| send.map(|one| Self::Send(payload(one.data, format))))
            .or_else(|| rpc.map(|one| Self::Rpc(Rpc { method: one.method, data: payload(one.data, format) })))
            .or_else(|| refresh.map(|one| Self::Refresh(Refresh { token: one.token })))
            .or_else(|| sub_refresh.map(|one| Self::SubRefresh(one.into())))
    }
}

impl Connect {
    fn new(request: wire::ConnectRequest, format: Format) -> Self {
        let position = |one: wire::SubscribeRequest| one.recover.then_some((one.epoch, one.offset));
        Self {
            token: request.token,
            data: payload(request.data, format),
            subs: request.subs.into_iter().map(|(channel, one)| (channel, position(one).map(Into::into))).collect(),
            name: request.name,
            version: request.version,
            headers: request.headers.into_iter().collect(),
        }
    }
}

impl Subscribe {
    fn new(request: wire::SubscribeRequest, format: Format) -> Self {
        Self {
            channel: request.channel,
            token: request.token,
            data: payload(request.data, format),
            recover: request.recover.then(|| (request.epoch, request.offset).into()),
            positioned: request.positioned,
            recoverable: request.recoverable,
            join_leave: request.join_leave,
            rejects_unrecovered: request.flag & REJECT_UNRECOVERED != 0,
            delta: request.delta,
            has_filter: request.tf.is_some(),
            kind: request.r#type,
        }
    }
}

impl Publish {
    fn new(request: wire::PublishRequest, format: Format) -> Self {
        Self { channel: request.channel, data: payload(request.data, format), kind: request.r#type }
    }
}

impl From<wire::HistoryRequest> for History {
    fn from(request: wire::HistoryRequest) -> Self {
        let since = request.since.map(|since| (since.epoch, since.offset).into());
        Self { channel: request.channel, limit: request.limit, since, reverse: request.reverse }
    }
}

impl From<wire::SubRefreshRequest> for SubRefresh {
    fn from(request: wire::SubRefreshRequest) -> Self {
        Self { channel: request.channel, token: request.token, kind: request.r#type }
    }
}

impl From<(String, u64)> for StreamPosition {
    fn from((epoch, offset): (String, u64)) -> Self {
        Self { epoch, offset }
    }
}

/// Returns what a client sent as data; `None` for nothing.
fn payload(data: Bytes, format: Format) -> Option<Payload> {
    let payload = |data| match format {
        Format::Json => Payload::new(Content::Json, data),
        Format::Protobuf => value::payload(data),
    };
    (!data.is_empty()).then(|| payload(data))
}
