//! Hooks: what the application decides is what happens to the client, and nothing else happens.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::needless_pass_by_value, reason = "values are made in place")]

use crate::server::application::{Application, Reply, Request};
use crate::server::centrifuge::{Centrifuge, PATH};
use crate::server::{FrozenClock, TestServer, start, within};
use crate::tokens;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use throng::config::{Config, TokenAlgorithm};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

pub(crate) fn result(result: Value) -> Reply {
    Reply::Status(200, json!({ "result": result }).to_string())
}

pub(crate) fn refusal(code: u32, message: &str) -> Reply {
    Reply::Status(200, json!({ "error": { "code": code, "message": message } }).to_string())
}

/// Starts a server whose settings for clients are those of a file.
pub(crate) async fn server(file: &str) -> TestServer {
    let file = Config::from_toml(&format!("{file}{}", tokens::table(TokenAlgorithm::Hs256, None))).unwrap();
    start(|config| {
        config.hooks = file.hooks;
        config.default_namespace = file.default_namespace;
        config.namespaces = file.namespaces;
        config.token_keys = file.token_keys;
    })
    .await
}

/// Says who a client is by its `data`, and agrees to everything else.
fn by_data(request: &Request) -> Reply {
    let data = &request.json()["data"];
    match request.path.as_str() {
        "/connect" if data["user"].is_string() => result(json!({
            "user": data["user"], "info": { "name": "Ann" }, "data": { "hello": 1 }, "channels": ["$mine", "b", "b"],
            "subs": { "$mine": { "data": "welcome" } },
        })),
        "/connect" => Reply::Status(200, json!({ "disconnect": { "code": 4501, "reason": "who?" } }).to_string()),
        _ => result(json!({})),
    }
}

#[tokio::test]
async fn application_says_who_a_client_without_a_token_is() {
    let application = Application::start(by_data).await;
    let server = server(&application.hooks(&["connect"]).replace("[[hook]]", "[[hook]]\nheaders = [\"Cookie\"]")).await;
    let mut request = format!("ws://throng.test{PATH}").into_client_request().unwrap();
    request.headers_mut().insert("Cookie", "session=7".parse().unwrap());
    request.headers_mut().insert("X-Other", "1".parse().unwrap());
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let (mut socket, _) = within(tokio_tungstenite::client_async(request, stream)).await.unwrap();
    let connect = json!({ "id": 1, "connect": { "name": "js", "data": { "user": "42" } } });
    within(socket.send(Message::text(connect.to_string()))).await.unwrap();
    let reply = within(socket.next()).await.unwrap().unwrap().into_text().unwrap();
    let reply: Value = serde_json::from_str(&reply).unwrap();
    assert_eq!(reply["connect"]["data"], json!({ "hello": 1 }), "{reply}");
    let subs = &reply["connect"]["subs"];
    assert_eq!(
        (&subs["$mine"]["data"], subs["b"]["recoverable"].as_bool()),
        (&json!("welcome"), Some(true)),
        "{reply}"
    );
    let asked = application.requests().remove(0);
    assert_eq!((asked.header("cookie"), asked.header("x-other")), (Some("session=7"), None));
    assert_eq!(asked.json()["client"], reply["connect"]["client"]);
    // It is that user, in its own channels and in what others see of it.
    let mut client = Centrifuge::connect_with(&server, json!({ "data": { "user": "42" } })).await;
    let mut other = Centrifuge::connect_with(&server, json!({ "data": { "user": "43" } })).await;
    for channel in ["news", "x#42"] {
        let reply = client.call(json!({ "subscribe": { "channel": channel } })).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
    }
    assert_eq!(other.error(json!({ "subscribe": { "channel": "x#42" } })).await, 103);
    client.call(json!({ "publish": { "channel": "news", "data": 1 } })).await;
    let push = client.push().await;
    assert_eq!(
        (&push["pub"]["info"]["user"], &push["pub"]["info"]["conn_info"]["name"]),
        (&json!("42"), &json!("Ann"))
    );
    // A client that the application does not let in is told its code and its words.
    let mut stranger = Centrifuge::open(&server).await;
    stranger.send(&[json!({ "id": 1, "connect": {} })]).await;
    assert_eq!(stranger.closed().await, Some((4501, "who?".to_owned())));
    // A token needs no question.
    let asked = application.requests().len();
    let token = tokens::token(&tokens::claims("44"));
    Centrifuge::connect_with(&server, json!({ "token": token })).await;
    assert_eq!(application.requests().len(), asked);
}

/// docs/threats.md, row 42: an application that fails lets nobody in, and nobody waits for it for ever.
#[tokio::test]
async fn application_that_fails_lets_nobody_in_and_its_clients_come_back() {
    let application = Application::start(|request| match request.json()["data"].as_str() {
        Some("status") => Reply::Status(500, "{}".to_owned()),
        Some("garbage") => Reply::Status(200, "<html>".to_owned()),
        Some("hang") => Reply::Hang,
        _ => result(json!({ "user": "1", "unknown": true })),
    })
    .await;
    let server = server(&application.hooks(&["connect"])).await;
    for data in ["status", "garbage", "unknown"] {
        let mut client = Centrifuge::open(&server).await;
        let reply = client.call(json!({ "connect": { "data": data } })).await;
        let error = json!({ "code": 100, "message": "internal server error", "temporary": true });
        assert_eq!(reply["error"], error, "{data}");
        client.send(&[json!({ "id": 2, "subscribe": { "channel": "news" } })]).await;
        assert_eq!(client.closed().await.unwrap().0, 3501, "{data}");
    }
    let mut client = Centrifuge::open(&server).await;
    let clock = FrozenClock::new();
    let id = client.command(json!({ "connect": { "data": "hang" } })).await;
    application.requested(4).await;
    let reply = clock.pass_until(client.next()).await;
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(id), &json!(100)));
}

#[tokio::test]
async fn application_decides_who_subscribes_where_the_namespace_asks_it() {
    let application = Application::start(|request| match request.json()["channel"].as_str() {
        Some("chat:secret") => refusal(403, "not for you"),
        Some("chat:closed") => Reply::Status(200, json!({ "disconnect": { "code": 4003 } }).to_string()),
        Some("chat:broken") => Reply::Status(502, String::new()),
        _ => result(json!({ "data": { "topic": "x" } })),
    })
    .await;
    let file =
        format!("[[namespace]]\nname = \"chat\"\nallow_subscribe = \"hook\"\n{}", application.hooks(&["subscribe"]));
    let server = server(&file).await;
    let token = tokens::token(&tokens::claims("42"));
    let mut client = Centrifuge::connect_with(&server, json!({ "token": token })).await;
    let request = json!({ "subscribe": { "channel": "chat:1", "data": { "from": 3 } } });
    let reply = client.call(request).await;
    assert_eq!(reply["subscribe"]["data"], json!({ "topic": "x" }), "{reply}");
    let asked = application.requests().remove(0).json();
    assert_eq!(
        (&asked["user"], &asked["channel"], &asked["data"]),
        (&json!("42"), &json!("chat:1"), &json!({ "from": 3 }))
    );
    let reply = client.call(json!({ "subscribe": { "channel": "chat:secret" } })).await;
    assert_eq!(reply["error"], json!({ "code": 403, "message": "not for you" }));
    assert_eq!(client.error(json!({ "subscribe": { "channel": "chat:broken" } })).await, 100);
    // Nobody is asked about what other rules decide.
    let asked = application.requests().len();
    client.call(json!({ "subscribe": { "channel": "news" } })).await;
    assert_eq!(client.error(json!({ "subscribe": { "channel": "$chat:1" } })).await, 103);
    assert_eq!(client.error(json!({ "publish": { "channel": "chat:1" } })).await, 107);
    assert_eq!(application.requests().len(), asked);
    client.send(&[json!({ "id": 99, "subscribe": { "channel": "chat:closed" } })]).await;
    assert_eq!(client.closed().await.unwrap().0, 4003);
}

#[tokio::test]
async fn application_decides_what_is_published_where_the_namespace_asks_it() {
    let application = Application::start(|request| match request.json()["data"].as_str() {
        Some("bad word") => refusal(400, "be nice"),
        Some("hello") => result(json!({ "data": "HELLO", "tags": { "mood": "good" } })),
        _ => result(json!({})),
    })
    .await;
    let file = format!("[default_namespace]\nallow_publish = \"hook\"\n{}", application.hooks(&["publish"]));
    let server = server(&file).await;
    let mut client = Centrifuge::connect(&server).await;
    client.call(json!({ "subscribe": { "channel": "news" } })).await;
    let publish = |data: &str| json!({ "publish": { "channel": "news", "data": data } });
    assert_eq!(client.error(publish("bad word")).await, 400);
    for (data, expected, tags) in [("hello", "HELLO", json!({ "mood": "good" })), ("other", "other", Value::Null)] {
        let reply = client.call(publish(data)).await;
        assert!(reply["publish"].is_object(), "{reply}");
        let push = client.push().await;
        assert_eq!((&push["pub"]["data"], &push["pub"]["tags"]), (&json!(expected), &tags));
    }
    client.check_has_nothing().await;
}

/// Commands stay in order while the application is asked, and other clients are not affected.
#[tokio::test]
async fn client_waits_for_the_answer_and_others_do_not() {
    let application = Application::start(|request| match request.json()["method"].as_str() {
        Some("slow") => Reply::Hang,
        _ => result(json!({ "data": { "answer": 42 } })),
    })
    .await;
    let file = application.hooks(&["rpc"]).replace("[[hook]]", "[[hook]]\ntimeout = \"1h\"");
    let server = server(&file).await;
    let mut slow = Centrifuge::connect(&server).await;
    let mut other = Centrifuge::connect(&server).await;
    let first = slow.command(json!({ "rpc": { "method": "slow" } })).await;
    let second = slow.command(json!({ "rpc": { "method": "fast" } })).await;
    application.requested(1).await;
    let reply = other.call(json!({ "rpc": { "method": "fast" } })).await;
    assert_eq!(reply["rpc"], json!({ "data": { "answer": 42 } }));
    assert_eq!(application.requests().len(), 2, "the second command of the slow client waits");
    application.release();
    assert_eq!(slow.next().await, json!({ "id": first, "rpc": {} }));
    assert_eq!(slow.next().await["id"], json!(second));
    // Without a hook there is nobody to call.
    let plain = start(|_| {}).await;
    assert_eq!(Centrifuge::connect(&plain).await.error(json!({ "rpc": { "method": "x" } })).await, 108);
}

#[tokio::test]
async fn application_decides_whether_a_connection_that_expires_goes_on() {
    let application = Application::start(|request| {
        let asked = request.json();
        match (request.path.as_str(), asked["user"].as_str()) {
            ("/connect", _) => result(json!({ "user": asked["data"], "expire_at": tokens::now() })),
            (_, Some("stays")) => result(json!({ "expire_at": tokens::now() + 3600 })),
            (_, Some("waits")) => Reply::Status(503, String::new()),
            (_, Some("closes")) => Reply::Status(200, json!({ "disconnect": { "code": 4100 } }).to_string()),
            (_, Some("past")) => result(json!({ "expire_at": 1 })),
            _ => result(json!({ "expired": true })),
        }
    })
    .await;
    let server = server(&application.hooks(&["connect", "refresh"])).await;
    let clock = FrozenClock::new();
    for (user, code) in
        [("ends", Some(3005)), ("past", Some(3005)), ("closes", Some(4100)), ("stays", None), ("waits", None)]
    {
        let mut client = Centrifuge::open(&server).await;
        let reply = client.call(json!({ "connect": { "data": user } })).await;
        assert!(reply["connect"]["ttl"].is_null(), "the hub refreshes, not the client: {reply}");
        match code {
            Some(code) => assert_eq!(clock.pass_until(client.closed()).await.unwrap().0, code, "{user}"),
            None => {
                let before = application.requests().len();
                clock.pass_until(application.requested(before + 1)).await;
                clock.pass(Duration::from_secs(3)).await;
                client.check_has_nothing().await;
                assert_eq!(application.requests().len(), before + 1, "it is asked once: {user}");
            }
        }
    }
    // A client of /ws with a token is asked about too.
    let mut claims = tokens::claims("ends");
    claims["expire_at"] = (tokens::now() + 3).into();
    let mut chat = server.connect(&format!("/ws?token={}", tokens::token(&claims))).await;
    assert_eq!(clock.pass_until(chat.closed()).await.unwrap().0, 4005);
    assert_eq!(application.requests().last().unwrap().json()["protocol"], json!("text"));
}

/// What the application says of a client to itself comes back, and both that and what others see can change later.
#[tokio::test]
async fn application_gets_back_what_it_said_and_can_change_it_with_a_refresh() {
    let application = Application::start(|request| match request.path.as_str() {
        "/connect" => result(json!({
            "user": "42", "expire_at": tokens::now(), "info": { "name": "Ann" }, "meta": { "plan": "free" },
        })),
        "/refresh" => result(json!({ "info": { "name": "Anna" }, "meta": { "plan": "paid" } })),
        _ => result(json!({})),
    })
    .await;
    let file = format!(
        "[default_namespace]\nallow_publish = \"hook\"\n{}",
        application.hooks(&["connect", "refresh", "publish"])
    );
    let server = server(&file).await;
    let mut client = Centrifuge::connect(&server).await;
    let clock = FrozenClock::new();
    clock.pass_until(application.requested(2)).await;
    let mut publish = async || {
        client.call(json!({ "publish": { "channel": "news", "data": 1 } })).await;
        application.requests().last().unwrap().json()["meta"].take()
    };
    // The answer to the refresh may still be on its way.
    within(async { while publish().await != json!({ "plan": "paid" }) {} }).await;
    assert_eq!(application.requests()[1].json()["meta"], json!({ "plan": "free" }));
    client.call(json!({ "subscribe": { "channel": "news" } })).await;
    client.call(json!({ "publish": { "channel": "news", "data": 1 } })).await;
    assert_eq!(client.push().await["pub"]["info"]["conn_info"], json!({ "name": "Anna" }));
    // A token says it too.
    let mut claims = tokens::claims("43");
    claims["meta"] = json!({ "from": "token" });
    let mut other = Centrifuge::connect_with(&server, json!({ "token": tokens::token(&claims) })).await;
    other.call(json!({ "publish": { "channel": "news", "data": 1 } })).await;
    assert_eq!(application.requests().last().unwrap().json()["meta"], json!({ "from": "token" }));
}

/// A subscription that does not go on ends by itself, and the others of its client stay.
#[tokio::test]
async fn application_decides_whether_a_subscription_that_expires_goes_on() {
    let application = Application::start(|request| {
        let asked = request.json();
        match (request.path.as_str(), asked["channel"].as_str()) {
            ("/connect", _) if asked["data"] == json!("with") => {
                result(json!({ "subs": { "$mine": { "expire_at": tokens::now(), "data": { "hello": 1 } } } }))
            }
            ("/connect", _) => result(json!({})),
            ("/subscribe", _) => result(json!({ "expire_at": tokens::now() })),
            (_, Some("chat:stays")) => result(json!({ "expire_at": tokens::now() + 3600 })),
            (_, Some("chat:waits")) => Reply::Status(503, String::new()),
            (_, Some("chat:closes")) => {
                Reply::Status(200, json!({ "disconnect": { "code": 4100, "reason": "later" } }).to_string())
            }
            (_, Some("chat:past")) => result(json!({ "expire_at": 1 })),
            (_, Some("chat:refused")) => refusal(403, "no more"),
            _ => result(json!({ "expired": true })),
        }
    })
    .await;
    let hooks = application.hooks(&["connect", "subscribe", "sub_refresh"]);
    let server = server(&format!("[[namespace]]\nname = \"chat\"\nallow_subscribe = \"hook\"\n{hooks}")).await;
    let clock = FrozenClock::new();
    let mut client = Centrifuge::connect(&server).await;
    for (channel, is_kept) in [
        ("chat:ends", false),
        ("chat:past", false),
        ("chat:refused", false),
        ("chat:stays", true),
        ("chat:waits", true),
    ] {
        let before = application.requests().len();
        let reply = client.call(json!({ "subscribe": { "channel": channel } })).await;
        assert!(reply["subscribe"].is_object() && reply["subscribe"]["ttl"].is_null(), "{reply}");
        let asked = clock.pass_until(application.requested(before + 2)).await.remove(before + 1);
        assert_eq!((asked.path.as_str(), &asked.json()["channel"]), ("/sub_refresh", &json!(channel)));
        if is_kept {
            clock.pass(Duration::from_secs(3)).await;
            client.check_has_nothing().await;
            assert_eq!(application.requests().len(), before + 2, "it is asked once: {channel}");
        } else {
            let push = clock.pass_until(client.push()).await;
            let ended = json!({ "code": 2501, "reason": "subscription expired" });
            assert_eq!((&push["channel"], &push["unsubscribe"]), (&json!(channel), &ended));
        }
    }
    client.call(json!({ "subscribe": { "channel": "chat:closes" } })).await;
    assert_eq!(clock.pass_until(client.closed()).await, Some((4100, "later".to_owned())));
    // A client cannot make a subscription again that it did not make.
    let mut client = Centrifuge::open(&server).await;
    let reply = client.call(json!({ "connect": { "data": "with" } })).await;
    assert_eq!(reply["connect"]["subs"]["$mine"]["data"], json!({ "hello": 1 }), "{reply}");
    assert_eq!(clock.pass_until(client.closed()).await, Some((3006, "subscription expired".to_owned())));
}

/// Without a hook for it the client renews, and is told when.
#[tokio::test]
async fn subscription_that_the_application_lets_expire_is_renewed_by_its_client() {
    let application = Application::start(|_| result(json!({ "expire_at": tokens::now() + 100 }))).await;
    let options = "[default_namespace]\nallow_subscribe = \"hook\"\n";
    let server = server(&format!("{options}{}", application.hooks(&["subscribe"]))).await;
    let reply = Centrifuge::connect(&server).await.call(json!({ "subscribe": { "channel": "a" } })).await;
    let ttl = reply["subscribe"]["ttl"].as_u64().unwrap();
    assert!((95..=100).contains(&ttl) && reply["subscribe"]["expires"] == json!(true), "{reply}");
}
