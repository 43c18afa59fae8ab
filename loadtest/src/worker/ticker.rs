//! A ticker: reports the state of a worker to the coordinator once a second.

use super::messages::Tick;
use super::tally::Tally;
use crate::clock::{nanos, now_ns};
use crate::measure::histogram::Histogram;
use crate::observe::host::thread_time;
use std::time::Duration;

/// Time between two ticks. They fall on whole seconds of the clock, so that those of all workers mean the same second.
const SECOND: Duration = Duration::from_secs(1);

/// When the next tick is due, and what the ticks so far have reported.
#[derive(Debug)]
pub(super) struct Ticker {
    next_ns: u64,
    reported: Histogram,
}

impl Ticker {
    pub(super) fn new(now_ns: u64) -> Self {
        Self { next_ns: now_ns.next_multiple_of(nanos(SECOND)), reported: Histogram::new() }
    }

    /// Follows a reset of the tally's histogram.
    pub(super) fn reset(&mut self) {
        self.reported.reset();
    }

    pub(super) fn is_due(&self) -> bool {
        now_ns() >= self.next_ns
    }

    /// Returns the state of a worker with `open` clients, which has `sent` messages.
    pub(super) fn tick(&mut self, tally: &mut Tally, open: usize, sent: u64) -> Tick {
        let mut latency = tally.latency.since(&self.reported);
        self.reported.merge(&latency);
        // Buckets are merged by the coordinator, whatever their order.
        latency.extend(tally.warm_up.buckets());
        tally.warm_up.reset();
        let now = now_ns();
        self.next_ns = (now + 1).next_multiple_of(nanos(SECOND));
        let (verified, lost) = (tally.counts.verified, tally.counts.lost);
        Tick { at_ns: now, open, sent, verified, lost, latency, own: thread_time() }
    }
}
