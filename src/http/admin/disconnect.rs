//! `/admin/disconnect`: ends every connection of a user, such as one whose access was revoked.

use super::error::{ApiError, json_response};
use super::query::Query;
use crate::auth::UserId;
use crate::http::response::ResponseFuture;
use crate::hub::Command;
use crate::operation::state::State;
use crate::protocol::{CloseCode, CloseReason};
use hyper::StatusCode;
use serde_json::json;
use std::sync::Arc;

/// Closes the connections that `user` has at this moment, with 4503. A token that is still valid lets it return.
pub(super) fn disconnect(state: &Arc<State>, query: &Query<'_>) -> Result<ResponseFuture, ApiError> {
    query.only(&["user"])?;
    let name = query.text("user")?;
    let connections = UserId::new(&name).map(|user| state.users.of(&user)).unwrap_or_default();
    let (hub, reason) = (state.hub().clone(), CloseReason::Disconnected(CloseCode::FORCE_DISCONNECT));
    Ok(ResponseFuture::boxed(async move {
        for id in &connections {
            hub.inbox(id.shard()).send(Command::Close { id: *id, reason }).await;
        }
        json_response(StatusCode::OK, &json!({ "user": name, "disconnected": connections.len() }))
    }))
}
