//! The ends of connections: every close reason with its code and its text, and what becomes of neighbours.

use crate::server;
use crate::server::api;
use crate::server::{
    FrozenClock, Raw, TestServer, client::Closed, close_frame, frame, start, stream_with_buffer, within,
};
use crate::tokens;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use throng::config::{ClientGroup, Config, TokenAlgorithm};
use throng::hub::inbox::{CREDIT_BYTES, CREDITS};
use throng::hub::{Command, ConnectionId, MessageShape};
use throng::net::socket::{Socket, SocketSink};
use throng::protocol::{CloseReason, ProtocolError};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

const SHORT: Duration = Duration::from_millis(200);

fn closed(code: u16, reason: &str) -> Closed {
    Some((code, reason.to_owned()))
}

/// Sockets with small buffers, so that a client that does not read soon lags.
fn small(config: &mut Config) {
    config.sockets.send_buffer_bytes = 4096;
    config.sockets.notsent_bytes = 1024;
}

/// Connects a client that is subscribed and reads nothing any more.
async fn stalled(server: &TestServer) -> Raw {
    let mut client = Raw::over(stream_with_buffer(server.addr, 1).await, "/ws", b"").await;
    client.round_trip().await;
    client
}

/// Gives a server the key of the tests.
fn accepting_tokens(config: &mut Config) {
    config.token_keys = tokens::config(&tokens::table(TokenAlgorithm::Hs256, None)).token_keys;
    config.access.admin_keys = vec![server::KEY.parse().expect("it is long enough")];
    config.api.api_keys = vec![api::KEY.parse().expect("it is long enough")];
}

async fn closed_by_a_backend(reason: CloseReason) -> Closed {
    let server = start(|_| {}).await;
    let mut client = server.connect("/ws").await;
    let id = ConnectionId::parse("0/0.0").expect("it is an id");
    server.hub().inbox(0).send(Command::Close { id, reason }).await;
    client.closed().await
}

/// One way into each reason. A new reason does not compile until it has a way, and with it a test.
async fn provoke(reason: CloseReason) -> (Closed, Closed) {
    match reason {
        CloseReason::Peer(_) => {
            let server = start(|_| {}).await;
            (server.connect("/ws").await.close(None).await, None)
        }
        CloseReason::Protocol(_) => {
            let server = start(|_| {}).await;
            let mut client = server.raw("/ws").await;
            client.send(&[0x81, 0x00]).await;
            (client.closed().await, closed(1002, "unmasked frame"))
        }
        CloseReason::SlowConsumer => (slow_by_bytes().await, closed(4008, "slow consumer")),
        CloseReason::InsufficientState => {
            let server = start(|_| {}).await;
            let mut client = server.connect("/ws").await;
            client.round_trip().await;
            let channel = server.hub().directory().channels()[0].key();
            server.hub().inbox(0).send(Command::DeclareGap { channel }).await;
            (client.closed().await, closed(4010, "insufficient state"))
        }
        CloseReason::NoPong => {
            let server = start(with_short_pings).await;
            (server.raw("/ws").await.closed().await, closed(4012, "no pong"))
        }
        CloseReason::TooManyRequests => {
            let server = start(|config| config.sockets.control_rate_max = 1).await;
            let mut client = server.raw("/ws").await;
            client.send(&frame(0x89, b"").repeat(3)).await;
            (client.closed().await, closed(4013, "too many requests"))
        }
        CloseReason::TooManyChannels => (one_channel_too_many().await, closed(1013, "too many channels")),
        CloseReason::ChannelFull => (one_subscriber_too_many().await, closed(1013, "channel is full")),
        CloseReason::NotPublished => (closed_by_a_backend(reason).await, closed(1013, "not published")),
        CloseReason::CutOff => (closed_by_a_backend(reason).await, closed(1013, "cut off from the cluster")),
        CloseReason::PermissionDenied => {
            let server = start(|config| config.default_namespace.allow_publish = ClientGroup::Nobody).await;
            let mut client = server.connect("/ws").await;
            client.send("to the backend only").await;
            (client.closed().await, closed(4507, "permission denied"))
        }
        CloseReason::Shutdown => {
            let mut server = start(|_| {}).await;
            let mut client = server.connect("/ws").await;
            server.begin_stop();
            (client.closed().await, closed(1012, "shutting down"))
        }
        CloseReason::Shed => {
            let server = start(|_| {}).await;
            let mut client = server.connect("/ws").await;
            server.hub().inbox(0).send(Command::CloseSome { count: 1, reason: CloseReason::Shed }).await;
            (client.closed().await, closed(1012, "moving to another server"))
        }
        CloseReason::Aged => {
            let server = start(|config| config.limits.connection_age_max = Duration::from_secs(1)).await;
            (server.raw("/ws").await.closed().await, closed(1001, "time to reconnect"))
        }
        CloseReason::Expired => {
            let server = start(accepting_tokens).await;
            // A token that lives for a second would be over before a busy machine has accepted it.
            let claims = tokens::claims("42");
            let mut client = server.connect(&format!("/ws?token={}", tokens::token(&claims))).await;
            api::result(&server, "refresh", json!({ "user": "42", "expired": true })).await;
            (client.closed().await, closed(4005, "token expired"))
        }
        CloseReason::Unsubscribed => (closed_by_a_backend(reason).await, closed(4510, "unsubscribed")),
        CloseReason::Disconnected(_) => (closed_by_a_backend(reason).await, closed(4503, "force disconnect")),
        CloseReason::Centrifuge(_) => (closed_by_a_backend(reason).await, closed(3501, "bad request")),
        CloseReason::Internal => (failed_shard().await, closed(1011, "internal error")),
    }
}

#[tokio::test]
async fn every_reason_has_its_code_and_its_text() {
    for reason in CloseReason::ALL {
        // A release build has no assertion to make a shard fail with.
        if matches!(reason, CloseReason::Internal) && !cfg!(debug_assertions) {
            continue;
        }
        let (received, expected) = Box::pin(provoke(reason)).await;
        assert_eq!(received, expected, "{reason:?}");
        assert_eq!(received.as_ref().map(|(code, _)| *code), reason.code().map(|code| code.as_u16()), "{reason:?}");
        assert_eq!(received.map_or_else(String::new, |(_, text)| text), reason.text(), "{reason:?}");
    }
}

/// Two handshakes pass the check for the last free channel, and both clients want to make one.
async fn one_channel_too_many() -> Closed {
    let server = start(|config| config.limits.channels_max = 1).await;
    let credits = server.hub().inbox(0).credit(CREDITS * CREDIT_BYTES).await;
    let mut first = server.raw("/ws?channel=first").await;
    let mut second = server.raw("/ws?channel=second").await;
    drop(credits);
    tokio::select! {
        closed = first.closed() => closed,
        closed = second.closed() => closed,
    }
}

/// Two handshakes pass the check for the last place in a channel.
async fn one_subscriber_too_many() -> Closed {
    let server = start(|config| config.default_namespace.subscribers_max = 1).await;
    let credits = server.hub().inbox(0).credit(CREDITS * CREDIT_BYTES).await;
    let mut first = server.raw("/ws").await;
    let mut second = server.raw("/ws").await;
    drop(credits);
    tokio::select! {
        closed = first.closed() => closed,
        closed = second.closed() => closed,
    }
}

/// A shard fails when a slot is given to two connections; the other shard and its connections must not notice.
async fn failed_shard() -> Closed {
    let server = start(|config| config.shards = Some(2)).await;
    let mut here = server.connect("/ws").await;
    let mut there = server.connect("/ws").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let stream = TcpStream::connect(listener.local_addr().expect("it is bound")).await.expect("it listens");
    let socket = Arc::new(Socket::plain(stream));
    let sink = || SocketSink::new(Arc::clone(&socket));
    let seat = server.hub().reserve_slot().expect("there is room");
    let shard = seat.id().shard();
    let inbox = server.hub().inbox(shard);
    let id = server.hub().connect(seat, sink(), MessageShape::default(), inbox.credit(0).await);
    inbox.send(Command::Connect { id, sink: sink(), shape: MessageShape::default() }).await;
    let (ended, stayed) = if shard == 0 { (&mut here, &mut there) } else { (&mut there, &mut here) };
    let closed = ended.closed().await;
    stayed.send("still here").await;
    assert_eq!(stayed.line().await, "still here");
    let mut next = server.connect("/ws").await;
    next.send("and the shard is back").await;
    assert_eq!(next.line().await, "and the shard is back");
    closed
}

/// A client that reads nothing costs itself its place and its neighbours nothing.
async fn slow_by_bytes() -> Closed {
    let server = start(|config| {
        small(config);
        config.limits.outbox_bytes_max = 200_000;
    })
    .await;
    let mut slow = stalled(&server).await;
    let mut sender = server.connect("/ws").await;
    let mut neighbour = server.connect("/ws").await;
    let mut sent = 0;
    while server.closes(CloseReason::SlowConsumer) == 0 {
        let line = format!("{sent}:{}", "x".repeat(50_000));
        sender.send(line.clone()).await;
        assert_eq!(sender.line().await, line);
        assert_eq!(neighbour.line().await, line);
        sent += 1;
    }
    assert!(sent > 4, "200,000 bytes may wait, and {sent} messages of 50,000 did not");
    let (lines, closed) = slow.judge.rest().await;
    assert!(lines.len() < sent, "what was beyond the bound is not sent");
    assert!(
        lines.iter().enumerate().all(|(index, line)| line.starts_with(&format!("{index}:"))),
        "and there is no hole"
    );
    closed
}

/// Few bytes wait, but for too long.
#[tokio::test]
async fn socket_that_takes_nothing_for_too_long_is_closed_and_no_other() {
    let server = start(|config| {
        small(config);
        config.limits.outbox_bytes_max = 1 << 30;
        config.limits.outbox_stall_max = SHORT;
    })
    .await;
    let mut slow = stalled(&server).await;
    let mut sender = server.connect("/ws").await;
    let mut neighbour = server.connect("/ws").await;
    // A busy machine must not make those slow who read.
    let clock = FrozenClock::new();
    for _ in 0..10 {
        sender.send("x".repeat(50_000)).await;
        assert_eq!(sender.line().await.len(), 50_000);
        assert_eq!(neighbour.line().await.len(), 50_000);
    }
    while server.closes(CloseReason::SlowConsumer) == 0 {
        sender.send("tick").await;
        assert_eq!(sender.line().await, "tick");
        assert_eq!(neighbour.line().await, "tick");
        clock.pass(SHORT / 10).await;
    }
    assert_eq!(slow.closed().await, closed(4008, "slow consumer"));
}

fn with_short_pings(config: &mut Config) {
    config.limits.ping_interval = Duration::from_millis(500);
    config.limits.pong_timeout = SHORT;
}

/// As in the example, only a pong counts: data says nothing about the way back.
#[tokio::test]
async fn only_a_pong_keeps_a_connection() {
    let server = start(|config| {
        config.limits.ping_interval = Duration::from_secs(2);
        config.limits.pong_timeout = Duration::from_secs(1);
    })
    .await;
    let clock = FrozenClock::new();
    let mut polite = server.connect("/ws").await;
    let mut chatty = server.raw("/ws?channel=chatty").await;
    let (mut pings, mut polite_pings) = (0, 0);
    let polite_life = async {
        while polite_pings < 2 {
            polite_pings += u32::from(matches!(polite.next().await, Message::Ping(body) if body.is_empty()));
        }
    };
    let chatty_life = async {
        chatty.send(&frame(0x81, b"I am here")).await;
        loop {
            match chatty.judge.next().await {
                Message::Ping(_) => pings += 1,
                // Fails when the server has ended, which the judge sees next.
                Message::Text(_) => drop(chatty.try_send(&frame(0x81, b"still")).await),
                Message::Close(close) => return close.unwrap(),
                other => panic!("{other:?}"),
            }
        }
    };
    let (close, ()) = clock.pass_until(async { tokio::join!(chatty_life, polite_life) }).await;
    assert_eq!((u16::from(close.code), &*close.reason, pings), (4012, "no pong", 1));
    polite.send("still here").await;
    assert_eq!(polite.line().await, "still here");
    server.closed(CloseReason::NoPong, 1).await;
}

/// RFC 6455 section 5.5.1: a close frame is answered with its own code.
#[tokio::test]
async fn close_of_the_peer_is_echoed() {
    let server = start(|_| {}).await;
    // 1014 came late to the registry, and tungstenite does not know it.
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4999] {
        let mut client = server.raw("/ws").await;
        client.send(&close_frame(code, "bye, s\u{e9}e you".as_bytes())).await;
        assert_eq!(client.closed().await, closed(code, ""));
    }
    let mut client = server.raw("/ws").await;
    client.send(&frame(0x88, b"")).await;
    assert_eq!(client.closed().await, None);
    server.closed(CloseReason::Peer(None), 14).await;
}

#[tokio::test]
async fn data_after_a_close_frame_is_ignored() {
    let server = start(|_| {}).await;
    let mut other = server.connect("/ws").await;
    let mut client = server.raw("/ws").await;
    let frames = [frame(0x81, b"before"), close_frame(1000, b""), frame(0x81, b"after"), vec![0xff; 100]];
    client.send(&frames.concat()).await;
    assert_eq!(client.closed().await, closed(1000, ""));
    other.send("marker").await;
    assert_eq!(other.lines(2).await, ["before", "marker"]);
}

/// Half a million forgotten sockets that never close are a leak of descriptors.
#[tokio::test]
async fn peer_that_never_ends_is_aborted_after_close_timeout() {
    let server = start(|config| config.limits.close_timeout = SHORT).await;
    let mut client = server.raw("/ws").await;
    client.send(&frame(0x83, b"")).await;
    assert_eq!(client.closed().await, closed(1002, "unknown opcode"));
    server.vacated().await;
    // A reset, not a silent end: sooner or later the peer's writes fail.
    while client.try_send(b"x").await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// Publications from before a stop reach even clients that lag.
#[tokio::test]
async fn stop_delivers_what_is_pending_and_then_says_going_away() {
    let mut server = start(small).await;
    let mut behind = stalled(&server).await;
    let mut sender = server.connect("/ws").await;
    for number in 0..15 {
        sender.send(format!("{number}:{}", "x".repeat(50_000))).await;
    }
    assert_eq!(sender.lines(15).await.len(), 15);
    server.begin_stop();
    assert_eq!(sender.closed().await, closed(1012, "shutting down"));
    let (lines, end) = behind.judge.rest().await;
    assert_eq!((lines.len(), end), (15, closed(1012, "shutting down")));
    drop((behind, sender));
    server.stopped().await;
}

/// One table of everything that RFC 6455 forbids a client: name, bytes, code and text of the answer.
#[tokio::test]
async fn bytes_against_the_protocol_have_their_codes() {
    let server = start(|_| {}).await;
    let cases = illegal();
    for (name, bytes, code, reason) in &cases {
        let mut client = server.raw("/ws").await;
        // Longer cases may be refused, and the socket closed, before their end.
        within(client.try_send(bytes)).await.ok();
        assert_eq!(client.closed().await, closed(*code, reason), "{name}");
    }
    server.closed(CloseReason::Protocol(ProtocolError::Unmasked), cases.len() as u64).await;
}

type Case = (String, Vec<u8>, u16, &'static str);

fn illegal() -> Vec<Case> {
    let mask = [0; 4];
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |name: &str, bytes: &[u8], code, reason| cases.push((name.to_owned(), bytes.to_vec(), code, reason));
    for (name, bytes) in [("text", &[0x81, 2, b'h', b'i'][..]), ("ping", &[0x89, 0]), ("close", &[0x88, 2, 3, 0xe8])] {
        add(&format!("unmasked {name}"), bytes, 1002, "unmasked frame");
    }
    for (name, first) in [("rsv1", 0xc1), ("rsv2", 0xa1), ("rsv3", 0x91), ("rsv1 of a ping", 0xc9)] {
        add(name, &frame(first, b"x"), 1002, "reserved bits set");
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        add(&format!("opcode {opcode}"), &frame(0x80 | opcode, b"x"), 1002, "unknown opcode");
    }
    for (name, first) in [("ping", 0x89), ("pong", 0x8a), ("close", 0x88)] {
        add(&format!("{name} of 126 bytes"), &frame(first, &[b'x'; 126]), 1002, "control frame too long");
        add(&format!("{name} in fragments"), &frame(first & 0x0f, b""), 1002, "fragmented control frame");
    }
    let short = [&[0x81, 0xfe, 0, 2][..], &mask, b"hi"].concat();
    add("16-bit length of 2 bytes", &short, 1002, "malformed frame length");
    let long = [&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 2][..], &mask, b"hi"].concat();
    add("64-bit length of 2 bytes", &long, 1002, "malformed frame length");
    add("length with its top bit", &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1], 1002, "malformed frame length");
    add("length of all bits", &[0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255], 1002, "malformed frame length");
    add("announced terabyte", &[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0], 1009, "message too big");
    add("message of 65,537 bytes", &frame(0x81, &[b'x'; 65_537]), 1009, "message too big");
    let halves = [frame(0x01, &[b'x'; 65_536]), frame(0x80, b"x")].concat();
    add("fragments of 65,537 bytes", &halves, 1009, "message too big");
    let empty = [frame(0x01, b""), frame(0x00, b"").repeat(65_536)].concat();
    add("65,537 empty fragments", &empty, 1008, "too many fragments");
    add("stray continuation", &frame(0x80, b"x"), 1002, "continuation without a message");
    let stray = [frame(0x81, b"x"), frame(0x00, b"x")].concat();
    add("continuation after a message", &stray, 1002, "continuation without a message");
    add("text inside fragments", &[frame(0x01, b"x"), frame(0x81, b"x")].concat(), 1002, "message inside a message");
    add("close of one byte", &frame(0x88, &[3]), 1002, "close frame of one byte");
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        add(&format!("close code {code}"), &close_frame(code, b""), 1002, "invalid close code");
    }
    add("close reason that is not text", &close_frame(1000, b"\xff"), 1007, "invalid utf-8");
    for (name, text) in
        [("a bad byte", &b"x\xff"[..]), ("a surrogate", b"\xed\xa0\x80"), ("a cut character", b"\xe2\x82")]
    {
        add(&format!("text with {name}"), &frame(0x81, text), 1007, "invalid utf-8");
        let split = [frame(0x01, &text[..1]), frame(0x80, &text[1..])].concat();
        add(&format!("fragments with {name}"), &split, 1007, "invalid utf-8");
    }
    // The frame is not complete, and need not be.
    add("a bad byte long before the end", &frame(0x81, b"\xffxxxxxxx")[..8], 1007, "invalid utf-8");
    cases
}
