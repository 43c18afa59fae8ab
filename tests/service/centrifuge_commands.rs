//! The Centrifuge protocol by hand: what each command does, which error it gets, and what ends the connection.

use crate::server::centrifuge::{Centrifuge, PATH};
use crate::server::{FrozenClock, Raw, TestServer, frame, get, namespaces, start};
use crate::tokens;
use serde_json::{Value, json};
use std::time::Duration;
use throng::config::{ClientGroup, Config, SubscriberGroup, TokenAlgorithm};
use throng::protocol::CloseReason;
use throng::protocol::centrifuge::DisconnectCode;
use tokio_tungstenite::tungstenite::Message;

/// Gives a server the key of the tests.
fn with_tokens(config: &mut Config) {
    config.token_keys = tokens::config(&tokens::table(TokenAlgorithm::Hs256, None)).token_keys;
}

async fn server() -> TestServer {
    start(with_tokens).await
}

/// Opens a connection, sends these frames, and returns the code and the text of its end.
async fn ended_by(server: &TestServer, frames: &[&str]) -> (u16, String) {
    let mut client = Centrifuge::open(server).await;
    for frame in frames {
        client.client.send(Message::text(*frame)).await;
    }
    client.closed().await.expect("it has a code")
}

const CONNECT: &str = r#"{"id":1,"connect":{}}"#;

#[tokio::test]
async fn connect_says_who_the_client_is_and_how_it_is_pinged() {
    let server = start(|config| {
        with_tokens(config);
        config.limits.ping_interval = Duration::from_millis(25_500);
    })
    .await;
    let mut client = Centrifuge::open(&server).await;
    let reply = client.call(json!({ "connect": { "name": "js", "version": "1", "unknown": [{}] } })).await;
    let expected = json!({ "client": "0/0.0", "version": env!("CARGO_PKG_VERSION"), "ping": 26, "pong": true });
    assert_eq!(reply, json!({ "id": 1, "connect": expected }));
    let mut claims = tokens::claims("42");
    claims["exp"] = (tokens::now() + 600).into();
    let mut client = Centrifuge::open(&server).await;
    let reply = client.call(json!({ "connect": { "token": tokens::token(&claims) } })).await;
    let ttl = reply["connect"]["ttl"].as_u64().unwrap();
    assert!((590..=600).contains(&ttl) && reply["connect"]["expires"] == json!(true), "{reply}");
}

/// An operator sees what clients speak.
#[tokio::test]
async fn connections_are_counted_by_protocol() {
    let server = server().await;
    let _plain = server.connect("/ws").await;
    let _sdks = [Centrifuge::connect(&server).await, Centrifuge::connect(&server).await];
    let page = get(server.addr, "/metrics").await.body;
    for (protocol, count) in
        [("chat", 1), ("chat_numbered", 0), ("echo", 0), ("centrifuge_json", 2), ("centrifuge_protobuf", 0)]
    {
        let line = format!("throng_connections_opened_total{{protocol=\"{protocol}\"}} {count}\n");
        assert!(page.contains(&line), "{line}{page}");
    }
}

/// SDKs send connect and all subscribes in one frame, before they know of their connect.
#[tokio::test]
async fn commands_of_one_frame_are_done_in_order_and_replied_to_in_order() {
    let server = server().await;
    let mut client = Centrifuge::open(&server).await;
    client
        .send(&[
            json!({ "id": 1, "connect": {} }),
            json!({ "id": 2, "subscribe": { "channel": "a" } }),
            json!({ "id": 3, "subscribe": { "channel": "b" } }),
            json!({ "id": 4, "publish": { "channel": "b", "data": { "n": 1 } } }),
            json!({ "id": 5, "unsubscribe": { "channel": "a" } }),
            json!({ "id": 6, "subscribe": { "channel": "a" } }),
        ])
        .await;
    let mut ids = Vec::new();
    while ids.len() < 6 {
        let next = client.next().await;
        assert!(next["error"].is_null(), "{next}");
        match next["id"].as_u64() {
            Some(id) => ids.push(id),
            None => assert_eq!((&next["push"]["channel"], ids.contains(&3)), (&json!("b"), true), "{next}"),
        }
    }
    assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn publications_come_with_their_publisher_to_subscribers_and_to_no_other() {
    let server = server().await;
    let (mut one, mut other) = (Centrifuge::connect(&server).await, Centrifuge::connect(&server).await);
    for (client, channel) in [(&mut one, "a"), (&mut other, "b")] {
        let reply = client.call(json!({ "subscribe": { "channel": channel } })).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
    }
    let reply = other.call(json!({ "publish": { "channel": "a", "data": { "x": [1, null] } } })).await;
    assert_eq!(reply, json!({ "id": 3, "publish": {} }));
    let push = one.push().await;
    assert_eq!((&push["channel"], &push["pub"]["data"]), (&json!("a"), &json!({ "x": [1, null] })));
    assert_eq!(push["pub"]["info"], json!({ "user": "", "client": "0/1.0" }));
    assert_eq!(push["pub"]["offset"], json!(1));
    other.check_has_nothing().await;
}

/// Three protocols in one channel see one order, each in its own form.
#[tokio::test]
async fn chat_clients_and_sdk_clients_read_each_other() {
    let server = server().await;
    let mut chat = server.connect("/ws?channel=a").await;
    let mut sdk = Centrifuge::connect(&server).await;
    sdk.call(json!({ "subscribe": { "channel": "a" } })).await;
    chat.send("hello").await;
    assert_eq!(chat.line().await, "hello");
    assert_eq!(sdk.publication().await, ("a".to_owned(), json!("hello")));
    for (data, line) in [(json!("a text"), "a text"), (json!({ "b": 1 }), r#"{"b":1}"#)] {
        sdk.call(json!({ "publish": { "channel": "a", "data": data } })).await;
        assert_eq!(sdk.publication().await, ("a".to_owned(), data));
        assert_eq!(chat.line().await, line);
    }
}

#[tokio::test]
async fn unsubscribed_client_gets_no_more_and_may_subscribe_again() {
    let server = server().await;
    let mut client = Centrifuge::connect(&server).await;
    assert_eq!(client.call(json!({ "unsubscribe": { "channel": "a" } })).await, json!({ "id": 2, "unsubscribe": {} }));
    for round in 0..10 {
        client.call(json!({ "subscribe": { "channel": "a" } })).await;
        client.call(json!({ "publish": { "channel": "a", "data": round } })).await;
        assert_eq!(client.publication().await.1, json!(round));
        client.call(json!({ "unsubscribe": { "channel": "a" } })).await;
        client.call(json!({ "publish": { "channel": "a", "data": "not for it" } })).await;
    }
    client.check_has_nothing().await;
}

#[tokio::test]
async fn connection_has_up_to_128_subscriptions() {
    let server = server().await;
    let mut client = Centrifuge::connect(&server).await;
    for number in 0..128 {
        let reply = client.call(json!({ "subscribe": { "channel": format!("c{number}") } })).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
    }
    assert_eq!(client.error(json!({ "subscribe": { "channel": "one-more" } })).await, 106);
    client.call(json!({ "unsubscribe": { "channel": "c7" } })).await;
    assert!(client.call(json!({ "subscribe": { "channel": "one-more" } })).await["subscribe"].is_object());
    let mut publisher = Centrifuge::connect(&server).await;
    for channel in ["c0", "c127", "one-more", "c7"] {
        publisher.call(json!({ "publish": { "channel": channel, "data": channel } })).await;
    }
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(client.publication().await.0);
    }
    got.sort();
    assert_eq!(got, ["c0", "c127", "one-more"]);
}

/// A token of one subscription names its channel.
fn subscription_token(user: &str, channel: &str) -> String {
    let mut claims = tokens::claims(user);
    claims["channel"] = channel.into();
    tokens::token(&claims)
}

#[tokio::test]
async fn every_error_of_a_command_has_its_code() {
    let server = start(|config| {
        with_tokens(config);
        (config.default_namespace.history_size, config.default_namespace.publish_bytes_max) = (0, 100);
        config.namespaces = namespaces(
            "[[namespace]]\nname = \"users\"\nallow_subscribe = \"authenticated\"\nallow_publish = \"subscribers\"\n\
             [[namespace]]\nname = \"small\"\nsubscribers_max = 1\n\
             [[namespace]]\nname = \"kept\"\nhistory_size = 5\nhistory_ttl = \"1m\"\nallow_history = \"everyone\"\n\
             [[namespace]]\nname = \"seen\"\npresence = true\nallow_presence = \"everyone\"\n",
        );
    })
    .await;
    let mut holder = Centrifuge::connect(&server).await;
    holder.call(json!({ "subscribe": { "channel": "small:a" } })).await;
    let mut client = Centrifuge::connect(&server).await;
    client.call(json!({ "subscribe": { "channel": "a" } })).await;
    let mut expired = tokens::claims("");
    (expired["exp"], expired["channel"]) = ((tokens::now() - 1).into(), "$a".into());
    for (command, code) in [
        (json!({ "subscribe": { "channel": "none:a" } }), 102),
        (json!({ "publish": { "channel": "none:a", "data": 1 } }), 102),
        (json!({ "subscribe": { "channel": "users:a" } }), 103),
        (json!({ "subscribe": { "channel": "$a" } }), 103),
        (json!({ "subscribe": { "channel": "a#42" } }), 103),
        (json!({ "publish": { "channel": "users:a", "data": 1 } }), 103),
        (json!({ "history": { "channel": "users:a" } }), 103),
        (json!({ "presence": { "channel": "b" } }), 103),
        (json!({ "presence_stats": { "channel": "b" } }), 103),
        (json!({ "nonsense": {} }), 104),
        (json!({ "subscribe": { "channel": "a" } }), 105),
        (json!({ "subscribe": { "channel": "small:a" } }), 106),
        (json!({ "publish": { "channel": "a", "data": "x".repeat(100) } }), 106),
        (json!({ "subscribe": { "channel": "x".repeat(256) } }), 107),
        (json!({ "subscribe": { "channel": "no spaces" } }), 107),
        (json!({ "publish": { "channel": "a" } }), 107),
        (json!({ "rpc": { "method": "m" } }), 108),
        (json!({ "history": { "channel": "a" } }), 108),
        (json!({ "presence": { "channel": "a" } }), 108),
        (json!({ "subscribe": { "channel": "b", "type": 1 } }), 108),
        (json!({ "subscribe": { "channel": "b", "type": 4 } }), 108),
        (json!({ "subscribe": { "channel": "b", "tf": { "op": "eq", "key": "k", "val": "v" } } }), 108),
        (json!({ "publish": { "channel": "a", "data": 1, "type": 1, "key": "k" } }), 108),
        (json!({ "subscribe": { "channel": "$a", "token": tokens::token(&expired) } }), 109),
        (json!({ "history": { "channel": "kept:a", "since": { "offset": 1, "epoch": "x" } } }), 112),
    ] {
        let reply = client.call(command.clone()).await;
        assert_eq!(reply["error"]["code"], json!(code), "{command}: {reply}");
        assert!(reply["error"]["message"].is_string() && reply["error"]["temporary"].is_null(), "{reply}");
    }
    // None of it has ended the connection, or subscribed it.
    client.call(json!({ "publish": { "channel": "a", "data": "still here" } })).await;
    assert_eq!(client.publication().await, ("a".to_owned(), json!("still here")));
    let mut late = Centrifuge::open(&server).await;
    (expired["sub"], expired["channel"]) = ("42".into(), Value::Null);
    expired.as_object_mut().unwrap().remove("channel");
    assert_eq!(late.error(json!({ "connect": { "token": tokens::token(&expired) } })).await, 109);
    late.command(json!({ "connect": {} })).await;
    assert_eq!(late.closed().await, Some((3501, "bad request".to_owned())), "it has had its chance");
}

#[tokio::test]
async fn every_broken_rule_ends_the_connection_with_its_code() {
    let server = server().await;
    let token = |text: &str| format!(r#"{{"id":1,"connect":{{"token":"{text}"}}}}"#);
    let subscribe = |channel: &str, token: String| {
        format!("{CONNECT}\n{{\"id\":2,\"subscribe\":{{\"channel\":\"{channel}\",\"token\":\"{token}\"}}}}")
    };
    for (frames, code) in [
        // Before anything else a client connects, and once.
        (&[r#"{"id":1,"subscribe":{"channel":"a"}}"#][..], 3501),
        (&["{}"], 3501),
        (&[CONNECT, CONNECT], 3501),
        (&[r#"{"connect":{}}"#], 3501),
        (&[""], 3501),
        (&["nonsense"], 3501),
        (&[CONNECT, r#"{"id":2,"subscribe":{"channel":""}}"#], 3501),
        (&[CONNECT, r#"{"id":2,"publish":{"channel":"","data":1}}"#], 3501),
        (&[CONNECT, r#"{"id":2,"unsubscribe":{"channel":""}}"#], 3501),
        (&[CONNECT, r#"{"id":2,"presence":{"channel":""}}"#], 3501),
        (&[CONNECT, r#"{"id":2,"history":{"channel":""}}"#], 3501),
        (&[CONNECT, r#"{"subscribe":{"channel":"a"}}"#], 3501),
        (&[CONNECT, r#"{"id":2,"refresh":{}}"#], 3501),
        // A pong without a ping.
        (&[CONNECT, "{}"], 3501),
        (&[CONNECT, r#"{"send":{"data":1}}"#], 3508),
        (&[&token("nonsense")], 3500),
        (&[&token(&tokens::token(&json!({ "sub": "42" })))], 3500),
        // A new token that is none, one for another channel, and one of another user.
        (&[&subscribe("a", String::new()), r#"{"id":3,"sub_refresh":{"channel":"a","token":"nonsense"}}"#], 3500),
        (&[&subscribe("$a", subscription_token("", "$b"))], 3500),
        (&[&subscribe("$a", subscription_token("42", "$a"))], 3500),
    ] {
        let (found, text) = ended_by(&server, frames).await;
        assert_eq!(found, code, "{frames:?}");
        let known = DisconnectCode::ALL.into_iter().find(|known| known.number() == code).unwrap();
        assert_eq!(text, known.text(), "{frames:?}");
    }
    server.vacated().await;
}

/// A hub that knows only users says so to the others.
#[tokio::test]
async fn client_without_a_required_token_and_one_of_too_many_are_disconnected() {
    let server = start(|config| {
        with_tokens(config);
        (config.tokens.token_required, config.tokens.connections_per_user_max) = (true, 1);
    })
    .await;
    assert_eq!(ended_by(&server, &[CONNECT]).await.0, 3501);
    let token = json!({ "token": tokens::token(&tokens::claims("42")) });
    let first = Centrifuge::connect_with(&server, token.clone()).await;
    let mut second = Centrifuge::open(&server).await;
    second.command(json!({ "connect": token })).await;
    assert_eq!(second.closed().await, Some((3504, "connection limit".to_owned())));
    drop((first, second));
    server.vacated().await;
    Centrifuge::connect_with(&server, token).await;
}

/// docs/threats.md, row 13: a client that says nothing holds its place for ten seconds, whatever it was told before.
#[tokio::test]
async fn client_that_does_not_connect_is_stale_after_ten_seconds() {
    let server = server().await;
    let clock = FrozenClock::new();
    let mut silent = Raw::connect(server.addr, PATH, &[]).await;
    let mut expired = tokens::claims("42");
    expired["exp"] = (tokens::now() - 1).into();
    let request = json!({ "id": 1, "connect": { "token": tokens::token(&expired) } }).to_string();
    let mut refused = Raw::connect(server.addr, PATH, &frame(0x81, request.as_bytes())).await;
    let mut connected = Raw::connect(server.addr, PATH, &frame(0x81, CONNECT.as_bytes())).await;
    for client in [&mut refused, &mut connected] {
        client.round_trip().await;
    }
    clock.pass(Duration::from_millis(9_900)).await;
    assert_eq!(server.closes(CloseReason::Centrifuge(DisconnectCode::Stale)), 0);
    for client in [&mut silent, &mut refused] {
        assert_eq!(clock.pass_until(client.closed()).await, Some((3502, "stale".to_owned())));
    }
    clock.pass(Duration::from_secs(1)).await;
    connected.round_trip().await;
    drop(clock);
}

#[tokio::test]
async fn private_and_personal_channels_are_for_those_whom_tokens_name() {
    let server = server().await;
    let mut client = Centrifuge::connect_with(&server, json!({ "token": tokens::token(&tokens::claims("42")) })).await;
    let subscribe = |channel: &str, token: String| json!({ "subscribe": { "channel": channel, "token": token } });
    assert_eq!(client.error(subscribe("$a", String::new())).await, 103);
    assert_eq!(client.error(subscribe("dialog#41,43", String::new())).await, 103);
    // Not a token of ours: refused like none, and the connection goes on.
    for invalid in ["nonsense".to_owned(), subscription_token("42", "$a") + "x"] {
        assert_eq!(client.error(subscribe("$a", invalid)).await, 103);
    }
    for (channel, token) in
        [("$a", subscription_token("42", "$a")), ("dialog#41,42", String::new()), ("#42", String::new())]
    {
        let reply = client.call(subscribe(channel, token)).await;
        assert!(reply["subscribe"].is_object(), "{channel}: {reply}");
    }
}

/// What a group may do is decided as on every face: docs/namespaces.md.
#[tokio::test]
async fn permissions_of_the_namespace_hold_for_users_and_for_subscribers() {
    let server = start(|config| {
        with_tokens(config);
        let options = &mut config.default_namespace;
        (options.allow_subscribe, options.allow_publish) = (SubscriberGroup::Authenticated, ClientGroup::Subscribers);
    })
    .await;
    let mut anonymous = Centrifuge::connect(&server).await;
    assert_eq!(anonymous.error(json!({ "subscribe": { "channel": "a" } })).await, 103);
    let token = json!({ "token": tokens::token(&tokens::claims("42")) });
    let mut user = Centrifuge::connect_with(&server, token).await;
    let publish = json!({ "publish": { "channel": "a", "data": 1 } });
    assert_eq!(user.error(publish.clone()).await, 103);
    user.call(json!({ "subscribe": { "channel": "a" } })).await;
    assert_eq!(user.call(publish).await["publish"], json!({}));
    let push = user.push().await;
    assert_eq!(push["pub"]["info"], json!({ "user": "42", "client": "0/1.0" }));
}
