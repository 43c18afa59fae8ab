//! `presence` and `presence_stats`: who is in a channel.

use super::call::Call;
use super::error::{ApiError, ErrorKind};
use super::gaps::Gaps;
use crate::engine::merged::PresentClient;
use crate::protocol::ChannelName;
use crate::protocol::channel_name::{NAME_BYTES_MAX, NAME_PATTERN};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A channel.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PresenceRequest<'a> {
    /// The channel.
    #[serde(borrow)]
    #[schemars(length(min = 1, max = NAME_BYTES_MAX), regex(pattern = NAME_PATTERN))]
    channel: Cow<'a, str>,
}

/// Who is in a channel.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct PresenceResult {
    /// The clients, by id.
    presence: BTreeMap<String, ClientBody>,
    /// Number of clients that came before presence was switched on, so that nothing is known of them.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(with = "Option<u32>")]
    num_unknown: u32,
    #[serde(flatten)]
    gaps: Gaps,
}

/// A client in a channel.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "ClientInfo")]
struct ClientBody {
    /// Its user; empty for an anonymous client.
    user: String,
    /// Its id, which `disconnect` takes.
    client: String,
    /// What its token says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    conn_info: Option<Box<RawValue>>,
    /// What its token says of it in this channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    chan_info: Option<Box<RawValue>>,
}

/// How many are in a channel.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct PresenceStatsResult {
    /// Number of clients.
    num_clients: u32,
    /// Number of users; all anonymous clients together are one.
    num_users: u32,
    #[serde(flatten)]
    gaps: Gaps,
}

/// Lists who is in a channel.
pub(super) async fn list(call: &Call<'_>, request: &PresenceRequest<'_>) -> Result<PresenceResult, ApiError> {
    let merged = call.state.engine.presence(&channel(call, &request.channel)?).await;
    let (gaps, present) = (Gaps::of(&merged), merged.value);
    let clients = present.known.iter().map(|client| describe(client).map(|body| (body.client.clone(), body)));
    Ok(PresenceResult { presence: clients.collect::<Result<_, _>>()?, num_unknown: present.unknown, gaps })
}

/// Counts who is in a channel.
pub(super) async fn stats(call: &Call<'_>, request: &PresenceRequest<'_>) -> Result<PresenceStatsResult, ApiError> {
    let merged = call.state.engine.presence_stats(&channel(call, &request.channel)?).await;
    let (gaps, stats) = (Gaps::of(&merged), merged.value);
    Ok(PresenceStatsResult { num_clients: stats.clients, num_users: stats.users, gaps })
}

/// Returns a channel whose namespace has presence.
fn channel(call: &Call<'_>, name: &str) -> Result<ChannelName, ApiError> {
    let (name, options) = call.channel(name)?;
    if !options.options.presence {
        let text = format!(
            "not available: channel {name}: its namespace has no presence; set presence of {}",
            options.section()
        );
        return Err(ApiError::new(ErrorKind::NotAvailable, text));
    }
    Ok(name)
}

fn describe(client: &PresentClient) -> Result<ClientBody, ApiError> {
    let info = client.info();
    let json = |text: &Option<std::sync::Arc<str>>| {
        text.as_ref().map(|text| RawValue::from_string(text.to_string())).transpose()
    };
    let wrong = |error| ApiError::new(ErrorKind::Internal, format!("what is known of a client is no JSON: {error}"));
    Ok(ClientBody {
        user: info.user().to_owned(),
        client: client.client.clone(),
        conn_info: json(&info.conn_info).map_err(wrong)?,
        chan_info: json(&info.chan_info).map_err(wrong)?,
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
