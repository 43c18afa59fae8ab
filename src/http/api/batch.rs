//! `batch`: several commands in one request, each with a reply of its own, in order.

use super::broadcast::IN_FLIGHT_MAX;
use super::call::Call;
use super::error::{ApiError, ErrorKind};
use super::json;
use super::method::Method;
use super::publish::{self, PublishRequest};
use super::reply::Reply;
use super::{broadcast, channels, disconnect, dispatch, history, info, presence, refresh, subscribe, unsubscribe};
use crate::engine::Engine;
use crate::engine::nats::in_order::InOrder;
use crate::protocol::ChannelName;
use futures_util::stream::{FuturesOrdered, StreamExt};
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
    let (order, mut under_way) = (InOrder::default(), FuturesOrdered::new());
    let is_cluster = matches!(call.state.engine, Engine::Nats(_));
    for command in request.commands {
        let command = Command::read(command);
        // In a cluster each publication takes a round trip to NATS, so consecutive ones do not wait for each other.
        let keep = if is_cluster && matches!(command, Ok((Method::Publish, _))) { IN_FLIGHT_MAX - 1 } else { 0 };
        while under_way.len() > keep {
            replies.extend(under_way.next().await.map(reply));
        }
        match command {
            Ok((Method::Publish, body)) if is_cluster => under_way.push_back(publish_in_order(call, body, &order)),
            Ok((method, body)) => replies.push(reply(dispatch::run(call, method, body.get().as_bytes()).await)),
            Err(error) => replies.push(reply(Err(error))),
        }
        // Publishing alone never yields.
        consume_budget().await;
    }
    while let Some(done) = under_way.next().await {
        replies.push(reply(done));
    }
    Ok(BatchResult { replies })
}

fn reply(done: Result<Reply, ApiError>) -> Reply {
    done.unwrap_or_else(|error| Reply::Error(error.into_body()))
}

/// Publishes after those of its channel for which this was called before, and counts it.
fn publish_in_order<'a>(
    call: &'a Call<'_>,
    body: &'a RawValue,
    order: &'a InOrder,
) -> impl Future<Output = Result<Reply, ApiError>> + 'a {
    let request = call.check_scope(Method::Publish).and_then(|()| json::read(body.get().as_bytes()));
    let turn = request.as_ref().ok().and_then(|request: &PublishRequest<'_>| {
        // A name that is wrong is reported when it is published to.
        ChannelName::parse(&request.channel).ok().map(|name| order.turn(&name))
    });
    async move {
        let done = match request {
            Ok(request) => publish::at_turn(call, &request, turn).await.map(Reply::Publish),
            Err(error) => Err(error),
        };
        call.count(Method::Publish, done.as_ref().err());
        done
    }
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
