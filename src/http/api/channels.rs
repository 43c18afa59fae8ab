//! `channels`: the channels that have subscribers.

use super::call::Call;
use super::error::ApiError;
use super::gaps::Gaps;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most channels of one answer.
const CHANNELS_MAX: usize = 10_000;

/// Which channels are listed.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ChannelsRequest<'a> {
    /// What their names look like: `*` stands for any characters, `?` for one. Empty, or left out: all channels.
    #[serde(borrow, default)]
    #[schemars(with = "Option<String>")]
    pattern: Option<Cow<'a, str>>,
}

/// Channels with subscribers.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct ChannelsResult {
    /// By name.
    channels: BTreeMap<String, ChannelBody>,
    #[serde(flatten)]
    gaps: Gaps,
}

/// A channel.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Channel")]
struct ChannelBody {
    /// Number of subscribers.
    num_clients: u32,
}

/// Lists channels.
pub(super) async fn list(call: &Call<'_>, request: ChannelsRequest<'_>) -> Result<ChannelsResult, ApiError> {
    let pattern = request.pattern.as_deref().filter(|pattern| !pattern.is_empty()).unwrap_or("*");
    let merged = call.state.engine.channels(pattern, CHANNELS_MAX).await;
    let gaps = Gaps::of(&merged);
    let Some(counts) = merged.value else {
        let text = format!("pattern: {pattern:.255?} matches more than {CHANNELS_MAX} channels; narrow it");
        return Err(ApiError::bad_request(text));
    };
    let channels = counts.into_iter().map(|(name, num_clients)| (name, ChannelBody { num_clients })).collect();
    Ok(ChannelsResult { channels, gaps })
}
