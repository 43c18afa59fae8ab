//! `history` and `history_remove`: what a channel keeps.

use super::call::Call;
use super::error::{ApiError, ErrorKind};
use super::json;
use super::publish;
use crate::config::ChannelOptions;
use crate::engine::NotRead;
use crate::hub::HistoryQuery;
use crate::protocol::channel_name::{NAME_BYTES_MAX, NAME_PATTERN};
use crate::protocol::{ChannelName, Content, Epoch, Position, Publication};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most publications of one answer. Those who want more read on from the last offset.
const LIMIT_MAX: usize = 1000;

/// Which publications are read.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct HistoryRequest<'a> {
    /// The channel.
    #[serde(borrow)]
    #[schemars(length(min = 1, max = NAME_BYTES_MAX), regex(pattern = NAME_PATTERN))]
    channel: Cow<'a, str>,
    /// Most publications; 0 for the position alone, -1 for as many as one answer may have, which is 1000.
    #[serde(default, deserialize_with = "json::whole")]
    #[schemars(range(min = -1, max = 1000))]
    limit: i64,
    /// Those after this position, or with `reverse` those before it.
    #[serde(default, deserialize_with = "json::object")]
    #[schemars(with = "Option<PositionBody>")]
    since: Option<PositionBody>,
    /// The newest first.
    #[serde(default)]
    reverse: bool,
}

/// A position in a channel's history.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Position")]
pub(super) struct PositionBody {
    /// Number of a publication.
    #[serde(deserialize_with = "json::whole")]
    #[schemars(extend("maximum" = u64::MAX))]
    offset: u64,
    /// The incarnation of the history, as the hub named it.
    epoch: String,
}

/// What was read.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct HistoryResult {
    /// In the order that was asked for.
    publications: Vec<PublicationBody>,
    /// Number of the newest publication of the channel; 0 before the first.
    offset: u64,
    /// The incarnation of the history; empty while the channel has none.
    epoch: String,
}

/// A publication.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Publication")]
struct PublicationBody {
    /// Its number in the channel.
    offset: u64,
    /// A JSON value; lines of chat clients are strings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    data: Option<Box<RawValue>>,
    /// Bytes in base64, where it is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    b64data: Option<String>,
    /// Names and values that its publisher gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
    /// When it arrived, in milliseconds since 1970.
    time: u64,
}

/// A channel.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct HistoryRemoveRequest<'a> {
    /// The channel.
    #[serde(borrow)]
    #[schemars(length(min = 1, max = NAME_BYTES_MAX), regex(pattern = NAME_PATTERN))]
    channel: Cow<'a, str>,
}

/// Nothing: it was done.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct HistoryRemoveResult {}

/// Reads a page.
pub(super) async fn read(call: &Call<'_>, request: &HistoryRequest<'_>) -> Result<HistoryResult, ApiError> {
    let limit = match request.limit {
        -1 => LIMIT_MAX,
        limit => usize::try_from(limit)
            .ok()
            .filter(|limit| *limit <= LIMIT_MAX)
            .ok_or_else(|| ApiError::bad_request(format!("limit: {limit} is not between -1 and {LIMIT_MAX}")))?,
    };
    let (name, options) = channel(call, &request.channel)?;
    let lost = |offset, epoch: &str| {
        let text = format!("unrecoverable position: since: {epoch:.40}:{offset} is not in this history; read it anew");
        ApiError::new(ErrorKind::UnrecoverablePosition, text)
    };
    let since = match &request.since {
        Some(PositionBody { offset, epoch }) => {
            let position = Epoch::parse(epoch).map(|epoch| Position { epoch, offset: *offset });
            Some(position.ok_or_else(|| lost(*offset, epoch))?)
        }
        None => None,
    };
    let unknown = || match &request.since {
        Some(PositionBody { offset, epoch }) => lost(*offset, epoch),
        None => ApiError::new(ErrorKind::Internal, "the history cannot be read"),
    };
    let query = HistoryQuery { since, limit, is_reverse: request.reverse };
    let page = call.state.engine.history(&name, &options, query).await.map_err(|refusal| match refusal {
        NotRead::UnknownPosition => unknown(),
        NotRead::NotFollowed => ApiError::new(
            ErrorKind::Cluster,
            "not available: the hub does not follow the channel: NATS does not answer; try again",
        ),
    })?;
    match page {
        Some(page) => Ok(HistoryResult {
            publications: page.publications.iter().map(describe).collect::<Result<_, _>>()?,
            offset: page.position.offset,
            epoch: page.position.epoch.to_string(),
        }),
        // Nothing was published yet, or all of it has expired: no position is one of it.
        None if since.is_some() => Err(unknown()),
        None => Ok(HistoryResult { publications: Vec::new(), offset: 0, epoch: String::new() }),
    }
}

/// Drops what a channel keeps.
pub(super) async fn remove(
    call: &Call<'_>,
    request: &HistoryRemoveRequest<'_>,
) -> Result<HistoryRemoveResult, ApiError> {
    let (name, _) = channel(call, &request.channel)?;
    let removed = call.state.engine.remove_history(&name).await;
    removed.map_err(|refusal| publish::refused(&request.channel, refusal.into()))?;
    Ok(HistoryRemoveResult {})
}

/// Returns a channel whose namespace has a history.
fn channel(call: &Call<'_>, name: &str) -> Result<(ChannelName, Arc<ChannelOptions>), ApiError> {
    let (name, options) = call.channel(name)?;
    if options.options.history_size == 0 {
        let text = format!(
            "not available: channel {name}: its namespace has no history; set history_size and history_ttl of {}",
            options.section()
        );
        return Err(ApiError::new(ErrorKind::NotAvailable, text));
    }
    Ok((name, options))
}

fn describe(publication: &Publication) -> Result<PublicationBody, ApiError> {
    let payload = &publication.payload;
    let data = match payload.content {
        Content::Json => serde_json::from_slice(&payload.data).map(Some),
        Content::Line | Content::Text => {
            let text = String::from_utf8_lossy(&payload.data);
            let is_line = payload.content == Content::Line;
            to_raw_value(if is_line { text.trim_end_matches('\n') } else { &text }).map(Some)
        }
        Content::Binary => Ok(None),
    };
    let data =
        data.map_err(|error| ApiError::new(ErrorKind::Internal, format!("a publication is no JSON: {error}")))?;
    let tags = payload.details.as_ref().map(|details| details.tags.iter().cloned().collect());
    Ok(PublicationBody {
        offset: publication.offset,
        b64data: data.is_none().then(|| STANDARD.encode(&payload.data)),
        data,
        tags,
        time: publication.at / 1000,
    })
}
