//! Hooks: what the application decides is what happens to the client, and nothing else happens.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::needless_pass_by_value, reason = "values are made in place")]

use crate::server::application::{Application, Reply, Request};
use crate::server::centrifuge::{Centrifuge, PATH};
use crate::server::{FrozenClock, TestServer, exchange, start, within};
use crate::tokens;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use throng::config::{Config, TokenAlgorithm};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

fn result(result: Value) -> Reply {
    Reply::Status(200, json!({ "result": result }).to_string())
}

fn refusal(code: u32, message: &str) -> Reply {
    Reply::Status(200, json!({ "error": { "code": code, "message": message } }).to_string())
}

/// Starts a server whose settings for clients are those of a file.
async fn server(file: &str) -> TestServer {
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
            "user": data["user"], "info": { "name": "Ann" }, "data": { "hello": 1 }, "channels": ["$mine"],
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
    assert!(reply["connect"]["subs"]["$mine"].is_object(), "{reply}");
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
    // A client that the application does not let in is told its code.
    let mut stranger = Centrifuge::open(&server).await;
    stranger.send(&[json!({ "id": 1, "connect": {} })]).await;
    assert_eq!(stranger.closed().await.unwrap().0, 4501);
    // A token needs no question, and a client of /ws without one is not let in unasked.
    let asked = application.requests().len();
    let token = tokens::token(&tokens::claims("44"));
    Centrifuge::connect_with(&server, json!({ "token": token })).await;
    let refused = exchange(server.addr, handshake("/ws").as_bytes()).await;
    assert_eq!((refused.status, application.requests().len()), (401, asked));
}

fn handshake(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: throng.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
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
    let refused = exchange(server.addr, handshake("/ws?channel=chat:1").as_bytes()).await;
    assert_eq!((refused.status, application.requests().len()), (403, asked));
    client.send(&[json!({ "id": 99, "subscribe": { "channel": "chat:closed" } })]).await;
    assert_eq!(client.closed().await.unwrap().0, 4003);
}

#[tokio::test]
async fn application_decides_what_is_published_where_the_namespace_asks_it() {
    let application = Application::start(|request| match request.json()["data"].as_str() {
        Some("bad word") => refusal(400, "be nice"),
        Some("hello") => result(json!({ "data": "HELLO" })),
        _ => result(json!({})),
    })
    .await;
    let file = format!("[default_namespace]\nallow_publish = \"hook\"\n{}", application.hooks(&["publish"]));
    let server = server(&file).await;
    let mut client = Centrifuge::connect(&server).await;
    client.call(json!({ "subscribe": { "channel": "news" } })).await;
    let publish = |data: &str| json!({ "publish": { "channel": "news", "data": data } });
    assert_eq!(client.error(publish("bad word")).await, 400);
    for (data, expected) in [("hello", "HELLO"), ("other", "other")] {
        let reply = client.call(publish(data)).await;
        assert!(reply["publish"].is_object(), "{reply}");
        assert_eq!(client.publication().await, ("news".to_owned(), json!(expected)));
    }
    client.check_has_nothing().await;
    // A client of /ws may read there and no more.
    let mut chat = server.connect("/ws?channel=news").await;
    chat.send(Message::text("unasked")).await;
    assert_eq!(chat.closed().await.unwrap().0, 4507);
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
