//! The chat protocol: lines of text to every subscriber of one channel.

use super::client::Client;
use super::flow::Flow;
use crate::hub::{Channel, Sink};
use crate::protocol::{CloseReason, Payload, ProtocolError};
use std::sync::Arc;

/// A client of the chat protocol.
#[derive(Debug)]
pub struct Chat<S: Sink> {
    pub(super) client: Client<S>,
    pub(super) channel: Arc<Channel>,
    /// Most bytes of a message; `None` if the client may not publish.
    publish_bytes_max: Option<u32>,
}

impl<S: Sink> Chat<S> {
    pub(super) fn new(client: Client<S>, channel: Arc<Channel>, publish_bytes_max: Option<u32>) -> Self {
        Self { client, channel, publish_bytes_max }
    }

    pub(super) fn receive(&mut self, body: &[u8]) -> Flow<S> {
        match self.check(body.len()).and_then(|()| Payload::line(body).map_err(CloseReason::Protocol)) {
            Ok(line) => self.client.publish(&self.channel, line),
            Err(reason) => Flow::Fail(reason),
        }
    }

    /// Checks that the client may publish, and that many bytes.
    fn check(&self, bytes: usize) -> Result<(), CloseReason> {
        match self.publish_bytes_max {
            Some(max) if bytes <= max as usize => Ok(()),
            Some(max) => {
                let (len, max) = (bytes as u64, max as usize);
                Err(CloseReason::Protocol(ProtocolError::MessageTooBig { len, max }))
            }
            None => Err(CloseReason::PermissionDenied),
        }
    }
}
