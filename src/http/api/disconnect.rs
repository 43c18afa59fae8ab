//! `disconnect`: closes a connection, or all connections of a user.

use super::call::Call;
use super::connections;
use super::error::ApiError;
use super::gaps::Gaps;
use super::json;
use crate::hub::{Command, ConnectionId};
use crate::net::socket::SocketSink;
use crate::protocol::close::{Disconnection, TEXT_BYTES_MAX};
use crate::protocol::{CloseCode, CloseReason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// What clients get as the reason. Without it `force disconnect`.
    #[serde(default, deserialize_with = "json::text")]
    #[schemars(with = "String", length(max = TEXT_BYTES_MAX))]
    reason: Option<String>,
}

/// Nothing: the connection is closed, or was not there. In a cluster: unless a hub did not say so.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct DisconnectResult {
    #[serde(flatten)]
    pub(super) gaps: Gaps,
}

/// Closes a connection.
pub(super) async fn disconnect(call: &Call<'_>, request: &DisconnectRequest) -> Result<u64, ApiError> {
    let disconnection = match &request.disconnect {
        None => None,
        Some(Disconnect { code, reason }) => {
            let worded = Disconnection::new(*code, reason.as_deref().unwrap_or_default());
            Some(worded.map_err(|error| ApiError::bad_request(format!("disconnect.{error}")))?)
        }
    };
    let hub = call.state.hub();
    let (client, user) = (request.client.as_deref(), request.user.as_deref());
    let mut done = 0;
    for id in connections::find(call.state, client, user, "disconnected")? {
        // A hub with fewer shards has no such connection.
        if id.shard() < hub.shards() {
            call.send(id.shard(), close(id, disconnection.clone())).await?;
            done += 1;
        }
    }
    Ok(done)
}

/// Returns the command that closes a connection in these words.
fn close(id: ConnectionId, disconnection: Option<Disconnection>) -> Command<SocketSink> {
    match disconnection {
        Some(disconnection) => Command::CloseWith { id, disconnection: Box::new(disconnection) },
        None => Command::Close { id, reason: CloseReason::Disconnected(CloseCode::FORCE_DISCONNECT) },
    }
}
