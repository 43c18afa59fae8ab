//! A question: the body of a request to the application, as Centrifugo's proxy sends it.

use crate::protocol::centrifuge::{Connect, Format, Rpc, Subscribe};
use crate::protocol::{Content, Payload};
use crate::session::hooks::Asker;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The fields of all questions; each has those that its hook documents.
#[derive(Default, Serialize)]
pub(super) struct Question<'a> {
    client: String,
    transport: &'static str,
    protocol: &'static str,
    encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64data: Option<String>,
}

impl<'a> Question<'a> {
    /// Returns a question about a client who is not known yet.
    pub(super) fn connect(asker: &'a Asker, request: &'a Connect) -> Self {
        let channels = request.subs.iter().map(|(channel, _)| channel.as_str()).collect();
        let (name, version) = (request.name.as_str(), request.version.as_str());
        Self { name, version, channels, user: None, ..Self::about(asker) }.with_data(request.data.as_ref())
    }

    /// Returns a question about a client, and nothing else.
    pub(super) fn about(asker: &'a Asker) -> Self {
        let protocol = match asker.format {
            Some(Format::Json) => "json",
            Some(Format::Protobuf) => "protobuf",
            None => "text",
        };
        let user = asker.user.as_ref().map_or("", |user| user.as_str());
        let client = asker.client.to_string();
        let meta = asker.meta.as_deref().and_then(|meta| serde_json::from_str(meta).ok());
        Self { client, transport: "websocket", protocol, encoding: "json", user: Some(user), meta, ..Self::default() }
    }

    /// Returns a question about a client in a channel.
    pub(super) fn channel(asker: &'a Asker, channel: &'a str) -> Self {
        Self { channel: Some(channel), ..Self::about(asker) }
    }

    pub(super) fn subscribe(asker: &'a Asker, request: &'a Subscribe) -> Self {
        Self::channel(asker, &request.channel).with_data(request.data.as_ref())
    }

    pub(super) fn publish(asker: &'a Asker, channel: &'a str, data: &Payload) -> Self {
        Self::channel(asker, channel).with_data(Some(data))
    }

    pub(super) fn rpc(asker: &'a Asker, request: &'a Rpc) -> Self {
        Self { method: &request.method, ..Self::about(asker) }.with_data(request.data.as_ref())
    }

    /// Adds data of the client: as it is if it is JSON, text as a JSON string, and other bytes in base64.
    fn with_data(mut self, data: Option<&Payload>) -> Self {
        let Some(Payload { content, data, .. }) = data else { return self };
        self.data = match content {
            Content::Json | Content::Binary => serde_json::from_slice(data).ok(),
            // Without the newline that ends a line.
            Content::Line => to_raw_value(String::from_utf8_lossy(data).trim_end()).ok(),
            Content::Text => to_raw_value(&String::from_utf8_lossy(data)).ok(),
        };
        if self.data.is_none() {
            (self.encoding, self.b64data) = ("binary", Some(STANDARD.encode(data)));
        }
        self
    }

    /// Returns the channel that it is about, if it is about one.
    pub(super) fn about_channel(&self) -> Option<&'a str> {
        self.channel
    }

    pub(super) fn to_body(&self) -> Bytes {
        // A struct of texts and checked JSON can always be written.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}
