//! A ticker: tells the coordinator once a second how things stand.

use std::time::Duration;

use anyhow::Result;

use crate::clock::{nanos, now_ns};
use crate::observe::host::thread_time;
use crate::report::latency::Latency;
use crate::worker::engine::Engine;
use crate::worker::order::{Event, Tick};

/// Time between two ticks. They fall on whole seconds of the clock, so that those of all workers mean the same second.
const SECOND: Duration = Duration::from_secs(1);

/// When the next tick is due, and what the last one has told.
#[derive(Debug)]
pub(super) struct Ticker {
    next_ns: u64,
    told: Latency,
}

impl Ticker {
    pub(super) fn new(now_ns: u64) -> Self {
        Self { next_ns: now_ns.next_multiple_of(nanos(SECOND)), told: Latency::new() }
    }

    /// What is counted from now on is news, because the histogram begins anew.
    pub(super) fn reset(&mut self) {
        self.told.reset();
    }
}

impl Engine {
    /// Tells how things stand, when it is time to.
    ///
    /// # Errors
    ///
    /// Fails when the coordinator is gone.
    pub(super) fn tick(&mut self) -> Result<()> {
        if now_ns() < self.ticker.next_ns {
            return Ok(());
        }
        let mut latency = self.tally.latency.since(&self.ticker.told);
        self.ticker.told.merge(&latency);
        // Buckets are merged by the coordinator, whatever their order.
        latency.extend(self.tally.warm_up.buckets());
        self.tally.warm_up.reset();
        let tick = Tick {
            at_ns: now_ns(),
            open: self.open,
            sent: self.sent_total(),
            verified: self.tally.counts.verified,
            lost: self.tally.counts.lost,
            latency,
            own: thread_time(),
        };
        self.coordinator.say(&Event::Tick(tick))?;
        self.ticker.next_ns = (now_ns() + 1).next_multiple_of(nanos(SECOND));
        Ok(())
    }
}
