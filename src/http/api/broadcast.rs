//! `broadcast`: one publication to many channels, with a result for each.

use super::call::Call;
use super::error::ApiError;
use super::json::{self, Answer};
use super::payload::{self, Input};
use super::publish::{self, PublishResult};
use crate::engine::Engine;
use crate::protocol::Payload;
use futures_util::stream::{FuturesOrdered, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tokio::task::coop::consume_budget;

/// Publications of one request that wait for NATS: far fewer than those that may wait in all.
pub(super) const IN_FLIGHT_MAX: usize = 256;

/// What is published where.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = payload::one_of_data_and_bytes)]
pub(super) struct BroadcastRequest<'a> {
    /// The channels, each of which has a result of its own. One that is wrong does not keep the others from theirs.
    #[serde(borrow)]
    #[schemars(length(min = 1))]
    channels: Vec<Cow<'a, str>>,
    /// Any JSON value, as for publish.
    #[serde(borrow, default, deserialize_with = "json::any")]
    #[schemars(with = "serde_json::Value")]
    data: Option<&'a RawValue>,
    /// Bytes in base64, instead of `data`.
    #[serde(borrow, default)]
    #[schemars(with = "String", regex(pattern = payload::BASE64))]
    b64data: Cow<'a, str>,
    /// Names and values that stay with the publication.
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    /// As for publish, for each channel.
    #[serde(borrow, default)]
    #[schemars(with = "Option<String>", length(max = publish::KEY_BYTES_MAX))]
    idempotency_key: Option<Cow<'a, str>>,
    /// As for publish.
    #[serde(default)]
    #[schemars(extend("const" = false))]
    skip_history: bool,
}

/// An answer for each channel, in the order of the request.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct BroadcastResult {
    /// The answers.
    responses: Vec<Answer<PublishResult>>,
}

/// Publishes to each channel.
pub(super) async fn broadcast(call: &Call<'_>, request: &BroadcastRequest<'_>) -> Result<BroadcastResult, ApiError> {
    publish::check_skip_history(request.skip_history)?;
    if request.channels.is_empty() {
        return Err(ApiError::bad_request("channels: an empty list; name at least one channel"));
    }
    let input = Input { data: request.data, b64data: &request.b64data, tags: request.tags.as_ref() };
    let payload = input.payload(call.state.settings.load().sockets.message_bytes_max, "--message-bytes-max")?;
    let key = publish::key(request.idempotency_key.as_deref())?;
    if matches!(call.state.engine, Engine::Nats(_)) {
        return Ok(BroadcastResult { responses: in_flight(call, &request.channels, &payload, key).await });
    }
    let mut responses = Vec::with_capacity(request.channels.len());
    for channel in &request.channels {
        responses.push(publish::to_channel(call, channel, &payload, key, None).await.into());
        // Publishing alone never yields, and there may be a hundred thousand channels.
        consume_budget().await;
    }
    Ok(BroadcastResult { responses })
}

/// Publishes to many channels at a time, since each takes a round trip to NATS. The answers stay in order.
async fn in_flight(
    call: &Call<'_>,
    channels: &[Cow<'_, str>],
    payload: &Payload,
    key: Option<&str>,
) -> Vec<Answer<PublishResult>> {
    let (mut responses, mut pending) = (Vec::with_capacity(channels.len()), FuturesOrdered::new());
    for channel in channels {
        if pending.len() >= IN_FLIGHT_MAX {
            responses.extend(pending.next().await.map(Answer::from));
        }
        pending.push_back(publish::to_channel(call, channel, payload, key, None));
    }
    while let Some(answer) = pending.next().await {
        responses.push(answer.into());
    }
    responses
}
