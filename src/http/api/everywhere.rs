//! What backends do to connections: on this hub, and in a cluster on the others too.

use super::call::Call;
use super::error::{ApiError, ErrorKind};
use super::gaps::Gaps;
use super::json;
use super::method::Method;
use super::{disconnect, refresh, subscribe, unsubscribe};
use crate::engine::merged::Merged;
use crate::engine::nats::peers::{CarriedOut, LocalHub, Outcome, Outcomes, PeerCommand, PeerStage};
use crate::hub::{ClientId, HubId};
use crate::operation::api_key::Scopes;
use crate::operation::state::State;
use bytes::Bytes;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Most bytes of a request that is passed on to other hubs.
const COMMAND_BYTES_MAX: usize = 128 * 1024;

/// What was done.
#[derive(Debug)]
pub(in crate::http) struct Done {
    /// Connections that it was done to.
    pub(in crate::http) connections: u64,
    /// The hubs that have not said whether they did it.
    pub(in crate::http) gaps: Gaps,
}

/// The part of a request that says which hubs it concerns.
#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "json::text")]
    client: Option<String>,
}

/// Which hubs a request concerns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Concerned {
    Own,
    Other(HubId),
    All,
}

/// Carries out a method that concerns connections on every hub that has some of them.
pub(super) async fn carry_out(call: &Call<'_>, method: Method, body: &[u8]) -> Result<Done, ApiError> {
    match concerned(call, body)? {
        Concerned::Own => here(call, method, body).await.map(|connections| Done { connections, gaps: Gaps::default() }),
        Concerned::Other(hub) => {
            let merged = there(call, Some(hub), method, body).await?;
            sum(Ok(0), merged)
        }
        Concerned::All => {
            let own = here(call, method, body).await;
            if own.as_ref().is_err_and(|error| error.kind.is_of_request()) {
                return own.map(|connections| Done { connections, gaps: Gaps::default() });
            }
            let merged = there(call, None, method, body).await?;
            sum(own, merged)
        }
    }
}

/// Finds out which hubs have connections that a request names.
fn concerned(call: &Call<'_>, body: &[u8]) -> Result<Concerned, ApiError> {
    let Some(own) = call.state.hub().id().filter(|_| !call.is_of_peer) else { return Ok(Concerned::Own) };
    let named: Named = json::read(body)?;
    let client = named.client.as_deref().and_then(ClientId::parse);
    Ok(match client.and_then(|client| client.hub) {
        Some(hub) if hub == own => Concerned::Own,
        Some(hub) => Concerned::Other(hub),
        // What is no id is refused here, with the reason.
        None if named.client.is_some() => Concerned::Own,
        None => Concerned::All,
    })
}

/// Carries out a method on this hub alone. Returns the connections that it was done to.
async fn here(call: &Call<'_>, method: Method, body: &[u8]) -> Result<u64, ApiError> {
    match method {
        Method::Disconnect => disconnect::disconnect(call, &json::read(body)?).await,
        Method::Subscribe => subscribe::subscribe(call, &json::read(body)?).await,
        Method::Unsubscribe => unsubscribe::unsubscribe(call, &json::read(body)?).await,
        Method::Refresh => refresh::refresh(call, &json::read(body)?).await,
        _ => Err(ApiError::new(ErrorKind::Internal, format!("{} concerns no connection", method.name()))),
    }
}

/// Lets other hubs carry it out, or one of them.
async fn there(
    call: &Call<'_>,
    only: Option<HubId>,
    method: Method,
    body: &[u8],
) -> Result<Merged<Outcomes>, ApiError> {
    if body.len() > COMMAND_BYTES_MAX {
        let text = format!("{} bytes are more than {COMMAND_BYTES_MAX}, which hubs send to each other", body.len());
        return Err(ApiError::new(ErrorKind::BodyTooLarge, text));
    }
    let command = PeerCommand { method: method.name().to_owned(), body: Bytes::copy_from_slice(body) };
    Ok(call.state.engine.command(only, command).await)
}

/// Adds what other hubs have done. That a hub has only connections to which it cannot be done is an error only if no
/// hub has others.
fn sum(own: Result<u64, ApiError>, merged: Merged<Outcomes>) -> Result<Done, ApiError> {
    let gaps = Gaps::of(&merged);
    let Outcomes { done, error } = merged.value;
    let (connections, own_error) = match own {
        Ok(connections) => (connections + done, None),
        Err(error) => (done, Some(error)),
    };
    let of_peer = error.map(|(hub, code, text)| ApiError::new(ErrorKind::of_code(code), format!("hub {hub}: {text}")));
    let mut errors = own_error.into_iter().chain(of_peer);
    match errors.find(|error| connections == 0 || error.kind != ErrorKind::NotAvailable) {
        Some(error) => Err(error),
        None => Ok(Done { connections, gaps }),
    }
}

/// Closes the connections of a user on every hub, for an operator.
pub(in crate::http) async fn disconnect_user(state: &Arc<State>, user: &str) -> Result<Done, String> {
    let call = Call { state, scopes: Scopes::ALL, deadline: None, is_of_peer: false };
    let body = serde_json::json!({ "user": user }).to_string();
    carry_out(&call, Method::Disconnect, body.as_bytes()).await.map_err(|error| error.into_parts().1)
}

/// This hub, as the others use it.
#[derive(Debug)]
pub(crate) struct HubForPeers(pub(crate) Arc<State>);

impl LocalHub for HubForPeers {
    fn stage(&self) -> PeerStage {
        self.0.lifecycle.stage().into()
    }

    fn addresses(&self) -> Vec<String> {
        self.0.settings.load().addr.iter().map(ToString::to_string).collect()
    }

    fn carry_out(&self, command: PeerCommand, wait: Duration) -> CarriedOut<'_> {
        Box::pin(async move {
            let call =
                Call { state: &self.0, scopes: Scopes::ALL, deadline: Some(Instant::now() + wait), is_of_peer: true };
            let done = match Method::find(&command.method) {
                Ok(method) => here(&call, method, &command.body).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(done) => Outcome { done, ..Outcome::default() },
                Err(error) => {
                    let (code, text) = error.into_parts();
                    Outcome { done: 0, code, text }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(done: u64, error: Option<(u32, &str)>) -> Merged<Outcomes> {
        let hub = HubId::new(2).unwrap();
        Merged::whole(Outcomes { done, error: error.map(|(code, text)| (hub, code, text.to_owned())) })
    }

    fn error(kind: ErrorKind) -> Result<u64, ApiError> {
        Err(ApiError::new(kind, "here"))
    }

    /// A user may have a connection that cannot have a second channel on one hub, and one that can on another.
    #[test]
    fn what_one_hub_cannot_do_is_no_error_if_another_did_it() {
        assert_eq!(sum(Ok(1), merged(2, None)).unwrap().connections, 3);
        assert_eq!(sum(error(ErrorKind::NotAvailable), merged(1, None)).unwrap().connections, 1);
        assert_eq!(sum(Ok(1), merged(0, Some((108, "there")))).unwrap().connections, 1);
        let text = |own, merged| sum(own, merged).unwrap_err().into_parts();
        let there = "hub 0000000000000002: there".to_owned();
        assert_eq!(text(Ok(0), merged(0, Some((108, "there")))), (108, there.clone()));
        assert_eq!(text(Ok(1), merged(1, Some((106, "there")))), (106, there));
        assert_eq!(text(error(ErrorKind::Busy), merged(1, None)), (111, "here".to_owned()));
    }
}
