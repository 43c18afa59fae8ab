//! Lag: tells clients which of their subscriptions have ended because they did not keep up.

use super::state::State;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks: short for a client that has been behind for a second.
const INTERVAL: Duration = Duration::from_millis(500);

/// Tells clients, for ever. Each is waited for alone, because it may not read; the end of its connection ends the wait.
pub(crate) async fn watch(state: &Arc<State>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // At most one for each subscription: it has to be made again before it can end again.
    let mut tellings = JoinSet::new();
    loop {
        ticks.tick().await;
        while tellings.try_join_next().is_some() {}
        for (id, channel) in state.hub().take_lagging() {
            if let Some(client) = state.clients.find(id) {
                tellings.spawn(async move { client.end_lagging(&channel).await });
            }
        }
    }
}
