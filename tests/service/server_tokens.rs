//! Tokens over a real server: three ways to send one, every refusal, the end of a connection with its token, the limit
//! per user, and what must never be logged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::process::{Process, throng};
use crate::server::{Answer, Client, KEY, TestServer, ask, exchange, get, start, within};
use crate::tokens;
use crate::tokens::{SECRET, claims, forge, now, sign, table, token};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use throng::config::{Config, TokenAlgorithm};
use throng::hub::{Command, MessageShape};
use throng::protocol::CloseReason;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// Gives a server the key of the tests, and what else a file says.
fn with_key(config: &mut Config, file: &str) {
    let read = tokens::config(&format!("{file}\n{}", table(TokenAlgorithm::Hs256, None)));
    (config.tokens, config.token_keys) = (read.tokens, read.token_keys);
    (config.default_namespace, config.namespaces) = (read.default_namespace, read.namespaces);
    config.access.admin_keys = vec![KEY.parse().unwrap()];
}

async fn server_with(file: &str) -> TestServer {
    start(|config| with_key(config, file)).await
}

/// Makes a handshake as plain bytes, with more lines of head; returns its refusal.
async fn refused(addr: SocketAddr, target: &str, lines: &[&str]) -> Answer {
    let answer = exchange(addr, request(target, lines).as_bytes()).await;
    assert_ne!(answer.status, 101, "{answer:?}");
    answer
}

fn request(target: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "GET {target} HTTP/1.1\r\nHost: throng.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// Returns the number of users that are connected, as the metrics say it.
async fn users(server: &TestServer) -> String {
    let page = get(server.addr, "/metrics").await.body;
    page.lines().find_map(|line| line.strip_prefix("throng_users ")).unwrap().to_owned()
}

/// Returns how many refusals have a reason.
async fn refusals(server: &TestServer, reason: &str) -> String {
    let page = get(server.addr, "/metrics").await.body;
    let prefix = format!("throng_refusals_total{{reason=\"{reason}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
}

/// Browsers can set a subprotocol, programs a header, and a query is for both. The response never repeats the token.
#[tokio::test]
async fn token_is_accepted_in_the_query_in_a_subprotocol_and_in_a_header() {
    let server = server_with("[token]\ntoken_required = true").await;
    let token = token(&claims("42"));
    let mut by_query = server.connect(&format!("/ws?token={token}")).await;
    let offered = format!("throng.chat, throng.token.{token}");
    for (name, value, chosen) in [
        ("sec-websocket-protocol", offered, Some("throng.chat")),
        ("authorization", format!("Bearer {token}"), None),
        ("authorization", format!("bearer {token}"), None),
    ] {
        let mut request = "ws://throng.test/ws".into_client_request().unwrap();
        request.headers_mut().insert(name, HeaderValue::from_str(&value).unwrap());
        let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        let (_socket, response) = within(tokio_tungstenite::client_async(request, stream)).await.unwrap();
        let headers = response.headers();
        let protocol = headers.get("sec-websocket-protocol").map(|value| value.to_str().unwrap());
        assert_eq!(protocol, chosen);
        assert!(!format!("{headers:?}").contains(&token));
    }
    by_query.send("hello").await;
    assert_eq!(by_query.line().await, "hello");
}

/// Each mistake has its status, its text, and its label; nothing that was sent is repeated.
#[tokio::test]
async fn every_refusal_has_its_status_its_text_and_its_label() {
    let server = server_with("[token]\ntoken_required = true\ntoken_audience = \"chat\"\ntoken_issuer = \"me\"").await;
    let valid = json!({ "sub": "SECRET", "exp": now() + 3600, "aud": "chat", "iss": "me" });
    let with = |name: &str, value: Value| {
        let mut claims = valid.clone();
        claims[name] = value;
        token(&claims)
    };
    let other = "another secret, which is long enough for its algorithm";
    let forged = |header: Value, secret: &str| {
        forge(&header, &valid, |message| tokens::sign_with(TokenAlgorithm::Hs256, secret.as_bytes(), message))
    };
    let cases = [
        ("not.a.token".to_owned(), "token_malformed", "the token is not three parts"),
        (with("sub", json!(42)), "token_malformed", "the claim sub of the token is missing or has a wrong type"),
        ("x".repeat(4000), "token_malformed", "the token is not three parts"),
        (forged(json!({ "alg": "HS256" }), other), "token_signature", "the signature of the token is wrong"),
        (forged(json!({ "alg": "none" }), SECRET), "token_key", "the token is not signed (alg none)"),
        (forged(json!({ "alg": "RS256" }), SECRET), "token_key", "the token names another algorithm"),
        (forged(json!({ "alg": "HS256", "kid": "SECRET" }), SECRET), "token_key", "no key has the ID (kid)"),
        (with("exp", json!(now() - 1)), "token_expired", "the token has expired (exp)"),
        (with("nbf", json!(now() + 3600)), "token_not_yet_valid", "the token is not valid yet (nbf)"),
        (with("iat", json!(now() + 3600)), "token_not_yet_valid", "the token is issued in the future (iat)"),
        (with("aud", json!("other")), "token_audience", "the token is not for this audience (aud)"),
        (with("iss", json!("other")), "token_issuer", "the token is not from this issuer (iss)"),
    ];
    let mut counts = std::collections::HashMap::new();
    for (token, reason, text) in &cases {
        let answer = refused(server.addr, &format!("/ws?token={token}"), &[]).await;
        assert_eq!((answer.status, answer.header("WWW-Authenticate")), (401, Some("Bearer error=\"invalid_token\"")));
        assert!(answer.body.starts_with(&format!("Unauthorized: {text}")), "{}", answer.body);
        assert!(!answer.body.contains("SECRET") && !answer.body.contains(token.as_str()), "{}", answer.body);
        *counts.entry(*reason).or_insert(0) += 1;
    }
    let answer = refused(server.addr, "/ws", &[]).await;
    assert_eq!((answer.status, answer.header("WWW-Authenticate")), (401, Some("Bearer")));
    assert!(answer.body.starts_with("Unauthorized: a token is required"), "{}", answer.body);
    counts.insert("token_missing", 1);
    for (reason, count) in counts {
        assert_eq!(refusals(&server, reason).await, count.to_string(), "{reason}");
    }
    let two = token(&valid);
    let answer = refused(server.addr, &format!("/ws?token={two}"), &[&format!("Authorization: Bearer {two}")]).await;
    assert_eq!((answer.status, answer.body.as_str()), (400, "Bad Request: there is more than one token\n"));
    let answer = refused(server.addr, "/ws", &[&format!("Sec-WebSocket-Protocol: throng.token.{two}")]).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("needs throng.chat or throng.numbered offered next to it"), "{}", answer.body);
    assert!(server.connect(&format!("/ws?token={two}")).await.close(None).await.is_none());
}

/// A hub without keys knows no users: proxies may add tokens to every request, and they do no harm.
#[tokio::test]
async fn hub_without_keys_ignores_tokens() {
    let server = start(|_| {}).await;
    server.connect("/ws?token=anything").await;
    assert_eq!(users(&server).await, "0");
}

/// Where a client begins: where it says, else where its token says, else in the lobby.
#[tokio::test]
async fn client_that_names_no_channel_begins_in_the_first_one_of_its_token() {
    let server = server_with("").await;
    let mut listener = server.connect("/ws?channel=news").await;
    let mut claims = claims("42");
    claims["channels"] = json!(["news", "chat"]);
    let token = token(&claims);
    let mut by_token = server.connect(&format!("/ws?token={token}")).await;
    by_token.send("in the news").await;
    assert_eq!(listener.line().await, "in the news");
    let mut by_name = server.connect(&format!("/ws?channel=other&token={token}")).await;
    by_name.send("elsewhere").await;
    assert_eq!(by_name.line().await, "elsewhere");
    claims["channels"] = json!(["not a channel"]);
    let answer = refused(server.addr, &format!("/ws?token={}", tokens::token(&claims)), &[]).await;
    assert_eq!(answer.status, 400);
}

/// The namespace decides what a token opens: to listen, to publish, to enter a channel that it names.
#[tokio::test]
async fn namespace_decides_what_a_token_opens() {
    let users = "[default_namespace]\nallow_subscribe = \"authenticated\"\nallow_publish = \"authenticated\"\n";
    let named = "[[namespace]]\nname = \"news\"\nallow_subscribe = \"token\"\nallow_publish = \"nobody\"\n";
    let server = server_with(&format!("{users}{named}")).await;
    let of = |user: &str, channels: Value| {
        let mut claims = claims(user);
        claims["channels"] = channels;
        token(&claims)
    };
    let (user, guest) = (of("42", json!([])), of("", json!(["$mine"])));
    let reader = of("", json!(["news:a"]));
    let enter = |channel: &str, token: &str| format!("/ws?channel={channel}&token={token}");
    for target in [
        "/ws?channel=lobby".to_owned(),
        enter("lobby", &guest),
        enter("news:a", &user),
        enter("news:b", &reader),
        enter("$mine", &user),
        enter("talk%237,8", &user),
    ] {
        let answer = refused(server.addr, &target, &[]).await;
        assert!(answer.status == 403 && answer.body.starts_with("Forbidden: "), "{target}: {}", answer.body);
    }
    let mut one = server.connect(&enter("talk%2342,43", &user)).await;
    one.send("hello").await;
    assert_eq!(one.line().await, "hello");
    server.connect(&enter("$mine", &guest)).await;
    let mut reading = server.connect(&enter("news:a", &reader)).await;
    reading.send("not mine to say").await;
    assert_eq!(reading.closed().await.map(|(code, _)| code), Some(4507));
}

/// A connection ends with its token, and one that may stay longer stays. docs/threats.md, row 20.
#[tokio::test]
async fn connection_ends_with_its_token_and_others_stay() {
    let server = server_with("").await;
    let (mut short, mut longer) = (claims("42"), claims("42"));
    (short["exp"], longer["exp"]) = (json!(now() + 2), json!(now() + 2));
    longer["expire_at"] = json!(0);
    let mut longer = server.connect(&format!("/ws?token={}", token(&longer))).await;
    let mut anonymous = server.connect("/ws").await;
    let mut client = server.connect(&format!("/ws?token={}", token(&short))).await;
    assert_eq!(client.closed().await, Some((4005, "token expired".to_owned())));
    server.closed(CloseReason::Expired, 1).await;
    longer.send("still here").await;
    assert_eq!((longer.line().await, anonymous.line().await), ("still here".to_owned(), "still here".to_owned()));
}

/// The limit is allowed, one more is 429, others are not affected, and an end makes room. docs/threats.md, row 13.
#[tokio::test]
async fn user_has_as_many_connections_as_it_may_have() {
    let server = server_with("[token]\nconnections_per_user_max = 2").await;
    let token = token(&claims("42"));
    let target = format!("/ws?token={token}");
    let _first = server.connect(&target).await;
    let mut second = server.connect(&target).await;
    let answer = refused(server.addr, &target, &[]).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.body, "Too Many Requests: this user has reached its limit of connections\n");
    assert!(answer.header("Retry-After").is_some());
    assert_eq!(refusals(&server, "connections_user").await, "1");
    let _other = server.connect(&format!("/ws?token={}", tokens::token(&claims("43")))).await;
    let _anonymous = server.connect("/ws").await;
    assert_eq!(users(&server).await, "2");
    second.close(None).await;
    drop(second);
    // The place is free once the reader has seen the end.
    within(async {
        while exchange_status(server.addr, &target).await != 101 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Asks for a WebSocket and returns the status; the connection ends right after it.
async fn exchange_status(addr: SocketAddr, target: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    stream.write_all(request(target, &[]).as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

/// Nothing is left of a user whose connections are gone, however they ended: also when a shard fails.
#[tokio::test]
async fn index_of_users_is_empty_after_closes_disconnects_and_a_failed_shard() {
    let server = start(|config| {
        with_key(config, "");
        config.shards = Some(1);
    })
    .await;
    let target = format!("/ws?token={}", token(&claims("42")));
    let mut closed = server.connect(&target).await;
    let cut = server.connect(&target).await;
    assert_eq!(users(&server).await, "1");
    closed.close(Some(1000)).await;
    drop((closed, cut));
    server.vacated().await;
    assert_eq!(users(&server).await, "0");

    // A release build has no assertion to make a shard fail with.
    if cfg!(debug_assertions) {
        let mut failing = server.connect(&target).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = std::sync::Arc::new(throng::net::socket::Socket::plain(stream));
        let sink = || throng::net::socket::SocketSink::new(std::sync::Arc::clone(&socket));
        let slot = server.hub().reserve_slot().unwrap();
        let inbox = server.hub().inbox(0);
        let id = server.hub().connect(slot, sink(), MessageShape::default(), inbox.credit(0).await);
        inbox.send(Command::Connect { id, sink: sink(), shape: MessageShape::default() }).await;
        assert_eq!(failing.closed().await.map(|(code, _)| code), Some(1011));
        drop(failing);
        within(async {
            while users(&server).await != "0" {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// An operator revokes the access of a user: all its connections end, with a code after which clients do not return.
#[tokio::test]
async fn operator_ends_every_connection_of_a_user_and_no_other() {
    let server = server_with("").await;
    let target = format!("/ws?token={}", token(&claims("a user/42")));
    let (mut one, mut two) = (server.connect(&target).await, server.connect(&target).await);
    let mut other = server.connect(&format!("/ws?token={}", token(&claims("43")))).await;
    let (status, answer) = ask(&server, "POST", "/admin/disconnect?user=a%20user%2F42").await;
    assert_eq!((status, answer), (200, json!({ "user": "a user/42", "disconnected": 2 })));
    for client in [&mut one, &mut two] {
        assert_eq!(client.closed().await, Some((4503, "force disconnect".to_owned())));
    }
    other.send("still here").await;
    assert_eq!(other.line().await, "still here");
    let (status, answer) = ask(&server, "POST", "/admin/disconnect?user=nobody").await;
    assert_eq!((status, answer), (200, json!({ "user": "nobody", "disconnected": 0 })));
    let (status, answer) = ask(&server, "POST", "/admin/disconnect").await;
    assert_eq!((status, answer), (400, json!({ "error": "the parameter user is missing; write user=..." })));
    let (status, answer) = ask(&server, "GET", "/admin/disconnect?user=42").await;
    assert_eq!((status, answer), (405, json!({ "error": "this path supports POST, OPTIONS" })));
}

/// Reads a log to its end.
async fn rest(mut log: tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStderr>>) -> String {
    let mut text = String::new();
    while let Some(line) = within(log.next_line()).await.unwrap() {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// A token opens a door, and so does a secret: neither is in a log, whatever is logged, nor in the output of a command.
/// docs/threats.md, rows 19 and 21.
#[tokio::test]
async fn neither_tokens_nor_secrets_are_logged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.toml");
    let file = |secret: &str| {
        let other = table(TokenAlgorithm::Hs256, Some("k"));
        let text = format!("{other}[[token_key]]\nalgorithm = \"HS256\"\nsecret = \"{secret}\"\n");
        std::fs::write(&path, text).unwrap();
    };
    file("the first secret, which is long enough");
    let config = path.to_str().unwrap();
    let mut command = throng(&["--addr", "127.0.0.1:0", "--log", "trace", "--config", config]);
    let (process, log) = Process::spawn_logging(&mut command).await;
    let header = json!({ "alg": "HS256", "kid": "k" });
    let mark = "SECRETuser";
    let of = |claims: &Value| forge(&header, claims, |message| sign(TokenAlgorithm::Hs256, message));
    let (valid, mut expired) = (of(&claims(mark)), claims(mark));
    expired["exp"] = json!(1);
    let expired = of(&expired);
    let mut client = Client::connect(process.addr, &format!("/ws?token={valid}")).await;
    client.close(None).await;
    for target in [format!("/ws?token={expired}"), format!("/ws?token={valid}x")] {
        assert_eq!(refused(process.addr, &target, &[]).await.status, 401);
    }
    for line in [
        format!("Authorization: Bearer {expired}"),
        format!("Sec-WebSocket-Protocol: throng.chat, throng.token.{expired}"),
        format!("Sec-WebSocket-Protocol: throng.token.{valid}"),
    ] {
        refused(process.addr, "/ws", &[&line]).await;
    }
    file("the second secret, which is long enough");
    process.signal(Signal::HUP);
    // The reload is done once a token of the new secret is accepted.
    let second = throng::auth::sign::sign(
        TokenAlgorithm::Hs256,
        None,
        b"the second secret, which is long enough",
        &claims(mark),
    );
    let target = format!("/ws?token={}", second.unwrap());
    within(async {
        while exchange_status(process.addr, &target).await != 101 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    process.signal(Signal::INT);
    assert!(process.ended().await.success());
    let log = rest(log).await;
    assert!(log.contains("connected") && log.contains("token_expired") && log.contains("reload"), "it does log: {log}");
    let check = throng(&["check-config", config]).output().await.unwrap();
    let shown = format!("{log}{}", String::from_utf8(check.stdout).unwrap());
    assert!(shown.contains("[[token_key]]"), "{shown}");
    for secret in [&valid[..20], &expired[60..90], mark, SECRET, "first secret", "second secret"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

/// The switch is for development, and says so for as long as it is on.
#[tokio::test]
async fn insecure_switch_accepts_everyone_and_warns() {
    let mut command = throng(&["--addr", "127.0.0.1:0", "--token-insecure"]);
    let (process, mut log) = Process::spawn_logging(&mut command).await;
    let unsigned = forge(&json!({ "alg": "none" }), &claims("42"), |_| Vec::new());
    let _client = Client::connect(process.addr, &format!("/ws?token={unsigned}")).await;
    let page = get(process.addr, "/metrics").await.body;
    assert!(page.contains("throng_tokens_insecure 1\n") && page.contains("throng_users 1\n"), "{page}");
    let warned = within(async {
        loop {
            let line = log.next_line().await.unwrap().expect("the log goes on");
            if line.contains("--token-insecure: the signatures of tokens are not checked") {
                return line;
            }
        }
    });
    assert!(warned.await.contains("WARN"));
    process.signal(Signal::INT);
    assert!(process.ended().await.success());
}

/// The hub for test suites of SDKs: their tokens work on this face too, and the log says what that means.
#[tokio::test]
async fn lenient_switch_of_the_suites_accepts_their_tokens_and_warns() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/examples/sdk-suite.toml");
    let (process, mut log) = Process::spawn_logging(&mut throng(&["--config", config, "--addr", "127.0.0.1:0"])).await;
    let forever = throng::auth::sign::sign(TokenAlgorithm::Hs256, None, b"secret", &json!({ "sub": "42" })).unwrap();
    let _client = Client::connect(process.addr, &format!("/ws?token={forever}")).await;
    let warned = within(async {
        loop {
            let line = log.next_line().await.unwrap().expect("the log goes on");
            if line.contains("--token-strict is off") {
                return line;
            }
        }
    });
    assert!(warned.await.ends_with("and a [[token_key]] has a secret that can be guessed"));
    process.signal(Signal::INT);
    assert!(process.ended().await.success());
}
