//! The cluster, watched: says when the hub is cut off from NATS, and sends its clients away if that is wanted.

use super::state::State;
use super::tell::tell_all;
use crate::config::OnStale;
use crate::engine::Engine;
use crate::hub::Command;
use crate::protocol::CloseReason;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Watches, for ever; a single hub has nothing to watch.
pub(crate) async fn watch(state: &State) {
    let Engine::Nats(nats) = &state.engine else { return std::future::pending().await };
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut was_up, mut was_stale) = (true, false);
    loop {
        ticks.tick().await;
        let broker = nats.broker();
        if broker.is_verified && broker.is_up != was_up {
            was_up = broker.is_up;
            if was_up {
                tracing::info!("beacons come back from NATS: publications are delivered again");
            } else {
                tracing::error!(
                    silence = ?broker.silence,
                    "NATS does not deliver: publications wait, and are refused after --publish-ack-timeout; look at its \
                     servers, and at throng cluster check"
                );
            }
        }
        let is_stale = nats.is_stale();
        if is_stale && !was_stale {
            let closes = nats.config().on_stale == OnStale::Close;
            tracing::error!(closes, "cut off from NATS for longer than --stale-after");
        }
        // Those too that come meanwhile.
        if nats.sends_clients_away() && state.hub().placement().taken() > 0 {
            let (count, reason) = (usize::MAX, CloseReason::CutOff);
            tell_all(state.hub(), || Command::CloseSome { count, reason }).await;
        }
        was_stale = is_stale;
    }
}
