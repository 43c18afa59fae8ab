//! The ping wheel: when each connection is pinged, and when its pong is due, without a timer per connection.
//!
//! Slots are spread over [`BUCKETS`] buckets. Two hands go round once per `ping_interval`: the first pings the
//! connections of the bucket it passes; the second follows `pong_timeout` later and closes those that did not answer.

use crate::hub::id::Slot;
use std::ops::Range;
use std::time::Duration;

/// Buckets of a round: at 54 s one is due every 0.8 s, so that pings are spread evenly.
pub(super) const BUCKETS: u64 = 64;

/// Which buckets are due. Numbers grow without end; the bucket is the remainder by [`BUCKETS`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Due {
    /// Close those of these buckets that did not answer. Comes first.
    pub(super) check: Range<u64>,
    /// Ping these buckets.
    pub(super) ping: Range<u64>,
}

/// A hand that goes round the buckets once per `round`.
#[derive(Debug)]
pub(super) struct Hand {
    round: Duration,
    /// Buckets passed since time zero.
    passed: u64,
}

impl Hand {
    /// Returns a hand whose first bucket is due after `now`.
    pub(super) fn starting_at(now: Duration, round: Duration) -> Self {
        let mut hand = Self { round, passed: 0 };
        hand.passed = hand.buckets_at(now);
        hand
    }

    /// Moves the hand to `now` and returns the buckets that it passed; after a pause of more than a round, each once.
    pub(super) fn advance(&mut self, now: Duration) -> Range<u64> {
        let to = self.buckets_at(now).max(self.passed);
        let passed = self.passed.max(to.saturating_sub(BUCKETS))..to;
        self.passed = to;
        passed
    }

    fn buckets_at(&self, now: Duration) -> u64 {
        let passed = now.as_nanos() * u128::from(BUCKETS) / self.round.as_nanos().max(1);
        u64::try_from(passed).unwrap_or(u64::MAX)
    }
}

/// The two hands of pings and their answers.
#[derive(Debug)]
pub(super) struct Wheel {
    ping: Hand,
    check: Hand,
    pong_timeout: Duration,
}

impl Wheel {
    /// Returns a wheel at time zero. `pong_timeout` is shorter than `ping_interval`, which the configuration checks.
    pub(super) fn new(ping_interval: Duration, pong_timeout: Duration) -> Self {
        Self::starting_at(Duration::ZERO, ping_interval, pong_timeout)
    }

    /// Returns a wheel whose first bucket is due after `now`.
    pub(super) fn starting_at(now: Duration, ping_interval: Duration, pong_timeout: Duration) -> Self {
        debug_assert!(pong_timeout < ping_interval, "checked by the configuration");
        let hand = || Hand::starting_at(now, ping_interval);
        Self { ping: hand(), check: hand(), pong_timeout }
    }

    /// Moves the hands to `now` and returns the buckets that they passed.
    pub(super) fn advance(&mut self, now: Duration) -> Due {
        Due { check: self.check.advance(now.saturating_sub(self.pong_timeout)), ping: self.ping.advance(now) }
    }
}

/// Returns the slots of a bucket, among `slots` in all.
pub(super) fn slots_of(bucket: u64, slots: usize) -> impl Iterator<Item = Slot> {
    let first = (bucket % BUCKETS) as usize;
    #[expect(clippy::cast_possible_truncation, reason = "64")]
    (first..slots).step_by(BUCKETS as usize).map(Slot::new)
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
        assert_eq!(
            (0..100).map(Slot::new).filter(|slot| checked.iter().filter(|at| *at == slot).count() == 1).count(),
            100
        );
        assert_eq!(pinged.iter().filter(|slot| slot.index() == 7).count(), 1);
        assert_eq!(pinged.iter().filter(|slot| slot.index() == 5).count(), 2);
    }

    #[test]
    fn long_pause_pings_every_slot_once() {
        let mut wheel = Wheel::new(seconds(54), seconds(6));
        let due = wheel.advance(seconds(3600));
        assert_eq!(due.ping.count(), 64);
    }
}
