//! `publish`: one publication to one channel.

use super::call::Call;
use super::error::{ApiError, ErrorKind};
use super::json;
use super::payload::{self, Input};
use crate::engine::nats::in_order::Turn;
use crate::engine::nats::refused::Refused;
use crate::engine::{Engine, NotPublished};
use crate::hub::Published;
use crate::protocol::Payload;
use crate::protocol::channel_name::{NAME_BYTES_MAX, NAME_PATTERN};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Longest idempotency key in bytes: a UUID has 36.
pub(super) const KEY_BYTES_MAX: usize = 255;

/// What is published where.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(transform = payload::one_of_data_and_bytes)]
pub(super) struct PublishRequest<'a> {
    /// The channel. Nobody needs to be subscribed to it.
    #[serde(borrow)]
    #[schemars(length(min = 1, max = NAME_BYTES_MAX), regex(pattern = NAME_PATTERN))]
    pub(super) channel: Cow<'a, str>,
    /// Any JSON value. Chat clients get a string as its text, and any other value as one line of JSON.
    #[serde(borrow, default, deserialize_with = "json::any")]
    #[schemars(with = "serde_json::Value")]
    data: Option<&'a RawValue>,
    /// Bytes in base64, instead of `data`.
    #[serde(borrow, default)]
    #[schemars(with = "String", regex(pattern = payload::BASE64))]
    b64data: Cow<'a, str>,
    /// Names and values that stay with the publication, in histories too.
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    /// A second request with the same key and channel within five minutes publishes nothing and gets the first answer.
    #[serde(borrow, default)]
    #[schemars(with = "Option<String>", length(max = KEY_BYTES_MAX))]
    idempotency_key: Option<Cow<'a, str>>,
    /// It is refused: a publication that a history leaves out would be a gap for those who recover.
    #[serde(default)]
    #[schemars(extend("const" = false))]
    skip_history: bool,
}

/// Where a publication stands in a channel with history; empty without history.
#[derive(Clone, Copy, Debug, JsonSchema, Serialize)]
pub(super) struct PublishResult {
    /// Its number in the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    /// The incarnation of the channel's history.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "epoch")]
    #[schemars(with = "Option<String>")]
    epoch: Option<crate::protocol::Epoch>,
}

fn epoch<S: serde::Serializer>(epoch: &Option<crate::protocol::Epoch>, serializer: S) -> Result<S::Ok, S::Error> {
    match epoch {
        Some(epoch) => serializer.collect_str(epoch),
        None => serializer.serialize_none(),
    }
}

impl From<Option<Published>> for PublishResult {
    fn from(published: Option<Published>) -> Self {
        let counted = published.and_then(|published| Some((published.offset, published.epoch?)));
        Self { offset: counted.map(|(offset, _)| offset), epoch: counted.map(|(_, epoch)| epoch) }
    }
}

/// Publishes.
pub(super) async fn publish(call: &Call<'_>, request: &PublishRequest<'_>) -> Result<PublishResult, ApiError> {
    at_turn(call, request, None).await
}

/// Publishes, in a cluster at its turn, if it has one.
pub(super) async fn at_turn(
    call: &Call<'_>,
    request: &PublishRequest<'_>,
    turn: Option<Turn<'_>>,
) -> Result<PublishResult, ApiError> {
    check_skip_history(request.skip_history)?;
    let input = Input { data: request.data, b64data: &request.b64data, tags: request.tags.as_ref() };
    let payload = input.payload(call.state.settings.load().sockets.message_bytes_max, "--message-bytes-max")?;
    to_channel(call, &request.channel, &payload, key(request.idempotency_key.as_deref())?, turn).await
}

pub(super) fn check_skip_history(is_on: bool) -> Result<(), ApiError> {
    if is_on {
        return Err(ApiError::bad_request(
            "skip_history: true is not supported, because those who recover would have a gap; publish to a channel of \
             a namespace without history",
        ));
    }
    Ok(())
}

/// Checks an idempotency key; an empty one is none.
pub(super) fn key(key: Option<&str>) -> Result<Option<&str>, ApiError> {
    match key {
        Some(key) if key.len() > KEY_BYTES_MAX => {
            Err(ApiError::bad_request(format!("idempotency_key: {} bytes; give it at most {KEY_BYTES_MAX}", key.len())))
        }
        key => Ok(key.filter(|key| !key.is_empty())),
    }
}

/// Says why something was not published.
pub(super) fn refused(channel: &str, refusal: NotPublished) -> ApiError {
    match refusal {
        NotPublished::Full(full) => {
            ApiError::new(ErrorKind::Limit, format!("limit exceeded: channel {channel}: {full}"))
        }
        NotPublished::Refused(Refused::TooLarge) => {
            ApiError::bad_request(format!("channel {channel}: {}", Refused::TooLarge))
        }
        NotPublished::Refused(refused) => {
            ApiError::new(ErrorKind::Cluster, format!("not published: channel {channel}: {refused}; try again"))
        }
    }
}

/// Publishes to one channel, once per idempotency key.
pub(super) async fn to_channel(
    call: &Call<'_>,
    channel: &str,
    payload: &Payload,
    key: Option<&str>,
    turn: Option<Turn<'_>>,
) -> Result<PublishResult, ApiError> {
    let (name, options) = call.channel(channel)?;
    let publish = async {
        let turn = turn;
        let publish = call.state.engine.publish_to(&name, &options, payload, turn.as_ref());
        let published = match call.state.engine {
            Engine::Memory(_) => call.within(publish, "nothing was published").await?,
            // It waits for no shard, and has a time of its own.
            Engine::Nats(_) => publish.await,
        };
        published.map_err(|refusal| refused(channel, refusal))
    };
    let published = match key {
        Some(key) => call.state.idempotency.once(channel, key, publish).await,
        None => publish.await,
    };
    published.map(PublishResult::from)
}
