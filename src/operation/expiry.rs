//! The end of connections whose token has expired: one look per second, no timer per connection. With a hook `refresh`
//! the application is asked first.

use super::state::State;
use super::tokens::unix_seconds;
use crate::config::HookName;
use crate::hub::{Command, ConnectionId};
use crate::protocol::CloseReason;
use crate::session::hooks::{Asker, Decision, Renewal};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks: as precise as the times of tokens.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Seconds until the application is asked again after it has failed, as Centrifugo waits: its clients stay meanwhile.
const RETRY_SECONDS: u64 = 60;

/// Most connections for which the application is asked at the same time. Others stay until it is their turn.
const RENEWALS_MAX: usize = 1024;

/// Closes connections that have expired, or asks whether they go on, for ever.
pub(crate) async fn watch(state: &Arc<State>) {
    let mut checks = interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewals = JoinSet::new();
    loop {
        checks.tick().await;
        while renewals.try_join_next().is_some() {}
        let (now, is_asked) = (unix_seconds(), state.hooks.has(HookName::Refresh));
        for id in state.users.expired(now) {
            if !is_asked {
                // Again every second until they are gone: a connection may expire before its shard knows it.
                close(state, id, CloseReason::Expired).await;
            } else if renewals.len() < RENEWALS_MAX && state.users.set_expiry(id, Some(now + RETRY_SECONDS)) {
                renewals.spawn(renew(Arc::clone(state), id));
            }
        }
        for client in state.clients.due(now) {
            client.close_if_expired(now, &state.clients).await;
        }
    }
}

/// Asks whether a connection goes on. An application that fails is asked again later.
async fn renew(state: Arc<State>, id: ConnectionId) {
    let chat = || {
        let (client, user) = (state.hub().client_id(id), state.users.user_of(id));
        Asker { client, user, format: None, headers: Vec::new() }
    };
    let asker = state.clients.find(id).map_or_else(chat, |client| client.asker());
    match state.hooks.refresh(&asker).await {
        Decision::Allowed(Renewal::Until(expires_at)) if expires_at.is_none_or(|at| at > unix_seconds()) => {
            state.users.set_expiry(id, expires_at);
        }
        Decision::Refused(error) if error.is_temporary => {}
        Decision::Allowed(_) | Decision::Refused(_) => close(&state, id, CloseReason::Expired).await,
        Decision::Closed(code) => close(&state, id, CloseReason::Disconnected(code)).await,
    }
}

async fn close(state: &State, id: ConnectionId, reason: CloseReason) {
    state.hub().inbox(id.shard()).send(Command::Close { id, reason }).await;
}
