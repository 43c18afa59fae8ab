//! `unsubscribe`: removes a connection, or all connections of a user, from a channel.

use super::call::Call;
use super::connections;
use super::error::ApiError;
use super::gaps::Gaps;
use super::json;
use crate::hub::Command;
use crate::protocol::CloseReason;
use crate::protocol::channel_name::{NAME_BYTES_MAX, NAME_PATTERN};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Which connections leave which channel: at least one of `client` and `user`; with both, that connection if it is one
/// of the user's.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("anyOf" = [{ "required": ["client"] }, { "required": ["user"] }]))]
pub(super) struct UnsubscribeRequest<'a> {
    /// The channel.
    #[serde(borrow)]
    #[schemars(length(min = 1, max = NAME_BYTES_MAX), regex(pattern = NAME_PATTERN))]
    channel: Cow<'a, str>,
    /// Id of a connection, as `/admin/connections` shows it.
    #[serde(default, deserialize_with = "json::text")]
    #[schemars(with = "String", regex(pattern = connections::ID_PATTERN))]
    client: Option<String>,
    /// Name of a user, as tokens have it in `sub`.
    #[serde(default, deserialize_with = "json::text")]
    #[schemars(with = "String", length(min = 1))]
    user: Option<String>,
}

/// Nothing: it is not subscribed, or was not there. In a cluster: unless a hub did not say so.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct UnsubscribeResult {
    #[serde(flatten)]
    pub(super) gaps: Gaps,
}

/// Removes connections from a channel. Clients of the Centrifuge protocol stay connected; a connection of the chat
/// protocol has only one channel, so it is closed.
pub(super) async fn unsubscribe(call: &Call<'_>, request: &UnsubscribeRequest<'_>) -> Result<u64, ApiError> {
    let (name, _) = call.channel(&request.channel)?;
    let (client, user) = (request.client.as_deref(), request.user.as_deref());
    let hub = call.state.hub();
    let mut done = 0;
    for id in connections::find(call.state, client, user, "unsubscribed")? {
        if let Some(client) = call.state.clients.find(id) {
            call.within(client.unsubscribe(&name), "the connections after it are as they were").await?;
            done += 1;
            continue;
        }
        // A hub with fewer shards has no such connection, and a channel that does not exist no subscribers.
        if let Some(channel) = hub.directory().get(&name).filter(|_| id.shard() < hub.shards()) {
            let command = Command::CloseSubscriber { id, channel: channel.key(), reason: CloseReason::Unsubscribed };
            call.send(id.shard(), command).await?;
            done += 1;
        }
    }
    Ok(done)
}
