//! The chat protocol: lines of text to every subscriber of one channel.

use super::client::Client;
use super::flow::{Application, Flow, Publishing};
use super::hooks::{Approval, Decision};
use crate::engine::replies::ReplyBudget;
use crate::hub::{Channel, Sink};
use crate::protocol::{CloseReason, Details, Payload, ProtocolError, chat};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// A client of the chat protocol.
#[derive(Debug)]
pub struct Chat<S: Sink> {
    pub(super) client: Client<S>,
    pub(super) channel: Arc<Channel>,
    publishing: Publishing,
}

impl<S: Sink> Chat<S> {
    pub(super) fn new(client: Client<S>, channel: Arc<Channel>, publishing: Publishing) -> Self {
        Self { client, channel, publishing }
    }

    pub(super) fn receive(&mut self, body: &[u8]) -> Flow<S> {
        match self.check(body.len()).and_then(|()| Payload::line(body).map_err(CloseReason::Protocol)) {
            Ok(line) if self.asks() => self.client.wait(line),
            Ok(line) => self.client.publish(&self.channel, line),
            Err(reason) => Flow::Fail(reason),
        }
    }

    /// Returns whether the application is asked about each message.
    pub(super) fn asks(&self) -> bool {
        matches!(self.publishing, Publishing::Asked(..))
    }

    /// Checks that the client may publish, and that many bytes.
    fn check(&self, bytes: usize) -> Result<(), CloseReason> {
        match self.publishing {
            Publishing::Allowed(max) | Publishing::Asked(max, _) if bytes <= max as usize => Ok(()),
            Publishing::Allowed(max) | Publishing::Asked(max, _) => {
                let (len, max) = (bytes as u64, max as usize);
                Err(CloseReason::Protocol(ProtocolError::MessageTooBig { len, max }))
            }
            Publishing::Forbidden => Err(CloseReason::PermissionDenied),
        }
    }

    /// Asks the application about a message, after this wait, and publishes what it agrees to. A client whose message
    /// is not published is told so in a line of the hub.
    pub(super) async fn ask(&self, wait: Duration, line: Payload) -> Result<(), CloseReason> {
        let Publishing::Asked(max, application) = &self.publishing else { return Ok(()) };
        sleep(wait).await;
        let Application { hooks, users, asker, budget } = &**application;
        let asker = users.asker_of(self.client.id()).unwrap_or_else(|| Arc::clone(asker));
        match hooks.publish(&asker, self.channel.name().as_str(), &line).await {
            Decision::Allowed(approval) => {
                let payload = approved(approval, line);
                let bytes = payload.len() + payload.details.as_ref().map_or(0, |details| details.bytes());
                if bytes > *max as usize {
                    self.tell_unpublished("the application made it too long", budget).await;
                } else {
                    return self.client.publish_as_soon(&self.channel, &payload).await;
                }
                Ok(())
            }
            Decision::Refused(error) => {
                self.tell_unpublished(&error.message, budget).await;
                Ok(())
            }
            Decision::Closed(disconnection) => Err(self.client.close_with(disconnection).await),
        }
    }

    async fn tell_unpublished(&self, why: &str, budget: &ReplyBudget) {
        // The client is not read until the line may wait for it.
        self.client.engine().reply(self.client.id(), chat::not_published(why), budget).await;
    }
}

/// Returns what is published: what the application gives, or else what the client sent.
fn approved(approval: Approval, line: Payload) -> Payload {
    let Approval { data, tags } = approval;
    let details = (!tags.is_empty()).then(|| Arc::new(Details { tags, info: None }));
    Payload { details, ..data.unwrap_or(line) }
}
