//! The two formats say the same: what is read from one equals what is read from the other.

use super::Sent;
use crate::protocol::centrifuge::wire::{command as wire, reply};
use crate::protocol::centrifuge::*;
use crate::protocol::publication::ClientInfo;
use crate::protocol::publication::Details;
use crate::protocol::{Payload, Publication};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};
use std::sync::Arc;

/// Texts with everything that JSON escapes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,4}", "[\\x00-\\x7f]{0,4}", "\\PC{0,4}"]
}

fn value() -> impl Strategy<Value = Payload> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(text(), inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    });
    value.prop_map(|value| Payload::json(&value.to_string()))
}

fn client() -> impl Strategy<Value = ClientInfo> {
    let info = || option::of(value().prop_map(|payload| payload.data));
    (text(), text(), info(), info()).prop_map(|(user, client, conn_info, chan_info)| ClientInfo {
        user,
        client,
        conn_info,
        chan_info,
    })
}

fn publication() -> impl Strategy<Value = Publication> {
    let details = (btree_map(text(), text(), 0..3), option::of(client().prop_map(Arc::new)))
        .prop_map(|(tags, info)| Arc::new(Details { tags: tags.into_iter().collect(), info }));
    (any::<u64>(), value(), option::of(details)).prop_map(|(offset, payload, details)| Publication {
        offset,
        at: 0,
        payload: Payload { details, ..payload },
    })
}

fn expires() -> impl Strategy<Value = Option<Expiry>> {
    option::of(any::<u32>().prop_map(|ttl| Expiry { ttl }))
}

fn subscribed() -> impl Strategy<Value = SubscribeResult> {
    let publications = vec(publication(), 0..3);
    (expires(), any::<[bool; 5]>(), text(), any::<u64>(), publications, option::of(value())).prop_map(
        |(expires, [recoverable, positioned, was_recovering, recovered, delta], epoch, offset, publications, data)| {
            SubscribeResult {
                expires,
                recoverable,
                positioned,
                epoch,
                offset,
                was_recovering,
                recovered,
                // Deltas may differ, because in JSON they are cut between characters.
                publications: if delta { vec![] } else { publications },
                data,
                delta,
            }
        },
    )
}

fn connected() -> impl Strategy<Value = ConnectResult> {
    let subs = btree_map(text(), subscribed(), 0..3);
    (text(), text(), expires(), option::of(value()), subs, any::<u32>(), any::<bool>()).prop_map(
        |(client, version, expires, data, subs, ping, pong)| ConnectResult {
            client,
            version,
            expires,
            data,
            subs: subs.into_iter().collect(),
            ping,
            pong,
        },
    )
}

/// Clients with ids of their own, as a presence has them.
fn clients() -> impl Strategy<Value = Vec<Arc<ClientInfo>>> {
    btree_map(text(), client(), 0..3)
        .prop_map(|map| map.into_iter().map(|(client, info)| ClientInfo { client, ..info }.into()).collect())
}

fn body() -> impl Strategy<Value = ReplyBody> {
    let history = (vec(publication(), 0..3), text(), any::<u64>())
        .prop_map(|(publications, epoch, offset)| HistoryResult { publications, epoch, offset });
    let refreshed =
        (text(), text(), expires()).prop_map(|(client, version, expires)| RefreshResult { client, version, expires });
    prop_oneof![
        connected().prop_map(ReplyBody::Connect),
        subscribed().prop_map(ReplyBody::Subscribe),
        Just(ReplyBody::Unsubscribe),
        Just(ReplyBody::Publish),
        clients().prop_map(ReplyBody::Presence),
        any::<(u32, u32)>().prop_map(|(clients, users)| ReplyBody::PresenceStats { clients, users }),
        history.prop_map(ReplyBody::History),
        option::of(value()).prop_map(ReplyBody::Rpc),
        refreshed.prop_map(ReplyBody::Refresh),
        expires().prop_map(ReplyBody::SubRefresh),
    ]
}

fn push_body() -> impl Strategy<Value = PushBody> {
    let subscription = (any::<[bool; 2]>(), text(), any::<u64>(), option::of(value())).prop_map(
        |([recoverable, positioned], epoch, offset, data)| ServerSubscription {
            recoverable,
            positioned,
            epoch,
            offset,
            data,
        },
    );
    let end = || (any::<u32>(), text().prop_map(Into::into));
    prop_oneof![
        publication().prop_map(PushBody::Publication),
        client().prop_map(|client| PushBody::Join(client.into())),
        client().prop_map(|client| PushBody::Leave(client.into())),
        end().prop_map(|(code, reason)| PushBody::Unsubscribe(Unsubscribe { code, reason })),
        subscription.prop_map(PushBody::Subscribe),
        value().prop_map(PushBody::Message),
        end().prop_map(|(code, reason)| PushBody::Disconnect(Disconnect { code, reason })),
        expires().prop_map(PushBody::Refresh),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let error = (any::<u32>(), text(), any::<bool>()).prop_map(|(code, message, is_temporary)| Error {
        code,
        message: message.into(),
        is_temporary,
    });
    let result = prop_oneof![3 => body().prop_map(Ok), 1 => error.prop_map(Err)];
    let reply = (any::<u32>(), result).prop_map(|(id, result)| Sent::Reply(Reply { id, result }));
    let push = (text(), push_body()).prop_map(|(channel, body)| Sent::Push(Push { channel, body }));
    prop_oneof![reply, push]
}

fn wire_subscribe() -> impl Strategy<Value = wire::SubscribeRequest> {
    let flags = any::<([bool; 4], i64, i32, u64)>();
    (text(), text(), text(), text(), option::of(value()), flags, any::<bool>()).prop_map(
        |(
            channel,
            token,
            epoch,
            delta,
            data,
            ([recover, positioned, recoverable, join_leave], flag, r#type, offset),
            tf,
        )| {
            wire::SubscribeRequest {
                channel,
                token,
                recover,
                epoch,
                offset,
                data: data.map(|data| data.data).unwrap_or_default(),
                positioned,
                recoverable,
                join_leave,
                delta,
                tf: tf.then_some(wire::FilterNode {}),
                flag,
                r#type,
            }
        },
    )
}

fn wire_connect() -> impl Strategy<Value = wire::ConnectRequest> {
    let subs = btree_map(text(), wire_subscribe(), 0..3);
    (text(), option::of(value()), subs, text(), text(), btree_map(text(), text(), 0..3)).prop_map(
        |(token, data, subs, name, version, headers)| wire::ConnectRequest {
            token,
            data: data.map(|data| data.data).unwrap_or_default(),
            subs,
            name,
            version,
            headers,
        },
    )
}

fn wire_command() -> impl Strategy<Value = wire::Command> {
    let position = || (any::<u64>(), text()).prop_map(|(offset, epoch)| wire::StreamPosition { offset, epoch });
    let data = || option::of(value()).prop_map(|data| data.map(|data| data.data).unwrap_or_default());
    let channel = || option::of(text().prop_map(|channel| wire::ChannelRequest { channel }));
    let history = (text(), any::<i32>(), option::of(position()), any::<bool>())
        .prop_map(|(channel, limit, since, reverse)| wire::HistoryRequest { channel, limit, since, reverse });
    let publish = (text(), data(), any::<i32>()).prop_map(|(channel, data, r#type)| wire::PublishRequest {
        channel,
        data,
        r#type,
    });
    let rpc = (data(), text()).prop_map(|(data, method)| wire::RpcRequest { data, method });
    let refresh = text().prop_map(|token| wire::RefreshRequest { token });
    let sub_refresh = (text(), text(), any::<i32>()).prop_map(|(channel, token, r#type)| wire::SubRefreshRequest {
        channel,
        token,
        r#type,
    });
    let send = data().prop_map(|data| wire::SendRequest { data });
    let first = (any::<u32>(), option::of(wire_connect()), option::of(wire_subscribe()), option::of(publish));
    let channels = (channel(), channel(), channel());
    let others = (option::of(history), option::of(send), option::of(rpc), option::of(refresh), option::of(sub_refresh));
    (first, channels, others, any::<bool>()).prop_map(|(first, channels, others, has_ping)| wire::Command {
        id: first.0,
        connect: first.1,
        subscribe: first.2,
        publish: first.3,
        unsubscribe: channels.0,
        presence: channels.1,
        presence_stats: channels.2,
        history: others.0,
        send: others.1,
        rpc: others.2,
        refresh: others.3,
        sub_refresh: others.4,
        ping: has_ping.then_some(wire::PingRequest {}),
    })
}

/// Returns the value that a field of data holds, or nothing.
fn raw(data: &[u8]) -> Value {
    serde_json::from_slice(data).unwrap_or(Value::Null)
}

fn json_of_subscribe(one: &wire::SubscribeRequest) -> Value {
    let mut value = json!({
        "channel": one.channel, "token": one.token, "recover": one.recover, "epoch": one.epoch, "offset": one.offset,
        "positioned": one.positioned, "recoverable": one.recoverable, "join_leave": one.join_leave, "delta": one.delta,
        "tf": one.tf.as_ref().map(|_| json!({"key": "k"})), "flag": one.flag, "type": one.r#type, "newer": [],
    });
    set_data(&mut value, &one.data);
    value
}

fn set_data(value: &mut Value, data: &[u8]) {
    if !data.is_empty() {
        value["data"] = raw(data);
    }
}

fn with_data(mut value: Value, data: &[u8]) -> Value {
    set_data(&mut value, data);
    value
}

/// Writes a command as a client would.
fn json_of(command: &wire::Command) -> Value {
    let channel = |one: &Option<wire::ChannelRequest>| one.as_ref().map(|one| json!({ "channel": one.channel }));
    let connect = command.connect.as_ref().map(|one| {
        let subs: serde_json::Map<_, _> =
            one.subs.iter().map(|(channel, one)| (channel.clone(), json_of_subscribe(one))).collect();
        let value = json!({
            "token": one.token, "subs": subs, "name": one.name, "version": one.version, "headers": one.headers,
        });
        with_data(value, &one.data)
    });
    let publish =
        command.publish.as_ref().map(|one| with_data(json!({ "channel": one.channel, "type": one.r#type }), &one.data));
    let history = command.history.as_ref().map(|one| {
        let since = one.since.as_ref().map(|since| json!({ "offset": since.offset, "epoch": since.epoch }));
        json!({ "channel": one.channel, "limit": one.limit, "since": since, "reverse": one.reverse })
    });
    json!({
        "id": command.id, "connect": connect, "subscribe": command.subscribe.as_ref().map(json_of_subscribe),
        "unsubscribe": channel(&command.unsubscribe), "publish": publish, "presence": channel(&command.presence),
        "presence_stats": channel(&command.presence_stats), "history": history,
        "ping": command.ping.as_ref().map(|_| json!({})),
        "send": command.send.as_ref().map(|one| with_data(json!({}), &one.data)),
        "rpc": command.rpc.as_ref().map(|one| with_data(json!({ "method": one.method }), &one.data)),
        "refresh": command.refresh.as_ref().map(|one| json!({ "token": one.token })),
        "sub_refresh": command.sub_refresh.as_ref().map(|one| {
            json!({ "channel": one.channel, "token": one.token, "type": one.r#type })
        }),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn replies_and_pushes_are_equal_in_both_formats(sent in sent()) {
        let line = String::from_utf8(sent.encode(Format::Json)).unwrap();
        prop_assert!(line.ends_with('\n') && line.lines().count() == 1, "one line: {line:?}");
        let in_json: reply::Reply = serde_json::from_str(&line).unwrap();
        let in_protobuf = reply::Reply::decode_length_delimited(&sent.encode(Format::Protobuf)[..]).unwrap();
        prop_assert_eq!(in_json, in_protobuf);
    }

    #[test]
    fn commands_are_equal_in_both_formats(sent in vec(wire_command(), 1..4)) {
        let lines: Vec<_> = sent.iter().map(|command| json_of(command).to_string()).collect();
        let bytes: Vec<_> = sent.iter().flat_map(|command| command.encode_length_delimited_to_vec()).collect();
        let in_json: Vec<_> = commands(Format::Json, lines.join("\n").as_bytes()).collect();
        let in_protobuf: Vec<_> = commands(Format::Protobuf, &bytes).collect();
        prop_assert_eq!(in_json.len(), sent.len());
        prop_assert!(in_json.iter().all(Result::is_ok), "{:?}", in_json);
        prop_assert_eq!(in_json, in_protobuf);
    }
}
