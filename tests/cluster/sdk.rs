//! A client that behaves as an SDK does: it speaks the Centrifuge protocol, and recovers.

use crate::checker::Seen;
use crate::subscriber::{Notes, RETRY, SILENCE_MAX, Socket, open, send};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

pub(crate) struct Sdk {
    notes: Arc<Notes>,
    /// Where it stands.
    position: Option<(String, u64)>,
}

impl Sdk {
    /// Makes one that has everything up to a position, if it names one.
    pub(crate) fn new(notes: Arc<Notes>, position: Option<(String, u64)>) -> Self {
        Self { notes, position }
    }

    /// Connects, and goes on until that ends.
    pub(crate) async fn connection(&mut self, addr: SocketAddr) -> Option<()> {
        let mut socket = open(addr, "ws://throng.test/connection/websocket").await?;
        send_json(&mut socket, &json!({ "id": 1, "connect": {} })).await?;
        loop {
            let text = match timeout(SILENCE_MAX, socket.next()).await.ok()??.ok()? {
                Message::Text(text) => text,
                Message::Close(_) => return None,
                _ => continue,
            };
            for line in text.split('\n') {
                let object: Value = serde_json::from_str(line).unwrap();
                self.handle(&mut socket, object).await?;
            }
        }
    }

    async fn handle(&mut self, socket: &mut Socket, object: Value) -> Option<()> {
        if object == json!({}) {
            return send_json(socket, &object).await;
        }
        if object["push"]["pub"].is_null() && object["subscribe"].is_null() {
            self.notes.tell(&object.to_string());
        }
        if object["connect"].is_object() {
            return self.subscribe(socket).await;
        }
        if object["error"].is_object() {
            sleep(RETRY).await;
            return self.subscribe(socket).await;
        }
        if object["subscribe"].is_object() {
            self.subscribed(&object["subscribe"]);
        }
        let push = &object["push"];
        if push["pub"].is_object() {
            self.publication(&push["pub"], false);
        }
        if push["unsubscribe"].is_object() {
            return self.subscribe(socket).await;
        }
        Some(())
    }

    async fn subscribe(&self, socket: &mut Socket) -> Option<()> {
        let mut request = json!({ "channel": self.notes.channel, "recoverable": true, "positioned": true });
        if let Some((epoch, offset)) = &self.position {
            request["recover"] = true.into();
            request["epoch"] = epoch.as_str().into();
            request["offset"] = (*offset).into();
        }
        send_json(socket, &json!({ "id": 2, "subscribe": request })).await
    }

    fn subscribed(&mut self, result: &Value) {
        let is_return = self.position.is_some();
        if is_return && result["recovered"] != json!(true) {
            self.notes.tell(&format!("gap after {:?}: {result}", self.position));
            self.notes.note(Seen::Gap);
        } else {
            for publication in result["publications"].as_array().into_iter().flatten() {
                self.publication(publication, true);
            }
        }
        let epoch = result["epoch"].as_str().unwrap_or_default().to_owned();
        // That of what it had before, if it gets what it missed.
        let offset = result["offset"].as_u64().unwrap_or_default();
        let offset = self.position.take().filter(|(known, _)| *known == epoch).map_or(offset, |(_, at)| at.max(offset));
        self.position = Some((epoch.clone(), offset));
        self.notes.note(Seen::Start { epoch, offset });
    }

    fn publication(&mut self, publication: &Value, is_recovered: bool) {
        let offset = publication["offset"].as_u64().unwrap_or_default();
        let data = &publication["data"];
        let body = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
        if let Some((_, at)) = &mut self.position {
            *at = offset;
        }
        let seen = if is_recovered { Seen::Recovered { offset, body } } else { Seen::Publication { offset, body } };
        self.notes.note(seen);
    }
}

async fn send_json(socket: &mut Socket, object: &Value) -> Option<()> {
    send(socket, Message::text(object.to_string())).await
}
