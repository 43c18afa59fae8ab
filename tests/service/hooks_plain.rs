//! Hooks about clients of /ws: the application decides about them as about clients of SDKs, and they are told.

use crate::hooks::{refusal, result, server};
use crate::server::application::{Application, Reply, Request};
use crate::server::centrifuge::Centrifuge;
use crate::server::{Answer, Client, FrozenClock, Raw, TestServer, exchange, frame, start, stream_with_buffer, within};
use crate::tokens;
use serde_json::json;
use throng::config::Config;
use throng::engine::replies::REPLY_BYTES_MAX;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

fn text(request: &str) -> String {
    format!("{request} HTTP/1.1\r\nHost: throng.test\r\nCookie: session=7\r\n")
}

/// Returns what a handshake is refused with, after it was checked that a plain request is told the same.
async fn refused(server: &TestServer, target: &str) -> Answer {
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let head = text(&format!("GET {target}"));
    let refused = exchange(server.addr, format!("{head}{handshake}").as_bytes()).await;
    let told = exchange(server.addr, format!("{head}\r\n").as_bytes()).await;
    assert_eq!((told.status, &told.body), (refused.status, &refused.body), "{target}");
    refused
}

fn disconnect(code: u16, reason: &str) -> Reply {
    Reply::Status(200, json!({ "disconnect": { "code": code, "reason": reason } }).to_string())
}

fn temporary(message: &str) -> Reply {
    Reply::Status(200, json!({ "error": { "code": 400, "message": message, "temporary": true } }).to_string())
}

/// docs/threats.md, row 42: whatever the application answers, a client is let in only if it says so, and is told why
/// not.
#[tokio::test]
async fn application_says_who_a_plain_client_is_or_why_it_is_not_let_in() {
    let application = Application::start(|request| {
        if request.header("cookie") != Some("session=7") {
            return disconnect(4501, "log in first");
        }
        result(json!({ "user": "42", "info": { "name": "Ann" }, "channels": ["$mine"] }))
    })
    .await;
    let hooks = application.hooks(&["connect"]).replace("[[hook]]", "[[hook]]\nheaders = [\"Cookie\"]");
    let server = server(&format!("[default_namespace]\npresence = true\n{hooks}")).await;
    let mut watcher = Centrifuge::connect_with(&server, json!({ "token": tokens::token(&tokens::claims("43")) })).await;
    for (target, channel) in [("/ws", "$mine"), ("/ws?channel=x%2342", "x#42"), ("/ws?channel=news", "news")] {
        let mut request = format!("ws://throng.test{target}").into_client_request().unwrap();
        request.headers_mut().insert("Cookie", "session=7".parse().unwrap());
        let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        let (_socket, _) = within(tokio_tungstenite::client_async(request, stream)).await.unwrap();
        let asked = application.requests().pop().unwrap();
        assert_eq!((asked.json()["protocol"].clone(), asked.header("cookie")), (json!("text"), Some("session=7")));
        if channel == "news" {
            watcher.call(json!({ "subscribe": { "channel": "news" } })).await;
            let there = watcher.call(json!({ "presence": { "channel": "news" } })).await;
            let client = asked.json()["client"].as_str().unwrap().to_owned();
            let known = json!({ "user": "42", "client": client, "conn_info": { "name": "Ann" } });
            assert_eq!(there["presence"]["presence"][&client], known, "{there}");
        }
    }
    let refused = exchange(server.addr, b"GET /ws HTTP/1.1\r\nHost: throng.test\r\n\r\n").await;
    assert_eq!((refused.status, refused.body.as_str()), (403, "Forbidden: log in first\n"));
    // A token needs no question.
    let asked = application.requests().len();
    server.connect(&format!("/ws?token={}", tokens::token(&tokens::claims("44")))).await;
    assert_eq!(application.requests().len(), asked);
}

fn by_channel(request: &Request) -> Reply {
    match request.json()["channel"].as_str() {
        Some("secret") => refusal(403, "not for you"),
        Some("full") => temporary("wait a moment"),
        Some("moving") => disconnect(4000, "moving"),
        Some("gone") => disconnect(4500, "closed for good"),
        Some("broken") => Reply::Status(502, String::new()),
        Some("nonsense") => result(json!({ "allowed": false })),
        Some("ends") => result(json!({ "expire_at": tokens::now() })),
        _ => result(json!({ "info": { "seat": 3 } })),
    }
}

#[tokio::test]
async fn application_decides_which_plain_client_subscribes_and_it_is_told_why_not() {
    let application = Application::start(by_channel).await;
    let options = "[default_namespace]\npresence = true\nallow_subscribe = \"hook\"\n";
    let server = server(&format!("{options}{}", application.hooks(&["subscribe"]))).await;
    for (channel, status, body) in [
        ("secret", 403, "Forbidden: not for you\n"),
        ("full", 503, "Service Unavailable: wait a moment; try again later\n"),
        ("moving", 503, "Service Unavailable: moving; try again later\n"),
        ("gone", 403, "Forbidden: closed for good\n"),
        ("broken", 503, "Service Unavailable: the application cannot be asked; try again later\n"),
        ("nonsense", 503, "Service Unavailable: the application cannot be asked; try again later\n"),
    ] {
        let refused = refused(&server, &format!("/ws?channel={channel}")).await;
        assert_eq!((refused.status, refused.body.as_str()), (status, body), "{channel}");
        assert_eq!(refused.header("retry-after").is_some(), status == 503, "{channel}");
    }
    // What other rules forbid is not asked.
    let asked = application.requests().len();
    assert_eq!((refused(&server, "/ws?channel=$a").await.status, application.requests().len()), (403, asked));
    let mut chat = server.connect("/ws?channel=open").await;
    chat.send(Message::text("hello")).await;
    assert_eq!(chat.line().await, "hello");
    assert_eq!(application.requests().last().unwrap().json()["user"], json!(""));
    // A connection of one subscription ends with it.
    let clock = FrozenClock::new();
    let mut chat = server.connect("/ws?channel=ends").await;
    assert_eq!(clock.pass_until(chat.closed()).await.unwrap().0, 4005);
    drop(clock);
}

/// What is not published is told, and messages stay in order while the application is asked.
#[tokio::test]
async fn application_decides_what_a_plain_client_publishes_and_it_is_told_what_is_not() {
    let application = Application::start(|request| match request.json()["data"].as_str() {
        Some("bad word") => refusal(400, "be nice,\nplease"),
        Some("hello") => result(json!({ "data": "HELLO" })),
        Some("broken") => Reply::Status(500, String::new()),
        Some("long") => result(json!({ "data": "x".repeat(101) })),
        Some("bye") => disconnect(4003, "bye"),
        _ => result(json!({})),
    })
    .await;
    let options = "[default_namespace]\nallow_publish = \"hook\"\npublish_bytes_max = 100\n";
    let server = server(&format!("{options}{}", application.hooks(&["publish"]))).await;
    let mut reader = Centrifuge::connect(&server).await;
    reader.call(json!({ "subscribe": { "channel": "news" } })).await;
    let mut chat: Client = server.connect("/ws?channel=news").await;
    for message in ["first", "bad word", "hello", "broken", "long", "last"] {
        chat.send(Message::text(message)).await;
    }
    for expected in [
        "first",
        " [throng] not published: be nice, please",
        "HELLO",
        " [throng] not published: internal server error",
        " [throng] not published: the application made it too long",
        "last",
    ] {
        assert_eq!(chat.line().await, expected);
    }
    for expected in ["first", "HELLO", "last"] {
        assert_eq!(reader.publication().await, ("news".to_owned(), json!(expected)));
    }
    assert_eq!(application.requests()[0].json()["data"], json!("first"));
    chat.send(Message::text("bye")).await;
    assert_eq!(chat.closed().await, Some((4003, "bye".to_owned())));
    reader.check_has_nothing().await;
}

/// docs/threats.md, row 15: a client that is told again and again what is not published, and does not read, is not read
/// either; and gets every line once it reads.
#[tokio::test]
async fn plain_client_that_does_not_read_what_is_refused_is_not_read() {
    const MESSAGES: usize = 400;
    let application = Application::start(|_| refusal(400, &"x".repeat(1000))).await;
    let options = "[default_namespace]\nallow_publish = \"hook\"\n";
    let file = Config::from_toml(&format!("{options}{}", application.hooks(&["publish"]))).unwrap();
    let server = start(|config| {
        (config.sockets.send_buffer_bytes, config.sockets.notsent_bytes) = (4096, 1024);
        (config.hooks, config.default_namespace) = (file.hooks, file.default_namespace);
    })
    .await;
    let stream = stream_with_buffer(server.addr, 1).await;
    let mut client = Raw::over(stream, "/ws", &frame(0x81, b"spam").repeat(MESSAGES)).await;
    server.counted(|counts| counts.parks > 0).await;
    let waiting = server.counts().control_bytes;
    assert!(waiting <= 2 * REPLY_BYTES_MAX as u64, "{waiting} bytes wait");
    assert!(application.requests().len() < MESSAGES);
    for _ in 0..MESSAGES {
        assert!(within(client.judge.text()).await.starts_with(" [throng] not published: x"));
    }
}
