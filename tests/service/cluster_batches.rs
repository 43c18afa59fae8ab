//! Batches of a backend in a cluster: publications that do not wait for each other, and keep their order.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::cluster::hub_with;
use crate::server::TestServer;
use crate::server::api::{call, result};
use crate::server::nats::NatsServer;
use crate::server::within;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

/// Carries out commands in one request.
async fn batch(hub: &TestServer, commands: Vec<Value>) -> Value {
    let (status, answer) = call(hub, "batch", json!({ "commands": commands })).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Publishes the first numbers in one channel in one request.
async fn publish_numbers(hub: &TestServer, count: usize) -> Value {
    batch(hub, (0..count).map(|number| json!({ "publish": { "channel": "a", "data": number } })).collect()).await
}

/// Returns the numbers that a batch of them has published, with the offsets that its answers say.
fn acknowledged(answer: &Value) -> Vec<(u64, u64)> {
    let replies = answer["replies"].as_array().unwrap().iter().enumerate();
    replies.filter_map(|(number, reply)| Some((reply["publish"]["offset"].as_u64()?, number as u64))).collect()
}

/// Returns the numbers that the channel keeps, with their offsets.
async fn kept(hub: &TestServer) -> Vec<(u64, u64)> {
    let page = result(hub, "history", json!({ "channel": "a", "limit": -1 })).await;
    let publications = page["publications"].as_array().unwrap().iter();
    publications.map(|one| (one["offset"].as_u64().unwrap(), one["data"].as_u64().unwrap())).collect()
}

/// Each takes a round trip to NATS, and they do not wait for each other.
#[tokio::test]
async fn batch_keeps_its_order() {
    let nats = NatsServer::start().await;
    let hub = hub_with(&nats, |config| config.default_namespace.history_size = 500).await;
    let mut client = hub.connect("/ws?channel=a").await;
    client.round_trip().await;
    result(&hub, "history_remove", json!({ "channel": "a" })).await;
    let answer = publish_numbers(&hub, 200).await;
    assert_eq!(client.lines(200).await, (0..200).map(|number| number.to_string()).collect::<Vec<_>>());
    let stored = acknowledged(&answer);
    assert_eq!(stored.iter().map(|(_, number)| *number).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    assert_eq!(kept(&hub).await, stored);
    let mixed = [
        json!({ "publish": { "channel": "a", "data": 200 } }),
        json!({ "publish": { "channel": "", "data": 201 } }),
        json!({ "history": { "channel": "a" } }),
        json!({ "publish": { "channel": "a" } }),
        json!({ "nothing": {} }),
        json!({ "publish": { "channel": "a", "data": 202 } }),
    ];
    let answer = batch(&hub, mixed.to_vec()).await;
    let replies = answer["replies"].as_array().unwrap().iter();
    let kinds: Vec<_> = replies.map(|one| one.as_object().unwrap().keys().next().unwrap().as_str()).collect();
    assert_eq!(kinds, ["publish", "error", "history", "error", "error", "publish"], "{answer}");
}

/// Longer than one attempt to publish takes, so that all are tried again.
const STANDSTILL: Duration = Duration::from_millis(2500);

#[tokio::test]
async fn batch_keeps_its_order_while_nats_stands_still() {
    let nats = NatsServer::start().await;
    let hub = hub_with(&nats, |config| {
        config.default_namespace.history_size = 500;
        config.cluster.publish_ack_timeout = Duration::from_secs(60);
    })
    .await;
    nats.signal(Signal::STOP);
    let standstill = async {
        tokio::time::sleep(STANDSTILL).await;
        nats.signal(Signal::CONT);
    };
    let (answer, ()) = tokio::join!(publish_numbers(&hub, 200), standstill);
    check_numbers(&hub, &answer).await;
}

/// Nothing that is sent arrives, so all are sent again, when there is a stream.
#[tokio::test]
async fn batch_keeps_its_order_while_its_stream_is_away() {
    let nats = NatsServer::start().await;
    let hub = hub_with(&nats, |config| {
        config.default_namespace.history_size = 500;
        config.cluster.publish_ack_timeout = Duration::from_secs(60);
    })
    .await;
    nats.remove_streams().await;
    let away = async {
        tokio::time::sleep(STANDSTILL).await;
        Box::pin(nats.init()).await;
    };
    let (answer, ()) = tokio::join!(publish_numbers(&hub, 200), away);
    check_numbers(&hub, &answer).await;
}

/// Checks that all of the 200 numbers were acknowledged, and are kept in their order where the answers say.
async fn check_numbers(hub: &TestServer, answer: &Value) {
    // Until the hub has followed what was published.
    result(hub, "publish", json!({ "channel": "a", "data": 200 })).await;
    within(async { while kept(hub).await.last().is_none_or(|(_, number)| *number != 200) {} }).await;
    let kept = kept(hub).await;
    assert!(kept.is_sorted_by(|(_, one), (_, next)| one < next), "{kept:?}");
    let stored = acknowledged(answer);
    assert!(stored.iter().all(|one| kept.contains(one)), "{stored:?}\n{kept:?}");
    assert_eq!(stored.len(), 200, "{answer}");
}
