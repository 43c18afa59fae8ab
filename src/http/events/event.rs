//! An event, and the body of a request with several.

use crate::auth::UserId;
use crate::config::EventType;
use crate::hub::ClientId;
use crate::protocol::ChannelName;
use bytes::Bytes;
use serde::Serialize;
use std::time::Duration;

/// Something that has happened.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: EventType,
    /// Since 1970.
    pub(super) time: Duration,
    pub(super) client: Option<ClientId>,
    pub(super) user: Option<UserId>,
    pub(super) channel: Option<ChannelName>,
}

#[derive(Serialize)]
struct Body<'a> {
    /// Events that were dropped since the request before.
    #[serde(skip_serializing_if = "is_zero")]
    lost: u64,
    events: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// In milliseconds since 1970.
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Returns the body of a request with these events.
pub(super) fn body(events: &[Event], lost: u64) -> Bytes {
    let events = events.iter().map(Item::of).collect();
    // A struct of texts and numbers can always be written.
    serde_json::to_vec(&Body { lost, events }).unwrap_or_default().into()
}

impl<'a> Item<'a> {
    fn of(event: &'a Event) -> Self {
        let Event { kind, time, client, user, channel } = event;
        Self {
            kind: kind.word(),
            time: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            client: client.map(|client| client.to_string()),
            // An anonymous client has the empty one, as in hooks.
            user: client.map(|_| user.as_ref().map_or("", |user| user.as_str())),
            channel: channel.as_ref().map(ChannelName::as_str),
        }
    }
}
