//! Clients of the Centrifuge protocol that the API changes, that do not read, and that return.

use crate::server::api::{result, with};
use crate::server::centrifuge::{Centrifuge, PATH};
use crate::server::{FrozenClock, Raw, TestServer, frame, start, stream_with_buffer, within};
use crate::tokens;
use serde_json::{Value, json};
use std::time::Duration;
use throng::config::{Config, RecoveryMode, TokenAlgorithm};
use throng::engine::replies::REPLY_BYTES_MAX;
use throng::protocol::CloseReason;

fn with_tokens(config: &mut Config) {
    config.token_keys = tokens::config(&tokens::table(TokenAlgorithm::Hs256, None)).token_keys;
}

/// A server with the API, tokens, and histories of 100 publications.
async fn server() -> TestServer {
    with(with_tokens).await
}

async fn user(server: &TestServer, name: &str, seconds: u64) -> Centrifuge {
    let mut claims = tokens::claims(name);
    claims["exp"] = (tokens::now() + seconds).into();
    Centrifuge::connect_with(server, json!({ "token": tokens::token(&claims) })).await
}

/// A backend changes what a running client gets, and the client is told in order.
#[tokio::test]
async fn backend_subscribes_and_unsubscribes_a_running_client() {
    let server = server().await;
    let (mut one, mut two) = (user(&server, "42", 600).await, user(&server, "42", 600).await);
    let mut other = user(&server, "43", 600).await;
    result(&server, "subscribe", json!({ "user": "42", "channel": "news", "data": { "a": 1 } })).await;
    result(&server, "publish", json!({ "channel": "news", "data": 1 })).await;
    for client in [&mut one, &mut two] {
        let push = client.push().await;
        assert_eq!((&push["channel"], &push["subscribe"]["data"]), (&json!("news"), &json!({ "a": 1 })));
        assert_eq!(push["subscribe"]["recoverable"], json!(true));
        assert_eq!(client.publication().await, ("news".to_owned(), json!(1)));
    }
    // Again, which changes nothing.
    result(&server, "subscribe", json!({ "client": "0/0.0", "channel": "news" })).await;
    result(&server, "unsubscribe", json!({ "client": "0/0.0", "channel": "news" })).await;
    result(&server, "unsubscribe", json!({ "client": "0/0.0", "channel": "news" })).await;
    result(&server, "publish", json!({ "channel": "news", "data": 2 })).await;
    let push = one.push().await;
    assert_eq!(push["unsubscribe"], json!({ "code": 2000, "reason": "server unsubscribe" }));
    assert_eq!(two.publication().await, ("news".to_owned(), json!(2)));
    one.check_has_nothing().await;
    other.check_has_nothing().await;
    // It is not banned: it may subscribe by itself, and be unsubscribed again.
    assert!(one.call(json!({ "subscribe": { "channel": "news" } })).await["subscribe"].is_object());
    result(&server, "unsubscribe", json!({ "user": "42", "client": "0/0.0", "channel": "news" })).await;
    assert_eq!(one.push().await["unsubscribe"]["code"], json!(2000));
}

#[tokio::test]
async fn subscribe_is_not_available_for_connections_of_one_channel_and_has_a_limit() {
    let server = server().await;
    let mut chat = server.connect("/ws").await;
    let (_, answer) =
        crate::server::api::call(&server, "subscribe", json!({ "client": "0/0.0", "channel": "news" })).await;
    assert_eq!(answer["error"]["code"], json!(108), "{answer}");
    // A connection that is not there is no error.
    result(&server, "subscribe", json!({ "client": "0/9.0", "channel": "news" })).await;
    chat.send("still here").await;
    assert_eq!(chat.line().await, "still here");
    let mut client = Centrifuge::connect(&server).await;
    for number in 0..128 {
        client.call(json!({ "subscribe": { "channel": format!("c{number}") } })).await;
    }
    let (status, answer) =
        crate::server::api::call(&server, "subscribe", json!({ "client": "0/1.0", "channel": "news" })).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!(106)), "{answer}");
}

/// The end of a token moves by a command of the client, or by the API, and has a grace for the former.
#[tokio::test]
async fn connection_ends_25_seconds_after_its_token_unless_it_is_refreshed() {
    let server = server().await;
    let mut client = user(&server, "42", 600).await;
    let mut claims = tokens::claims("42");
    claims["exp"] = (tokens::now() + 900).into();
    let reply = client.call(json!({ "refresh": { "token": tokens::token(&claims) } })).await;
    let ttl = reply["refresh"]["ttl"].as_u64().unwrap();
    assert!((890..=900).contains(&ttl) && reply["refresh"]["expires"] == json!(true), "{reply}");
    result(&server, "refresh", json!({ "client": "0/0.0", "expire_at": tokens::now() + 700 })).await;
    let push = client.push().await;
    let ttl = push["refresh"]["ttl"].as_u64().unwrap();
    assert!((690..=700).contains(&ttl) && push["refresh"]["expires"] == json!(true), "{push}");
    // Of another user, and without an end.
    claims["sub"] = "43".into();
    client.command(json!({ "refresh": { "token": tokens::token(&claims) } })).await;
    assert_eq!(client.closed().await, Some((3500, "invalid token".to_owned())));
    let mut client = user(&server, "42", 600).await;
    claims["sub"] = "42".into();
    (claims["exp"], claims["expire_at"]) = ((tokens::now() - 1).into(), Value::Null);
    claims.as_object_mut().unwrap().remove("expire_at");
    assert_eq!(client.error(json!({ "refresh": { "token": tokens::token(&claims) } })).await, 109);
    result(&server, "refresh", json!({ "user": "42", "expired": true })).await;
    assert_eq!(client.closed().await, Some((3005, "connection expired".to_owned())));
}

fn subscribe_frame(id: u64, channel: &str) -> Vec<u8> {
    frame(0x81, json!({ "id": id, "subscribe": { "channel": channel } }).to_string().as_bytes())
}

/// docs/threats.md, row 15: a client that asks and does not read is not read either, while others are served; and gets
/// every reply once it reads.
#[tokio::test]
async fn client_that_does_not_read_its_replies_is_not_read() {
    let server = start(|config| {
        (config.sockets.send_buffer_bytes, config.sockets.notsent_bytes) = (4096, 1024);
        config.default_namespace.history_size = 100;
    })
    .await;
    let mut publisher = Centrifuge::connect(&server).await;
    for _ in 0..50 {
        publisher.call(json!({ "publish": { "channel": "a", "data": "x".repeat(1000) } })).await;
    }
    let stream = stream_with_buffer(server.addr, 1).await;
    let mut client = Raw::over(stream, PATH, &frame(0x81, br#"{"id":1,"connect":{}}"#)).await;
    client.send(&subscribe_frame(2, "a")).await;
    // Each reply has 50 KB, so a few fill the socket and the budget.
    let asked: Vec<_> = (3..43)
        .flat_map(|id| {
            frame(0x81, json!({ "id": id, "history": { "channel": "a", "limit": 50 } }).to_string().as_bytes())
        })
        .collect();
    client.send(&asked).await;
    server.counted(|counts| counts.parks > 0).await;
    // Nothing more is asked of the hub: what waits for the client stays within the bound, and one reply.
    for _ in 0..20 {
        publisher.call(json!({ "publish": { "channel": "b", "data": 1 } })).await;
    }
    let waiting = server.counts().control_bytes;
    assert!(waiting <= 2 * REPLY_BYTES_MAX as u64, "{waiting} bytes wait");
    let mut ids = Vec::new();
    while ids.len() < 42 {
        let text = within(client.judge.text()).await;
        for line in text.split('\n') {
            let reply: Value = serde_json::from_str(line).unwrap();
            ids.extend(reply["id"].as_u64());
        }
    }
    assert_eq!(ids, (1..43).collect::<Vec<_>>(), "every reply, in order");
}

/// Starts a hub whose sockets hold little and may be full for a short time, with a channel `a` that keeps much.
pub(crate) async fn server_of_large_replies() -> TestServer {
    let server = start(|config| {
        (config.sockets.send_buffer_bytes, config.sockets.notsent_bytes) = (4096, 1024);
        config.limits.outbox_stall_max = Duration::from_millis(300);
        config.default_namespace.history_size = 100;
    })
    .await;
    let mut publisher = Centrifuge::connect(&server).await;
    for _ in 0..50 {
        publisher.call(json!({ "publish": { "channel": "a", "data": "x".repeat(1000) } })).await;
    }
    server
}

/// One that never reads again is closed as any slow consumer is, and what waited for it is gone.
#[tokio::test]
async fn client_that_never_reads_its_replies_is_slow() {
    let server = server_of_large_replies().await;
    let stream = stream_with_buffer(server.addr, 1).await;
    let mut client = Raw::over(stream, PATH, &frame(0x81, br#"{"id":1,"connect":{}}"#)).await;
    client.send(&subscribe_frame(2, "a")).await;
    let ask = frame(0x81, json!({ "id": 3, "history": { "channel": "a", "limit": 50 } }).to_string().as_bytes());
    client.send(&ask.repeat(40)).await;
    server.closed(CloseReason::SlowConsumer, 1).await;
    drop(client);
    server.vacated().await;
}

/// The wheel's ping is a message of the protocol, and so is its answer.
#[tokio::test]
async fn pings_and_pongs_are_messages() {
    let server = start(|config| {
        config.limits.ping_interval = Duration::from_millis(300);
        config.limits.pong_timeout = Duration::from_millis(200);
    })
    .await;
    let clock = FrozenClock::new();
    let hello = frame(0x81, br#"{"id":1,"connect":{}}"#);
    let mut answering = Raw::connect(server.addr, PATH, &hello).await;
    let mut native = Raw::connect(server.addr, PATH, &hello).await;
    for client in [&mut answering, &mut native] {
        assert!(clock.pass_until(client.judge.text()).await.contains("\"connect\""));
    }
    for _ in 0..5 {
        assert_eq!(clock.pass_until(answering.judge.text()).await, "{}");
        answering.send(&frame(0x81, b"{}")).await;
    }
    // A pong of WebSocket is not one of the protocol.
    assert_eq!(clock.pass_until(native.judge.text()).await, "{}");
    native.send(&frame(0x8a, b"")).await;
    assert_eq!(clock.pass_until(native.closed()).await, Some((3012, "no pong".to_owned())));
    drop(clock);
}

/// An SDK ignores pings before the reply to its connect, and would be closed for the missing pong.
#[tokio::test]
async fn client_is_not_pinged_before_it_has_connected() {
    let server = start(|config| {
        config.limits.ping_interval = Duration::from_millis(300);
        config.limits.pong_timeout = Duration::from_millis(200);
    })
    .await;
    let clock = FrozenClock::new();
    let hello = frame(0x81, br#"{"id":1,"connect":{}}"#);
    let mut late = Raw::connect(server.addr, PATH, b"").await;
    let mut other = Raw::connect(server.addr, PATH, &hello).await;
    assert!(clock.pass_until(other.judge.text()).await.contains("\"connect\""));
    // Each ping of this one is one of everybody.
    for _ in 0..4 {
        assert_eq!(clock.pass_until(other.judge.text()).await, "{}");
        other.send(&frame(0x81, b"{}")).await;
    }
    late.send(&hello).await;
    assert!(clock.pass_until(late.judge.text()).await.contains("\"connect\""), "its first message");
    assert_eq!(clock.pass_until(late.judge.text()).await, "{}");
    assert_eq!(clock.pass_until(late.closed()).await, Some((3012, "no pong".to_owned())));
    drop(clock);
}

/// What a client missed stands in its reply, and what is published meanwhile comes after it, each once.
#[tokio::test]
async fn client_that_returns_gets_what_it_missed_or_is_told_that_it_does_not() {
    let server = server().await;
    let mut client = Centrifuge::connect(&server).await;
    let publish = |data: u64| json!({ "channel": "a", "data": data });
    result(&server, "publish", publish(1)).await;
    let reply = client.call(json!({ "subscribe": { "channel": "a" } })).await["subscribe"].take();
    let epoch = reply["epoch"].as_str().unwrap().to_owned();
    assert_eq!(
        reply,
        json!({ "recoverable": true, "positioned": true, "epoch": epoch, "offset": 1 }),
        "where it begins, without recovery"
    );
    drop(client);
    for data in 2..5 {
        result(&server, "publish", publish(data)).await;
    }
    let mut client = Centrifuge::connect(&server).await;
    let mut recover = async |epoch: &str, offset: u64, flag: u64| {
        let request = json!({ "channel": "a", "recover": true, "epoch": epoch, "offset": offset, "flag": flag });
        let reply = client.call(json!({ "subscribe": request })).await;
        client.call(json!({ "unsubscribe": { "channel": "a" } })).await;
        reply
    };
    for (epoch, offset, recovered) in [
        (&*epoch, 1, Some(vec![2, 3, 4])),
        (&*epoch, 4, Some(vec![])),
        // One that does not know the epoch takes any.
        ("", 3, Some(vec![4])),
        ("", 0, Some(vec![1, 2, 3, 4])),
        (&*epoch, 5, None),
        ("00000000000000fe", 1, None),
        ("another server's", 1, None),
    ] {
        let is_lost = recovered.is_none();
        let reply = recover(epoch, offset, 0).await["subscribe"].take();
        let datas = |reply: &Value| {
            let all = reply["publications"].as_array().cloned().unwrap_or_default();
            all.iter().map(|one| one["data"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(reply["was_recovering"], json!(true), "{reply}");
        assert_eq!(reply["recovered"], recovered.as_ref().map_or(Value::Null, |_| json!(true)), "{reply}");
        // Its own offset when it gets everything, and that of the channel when not.
        let expected = if recovered.is_some() { offset } else { 4 };
        assert_eq!(reply["offset"].as_u64().unwrap_or(0), expected, "{reply}");
        assert_eq!(datas(&reply), recovered.unwrap_or_default(), "{epoch}:{offset}");
        // One that asks for all or nothing is not subscribed.
        let reply = recover(epoch, offset, 3).await;
        let is_refused = reply["error"]["code"] == json!(112);
        assert_eq!(is_refused, reply["subscribe"].is_null(), "{reply}");
        assert_eq!(is_refused, is_lost, "{epoch}:{offset}");
    }
}

/// In a channel whose newest publication says everything, that one is all that anybody missed.
#[tokio::test]
async fn client_of_a_cache_gets_the_newest_publication_with_its_subscription() {
    let server = with(|config| config.default_namespace.recovery_mode = RecoveryMode::Cache).await;
    let mut client = Centrifuge::connect(&server).await;
    let mut subscribe = async |request: Value| {
        let reply = client.call(json!({ "subscribe": request })).await;
        client.call(json!({ "unsubscribe": { "channel": "a" } })).await;
        reply
    };
    let request = |more: Value| {
        let mut request = json!({ "channel": "a" });
        request.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        request
    };
    let empty = subscribe(request(json!({ "recover": true }))).await;
    assert_eq!(empty["subscribe"]["was_recovering"], json!(true));
    assert_eq!(empty["subscribe"]["recovered"], Value::Null, "there is nothing yet: {empty}");
    let refused = subscribe(request(json!({ "recover": true, "flag": 2 }))).await;
    assert_eq!(refused["error"]["code"], json!(112), "all or nothing: {refused}");
    for data in 1..4 {
        result(&server, "publish", json!({ "channel": "a", "data": data })).await;
    }
    let plain = subscribe(request(json!({}))).await["subscribe"].take();
    assert_eq!(plain["publications"], Value::Null, "it did not ask: {plain}");
    let epoch = plain["epoch"].as_str().unwrap().to_owned();
    for (more, offset, publications) in [
        (json!({ "recover": true }), 0, Some(json!([{ "offset": 3, "data": 3 }]))),
        (json!({ "recover": true, "epoch": epoch, "offset": 1 }), 1, Some(json!([{ "offset": 3, "data": 3 }]))),
        (json!({ "recover": true, "epoch": "another", "offset": 9 }), 9, Some(json!([{ "offset": 3, "data": 3 }]))),
        (json!({ "recover": true, "epoch": epoch, "offset": 3, "flag": 2 }), 3, None),
    ] {
        let reply = subscribe(request(more)).await["subscribe"].take();
        assert_eq!(reply["recovered"], json!(true), "{reply}");
        assert_eq!(
            (reply["epoch"].as_str(), reply["offset"].as_u64().unwrap_or(0)),
            (Some(&*epoch), offset),
            "{reply}"
        );
        assert_eq!(reply["publications"], publications.unwrap_or(Value::Null), "{reply}");
    }
}

/// docs/history.md: publications that arrive while a client recovers are neither lost nor doubled.
#[tokio::test]
async fn recovery_and_live_publications_join_without_gap_or_duplicate() {
    let server = server().await;
    let mut publisher = Centrifuge::connect(&server).await;
    publisher.call(json!({ "publish": { "channel": "a", "data": 0 } })).await;
    for round in 0_u64..20 {
        let mut client = Centrifuge::connect(&server).await;
        for data in 1..4_u64 {
            publisher.command(json!({ "publish": { "channel": "a", "data": round * 3 + data } })).await;
        }
        let request = json!({ "channel": "a", "recover": true, "epoch": "", "offset": round * 3 + 1 });
        let reply = client.call(json!({ "subscribe": request })).await["subscribe"].take();
        assert_eq!(reply["recovered"], json!(true), "{reply}");
        let missed = reply["publications"].as_array().cloned().unwrap_or_default();
        let mut offsets: Vec<_> = missed.iter().map(|one| one["offset"].as_u64().unwrap()).collect();
        while offsets.len() < 3 {
            offsets.extend(client.push().await["pub"]["offset"].as_u64());
        }
        assert_eq!(offsets, (round * 3 + 2..round * 3 + 5).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn history_is_read_in_pages_from_either_end() {
    let server = server().await;
    let mut client = Centrifuge::connect(&server).await;
    client.call(json!({ "subscribe": { "channel": "a" } })).await;
    for data in 1..6 {
        client.call(json!({ "publish": { "channel": "a", "data": data } })).await;
        client.publication().await;
    }
    let top = client.call(json!({ "history": { "channel": "a" } })).await["history"].take();
    let epoch = top["epoch"].clone();
    assert_eq!(top, json!({ "publications": [], "epoch": epoch, "offset": 5 }));
    for (request, expected) in [
        (json!({ "limit": -1 }), vec![1, 2, 3, 4, 5]),
        (json!({ "limit": 1_000_000 }), vec![1, 2, 3, 4, 5]),
        (json!({ "limit": 2 }), vec![1, 2]),
        (json!({ "limit": 2, "reverse": true }), vec![5, 4]),
        (json!({ "limit": 2, "since": { "offset": 2, "epoch": epoch } }), vec![3, 4]),
        (json!({ "limit": 2, "since": { "offset": 2 } }), vec![3, 4]),
        (json!({ "limit": 9, "reverse": true, "since": { "offset": 3, "epoch": epoch } }), vec![2, 1]),
    ] {
        let mut command = json!({ "history": request });
        command["history"]["channel"] = "a".into();
        let reply = client.call(command.clone()).await["history"].take();
        let found: Vec<_> =
            reply["publications"].as_array().unwrap().iter().map(|one| one["offset"].as_u64().unwrap()).collect();
        assert_eq!((found, &reply["offset"]), (expected, &json!(5)), "{command}");
        assert_eq!(reply["publications"][0]["info"]["client"], json!("0/0.0"));
    }
}

/// Exact after ten rapid cycles, and for clients of every protocol.
#[tokio::test]
async fn presence_is_who_is_there() {
    let server = with(|config| {
        with_tokens(config);
        config.default_namespace.presence = true;
    })
    .await;
    let mut claims = tokens::claims("42");
    claims["info"] = json!({ "name": "A" });
    let mut one = Centrifuge::connect_with(&server, json!({ "token": tokens::token(&claims) })).await;
    let mut two = Centrifuge::connect(&server).await;
    let _chat = server.connect("/ws?channel=a").await;
    two.call(json!({ "subscribe": { "channel": "a" } })).await;
    for _ in 0..10 {
        one.call(json!({ "subscribe": { "channel": "a" } })).await;
        one.call(json!({ "unsubscribe": { "channel": "a" } })).await;
    }
    assert_eq!(
        two.call(json!({ "presence_stats": { "channel": "a" } })).await["presence_stats"],
        json!({ "num_clients": 2, "num_users": 1 })
    );
    one.call(json!({ "subscribe": { "channel": "a" } })).await;
    let presence = one.call(json!({ "presence": { "channel": "a" } })).await["presence"]["presence"].take();
    assert_eq!(
        presence,
        json!({
            "0/0.0": { "user": "42", "client": "0/0.0", "conn_info": { "name": "A" } },
            "0/1.0": { "user": "", "client": "0/1.0" },
            "0/2.0": { "user": "", "client": "0/2.0" },
        })
    );
    drop(two);
    within(async {
        loop {
            let reply = one.call(json!({ "presence_stats": { "channel": "a" } })).await;
            if reply["presence_stats"] == json!({ "num_clients": 2, "num_users": 2 }) {
                return;
            }
        }
    })
    .await;
}
