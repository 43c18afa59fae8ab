//! The reply to a command: the result of its method, or an error.

use super::broadcast::BroadcastResult;
use super::channels::ChannelsResult;
use super::disconnect::DisconnectResult;
use super::error::ErrorBody;
use super::history::{HistoryRemoveResult, HistoryResult};
use super::info::InfoResult;
use super::json::{self, Answer};
use super::presence::{PresenceResult, PresenceStatsResult};
use super::publish::PublishResult;
use super::refresh::RefreshResult;
use super::subscribe::SubscribeResult;
use super::unsubscribe::UnsubscribeResult;
use schemars::JsonSchema;
use serde::Serialize;

/// A reply of a batch: the result under the name of its method, or an error.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    Error(ErrorBody),
    Publish(PublishResult),
    Broadcast(BroadcastResult),
    History(HistoryResult),
    HistoryRemove(HistoryRemoveResult),
    Presence(PresenceResult),
    PresenceStats(PresenceStatsResult),
    Channels(ChannelsResult),
    Info(InfoResult),
    Disconnect(DisconnectResult),
    Subscribe(SubscribeResult),
    Unsubscribe(UnsubscribeResult),
    Refresh(RefreshResult),
}

impl Reply {
    /// Writes it as the answer to a request.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Error(error) => json::write(out, &Answer::<()>::Error(error.clone())),
            Self::Publish(result) => json::write(out, &Answer::Result(result)),
            Self::Broadcast(result) => json::write(out, &Answer::Result(result)),
            Self::History(result) => json::write(out, &Answer::Result(result)),
            Self::HistoryRemove(result) => json::write(out, &Answer::Result(result)),
            Self::Presence(result) => json::write(out, &Answer::Result(result)),
            Self::PresenceStats(result) => json::write(out, &Answer::Result(result)),
            Self::Channels(result) => json::write(out, &Answer::Result(result)),
            Self::Info(result) => json::write(out, &Answer::Result(result)),
            Self::Disconnect(result) => json::write(out, &Answer::Result(result)),
            Self::Subscribe(result) => json::write(out, &Answer::Result(result)),
            Self::Unsubscribe(result) => json::write(out, &Answer::Result(result)),
            Self::Refresh(result) => json::write(out, &Answer::Result(result)),
        }
    }
}
