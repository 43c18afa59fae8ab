//! Commands from Protobuf, and replies and pushes to Protobuf.
//!
//! A frame is one message after the other, each after its length. A message of zero bytes is a pong of the client, or a
//! ping of ours.

use super::command::Command;
use super::delta::{Chain, Link};
use super::format::{Format, Malformed};
use super::reply::{
    ConnectResult, Error, Expiry, Push, PushBody, Reply, ReplyBody, ServerSubscription, SubscribeResult,
};
use super::wire::reply as wire;
use super::{publication, value};
use crate::protocol::publication::ClientInfo;
use crate::protocol::{Payload, Publication};
use bytes::Bytes;
use prost::Message as _;

/// Reads the first command of a frame and leaves the rest.
pub(super) fn command(frame: &mut &[u8]) -> Result<Command, Malformed> {
    let len = prost::decode_length_delimiter(&mut *frame).map_err(|_| Malformed)?;
    let (message, rest) = frame.split_at_checked(len).ok_or(Malformed)?;
    *frame = rest;
    let command = super::wire::command::Command::decode(message).map_err(|_| Malformed)?;
    Ok(Command::new(command, Format::Protobuf))
}

/// Appends a reply after its length.
pub(super) fn reply(reply: &Reply, out: &mut Vec<u8>) {
    let mut message = wire::Reply { id: reply.id, ..wire::Reply::default() };
    match &reply.result {
        Ok(body) => set_result(body, &mut message),
        Err(error) => message.error = Some(error.into()),
    }
    write(&message, out);
}

/// Appends a push after its length.
pub(super) fn push(push: &Push, out: &mut Vec<u8>) {
    if let PushBody::Publication(published) = &push.body {
        let start = publication::start(Format::Protobuf, &push.channel);
        let (head, data, _) = publication::encode(Format::Protobuf, &start, published);
        out.extend_from_slice(&head);
        return out.extend_from_slice(&data);
    }
    let push = wire::Push::new(push);
    write(&wire::Reply { push: Some(push), ..wire::Reply::default() }, out);
}

fn write(message: &wire::Reply, out: &mut Vec<u8>) {
    out.reserve(prost::length_delimiter_len(message.encoded_len()) + message.encoded_len());
    let written = message.encode_length_delimited(out);
    debug_assert!(written.is_ok(), "there is room");
}

fn set_result(body: &ReplyBody, message: &mut wire::Reply) {
    match body {
        ReplyBody::Connect(connect) => message.connect = Some(connect.into()),
        ReplyBody::Subscribe(subscribe) => message.subscribe = Some(subscribe.into()),
        ReplyBody::Unsubscribe => message.unsubscribe = Some(wire::Empty {}),
        ReplyBody::Publish => message.publish = Some(wire::Empty {}),
        ReplyBody::Presence(clients) => {
            let presence = clients.iter().map(|client| (client.client.clone(), (&**client).into())).collect();
            message.presence = Some(wire::PresenceResult { presence });
        }
        ReplyBody::PresenceStats { clients, users } => {
            message.presence_stats = Some(wire::PresenceStatsResult { num_clients: *clients, num_users: *users });
        }
        ReplyBody::History(history) => {
            let publications = history.publications.iter().map(Into::into).collect();
            let (epoch, offset) = (history.epoch.clone(), history.offset);
            message.history = Some(wire::HistoryResult { publications, epoch, offset });
        }
        ReplyBody::Rpc(payload) => message.rpc = Some(wire::RpcResult { data: data(payload.as_ref()) }),
        ReplyBody::Refresh(refresh) => {
            let (client, version) = (refresh.client.clone(), refresh.version.clone());
            let (expires, ttl) = expiry(refresh.expires);
            message.refresh = Some(wire::RefreshResult { client, version, expires, ttl });
        }
        ReplyBody::SubRefresh(expires) => message.sub_refresh = Some((*expires).into()),
    }
}

/// Returns whether something expires, and when.
fn expiry(expires: Option<Expiry>) -> (bool, u32) {
    (expires.is_some(), expires.map_or(0, |expiry| expiry.ttl))
}

fn data(payload: Option<&Payload>) -> Bytes {
    payload.map(value::bytes).unwrap_or_default()
}

impl wire::Push {
    fn new(push: &Push) -> Self {
        let mut message = Self { channel: push.channel.clone(), ..Self::default() };
        match &push.body {
            PushBody::Publication(published) => message.r#pub = Some(published.into()),
            PushBody::Join(client) => message.join = Some(wire::Presence { info: Some((&**client).into()) }),
            PushBody::Leave(client) => message.leave = Some(wire::Presence { info: Some((&**client).into()) }),
            PushBody::Unsubscribe(end) => {
                message.unsubscribe = Some(wire::Unsubscribe { code: end.code, reason: end.reason.to_string() });
            }
            PushBody::Subscribe(begin) => message.subscribe = Some(begin.into()),
            PushBody::Message(payload) => message.message = Some(wire::Message { data: data(Some(payload)) }),
            PushBody::Disconnect(end) => {
                message.disconnect = Some(wire::Disconnect { code: end.code, reason: end.reason.to_string() });
            }
            PushBody::Refresh(expires) => message.refresh = Some((*expires).into()),
        }
        message
    }
}

impl From<&Publication> for wire::Publication {
    fn from(published: &Publication) -> Self {
        Self { data: value::bytes(&published.payload), ..publication::without_data(published) }
    }
}

/// Returns what a subscriber missed, as deltas if it gets them.
fn publications(subscribe: &SubscribeResult) -> Vec<wire::Publication> {
    let mut chain = Chain::default();
    let next = |published: &Publication| {
        if !subscribe.delta {
            return published.into();
        }
        let Link { data, is_delta: delta } = chain.next(Format::Protobuf, &published.payload);
        wire::Publication { data, delta, ..publication::without_data(published) }
    };
    subscribe.publications.iter().map(next).collect()
}

impl From<&ClientInfo> for wire::ClientInfo {
    fn from(client: &ClientInfo) -> Self {
        Self {
            user: client.user.clone(),
            client: client.client.clone(),
            conn_info: client.conn_info.clone().unwrap_or_default(),
            chan_info: client.chan_info.clone().unwrap_or_default(),
        }
    }
}

impl From<Option<Expiry>> for wire::SubRefreshResult {
    fn from(expires: Option<Expiry>) -> Self {
        let (expires, ttl) = expiry(expires);
        Self { expires, ttl }
    }
}

impl From<&Error> for wire::Error {
    fn from(error: &Error) -> Self {
        Self { code: error.code, message: error.message.to_string(), temporary: error.is_temporary }
    }
}

impl From<&ConnectResult> for wire::ConnectResult {
    fn from(connect: &ConnectResult) -> Self {
        let (expires, ttl) = expiry(connect.expires);
        Self {
            client: connect.client.clone(),
            version: connect.version.clone(),
            expires,
            ttl,
            data: data(connect.data.as_ref()),
            subs: connect.subs.iter().map(|(channel, one)| (channel.clone(), one.into())).collect(),
            ping: connect.ping,
            pong: connect.pong,
        }
    }
}

impl From<&SubscribeResult> for wire::SubscribeResult {
    fn from(subscribe: &SubscribeResult) -> Self {
        let (expires, ttl) = expiry(subscribe.expires);
        Self {
            expires,
            ttl,
            recoverable: subscribe.recoverable,
            epoch: subscribe.epoch.clone(),
            publications: publications(subscribe),
            recovered: subscribe.recovered,
            offset: subscribe.offset,
            positioned: subscribe.positioned,
            data: data(subscribe.data.as_ref()),
            was_recovering: subscribe.was_recovering,
            delta: subscribe.delta,
        }
    }
}

impl From<&ServerSubscription> for wire::Subscribe {
    fn from(begin: &ServerSubscription) -> Self {
        Self {
            recoverable: begin.recoverable,
            epoch: begin.epoch.clone(),
            offset: begin.offset,
            positioned: begin.positioned,
            data: data(begin.data.as_ref()),
        }
    }
}
