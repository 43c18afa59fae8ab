//! The chat protocol: lines of text to every subscriber of one channel.

use super::client::Client;
use super::flow::Flow;
use super::permission::{self, Action, ClientOfChannel, Who};
use crate::config::ChannelOptions;
use crate::hub::{Channel, Sink};
use crate::protocol::{ChannelName, CloseReason, Payload, ProtocolError};
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
    pub(super) fn new(client: Client<S>, channel: Arc<Channel>, options: &Arc<ChannelOptions>) -> Self {
        let publish_bytes_max = publish_bytes_max(channel.name(), options);
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

/// Returns the most bytes of a message to the channel; `None` if a subscriber without a token may not publish.
fn publish_bytes_max(name: &ChannelName, options: &Arc<ChannelOptions>) -> Option<u32> {
    let client = ClientOfChannel { who: Who::Anonymous, has_channel_token: false, is_subscribed: true };
    permission::check(client, Action::Publish, name.as_str(), options).ok()?;
    Some(u32::try_from(options.publish_bytes_max()).unwrap_or(u32::MAX))
}
