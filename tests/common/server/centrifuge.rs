//! A client of the Centrifuge protocol that writes and reads its JSON by hand.

use super::client::{Client, Closed};
use super::{TestServer, within};
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio_tungstenite::tungstenite::Message;

pub(crate) const PATH: &str = "/connection/websocket";

pub(crate) struct Centrifuge {
    pub(crate) client: Client,
    received: VecDeque<Value>,
    next_id: u64,
}

impl Centrifuge {
    /// Opens a connection that has not said who it is.
    pub(crate) async fn open(server: &TestServer) -> Self {
        Self { client: server.connect(PATH).await, received: VecDeque::new(), next_id: 1 }
    }

    /// Connects an anonymous client.
    pub(crate) async fn connect(server: &TestServer) -> Self {
        Self::connect_with(server, json!({})).await
    }

    /// Connects a client with this request.
    pub(crate) async fn connect_with(server: &TestServer, request: Value) -> Self {
        let mut client = Self::open(server).await;
        let reply = client.call(json!({ "connect": request })).await;
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        client
    }

    /// Sends objects in one frame.
    pub(crate) async fn send(&mut self, objects: &[Value]) {
        let lines: Vec<_> = objects.iter().map(Value::to_string).collect();
        self.client.send(Message::text(lines.join("\n"))).await;
    }

    /// Sends a command under an id of its own, which is returned.
    pub(crate) async fn command(&mut self, mut command: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        command["id"] = id.into();
        self.send(&[command]).await;
        id
    }

    /// Sends a command and returns its reply. What comes before it is kept.
    pub(crate) async fn call(&mut self, command: Value) -> Value {
        let id = self.command(command).await;
        let mut before = VecDeque::new();
        loop {
            let next = self.next().await;
            if next["id"] == json!(id) {
                before.append(&mut self.received);
                self.received = before;
                return next;
            }
            before.push_back(next);
        }
    }

    /// Sends a command whose reply is an error, and returns its code.
    pub(crate) async fn error(&mut self, command: Value) -> u64 {
        let reply = self.call(command.clone()).await;
        reply["error"]["code"].as_u64().unwrap_or_else(|| panic!("{command}: {reply}"))
    }

    /// Returns the next object, however they were joined.
    pub(crate) async fn next(&mut self) -> Value {
        while self.received.is_empty() {
            let text = self.client.text().await;
            assert!(!text.ends_with('\n'), "{text:?}");
            self.received.extend(text.split('\n').map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        self.received.pop_front().unwrap()
    }

    /// Returns the next push.
    pub(crate) async fn push(&mut self) -> Value {
        let mut next = self.next().await;
        assert!(next["push"].is_object(), "{next}");
        next["push"].take()
    }

    /// Returns the channel and the data of the next publication.
    pub(crate) async fn publication(&mut self) -> (String, Value) {
        let mut push = self.push().await;
        assert!(push["pub"].is_object(), "{push}");
        (push["channel"].as_str().unwrap().to_owned(), push["pub"]["data"].take())
    }

    /// Waits for the end.
    pub(crate) async fn closed(&mut self) -> Closed {
        within(self.client.closed()).await
    }

    /// Checks that nothing has come that was not looked at.
    pub(crate) async fn check_has_nothing(&mut self) {
        self.client.round_trip().await;
        let kept = self.client.kept();
        assert!(self.received.is_empty() && kept.is_empty(), "{:?} {kept:?}", self.received);
    }
}
