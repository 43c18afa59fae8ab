//! `subscribe`: subscribes a connection, or all connections of a user, to a channel.

use super::call::Call;
use super::connections;
use super::error::{ApiError, ErrorKind};
use super::gaps::Gaps;
use super::json;
use crate::protocol::Payload;
use crate::protocol::channel_name::{NAME_BYTES_MAX, NAME_PATTERN};
use crate::session::centrifuge::server_side::SubscribeRefusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Which connections are subscribed to which channel: at least one of `client` and `user`; with both, that connection
/// if it is one of the user's.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("anyOf" = [{ "required": ["client"] }, { "required": ["user"] }]))]
pub(super) struct SubscribeRequest<'a> {
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
    /// Any JSON value, which the client gets with the subscription.
    #[serde(borrow, default)]
    #[schemars(with = "Option<serde_json::Value>")]
    data: Option<&'a RawValue>,
}

/// Nothing: it is subscribed, or was not there. In a cluster: unless a hub did not say so.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct SubscribeResult {
    #[serde(flatten)]
    pub(super) gaps: Gaps,
}

/// Subscribes the connections that can have several channels: clients of the Centrifuge protocol.
pub(super) async fn subscribe(call: &Call<'_>, request: &SubscribeRequest<'_>) -> Result<u64, ApiError> {
    let (name, options) = call.channel(&request.channel)?;
    let (client, user) = (request.client.as_deref(), request.user.as_deref());
    let found = connections::find(call.state, client, user, "subscribed")?;
    let data = request.data.map(|data| Payload::json(data.get()));
    let clients: Vec<_> = found.iter().filter_map(|id| call.state.clients.find(*id)).collect();
    if let Some(id) = found.first().filter(|id| clients.is_empty() && call.state.hub().placement().is_taken(**id)) {
        let text = format!("not available: client {id} has one channel, as its protocol has it, see docs/backend.md");
        return Err(ApiError::new(ErrorKind::NotAvailable, text));
    }
    let mut done = 0;
    for client in clients {
        let subscribed = client.subscribe(&name, &options, data.clone());
        call.within(subscribed, "the connections after it are as they were").await?.map_err(refuse)?;
        done += 1;
    }
    Ok(done)
}

fn refuse(refusal: SubscribeRefusal) -> ApiError {
    ApiError::new(ErrorKind::Limit, format!("limit exceeded: {refusal}"))
}
