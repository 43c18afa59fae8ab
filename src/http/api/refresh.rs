//! `refresh`: moves the end of a connection that has a token, or of all connections of a user.

use super::call::Call;
use super::connections;
use super::error::ApiError;
use super::gaps::Gaps;
use super::json;
use crate::hub::Command;
use crate::operation::tokens::unix_seconds;
use crate::protocol::CloseReason;
use crate::session::centrifuge::clients::EXPIRY_GRACE;
use crate::session::centrifuge::connect::expiry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Latest time that a request may name, in seconds since 1970: the year 9999. Beyond it is a number of milliseconds.
const EXPIRE_AT_MAX: u64 = 253_402_300_799;

/// Which connections expire when: at least one of `client` and `user`; with both, that connection if it is one of the
/// user's.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("anyOf" = [{ "required": ["client"] }, { "required": ["user"] }]))]
pub(super) struct RefreshRequest {
    /// Id of a connection, as `/admin/connections` shows it.
    #[serde(default, deserialize_with = "json::text")]
    #[schemars(with = "String", regex(pattern = connections::ID_PATTERN))]
    client: Option<String>,
    /// Name of a user, as tokens have it in `sub`.
    #[serde(default, deserialize_with = "json::text")]
    #[schemars(with = "String", length(min = 1))]
    user: Option<String>,
    /// They have expired, and are closed now.
    #[serde(default)]
    expired: bool,
    /// When they expire, in seconds since 1970; 0, or left out: never.
    #[serde(default, deserialize_with = "json::whole")]
    #[schemars(range(min = 0, max = EXPIRE_AT_MAX))]
    expire_at: u64,
}

/// Nothing: it was done, or there was no such connection with a token. In a cluster: unless a hub did not say so.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct RefreshResult {
    #[serde(flatten)]
    pub(super) gaps: Gaps,
}

/// Moves the end of connections.
pub(super) async fn refresh(call: &Call<'_>, request: &RefreshRequest) -> Result<u64, ApiError> {
    let RefreshRequest { client, user, expired, expire_at } = request;
    if *expire_at > EXPIRE_AT_MAX {
        let text = format!("expire_at: {expire_at} is after the year 9999; give seconds since 1970, not milliseconds");
        return Err(ApiError::bad_request(text));
    }
    let is_over = *expired || (1..=unix_seconds()).contains(expire_at);
    let mut done = 0;
    for id in connections::find(call.state, client.as_deref(), user.as_deref(), "refreshed")? {
        let client = call.state.clients.find(id);
        let at = Some(*expire_at).filter(|at| *at > 0);
        let grace = if client.is_some() { EXPIRY_GRACE } else { 0 };
        let until = if is_over { Some(0) } else { at.map(|at| at.saturating_add(grace)) };
        let is_there = call.state.users.set_expiry(id, until);
        done += u64::from(is_there);
        if let Some(client) = client.filter(|_| is_there && !is_over) {
            let told = client.tell_expiry(expiry(at, unix_seconds()));
            call.within(told, "the connections after it are as they were").await?;
        }
        if is_there && is_over {
            // The next look at what has expired would find it too.
            call.send(id.shard(), Command::Close { id, reason: CloseReason::Expired }).await?;
        }
    }
    Ok(done)
}
