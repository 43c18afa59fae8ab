//! Clients of the Centrifuge protocol that do not keep up: they are told so, subscribe again, and recover.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::api::{result, with};
use crate::server::centrifuge::{Centrifuge, PATH};
use crate::server::{Raw, TestServer, frame, stream_with_buffer, within};
use crate::tokens;
use serde_json::{Value, json};
use std::time::Duration;
use throng::config::{Config, TokenAlgorithm};
use throng::protocol::CloseReason;

/// The name of a channel is in every publication of it, so much waits of little data.
fn busy() -> String {
    format!("busy-{}", "x".repeat(200))
}

/// Publications that wait: fewer than are recovered, and more bytes than may wait, with their channel's name.
const MISSED: u64 = 250;

/// A server with the API where little may wait for a connection, and sockets hold little.
async fn server(history_size: usize) -> TestServer {
    let change = |config: &mut Config| {
        (config.sockets.send_buffer_bytes, config.sockets.notsent_bytes) = (4096, 1024);
        (config.sockets.message_bytes_max, config.limits.outbox_bytes_max) = (8192, 8192);
        config.limits.outbox_stall_max = Duration::from_secs(3);
        config.default_namespace.history_size = history_size;
        config.token_keys = tokens::config(&tokens::table(TokenAlgorithm::Hs256, None)).token_keys;
    };
    with(change).await
}

/// Connects and subscribes a client that reads no more than the replies, of which the last is returned.
async fn slow_client(server: &TestServer, connect: &Value, channels: &[&str]) -> (Raw, Value) {
    let stream = stream_with_buffer(server.addr, 1).await;
    let connect = frame(0x81, json!({ "id": 1, "connect": connect }).to_string().as_bytes());
    let mut client = Raw::over(stream, PATH, &connect).await;
    for (id, channel) in (2..).zip(channels) {
        let subscribe = json!({ "id": id, "subscribe": { "channel": channel } });
        client.send(&frame(0x81, subscribe.to_string().as_bytes())).await;
    }
    let (_, reply) = read_until(&mut client, |one| one["id"] == json!(1 + channels.len())).await;
    (client, reply)
}

/// Reads objects until one fits; returns those before it, and it.
async fn read_until(client: &mut Raw, fits: impl Fn(&Value) -> bool) -> (Vec<Value>, Value) {
    let mut before = Vec::new();
    loop {
        let text = within(client.judge.text()).await;
        for line in text.split('\n') {
            let one: Value = serde_json::from_str(line).unwrap();
            if one == json!({}) {
                continue;
            }
            if fits(&one) {
                return (before, one);
            }
            before.push(one);
        }
    }
}

fn offsets(objects: &[Value], channel: &str) -> Vec<u64> {
    let of_channel = objects.iter().filter(|one| one["push"]["channel"] == json!(channel));
    of_channel.filter_map(|one| one["push"]["pub"]["offset"].as_u64()).collect()
}

/// The subscription that lags ends, its connection and the others stay, and the client gets everything it missed.
#[tokio::test]
async fn client_that_lags_in_a_channel_subscribes_to_it_again_and_recovers() {
    let (server, busy) = (server(1000).await, busy());
    let (mut client, reply) = slow_client(&server, &json!({}), &["quiet", &busy]).await;
    let mut publisher = Centrifuge::connect(&server).await;
    for data in 1..=MISSED {
        publisher.call(json!({ "publish": { "channel": busy, "data": data } })).await;
    }
    server.counted(|counts| counts.skipped > 0).await;
    publisher.call(json!({ "publish": { "channel": "quiet", "data": 1 } })).await;
    let (before, ended) = read_until(&mut client, |one| one["push"]["unsubscribe"].is_object()).await;
    let unsubscribe = json!({ "code": 2500, "reason": "insufficient state" });
    assert_eq!(ended["push"], json!({ "channel": busy, "unsubscribe": unsubscribe }));
    let known = offsets(&before, &busy);
    let last = known.last().copied().unwrap_or(0);
    assert_eq!(known, (1..=last).collect::<Vec<_>>());
    assert!(last < MISSED, "it was told because it lags");

    let epoch = &reply["subscribe"]["epoch"];
    let again = json!({ "channel": busy, "recover": true, "epoch": epoch, "offset": last });
    client.send(&frame(0x81, json!({ "id": 9, "subscribe": again }).to_string().as_bytes())).await;
    let (between, reply) = read_until(&mut client, |one| one["id"] == json!(9)).await;
    assert_eq!(reply["subscribe"]["recovered"], json!(true), "{reply}");
    let missed = reply["subscribe"]["publications"].as_array().unwrap();
    let missed: Vec<_> = missed.iter().map(|one| one["data"].as_u64().unwrap()).collect();
    assert_eq!(missed, (last + 1..=MISSED).collect::<Vec<_>>(), "all that it missed");
    publisher.call(json!({ "publish": { "channel": busy, "data": "live" } })).await;
    let (after, live) = read_until(&mut client, |one| one["push"]["pub"]["data"] == json!("live")).await;
    assert_eq!(live["push"]["pub"]["offset"], json!(MISSED + 1));
    let quiet = [&before[..], &between, &after].concat();
    assert_eq!(offsets(&quiet, "quiet"), [1], "the other subscription has stayed");
}

/// A client cannot make a subscription again that its token has made: it connects again, and recovers with that.
#[tokio::test]
async fn client_that_lags_in_a_server_side_subscription_is_disconnected_with_3010() {
    let (server, busy) = (server(1000).await, busy());
    let mut claims = tokens::claims("42");
    claims["channels"] = json!([busy]);
    let connect = json!({ "token": tokens::token(&claims) });
    let (mut client, _) = slow_client(&server, &connect, &[]).await;
    for data in 1..=MISSED {
        result(&server, "publish", json!({ "channel": busy, "data": data })).await;
    }
    server.closed(CloseReason::InsufficientState, 1).await;
    assert_eq!(within(client.judge.rest()).await.1, Some((3010, "insufficient state".to_owned())));
}

/// One that does not know its positions cannot recover: it is slow, as in every protocol.
#[tokio::test]
async fn client_that_lags_without_a_position_is_disconnected_with_3008() {
    let (server, busy) = (server(0).await, busy());
    let (mut client, _) = slow_client(&server, &json!({}), &[&busy]).await;
    let mut publisher = Centrifuge::connect(&server).await;
    for data in 1..=MISSED {
        publisher.call(json!({ "publish": { "channel": busy, "data": data } })).await;
    }
    server.closed(CloseReason::SlowConsumer, 1).await;
    assert_eq!(within(client.judge.rest()).await.1, Some((3008, "slow".to_owned())));
}
