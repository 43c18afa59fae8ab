//! Every message of the protocol, in both formats, byte for byte.
//!
//! The files hold the JSON of the protocol's description; the Protobuf next to it was made by an SDK of its authors.

use super::{Sent, published};
use crate::protocol::Payload;
use crate::protocol::centrifuge::*;
use crate::protocol::publication::ClientInfo;
use crate::protocol::publication::Details;
use std::sync::Arc;

const COMMANDS: &str = include_str!("../../../../tests/centrifuge/commands.txt");
const REPLIES: &str = include_str!("../../../../tests/centrifuge/replies.txt");

/// A message in both formats.
struct Example {
    title: &'static str,
    json: &'static str,
    protobuf: Vec<u8>,
}

fn examples(text: &'static str) -> Vec<Example> {
    let example = |block: &'static str| {
        let [title, json, hex] = block.lines().collect::<Vec<_>>()[..] else { panic!("not three lines: {block}") };
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        Example { title: title.trim_start_matches("# "), json, protobuf: (0..hex.len()).step_by(2).map(byte).collect() }
    };
    text.split("\n\n").map(example).collect()
}

fn empty() -> Option<Payload> {
    Some(Payload::json("{}"))
}

fn position(epoch: &str, offset: u64) -> StreamPosition {
    StreamPosition { epoch: epoch.into(), offset }
}

fn news() -> String {
    "news".into()
}

fn connect() -> Request {
    Request::Connect(Connect {
        token: "<jwt>".into(),
        data: empty(),
        subs: vec![("new".into(), None), ("srv".into(), Some(position("abc", 7)))],
        name: "js".into(),
        version: String::new(),
        headers: vec![("k".into(), "v".into())],
    })
}

fn subscribe() -> Request {
    Request::Subscribe(Subscribe {
        channel: news(),
        token: "<jwt>".into(),
        data: empty(),
        recover: Some(position("e", 41)),
        positioned: true,
        recoverable: true,
        join_leave: true,
        rejects_unrecovered: false,
        delta: "fossil".into(),
        has_filter: true,
        kind: 0,
    })
}

fn commands_expected() -> Vec<(u32, Request)> {
    let rejecting = Subscribe {
        channel: news(),
        recover: Some(StreamPosition::default()),
        rejects_unrecovered: true,
        ..Subscribe::default()
    };
    let publish = |value, kind| Request::Publish(Publish { channel: news(), data: Some(Payload::json(value)), kind });
    let history = History { channel: news(), limit: 10, since: Some(position("e", 5)), reverse: true };
    vec![
        (1, connect()),
        (2, subscribe()),
        (2, Request::Subscribe(rejecting)),
        (2, Request::Subscribe(Subscribe { channel: news(), kind: 1, ..Subscribe::default() })),
        (3, Request::Unsubscribe(news())),
        (4, publish(r#"{"a":1}"#, 0)),
        (4, publish("null", 1)),
        (5, Request::Presence(news())),
        (6, Request::PresenceStats(news())),
        (7, Request::History(history)),
        (7, Request::History(History { channel: news(), limit: -1, ..History::default() })),
        (8, Request::Rpc(Rpc { method: "m".into(), data: empty() })),
        (9, Request::Refresh(Refresh { token: "<jwt>".into() })),
        (10, Request::SubRefresh(SubRefresh { channel: news(), token: "<jwt>".into(), kind: 0 })),
        (10, Request::SubRefresh(SubRefresh { channel: news(), kind: 1, ..SubRefresh::default() })),
        (0, Request::Send(empty())),
        (0, Request::Pong),
        (11, Request::Unknown),
        (12, Request::Connect(Connect { name: "js".into(), ..Connect::default() })),
    ]
}

fn client(user: &str, has_info: bool) -> ClientInfo {
    let info = || has_info.then(|| "{}".into());
    ClientInfo { user: user.into(), client: "<client>".into(), conn_info: info(), chan_info: info() }
}

fn replies_expected() -> Vec<Sent> {
    results().chain(pushes()).collect()
}

fn results() -> impl Iterator<Item = Sent> {
    let expires = Some(Expiry { ttl: 600 });
    let sub = SubscribeResult {
        recoverable: true,
        positioned: true,
        epoch: "abc".into(),
        offset: 7,
        ..SubscribeResult::default()
    };
    let connected = ConnectResult {
        client: "<uuid>".into(),
        version: "x.y.z".into(),
        expires,
        data: empty(),
        subs: vec![("srv".into(), sub.clone())],
        ping: 25,
        pong: true,
    };
    let recovered = SubscribeResult {
        epoch: "e".into(),
        offset: 41,
        was_recovering: true,
        recovered: true,
        publications: vec![published(42, "{}")],
        expires,
        data: empty(),
        ..sub
    };
    let score =
        |home: u8| format!(r#"{{"home":"Alpha","away":"Beta","score":[{home},0],"minute":44,"events":["kick-off"]}}"#);
    let deltas = SubscribeResult {
        was_recovering: true,
        recovered: true,
        publications: vec![published(42, &score(0)), published(43, &score(1))],
        delta: true,
        ..SubscribeResult::default()
    };
    let mut publications = vec![published(8, r#""text""#), published(9, "[1]")];
    publications[0].payload.details = Some(details(client("42", false)));
    let history = HistoryResult { publications, epoch: "e".into(), offset: 9 };
    let refreshed = RefreshResult { client: "<client>".into(), version: "x.y.z".into(), expires };
    [
        (1, Ok(ReplyBody::Connect(connected))),
        (2, Ok(ReplyBody::Subscribe(recovered))),
        (2, Ok(ReplyBody::Subscribe(deltas))),
        (2, Ok(ReplyBody::Subscribe(SubscribeResult::default()))),
        (3, Ok(ReplyBody::Unsubscribe)),
        (4, Ok(ReplyBody::Publish)),
        (5, Ok(ReplyBody::Presence(vec![Arc::new(client("42", true))]))),
        (5, Ok(ReplyBody::Presence(vec![]))),
        (5, Ok(ReplyBody::Presence(vec![Arc::new(client("", false))]))),
        (6, Ok(ReplyBody::PresenceStats { clients: 2, users: 1 })),
        (6, Ok(ReplyBody::PresenceStats { clients: 0, users: 0 })),
        (7, Ok(ReplyBody::History(history))),
        (7, Ok(ReplyBody::History(HistoryResult::default()))),
        (8, Ok(ReplyBody::Rpc(empty()))),
        (9, Ok(ReplyBody::Refresh(refreshed))),
        (10, Ok(ReplyBody::SubRefresh(expires))),
        (1, Err(ErrorCode::PermissionDenied.into())),
        (1, Err(ErrorCode::Internal.into())),
    ]
    .map(|(id, result)| Sent::Reply(Reply { id, result }))
    .into_iter()
}

fn details(info: ClientInfo) -> Arc<Details> {
    Arc::new(Details { tags: vec![("k".into(), "v".into())], info: Some(info.into()) })
}

fn pushes() -> impl Iterator<Item = Sent> {
    let mut of_a_client = published(44, r#""text""#);
    let info = ClientInfo { conn_info: Some(r#"{"name":"x"}"#.into()), ..client("42", false) };
    of_a_client.payload.details = Some(details(info));
    let subscription =
        ServerSubscription { recoverable: true, positioned: true, epoch: "e".into(), offset: 43, data: empty() };
    let of_channel = |body| Push { channel: news(), body };
    let of_none = |body| Push { channel: String::new(), body };
    [
        of_channel(PushBody::Publication(published(43, r#"{"a":1}"#))),
        of_channel(PushBody::Publication(of_a_client)),
        of_channel(PushBody::Join(client("42", false).into())),
        of_channel(PushBody::Leave(client("42", false).into())),
        of_channel(PushBody::Unsubscribe(UnsubscribeCode::InsufficientState.into())),
        of_channel(PushBody::Subscribe(subscription)),
        of_none(PushBody::Message(Payload::json("{}"))),
        of_none(PushBody::Disconnect(DisconnectCode::Shutdown.into())),
        of_none(PushBody::Refresh(Some(Expiry { ttl: 600 }))),
    ]
    .map(Sent::Push)
    .into_iter()
}

#[test]
fn every_command_is_read_from_both_formats() {
    let (examples, expected) = (examples(COMMANDS), commands_expected());
    assert_eq!(examples.len(), expected.len());
    for (Example { title, json, protobuf }, (id, request)) in examples.into_iter().zip(expected) {
        let expected = [Ok(Command { id, request })];
        assert_eq!(commands(Format::Json, json.as_bytes()).collect::<Vec<_>>(), expected, "{title}");
        assert_eq!(commands(Format::Protobuf, &protobuf).collect::<Vec<_>>(), expected, "{title}");
    }
}

#[test]
fn every_reply_and_push_is_written_in_both_formats() {
    let (examples, expected) = (examples(REPLIES), replies_expected());
    assert_eq!(examples.len(), expected.len());
    for (Example { title, json, protobuf }, sent) in examples.into_iter().zip(expected) {
        assert_eq!(String::from_utf8(sent.encode(Format::Json)).unwrap(), format!("{json}\n"), "{title}");
        let bytes = sent.encode(Format::Protobuf);
        assert_eq!(bytes, protobuf, "{title}: {}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
}

/// SDKs send connect and all subscribes at once.
#[test]
fn many_commands_of_a_frame_are_read_in_their_order() {
    let examples = examples(COMMANDS);
    let lines: Vec<_> = examples.iter().map(|example| example.json).collect();
    let in_json = commands(Format::Json, lines.join("\n").as_bytes()).collect::<Vec<_>>();
    let bytes: Vec<_> = examples.iter().flat_map(|example| example.protobuf.iter().copied()).collect();
    let in_protobuf = commands(Format::Protobuf, &bytes).collect::<Vec<_>>();
    let expected: Vec<_> = commands_expected().into_iter().map(|(id, request)| Ok(Command { id, request })).collect();
    assert_eq!(in_json, expected);
    assert_eq!(in_protobuf, expected);
    // Some clients end the last line too.
    assert_eq!(commands(Format::Json, b"{}\n{}\n").count(), 2);
}
