//! A rate: how many events of one connection fell into the current second.

use std::time::Duration;
use tokio::time::Instant;

/// Counts events per second, in windows that begin with the first event.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    since: Instant,
    events: u32,
}

impl Rate {
    /// Returns a rate without events.
    pub fn new(now: Instant) -> Self {
        Self { since: now, events: 0 }
    }

    /// Counts an event; returns whether it is within `events_max` per second.
    pub fn allow(&mut self, now: Instant, events_max: u32) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.events += 1;
        self.events <= events_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_at_the_rate_pass_and_one_more_does_not() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert!((0..50).all(|_| rate.allow(start, 50)));
        assert!(!rate.allow(start + Duration::from_millis(999), 50));
        assert!(rate.allow(start + Duration::from_secs(1), 50));
    }
}
