//! The end of connections and subscriptions whose token has expired: one look per second, no timer for each. With a
//! hook `refresh`, or `sub_refresh`, the application is asked first.

use super::state::State;
use super::tokens::unix_seconds;
use crate::config::HookName;
use crate::hub::{Command, ConnectionId};
use crate::protocol::CloseReason;
use crate::session::hooks::{Asker, Decision, RETRY_SECONDS, Renewal};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks: as precise as the times of tokens.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

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
        let (now, is_asked) = (unix_seconds(), state.hooks.has(HookName::Refresh, None));
        for id in state.users.expired(now) {
            if !is_asked {
                // Again every second until they are gone: a connection may expire before its shard knows it.
                close(state, id, CloseReason::Expired).await;
            } else if renewals.len() < RENEWALS_MAX && state.users.set_expiry(id, Some(now + RETRY_SECONDS)) {
                renewals.spawn(renew(Arc::clone(state), id));
            }
        }
        let are_asked = state.settings.load().has_hook(HookName::SubRefresh);
        for client in state.clients.due(now) {
            if !are_asked {
                client.close_if_expired(now, &state.clients).await;
            } else if renewals.len() < RENEWALS_MAX {
                // It is not due again until the application has answered.
                state.clients.set_due(client.id(), Some(now + RETRY_SECONDS));
                let state = Arc::clone(state);
                renewals.spawn(async move { client.renew_subscriptions(&*state).await });
            }
        }
    }
}

/// Asks whether a connection goes on. An application that fails is asked again later.
async fn renew(state: Arc<State>, id: ConnectionId) {
    let client = state.clients.find(id);
    let asker = match &client {
        Some(client) => client.asker(),
        // It has gone, or has neither headers nor anything else that the application gets.
        None => state
            .users
            .asker_of(id)
            .map_or_else(|| Asker::of(state.hub().client_id(id), state.users.user_of(id)), |asker| (*asker).clone()),
    };
    match state.hooks.refresh(&asker).await {
        Decision::Allowed(Renewal::Until(extension)) if extension.expires_at.is_none_or(|at| at > unix_seconds()) => {
            state.users.set_expiry(id, extension.expires_at);
            match (client, &extension.meta) {
                (Some(client), _) => client.update(&extension),
                (None, Some(meta)) => state.users.set_meta(id, meta),
                (None, None) => {}
            }
        }
        Decision::Refused(error) if error.is_temporary => {}
        Decision::Allowed(_) | Decision::Refused(_) => close(&state, id, CloseReason::Expired).await,
        Decision::Closed(disconnection) => {
            let disconnection = Box::new(disconnection);
            state.hub().inbox(id.shard()).send(Command::CloseWith { id, disconnection }).await;
        }
    }
}

async fn close(state: &State, id: ConnectionId, reason: CloseReason) {
    state.hub().inbox(id.shard()).send(Command::Close { id, reason }).await;
}
