//! What a tick looks at: pings, ages, and connections and logs that wait for something.

use super::shard_channel::ChannelIndex;
use super::wheel::{Hand, Wheel};
use crate::config::HubLimits;
use crate::hub::id::Slot;
use std::time::Duration;

/// Looks at each connection per longest age: its granularity.
const AGE_LOOKS: u32 = 20;

/// Deadlines of a shard.
#[derive(Debug)]
pub(super) struct Deadlines {
    pub(super) wheel: Wheel,
    /// When to look for connections that are too old, if their age is limited.
    pub(super) ages: Option<Hand>,
    /// Parked and closing connections.
    pub(super) watched: Vec<Slot>,
    /// Channels whose logs slow subscribers keep.
    pub(super) retained: Vec<ChannelIndex>,
}

impl Deadlines {
    pub(super) fn new(limits: &HubLimits) -> Self {
        Self {
            wheel: Wheel::new(limits.ping_interval, limits.pong_timeout),
            ages: ages(limits, Duration::ZERO),
            watched: Vec::new(),
            retained: Vec::new(),
        }
    }

    /// Takes over new limits at `now`. A connection that was pinged and has not answered is pinged once more.
    pub(super) fn apply_limits(&mut self, limits: &HubLimits, before: &HubLimits, now: Duration) {
        if (limits.ping_interval, limits.pong_timeout) != (before.ping_interval, before.pong_timeout) {
            self.wheel = Wheel::starting_at(now, limits.ping_interval, limits.pong_timeout);
        }
        self.ages = ages(limits, now);
    }
}

/// Returns the hand that looks for old connections; `None` without a limit.
fn ages(limits: &HubLimits, now: Duration) -> Option<Hand> {
    let age_max = limits.connection_age_max;
    (!age_max.is_zero()).then(|| Hand::starting_at(now, age_max / AGE_LOOKS))
}
