//! The echo protocol: the client's own messages back, unchanged, through the whole data plane.

use super::client::Client;
use super::flow::Flow;
use crate::hub::{Channel, Sink};
use crate::protocol::{Content, MessageKind, Payload};
use bytes::Bytes;
use std::sync::Arc;

/// A client of the echo protocol.
#[derive(Debug)]
pub struct Echo<S: Sink> {
    pub(super) client: Client<S>,
    /// Its own: no other client can name it.
    pub(super) channel: Arc<Channel>,
}

impl<S: Sink> Echo<S> {
    pub(super) fn new(client: Client<S>, channel: Arc<Channel>) -> Self {
        Self { client, channel }
    }

    pub(super) fn receive(&mut self, kind: MessageKind, body: &[u8]) -> Flow<S> {
        let content = match kind {
            MessageKind::Text => Content::Text,
            MessageKind::Binary => Content::Binary,
        };
        self.client.publish(&self.channel, Payload::new(content, Bytes::copy_from_slice(body)))
    }
}
