//! `channels`: the channels that have subscribers.

use super::call::Call;
use super::error::{ApiError, ErrorKind};
use crate::hub::Channel;
use crate::protocol::ChannelName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::spawn_blocking;

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
    let pattern = request.pattern.filter(|pattern| !pattern.is_empty()).map_or_else(|| "*".to_owned(), Cow::into_owned);
    let hub = call.state.hub().clone();
    // A hub has up to a million channels, and a worker has sockets to serve.
    let listed = spawn_blocking(move || {
        let mut channels = BTreeMap::new();
        for channel in hub.directory().channels() {
            if let Some((name, body)) = describe(&channel, &pattern) {
                channels.insert(name, body);
            }
            if channels.len() > CHANNELS_MAX {
                let text = format!("pattern: {pattern:.255?} matches more than {CHANNELS_MAX} channels; narrow it");
                return Err(ApiError::bad_request(text));
            }
        }
        Ok(ChannelsResult { channels })
    });
    listed.await.unwrap_or_else(|_| Err(ApiError::new(ErrorKind::Internal, "the list of channels failed")))
}

fn describe(channel: &Arc<Channel>, pattern: &str) -> Option<(String, ChannelBody)> {
    let name = channel.name().as_str();
    // Others belong to the hub itself.
    let is_of_clients = ChannelName::parse(name).is_ok();
    let num_clients = channel.subscribers();
    let is_listed = is_of_clients && num_clients > 0 && matches(pattern.as_bytes(), name.as_bytes());
    is_listed.then(|| (name.to_owned(), ChannelBody { num_clients }))
}

/// Returns whether a name matches. Goes back to the last `*` only, so it takes at most the product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name, mut star) = (0, 0, None);
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(one) if *one == b'?' || *one == name[in_name] => (at, in_name) = (at + 1, in_name + 1),
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                (at, in_name) = (star_at + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_is_any_characters_and_question_mark_is_one() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "news", true),
            ("news:*", "news:1", true),
            ("news:*", "news", false),
            ("*:1", "news:1", true),
            ("n?ws", "news", true),
            ("n?ws", "nws", false),
            ("a*b*c", "axxbxxbc", true),
            ("a*b*c", "axxbxxb", false),
            ("news", "news:1", false),
            ("", "news", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
