//! `batch`: several commands in one request, each with a reply of its own, in order.

use super::call::Call;
use super::error::{ApiError, ErrorKind};
use super::json;
use super::method::Method;
use super::publish::PublishRequest;
use super::reply::Reply;
use super::{broadcast, channels, disconnect, dispatch, history, info, presence, refresh, subscribe, unsubscribe};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::task::coop::consume_budget;

/// Several commands.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct BatchRequest<'a> {
    /// The commands. They are carried out in order, so publications of one channel keep theirs.
    #[serde(borrow)]
    #[schemars(with = "Vec<Command<'static>>")]
    commands: Vec<&'a RawValue>,
    /// Accepted for clients of Centrifugo: the order is kept anyway.
    #[serde(default, rename = "parallel")]
    _parallel: bool,
}

/// A command: an object with one field, named like the method.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct Command<'a> {
    /// A publication.
    #[serde(borrow, default)]
    #[schemars(with = "Option<PublishRequest<'static>>")]
    publish: Option<&'a RawValue>,
    /// A publication to many channels.
    #[serde(borrow, default)]
    #[schemars(with = "Option<broadcast::BroadcastRequest<'static>>")]
    broadcast: Option<&'a RawValue>,
    /// A page of a history.
    #[serde(borrow, default)]
    #[schemars(with = "Option<history::HistoryRequest<'static>>")]
    history: Option<&'a RawValue>,
    /// A history to drop.
    #[serde(borrow, default)]
    #[schemars(with = "Option<history::HistoryRemoveRequest<'static>>")]
    history_remove: Option<&'a RawValue>,
    /// A channel whose clients are listed.
    #[serde(borrow, default)]
    #[schemars(with = "Option<presence::PresenceRequest<'static>>")]
    presence: Option<&'a RawValue>,
    /// A channel whose clients are counted.
    #[serde(borrow, default)]
    #[schemars(with = "Option<presence::PresenceRequest<'static>>")]
    presence_stats: Option<&'a RawValue>,
    /// Channels to list.
    #[serde(borrow, default)]
    #[schemars(with = "Option<channels::ChannelsRequest<'static>>")]
    channels: Option<&'a RawValue>,
    /// The numbers of the hub.
    #[serde(borrow, default)]
    #[schemars(with = "Option<info::InfoRequest>")]
    info: Option<&'a RawValue>,
    /// A connection to close.
    #[serde(borrow, default)]
    #[schemars(with = "Option<disconnect::DisconnectRequest>")]
    disconnect: Option<&'a RawValue>,
    /// A subscription to make.
    #[serde(borrow, default)]
    #[schemars(with = "Option<subscribe::SubscribeRequest<'static>>")]
    subscribe: Option<&'a RawValue>,
    /// A subscription to end.
    #[serde(borrow, default)]
    #[schemars(with = "Option<unsubscribe::UnsubscribeRequest<'static>>")]
    unsubscribe: Option<&'a RawValue>,
    /// A connection whose end is moved.
    #[serde(borrow, default)]
    #[schemars(with = "Option<refresh::RefreshRequest>")]
    refresh: Option<&'a RawValue>,
}

/// A reply for each command, in order.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct BatchResult {
    /// The replies.
    replies: Vec<Reply>,
}

/// Carries out the commands.
pub(super) async fn batch(call: &Call<'_>, body: &[u8]) -> Result<BatchResult, ApiError> {
    let request: BatchRequest<'_> = json::read(body)?;
    let mut replies = Vec::with_capacity(request.commands.len());
    for command in request.commands {
        let reply = match Command::read(command) {
            Ok((method, body)) => dispatch::run(call, method, body.get().as_bytes()).await,
            Err(error) => Err(error),
        };
        replies.push(reply.unwrap_or_else(|error| Reply::Error(error.into_body())));
        // Publishing alone never yields.
        consume_budget().await;
    }
    Ok(BatchResult { replies })
}

impl<'a> Command<'a> {
    /// Returns what a command asks for.
    fn read(command: &'a RawValue) -> Result<(Method, &'a RawValue), ApiError> {
        let Self {
            publish,
            broadcast,
            history,
            history_remove,
            presence,
            presence_stats,
            channels,
            info,
            disconnect,
            subscribe,
            unsubscribe,
            refresh,
        } = json::read(command.get().as_bytes())?;
        let fields = [
            publish.map(|body| (Method::Publish, body)),
            broadcast.map(|body| (Method::Broadcast, body)),
            history.map(|body| (Method::History, body)),
            history_remove.map(|body| (Method::HistoryRemove, body)),
            presence.map(|body| (Method::Presence, body)),
            presence_stats.map(|body| (Method::PresenceStats, body)),
            channels.map(|body| (Method::Channels, body)),
            info.map(|body| (Method::Info, body)),
            disconnect.map(|body| (Method::Disconnect, body)),
            subscribe.map(|body| (Method::Subscribe, body)),
            unsubscribe.map(|body| (Method::Unsubscribe, body)),
            refresh.map(|body| (Method::Refresh, body)),
        ];
        let mut given = fields.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => {
                Err(ApiError::bad_request("a command has one field, named like its method; this one has several"))
            }
            (None, _) => {
                let text = "a command has one field, named like its method: publish, broadcast, history, \
                    history_remove, presence, presence_stats, channels, info, disconnect, subscribe, unsubscribe or \
                    refresh";
                Err(ApiError::new(ErrorKind::UnknownMethod, text))
            }
        }
    }
}
