//! Presence over a real server: what backends are told of clients with tokens, what subscribers are told of joins and
//! leaves, and that an abrupt end is an end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::api::{call, result, with};
use crate::server::{Client, TestServer, get, within};
use crate::tokens;
use crate::tokens::{claims, table, token};
use futures_util::StreamExt;
use serde_json::{Value, json};
use throng::config::TokenAlgorithm;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// A server with presence, joins and leaves, and the key of the tests' tokens.
async fn server() -> TestServer {
    with(|config| {
        let read = tokens::config(&table(TokenAlgorithm::Hs256, None));
        (config.tokens, config.token_keys) = (read.tokens, read.token_keys);
        (config.default_namespace.presence, config.default_namespace.join_leave) = (true, true);
    })
    .await
}

/// A client of `throng.numbered`, which is told who joins and leaves.
struct Watcher {
    socket: WebSocketStream<TcpStream>,
    lines: Vec<String>,
}

impl Watcher {
    async fn connect(server: &TestServer) -> Self {
        let mut request = "ws://throng.test/ws?channel=a".into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("throng.numbered"));
        let stream = TcpStream::connect(server.addr).await.unwrap();
        let (socket, _) = within(tokio_tungstenite::client_async(request, stream)).await.unwrap();
        Self { socket, lines: Vec::new() }
    }

    /// Waits for the next join or leave; returns the word and what it says of the client.
    async fn event(&mut self) -> (String, Value) {
        loop {
            while !self.lines.is_empty() {
                let line = self.lines.remove(0);
                let event = line.strip_prefix(" [throng] ").and_then(|text| text.split_once(' '));
                if let Some((word @ ("joined" | "left"), info)) = event {
                    return (word.to_owned(), serde_json::from_str(info).unwrap());
                }
            }
            if let Message::Text(text) = within(self.socket.next()).await.unwrap().unwrap() {
                self.lines.extend(text.split('\n').map(str::to_owned));
            }
        }
    }
}

async fn presence(server: &TestServer) -> Value {
    result(server, "presence", json!({ "channel": "a" })).await["presence"].take()
}

async fn metric(server: &TestServer, name: &str) -> String {
    let page = get(server.addr, "/metrics").await.body;
    let prefix = format!("{name} ");
    page.lines().find_map(|line| line.strip_prefix(&*prefix)).unwrap_or_default().to_owned()
}

/// The shape is that of Centrifugo, and the id is what `disconnect` takes.
#[tokio::test]
async fn backend_is_told_what_the_tokens_say() {
    let server = server().await;
    let mut alice = claims("alice");
    alice["info"] = json!({ "name": "Alice \u{2603}" });
    alice["subs"] = json!({ "a": { "info": { "role": "host" } }, "b": { "info": 1 } });
    let mut alice = server.connect(&format!("/ws?channel=a&token={}", token(&alice))).await;
    let _second = server.connect(&format!("/ws?channel=a&token={}", token(&claims("alice")))).await;
    let _anonymous = server.connect("/ws?channel=a").await;
    let clients = presence(&server).await;
    let clients: Vec<(&String, &Value)> = clients.as_object().unwrap().iter().collect();
    assert_eq!(clients.len(), 3);
    assert!(clients.iter().all(|(id, client)| client["client"].as_str() == Some(id)));
    let of = |user: &str| clients.iter().filter(|(_, client)| client["user"] == user).copied().collect::<Vec<_>>();
    assert_eq!((of("alice").len(), of("").len()), (2, 1));
    let (id, first) = *of("alice").iter().find(|(_, client)| client.get("conn_info").is_some()).unwrap();
    let expected = json!({
        "user": "alice", "client": id, "conn_info": { "name": "Alice \u{2603}" }, "chan_info": { "role": "host" }
    });
    assert_eq!(first, &expected);
    let stats = result(&server, "presence_stats", json!({ "channel": "a" })).await;
    assert_eq!(stats, json!({ "num_clients": 3, "num_users": 2 }));
    assert_eq!(metric(&server, "throng_presence_members").await, "3");

    result(&server, "disconnect", json!({ "client": id })).await;
    assert_eq!(alice.closed().await, Some((4503, "force disconnect".to_owned())));
    let nobody = result(&server, "presence", json!({ "channel": "empty" })).await;
    assert_eq!(nobody, json!({ "presence": {} }));
    let commands = json!([{ "presence": { "channel": "empty" } }, { "presence_stats": { "channel": "empty" } }]);
    let (_, answer) = call(&server, "batch", json!({ "commands": commands })).await;
    let expected = json!([
        { "presence": { "presence": {} } },
        { "presence_stats": { "num_clients": 0, "num_users": 0 } },
    ]);
    assert_eq!(answer["replies"], expected);
}

/// A line that nobody but the hub can send, with the same fields; plain clients notice nothing. A socket that breaks
/// without a word is a leave.
#[tokio::test]
async fn joins_and_leaves_are_told_and_an_abrupt_end_is_one() {
    let server = server().await;
    let mut watcher = Watcher::connect(&server).await;
    assert_eq!(watcher.event().await.0, "joined", "itself");
    let mut plain = server.connect("/ws?channel=a").await;
    let (word, plain_info) = watcher.event().await;
    assert_eq!((word.as_str(), &plain_info["user"]), ("joined", &json!("")));
    let stream = TcpStream::connect(server.addr).await.unwrap();
    stream.set_zero_linger().unwrap();
    let gone = Client::over(stream, &format!("/ws?channel=a&token={}", token(&claims("a\nb")))).await;
    let (word, info) = watcher.event().await;
    assert_eq!((word.as_str(), &info["user"]), ("joined", &json!("a\nb")));
    assert_eq!(presence(&server).await[info["client"].as_str().unwrap()], info);

    drop(gone);
    assert_eq!(watcher.event().await, ("left".to_owned(), info.clone()));
    assert!(presence(&server).await.get(info["client"].as_str().unwrap()).is_none());
    assert_eq!(metric(&server, "throng_presence_leaves_total").await, "1");
    plain.send("hello").await;
    assert_eq!(plain.line().await, "hello", "nothing was told before");
    plain.close(None).await;
    // The server waits until its socket has ended.
    drop(plain);
    assert_eq!(watcher.event().await, ("left".to_owned(), plain_info));
    assert_eq!(presence(&server).await.as_object().unwrap().len(), 1);
}
