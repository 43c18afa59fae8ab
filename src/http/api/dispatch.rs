//! The dispatch of a command to its method, alone or as a part of a batch.

use super::call::Call;
use super::error::ApiError;
use super::method::Method;
use super::reply::Reply;
use super::{broadcast, channels, disconnect, history, info, json, presence, publish, refresh, subscribe, unsubscribe};

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
        Method::Disconnect => Reply::Disconnect(disconnect::disconnect(call, &json::read(body)?).await?),
        Method::Subscribe => Reply::Subscribe(subscribe::subscribe(call, &json::read(body)?).await?),
        Method::Unsubscribe => Reply::Unsubscribe(unsubscribe::unsubscribe(call, &json::read(body)?).await?),
        Method::Refresh => Reply::Refresh(refresh::refresh(call, &json::read(body)?).await?),
        Method::Batch | Method::PublishStream => {
            return Err(ApiError::bad_request(format!("{} is not a command of a batch", method.name())));
        }
    })
}
