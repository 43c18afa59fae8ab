//! `disconnect`: closes a connection, or all connections of a user.

use super::call::Call;
use super::connections;
use super::error::ApiError;
use super::gaps::Gaps;
use super::json;
use crate::hub::Command;
use crate::protocol::{CloseCode, CloseReason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Codes that a close may have: those that clients reconnect after, then those that they do not.
const CODES: std::ops::RangeInclusive<u16> = 4000..=4999;

/// Which connections are closed: at least one of `client` and `user`; with both, that connection if it is one of the
/// user's.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("anyOf" = [{ "required": ["client"] }, { "required": ["user"] }]))]
pub(super) struct DisconnectRequest {
    /// Id of a connection, as `/admin/connections` shows it.
    #[serde(default, deserialize_with = "json::text")]
    #[schemars(with = "String", regex(pattern = connections::ID_PATTERN))]
    client: Option<String>,
    /// Name of a user, as tokens have it in `sub`.
    #[serde(default, deserialize_with = "json::text")]
    #[schemars(with = "String", length(min = 1))]
    user: Option<String>,
    /// How it is closed.
    #[serde(default, deserialize_with = "json::object")]
    #[schemars(with = "Option<Disconnect>")]
    disconnect: Option<Disconnect>,
}

/// How a connection is closed.
#[derive(Debug, Deserialize, JsonSchema)]
struct Disconnect {
    /// The close code: clients reconnect after 4000 to 4499, and do not after 4500 to 4999. Without it 4503.
    #[serde(deserialize_with = "json::whole")]
    #[schemars(range(min = 4000, max = 4999))]
    code: u16,
}

/// Nothing: the connection is closed, or was not there. In a cluster: unless a hub did not say so.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct DisconnectResult {
    #[serde(flatten)]
    pub(super) gaps: Gaps,
}

/// Closes a connection.
pub(super) async fn disconnect(call: &Call<'_>, request: &DisconnectRequest) -> Result<u64, ApiError> {
    let code = match &request.disconnect {
        None => CloseCode::FORCE_DISCONNECT,
        Some(Disconnect { code }) => {
            let allowed = CloseCode::from_wire(*code).filter(|_| CODES.contains(code));
            let rule = || ApiError::bad_request(format!("disconnect.code: {code} is not between 4000 and 4999"));
            allowed.ok_or_else(rule)?
        }
    };
    let hub = call.state.hub();
    let (client, user) = (request.client.as_deref(), request.user.as_deref());
    let mut done = 0;
    for id in connections::find(call.state, client, user, "disconnected")? {
        // A hub with fewer shards has no such connection.
        if id.shard() < hub.shards() {
            call.send(id.shard(), Command::Close { id, reason: CloseReason::Disconnected(code) }).await?;
            done += 1;
        }
    }
    Ok(done)
}
