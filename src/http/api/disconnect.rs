//! `disconnect`: closes a connection.

use super::call::Call;
use super::error::ApiError;
use super::json;
use crate::hub::{Command, ConnectionId};
use crate::protocol::{CloseCode, CloseReason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Codes that a close may have: those that clients reconnect after, then those that they do not.
const CODES: std::ops::RangeInclusive<u16> = 4000..=4999;

/// Which connection is closed.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct DisconnectRequest<'a> {
    /// Id of a connection, as `/admin/connections` shows it.
    #[serde(borrow)]
    #[schemars(regex(pattern = "^([0-9]|[1-5][0-9]|6[0-3])/[0-9]{1,7}\\.[0-9]{1,9}$"))]
    client: Cow<'a, str>,
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
pub(super) async fn disconnect(call: &Call<'_>, request: &DisconnectRequest<'_>) -> Result<DisconnectResult, ApiError> {
    let code = match &request.disconnect {
        None => CloseCode::FORCE_DISCONNECT,
        Some(Disconnect { code }) => {
            let allowed = CloseCode::from_wire(*code).filter(|_| CODES.contains(code));
            let rule = || ApiError::bad_request(format!("disconnect.code: {code} is not between 4000 and 4999"));
            allowed.ok_or_else(rule)?
        }
    };
    let id = ConnectionId::parse(&request.client).ok_or_else(|| {
        let client = &request.client;
        ApiError::bad_request(format!(
            "client: {client:.40?} is not the id of a connection such as 0/17.3, see /admin/connections"
        ))
    })?;
    // A hub with fewer shards has no such connection.
    if id.shard() < call.state.hub().shards() {
        call.state.hub().inbox(id.shard()).send(Command::Close { id, reason: CloseReason::Forced(code) }).await;
    }
    Ok(DisconnectResult {})
}
