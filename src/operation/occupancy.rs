//! Occupancy: tells subscribers how many they are, where that has changed.

use crate::engine::Engine;
use crate::hub::Sink;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two announcements: a person sees no delay, and a crowd that comes costs two lines a second.
const INTERVAL: Duration = Duration::from_millis(500);

/// Announces, for ever.
pub(crate) async fn announce<S: Sink>(engine: &Engine<S>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        engine.announce().await;
    }
}
