//! The chat protocol: lines of text to every subscriber of one channel.

use super::client::Client;
use super::flow::Flow;
use crate::hub::{Channel, Sink};
use crate::protocol::{CloseReason, Payload};
use std::sync::Arc;

/// A client of the chat protocol.
#[derive(Debug)]
pub struct Chat<S: Sink> {
    pub(super) client: Client<S>,
    pub(super) channel: Arc<Channel>,
}

impl<S: Sink> Chat<S> {
    pub(super) fn new(client: Client<S>, channel: Arc<Channel>) -> Self {
        Self { client, channel }
    }

    pub(super) fn receive(&mut self, body: &[u8]) -> Flow<S> {
        match Payload::line(body) {
            Ok(line) => self.client.publish(&self.channel, line),
            Err(error) => Flow::Fail(CloseReason::Protocol(error)),
        }
    }
}
