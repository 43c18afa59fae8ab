//! Histories: drops what is too old, also in channels where nobody publishes any more.

use crate::engine::Engine;
use crate::hub::Sink;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two sweeps. Sixteen of them look at every channel, so a publication that nobody asks for holds its
/// memory so much longer than its time. What is asked for is exact.
const INTERVAL: Duration = Duration::from_secs(1);

/// Sweeps, for ever.
pub(crate) async fn sweep<S: Sink>(engine: &Engine<S>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        engine.sweep_histories();
    }
}
