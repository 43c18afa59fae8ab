//! The dispatch of a command to its method, alone or as a part of a batch.

use super::call::Call;
use super::disconnect::DisconnectResult;
use super::error::ApiError;
use super::method::Method;
use super::refresh::RefreshResult;
use super::reply::Reply;
use super::subscribe::SubscribeResult;
use super::unsubscribe::UnsubscribeResult;
use super::{broadcast, channels, everywhere, history, info, json, presence, publish};

/// Carries out one command, and counts it.
pub(super) async fn run(call: &Call<'_>, method: Method, body: &[u8]) -> Result<Reply, ApiError> {
    let done = carry_out(call, method, body).await;
    call.count(method, done.as_ref().err());
    done
}

async fn carry_out(call: &Call<'_>, method: Method, body: &[u8]) -> Result<Reply, ApiError> {
    call.check_scope(method)?;
    Ok(match method {
        Method::Publish => Reply::Publish(publish::publish(call, &json::read(body)?).await?),
        Method::Broadcast => Reply::Broadcast(broadcast::broadcast(call, &json::read(body)?).await?),
        Method::History => Reply::History(history::read(call, &json::read(body)?).await?),
        Method::HistoryRemove => Reply::HistoryRemove(history::remove(call, &json::read(body)?).await?),
        Method::Presence => Reply::Presence(presence::list(call, &json::read(body)?).await?),
        Method::PresenceStats => Reply::PresenceStats(presence::stats(call, &json::read(body)?).await?),
        Method::Channels => Reply::Channels(channels::list(call, json::read(body)?).await?),
        Method::Info => Reply::Info(info::info(call, &json::read(body)?)),
        Method::Disconnect => {
            Reply::Disconnect(DisconnectResult { gaps: everywhere::carry_out(call, method, body).await?.gaps })
        }
        Method::Subscribe => {
            Reply::Subscribe(SubscribeResult { gaps: everywhere::carry_out(call, method, body).await?.gaps })
        }
        Method::Unsubscribe => {
            Reply::Unsubscribe(UnsubscribeResult { gaps: everywhere::carry_out(call, method, body).await?.gaps })
        }
        Method::Refresh => {
            Reply::Refresh(RefreshResult { gaps: everywhere::carry_out(call, method, body).await?.gaps })
        }
        Method::Batch | Method::PublishStream => {
            return Err(ApiError::bad_request(format!("{} is not a command of a batch", method.name())));
        }
    })
}
