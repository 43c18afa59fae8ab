//! `disconnect`: closes a connection, or all connections of a user.

use super::call::Call;
use super::error::ApiError;
use super::json;
use crate::auth::UserId;
use crate::hub::{Command, ConnectionId};
use crate::operation::state::State;
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
    #[schemars(with = "String", regex(pattern = "^([0-9]|[1-5][0-9]|6[0-3])/[0-9]{1,7}\\.[0-9]{1,9}$"))]
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

/// Nothing: the connection is closed, or was not there.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct DisconnectResult {}

/// Closes a connection.
pub(super) async fn disconnect(call: &Call<'_>, request: &DisconnectRequest) -> Result<DisconnectResult, ApiError> {
    let code = match &request.disconnect {
        None => CloseCode::FORCE_DISCONNECT,
        Some(Disconnect { code }) => {
            let allowed = CloseCode::from_wire(*code).filter(|_| CODES.contains(code));
            let rule = || ApiError::bad_request(format!("disconnect.code: {code} is not between 4000 and 4999"));
            allowed.ok_or_else(rule)?
        }
    };
    let hub = call.state.hub();
    for id in connections(call.state, request)? {
        // A hub with fewer shards has no such connection.
        if id.shard() < hub.shards() {
            hub.inbox(id.shard()).send(Command::Close { id, reason: CloseReason::Disconnected(code) }).await;
        }
    }
    Ok(DisconnectResult {})
}

/// Returns the connections that a request names.
fn connections(state: &State, request: &DisconnectRequest) -> Result<Vec<ConnectionId>, ApiError> {
    let client = request.client.as_deref().map(connection_id).transpose()?;
    let Some(name) = request.user.as_deref() else {
        let rule = "client or user: one of them has to name what is disconnected".to_owned();
        return client.map(|client| vec![client]).ok_or_else(|| ApiError::bad_request(rule));
    };
    let rule = || ApiError::bad_request("user: it is empty; anonymous clients are disconnected by client".to_owned());
    let user = UserId::new(name).ok_or_else(rule)?;
    let of_user = state.users.of(&user).into_iter();
    Ok(of_user.filter(|id| client.is_none_or(|client| client == *id)).collect())
}

fn connection_id(text: &str) -> Result<ConnectionId, ApiError> {
    let rule = || {
        let rule = "is not the id of a connection such as 0/17.3, see /admin/connections";
        ApiError::bad_request(format!("client: {text:.40?} {rule}"))
    };
    ConnectionId::parse(text).ok_or_else(rule)
}
