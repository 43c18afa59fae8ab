//! Commands from JSON, and replies and pushes to JSON.
//!
//! A frame is one object per line. What is zero, false or empty is left out, except in the eight fields that clients
//! read without asking: the user and client of a client's info, the result of presence and of its statistics, and the
//! publications, epoch and offset of a history. The result of a command is there even if it is empty.

use super::command::Command;
use super::format::{Format, Malformed};
use super::reply::{
    ConnectResult, Error, Expiry, HistoryResult, Push, PushBody, RefreshResult, Reply, ReplyBody, ServerSubscription,
    SubscribeResult,
};
use super::value;
use super::wire::command as wire;
use crate::protocol::publication::ClientInfo;
use crate::protocol::{Payload, Publication, json};
use bytes::Bytes;
use std::sync::Arc;

/// Reads the first command of a frame and leaves the rest.
pub(super) fn command(frame: &mut &[u8]) -> Result<Command, Malformed> {
    let end = frame.iter().position(|byte| *byte == b'\n');
    let (line, rest) = end.map_or((*frame, &[][..]), |end| (&frame[..end], &frame[end + 1..]));
    *frame = rest;
    // A list of the fields would be read too.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(Malformed);
    }
    let command: wire::Command = serde_json::from_slice(line).map_err(|_| Malformed)?;
    Ok(Command::new(command, Format::Json))
}

/// Appends a reply and a newline.
pub(super) fn reply(reply: &Reply, out: &mut Vec<u8>) {
    object(out, |fields| {
        fields.number("id", reply.id);
        match &reply.result {
            Ok(body) => result(body, fields),
            Err(error) => fields.object("error", |fields| write_error(error, fields)),
        }
    });
    out.push(b'\n');
}

/// Appends a push and a newline.
pub(super) fn push(push: &Push, out: &mut Vec<u8>) {
    object(out, |fields| {
        fields.object("push", |fields| {
            fields.text("channel", &push.channel);
            push_body(&push.body, fields);
        });
    });
    out.push(b'\n');
}

fn write_error(error: &Error, fields: &mut Fields<'_>) {
    fields.number("code", error.code);
    fields.text("message", &error.message);
    fields.flag("temporary", error.is_temporary);
}

fn result(body: &ReplyBody, fields: &mut Fields<'_>) {
    match body {
        ReplyBody::Connect(connect) => fields.object("connect", |fields| connect_result(connect, fields)),
        ReplyBody::Subscribe(subscribe) => fields.object("subscribe", |fields| subscribe_result(subscribe, fields)),
        ReplyBody::Unsubscribe => fields.object("unsubscribe", |_| {}),
        ReplyBody::Publish => fields.object("publish", |_| {}),
        ReplyBody::Presence(clients) => fields.object("presence", |fields| presence(clients, fields)),
        ReplyBody::PresenceStats { clients, users } => fields.object("presence_stats", |fields| {
            json::write(fields.key("num_clients"), clients);
            json::write(fields.key("num_users"), users);
        }),
        ReplyBody::History(history) => fields.object("history", |fields| history_result(history, fields)),
        ReplyBody::Rpc(data) => fields.object("rpc", |fields| fields.payload("data", data.as_ref())),
        ReplyBody::Refresh(refresh) => fields.object("refresh", |fields| refresh_result(refresh, fields)),
        ReplyBody::SubRefresh(expires) => fields.object("sub_refresh", |fields| fields.expiry(*expires)),
    }
}

fn connect_result(connect: &ConnectResult, fields: &mut Fields<'_>) {
    fields.text("client", &connect.client);
    fields.text("version", &connect.version);
    fields.number("ping", connect.ping);
    fields.flag("pong", connect.pong);
    fields.expiry(connect.expires);
    fields.payload("data", connect.data.as_ref());
    if !connect.subs.is_empty() {
        fields.object("subs", |fields| {
            for (channel, subscription) in &connect.subs {
                object(fields.any_key(channel), |fields| subscribe_result(subscription, fields));
            }
        });
    }
}

fn subscribe_result(subscribe: &SubscribeResult, fields: &mut Fields<'_>) {
    fields.flag("recoverable", subscribe.recoverable);
    fields.flag("positioned", subscribe.positioned);
    fields.text("epoch", &subscribe.epoch);
    fields.number("offset", subscribe.offset);
    fields.flag("was_recovering", subscribe.was_recovering);
    fields.flag("recovered", subscribe.recovered);
    if !subscribe.publications.is_empty() {
        publications(&subscribe.publications, fields.key("publications"));
    }
    fields.expiry(subscribe.expires);
    fields.payload("data", subscribe.data.as_ref());
}

fn presence(clients: &[Arc<ClientInfo>], fields: &mut Fields<'_>) {
    fields.object("presence", |fields| {
        for client in clients {
            info(client, fields.any_key(&client.client));
        }
    });
}

fn history_result(history: &HistoryResult, fields: &mut Fields<'_>) {
    publications(&history.publications, fields.key("publications"));
    json::write(fields.key("epoch"), &history.epoch);
    json::write(fields.key("offset"), &history.offset);
}

fn refresh_result(refresh: &RefreshResult, fields: &mut Fields<'_>) {
    fields.text("client", &refresh.client);
    fields.text("version", &refresh.version);
    fields.expiry(refresh.expires);
}

fn push_body(body: &PushBody, fields: &mut Fields<'_>) {
    match body {
        PushBody::Publication(one) => publication(one, fields.key("pub")),
        PushBody::Join(client) => fields.object("join", |fields| info(client, fields.key("info"))),
        PushBody::Leave(client) => fields.object("leave", |fields| info(client, fields.key("info"))),
        PushBody::Unsubscribe(end) => fields.object("unsubscribe", |fields| fields.end(end.code, &end.reason)),
        PushBody::Subscribe(begin) => fields.object("subscribe", |fields| server_subscription(begin, fields)),
        PushBody::Message(data) => fields.object("message", |fields| fields.payload("data", Some(data))),
        PushBody::Disconnect(end) => fields.object("disconnect", |fields| fields.end(end.code, &end.reason)),
        PushBody::Refresh(expires) => fields.object("refresh", |fields| fields.expiry(*expires)),
    }
}

fn server_subscription(begin: &ServerSubscription, fields: &mut Fields<'_>) {
    fields.flag("recoverable", begin.recoverable);
    fields.text("epoch", &begin.epoch);
    fields.number("offset", begin.offset);
    fields.flag("positioned", begin.positioned);
    fields.payload("data", begin.data.as_ref());
}

fn publications(publications: &[Publication], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, one) in publications.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        publication(one, out);
    }
    out.push(b']');
}

fn publication(publication: &Publication, out: &mut Vec<u8>) {
    publication_head(publication, out);
    value::write_text(&publication.payload, out);
    out.push(b'}');
}

/// Appends a publication up to its data, which comes last.
pub(super) fn publication_head(publication: &Publication, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut fields = Fields { out, is_first: true };
    fields.number("offset", publication.offset);
    if let Some(details) = &publication.payload.details {
        if let Some(client) = &details.info {
            info(client, fields.key("info"));
        }
        if !details.tags.is_empty() {
            fields.object("tags", |fields| {
                for (name, value) in &details.tags {
                    json::write(fields.any_key(name), value);
                }
            });
        }
    }
    fields.key("data");
}

fn info(client: &ClientInfo, out: &mut Vec<u8>) {
    object(out, |fields| {
        json::write_text(fields.key("user"), &client.user);
        json::write_text(fields.key("client"), &client.client);
        fields.value("conn_info", client.conn_info.as_ref());
        fields.value("chan_info", client.chan_info.as_ref());
    });
}

/// Appends an object with these fields.
fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Fields<'_>)) {
    out.push(b'{');
    fill(&mut Fields { out, is_first: true });
    out.push(b'}');
}

/// The fields of an object under way.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl Fields<'_> {
    /// Begins a field, whose value has to follow.
    fn key(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Begins a field with a name from outside, whose value has to follow.
    fn any_key(&mut self, name: &str) -> &mut Vec<u8> {
        self.separate();
        json::write(self.out, name);
        self.out.push(b':');
        self.out
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
    }

    fn text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            json::write(self.key(name), text);
        }
    }

    fn number(&mut self, name: &'static str, number: impl Into<u64>) {
        let number = number.into();
        if number != 0 {
            json::write(self.key(name), &number);
        }
    }

    fn flag(&mut self, name: &'static str, is_set: bool) {
        if is_set {
            self.key(name).extend_from_slice(b"true");
        }
    }

    fn expiry(&mut self, expires: Option<Expiry>) {
        self.flag("expires", expires.is_some());
        self.number("ttl", expires.map_or(0, |expiry| expiry.ttl));
    }

    fn end(&mut self, code: u32, reason: &str) {
        self.number("code", code);
        self.text("reason", reason);
    }

    fn payload(&mut self, name: &'static str, payload: Option<&Payload>) {
        self.value(name, payload.map(value::text).as_ref());
    }

    /// Adds a JSON value as it is.
    fn value(&mut self, name: &'static str, value: Option<&Bytes>) {
        if let Some(value) = value {
            self.key(name).extend_from_slice(value);
        }
    }

    fn object(&mut self, name: &'static str, fill: impl FnOnce(&mut Fields<'_>)) {
        object(self.key(name), fill);
    }
}
