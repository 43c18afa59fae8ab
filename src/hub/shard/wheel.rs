//! A ping wheel: when each connection is pinged, and when its answer is due, without a timer per connection.
//!
//! Slots are spread over [`BUCKETS`] by their number. Two hands go round once per `ping_interval`: the first pings the
//! bucket it passes, the second, `pong_timeout` behind, closes those of the bucket that did not answer.

use std::ops::Range;
use std::time::Duration;

/// Buckets of a round: at 54 s one is due every 0.8 s, so that pings are spread evenly.
pub const BUCKETS: u64 = 64;

/// Which buckets are due. Numbers grow without end; the bucket is the remainder by [`BUCKETS`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Due {
    /// Close those of these buckets that did not answer. Comes first.
    pub check: Range<u64>,
    /// Ping these buckets.
    pub ping: Range<u64>,
}

/// The two hands.
#[derive(Debug)]
pub struct Wheel {
    ping_interval: Duration,
    pong_timeout: Duration,
    pinged: u64,
    checked: u64,
}

impl Wheel {
    /// Returns a wheel at time zero. `pong_timeout` is shorter than `ping_interval`, which the configuration checks.
    pub fn new(ping_interval: Duration, pong_timeout: Duration) -> Self {
        debug_assert!(pong_timeout < ping_interval, "checked by the configuration");
        Self { ping_interval, pong_timeout, pinged: 0, checked: 0 }
    }

    /// Returns a wheel whose first bucket is due after `now`.
    pub fn from(now: Duration, ping_interval: Duration, pong_timeout: Duration) -> Self {
        let mut wheel = Self::new(ping_interval, pong_timeout);
        let at = wheel.hand(now);
        (wheel.pinged, wheel.checked) = (at, at);
        wheel
    }

    /// Moves the hands to `now` and returns the buckets they passed.
    pub fn advance(&mut self, now: Duration) -> Due {
        let ping_to = self.hand(now).max(self.pinged);
        let check_to = self.hand(now.saturating_sub(self.pong_timeout)).max(self.checked);
        // After a pause longer than a round every bucket is due once.
        let ping = self.pinged.max(ping_to.saturating_sub(BUCKETS))..ping_to;
        let check = self.checked.max(check_to.saturating_sub(BUCKETS))..check_to;
        (self.pinged, self.checked) = (ping_to, check_to);
        Due { check, ping }
    }

    fn hand(&self, now: Duration) -> u64 {
        let passed = now.as_nanos() * u128::from(BUCKETS) / self.ping_interval.as_nanos().max(1);
        u64::try_from(passed).unwrap_or(u64::MAX)
    }
}

/// Returns the slots of a bucket, among `slots` in all.
pub fn slots_of(bucket: u64, slots: usize) -> impl Iterator<Item = usize> {
    let first = (bucket % BUCKETS) as usize;
    #[expect(clippy::cast_possible_truncation, reason = "64")]
    (first..slots).step_by(BUCKETS as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Each slot gets one ping per interval and one check per ping, whatever the rhythm of the calls.
    #[test]
    fn every_slot_is_pinged_once_per_round_and_checked_after_the_timeout() {
        let mut wheel = Wheel::new(seconds(64), seconds(6));
        let (mut pinged, mut checked) = (vec![], vec![]);
        for now in [0, 1, 1, 5, 30, 64, 70] {
            let due = wheel.advance(seconds(now));
            pinged.extend(due.ping.flat_map(|bucket| slots_of(bucket, 100)));
            checked.extend(due.check.flat_map(|bucket| slots_of(bucket, 100)));
            assert!(checked.iter().all(|slot| pinged.contains(slot)));
        }
        assert_eq!((0..100).filter(|slot| checked.iter().filter(|at| *at == slot).count() == 1).count(), 100);
        assert_eq!(pinged.iter().filter(|slot| **slot == 7).count(), 1);
        assert_eq!(pinged.iter().filter(|slot| **slot == 5).count(), 2);
    }

    #[test]
    fn long_pause_pings_every_slot_once() {
        let mut wheel = Wheel::new(seconds(54), seconds(6));
        let due = wheel.advance(seconds(3600));
        assert_eq!(due.ping.count(), 64);
    }
}
