//! Hubs of a cluster as one service: who is where, what is done to clients of any of them, what is missing, and what an
//! operator is told.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::api::{call, result, with};
use crate::server::centrifuge::Centrifuge;
use crate::server::nats::NatsServer;
use crate::server::process::Process;
use crate::server::{KEY, TestServer, ask, get, within};
use crate::tokens;
use futures_util::StreamExt;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use throng::config::{ClientGroup, Config, TokenAlgorithm};
use throng::protocol::CloseReason;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// An answer waits for hubs that are there for as long as a busy machine takes.
const PATIENT: Duration = Duration::from_secs(100);

async fn hub_with(nats: &NatsServer, name: &str, tweak: impl FnOnce(&mut Config)) -> TestServer {
    let hub = with(|config| {
        nats.join(config, name);
        config.cluster.presence_timeout = PATIENT;
        config.access.admin_keys = vec![KEY.parse().unwrap()];
        config.default_namespace.presence = true;
        config.token_keys = tokens::config(&tokens::table(TokenAlgorithm::Hs256, None)).token_keys;
        tweak(config);
    })
    .await;
    // Until it has found its streams it takes no clients.
    within(async { while get(hub.addr, "/health/ready").await.status != 200 {} }).await;
    hub
}

async fn hub(nats: &NatsServer, name: &str) -> TestServer {
    hub_with(nats, name, |_| {}).await
}

/// Starts hubs, and waits until each knows all others.
async fn cluster<const N: usize>(nats: &NatsServer) -> [TestServer; N] {
    let mut hubs = Vec::new();
    for number in 0..N {
        hubs.push(hub(nats, &format!("hub-{number}")).await);
    }
    for hub in &hubs {
        until(hub, |cluster| cluster["hubs"].as_array().unwrap().len() == N).await;
    }
    hubs.try_into().ok().unwrap()
}

/// Waits until what a hub knows of its cluster is so.
async fn until(hub: &TestServer, is_so: impl Fn(&Value) -> bool) -> Value {
    within(async {
        loop {
            let (status, cluster) = ask(hub, "GET", "/admin/cluster").await;
            assert_eq!(status, 200, "{cluster}");
            if is_so(&cluster) {
                return cluster;
            }
        }
    })
    .await
}

/// Connects a client of a user that is subscribed to a channel; returns its id too.
async fn client(hub: &TestServer, user: &str, channel: &str) -> (Centrifuge, String) {
    let mut client = Centrifuge::open(hub).await;
    let token = tokens::token(&tokens::claims(user));
    let reply = client.call(json!({ "connect": { "token": token } })).await;
    let id = reply["connect"]["client"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
    let reply = client.call(json!({ "subscribe": { "channel": channel } })).await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    (client, id)
}

async fn metric(hub: &TestServer, name: &str) -> u64 {
    let page = get(hub.addr, "/metrics").await.body;
    let prefix = format!("throng_{name} ");
    page.lines().find_map(|line| line.strip_prefix(&*prefix)).unwrap_or_default().parse().unwrap()
}

fn ids(presence: &Value) -> BTreeSet<String> {
    presence.as_object().unwrap().keys().cloned().collect()
}

/// Every hub numbers its connections alike, and a client with the same number on another hub is another client.
#[tokio::test]
async fn clients_of_all_hubs_are_in_one_presence_whoever_asks() {
    let nats = NatsServer::start().await;
    let [one, two, three] = cluster(&nats).await;
    let (mut first, first_id) = client(&one, "ann", "a").await;
    let (_second, second_id) = client(&two, "ann", "a").await;
    let (_third, third_id) = client(&two, "bob", "a").await;
    let (_other, _) = client(&three, "eve", "x").await;
    let all: BTreeSet<_> = [first_id, second_id, third_id].into();
    assert_eq!(all.len(), 3);
    for hub in [&one, &two, &three] {
        let answer = result(hub, "presence", json!({ "channel": "a" })).await;
        assert_eq!(ids(&answer["presence"]), all);
        assert_eq!(answer.as_object().unwrap().len(), 1, "nothing is missing: {answer}");
        let stats = result(hub, "presence_stats", json!({ "channel": "a" })).await;
        assert_eq!(stats, json!({ "num_clients": 3, "num_users": 2 }));
        let channels = result(hub, "channels", json!({ "pattern": "*" })).await;
        assert_eq!(channels, json!({ "channels": { "a": { "num_clients": 3 }, "x": { "num_clients": 1 } } }));
    }
    let reply = first.call(json!({ "presence": { "channel": "a" } })).await;
    assert_eq!(ids(&reply["presence"]["presence"]), all);
    let reply = first.call(json!({ "presence_stats": { "channel": "a" } })).await;
    assert_eq!(reply["presence_stats"], json!({ "num_clients": 3, "num_users": 2 }));
    let info = result(&one, "info", json!({})).await;
    let names: BTreeSet<_> =
        info["nodes"].as_array().unwrap().iter().map(|node| node["name"].clone().to_string()).collect();
    assert_eq!(names, ["hub-0", "hub-1", "hub-2"].map(|name| format!("{name:?}")).into());
    assert_eq!(metric(&one, "peers").await, 2);
    assert_eq!(metric(&one, "presence_replies_missing_total").await, 0);
}

/// A client of `throng.numbered`, which is told how many are there, and who joins and leaves.
struct Watcher {
    socket: WebSocketStream<TcpStream>,
    lines: Vec<String>,
}

impl Watcher {
    async fn connect(hub: &TestServer, channel: &str) -> Self {
        let mut request = format!("ws://throng.test/ws?channel={channel}").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("throng.numbered"));
        let stream = TcpStream::connect(hub.addr).await.unwrap();
        let (socket, _) = within(tokio_tungstenite::client_async(request, stream)).await.unwrap();
        Self { socket, lines: Vec::new() }
    }

    /// Waits for a line that begins so, and returns the rest of it.
    async fn told(&mut self, begin: &str) -> String {
        loop {
            while !self.lines.is_empty() {
                let line = self.lines.remove(0);
                if let Some(rest) = line.strip_prefix(&format!(" [throng] {begin}")) {
                    return rest.to_owned();
                }
            }
            if let Message::Text(text) = within(self.socket.next()).await.unwrap().unwrap() {
                self.lines.extend(text.split('\n').map(str::to_owned));
            }
        }
    }
}

/// The subscribers of a channel are told of each other as if they were on one hub.
#[tokio::test]
async fn joins_leaves_and_numbers_are_told_over_all_hubs() {
    let nats = NatsServer::start().await;
    let tells = |config: &mut Config| {
        config.default_namespace.join_leave = true;
        config.default_namespace.allow_presence = ClientGroup::Everyone;
    };
    let one = hub_with(&nats, "one", tells).await;
    let two = hub_with(&nats, "two", tells).await;
    until(&one, |cluster| cluster["hubs"].as_array().unwrap().len() == 2).await;
    let mut here = Watcher::connect(&one, "a").await;
    let mut there = Watcher::connect(&two, "a").await;
    here.told("here 2").await;
    there.told("here 2").await;
    let (mut sdk, _) = client(&one, "eve", "a").await;
    here.told("here 3").await;
    there.told("here 3").await;
    // Who asks who is there is told of everybody who comes after that.
    assert_eq!(ids(&result(&one, "presence", json!({ "channel": "a" })).await["presence"]).len(), 3);

    let (ann, ann_id) = client(&two, "ann", "a").await;
    let told: Value = serde_json::from_str(&here.told("joined ").await).unwrap();
    let told = if told["user"] == "ann" { told } else { serde_json::from_str(&here.told("joined ").await).unwrap() };
    assert_eq!(told, json!({ "user": "ann", "client": ann_id }));
    here.told("here 4").await;
    let joined = push_of(&mut sdk, "join", "ann").await;
    assert_eq!(joined["client"], ann_id.as_str());
    drop(ann);
    let left: Value = serde_json::from_str(&here.told("left ").await).unwrap();
    assert_eq!(left["client"], ann_id.as_str());
    here.told("here 3").await;
    assert_eq!(push_of(&mut sdk, "leave", "ann").await["client"], ann_id.as_str());
    // A hub that ends takes its clients with it.
    drop(there);
    two.stopped().await;
    here.told("here 2").await;
}

/// Waits for a join or leave of a user.
async fn push_of(client: &mut Centrifuge, kind: &str, user: &str) -> Value {
    loop {
        let mut push = client.push().await;
        if push[kind]["info"]["user"] == user {
            return push[kind]["info"].take();
        }
    }
}

/// A backend talks to whichever hub its balancer gives it.
#[tokio::test]
async fn backend_manages_clients_of_any_hub_over_any_hub() {
    let nats = NatsServer::start().await;
    let [one, two] = cluster(&nats).await;
    let (mut ann, ann_id) = client(&two, "ann", "a").await;
    let (mut bob, _) = client(&two, "bob", "a").await;
    let (mut here, _) = client(&one, "bob", "a").await;

    result(&one, "subscribe", json!({ "client": ann_id, "channel": "b" })).await;
    let push = ann.push().await;
    assert_eq!((&push["channel"], push["subscribe"].is_object()), (&json!("b"), true));
    result(&one, "unsubscribe", json!({ "user": "ann", "channel": "b" })).await;
    assert_eq!(ann.push().await["unsubscribe"]["code"], 2000);
    result(&one, "refresh", json!({ "client": ann_id, "expire_at": 4_000_000_000_u64 })).await;
    assert!(ann.push().await["refresh"]["expires"].as_bool().unwrap());

    result(&one, "disconnect", json!({ "user": "bob", "disconnect": { "code": 4100, "reason": "later" } })).await;
    for client in [&mut bob, &mut here] {
        assert_eq!(client.closed().await, Some((4100, "later".to_owned())));
    }
    let (status, answer) = ask(&one, "POST", "/admin/disconnect?user=ann").await;
    assert_eq!((status, answer), (200, json!({ "user": "ann", "disconnected": 1 })));
    assert_eq!(ann.closed().await.unwrap().0, 3503);
    // It is gone, and so is a hub that never was.
    assert_eq!(result(&one, "disconnect", json!({ "client": ann_id })).await, json!({}));
    assert_eq!(result(&one, "disconnect", json!({ "client": "00000000000000aa-0/1.2" })).await, json!({}));
}

/// What is wrong with a request is said at once, and what another hub cannot do is told with its reason.
#[tokio::test]
async fn errors_of_another_hub_are_told() {
    let nats = NatsServer::start().await;
    let [one, two] = cluster(&nats).await;
    let (status, answer) = call(&one, "disconnect", json!({ "client": "0/17.3" })).await;
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(
        status == 400 && text.contains("is not the id of a connection such as ") && text.contains("-0/17.3"),
        "{text}"
    );
    let _chat = two.connect(&format!("/ws?channel=a&token={}", tokens::token(&tokens::claims("ann")))).await;
    let (_, answer) = call(&one, "subscribe", json!({ "user": "ann", "channel": "b" })).await;
    assert_eq!(answer["error"]["code"], 108, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("has one channel"), "{answer}");
}

/// Silence is no answer: a hub that is there and says nothing is named, until it is gone; then it is missing.
#[tokio::test]
async fn hub_that_does_not_answer_is_named_until_it_is_gone_and_again_when_it_returns() {
    let nats = NatsServer::start().await;
    let one = hub_with(&nats, "one", |config| config.cluster.presence_timeout = Duration::from_millis(50)).await;
    let two = Process::start(&nats.arguments("two")).await;
    let sees = |count: usize| move |cluster: &Value| cluster["hubs"].as_array().unwrap().len() == count;
    until(&one, sees(2)).await;

    // On a slow machine it may be gone before it is asked: then once more.
    let (presence, disconnected) = within(async {
        loop {
            two.signal(Signal::STOP);
            let presence = result(&one, "presence", json!({ "channel": "a" })).await;
            let disconnected = result(&one, "disconnect", json!({ "user": "ann" })).await;
            if presence["missing_hubs"].is_array() && disconnected["missing_hubs"].is_array() {
                return (presence, disconnected);
            }
            two.signal(Signal::CONT);
            until(&one, sees(2)).await;
        }
    })
    .await;
    assert_eq!((&presence["missing_hubs"][0]["name"], &presence["presence"]), (&json!("two"), &json!({})));
    assert_eq!(disconnected["missing_hubs"][0]["name"], "two");
    assert!(metric(&one, "presence_replies_missing_total").await >= 2);

    let cluster = until(&one, sees(1)).await;
    assert_eq!(cluster["missing"][0]["name"], "two");
    assert_eq!(result(&one, "presence", json!({ "channel": "a" })).await, json!({ "presence": {} }));
    assert_eq!(metric(&one, "peers").await, 0);

    two.signal(Signal::CONT);
    let cluster = until(&one, sees(2)).await;
    assert_eq!(cluster["missing"], json!([]));
}

/// A hub that ends says so: nobody waits for its answer, and nobody looks for it.
#[tokio::test]
async fn hub_that_ends_is_gone_at_once_and_is_not_missing() {
    let nats = NatsServer::start().await;
    let [one, two] = cluster(&nats).await;
    two.stopped().await;
    let cluster = until(&one, |cluster| cluster["hubs"].as_array().unwrap().len() == 1).await;
    assert_eq!(cluster["missing"], json!([]));
}

/// A drain that overloads the other hubs, or finds none, is better known before it begins.
#[tokio::test]
async fn drain_says_when_the_other_hubs_have_no_room_for_its_connections() {
    let nats = NatsServer::start().await;
    let one = hub(&nats, "one").await;
    let _clients = (client(&one, "ann", "a").await, client(&one, "bob", "a").await);
    let (_, alone) = ask(&one, "GET", "/admin/drain").await;
    assert_eq!(alone["siblings"], json!({ "serving": 0, "room": 0 }));
    assert!(alone["warning"].as_str().unwrap().contains("no other hub serves, so 2 connections"), "{alone}");

    let two = hub_with(&nats, "two", |config| config.limits.connections_max = 1).await;
    until(&one, |cluster| cluster["siblings"]["room"] == 1).await;
    let (status, begun) = ask(&one, "POST", "/admin/drain?grace=1h").await;
    assert_eq!((status, &begun["siblings"]), (200, &json!({ "serving": 1, "room": 1 })));
    assert!(begun["warning"].as_str().unwrap().contains("room for 1 of 2 connections, 1 too few"), "{begun}");

    // The other hub sees that this one takes nobody.
    until(&two, |cluster| cluster["hubs"][1]["state"] == "not ready" && cluster["siblings"]["room"] == 0).await;
    let three = hub(&nats, "three").await;
    until(&one, |cluster| cluster["siblings"]["serving"] == 2).await;
    let (_, enough) = ask(&one, "GET", "/admin/drain").await;
    assert_eq!(enough["warning"], Value::Null, "{enough}");
    three.stopped().await;
}

/// After a deploy the hub that started last has nobody, and balancers move nobody.
#[tokio::test]
async fn hub_with_more_than_its_share_is_told_how_many_to_shed() {
    let nats = NatsServer::start().await;
    let one = hub(&nats, "one").await;
    let mut clients = Vec::new();
    for _ in 0..24 {
        clients.push(one.connect("/ws").await);
    }
    let alone = until(&one, |cluster| cluster["connections_total"] == 24).await;
    assert_eq!(alone["rebalance"], Value::Null);
    let _two = hub(&nats, "two").await;
    let both = until(&one, |cluster| !cluster["rebalance"].is_null()).await;
    let expected = json!({ "connections_above_mean": 12, "command": "POST /admin/shed?count=12" });
    assert_eq!(both["rebalance"], expected);
    assert_eq!(ask(&one, "POST", "/admin/shed?count=12&time=0s").await.0, 200);
    one.closed(CloseReason::Shed, 12).await;
    drop(clients);
    until(&one, |cluster| cluster["rebalance"].is_null()).await;
}

/// Outside of a cluster nothing of it is there.
#[tokio::test]
async fn hub_alone_has_no_cluster() {
    let server = with(|config| config.access.admin_keys = vec![KEY.parse().unwrap()]).await;
    let (status, answer) = ask(&server, "GET", "/admin/cluster").await;
    assert_eq!((status, answer), (404, json!({ "error": "there is no cluster: --engine is memory" })));
    let (_, drain) = ask(&server, "GET", "/admin/drain").await;
    assert_eq!((&drain["siblings"], &drain["warning"]), (&Value::Null, &Value::Null));
    assert!(!get(server.addr, "/metrics").await.body.contains("throng_peers"));
}
