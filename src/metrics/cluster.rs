//! The counters of a hub in a cluster: why it fetched or refused something, and the times that only a cluster has.

use super::counters::Labels;
use super::latency::{LatencyHistogram, SharedLatencyHistogram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Why a hub fetched what it lacked of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resync {
    /// Something was announced before what comes before it.
    Announcement,
    /// The connection to NATS was made anew, and something was not announced meanwhile.
    Reconnect,
    /// The beacons of a partition did not come back, and its log has more.
    Silence,
}

impl Resync {
    /// Returns the value of the label `reason`.
    pub const fn word(self) -> &'static str {
        Self::VALUES[self as usize]
    }
}

impl Labels for Resync {
    const LABEL: &'static str = "reason";

    const VALUES: &'static [&'static str] = &["announcement", "reconnect", "silence"];
}

/// Why a publication was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PublishRefusal {
    /// As many as may wait did already.
    InFlight,
    /// NATS did not acknowledge it in time.
    Timeout,
    /// It is larger than NATS accepts.
    TooLarge,
    /// It failed, and one of the same request that was sent after it may be in its channel.
    Overtaken,
    /// The hub was not part of the cluster yet.
    NotReady,
}

impl Labels for PublishRefusal {
    const LABEL: &'static str = "reason";

    const VALUES: &'static [&'static str] = &["in_flight", "timeout", "too_large", "overtaken", "not_ready"];
}

/// What a hub of a cluster did since it started. Any thread counts, so they are atomics.
#[derive(Debug, Default)]
pub struct ClusterCounters {
    resyncs: [AtomicU64; Resync::VALUES.len()],
    publish_refused: [AtomicU64; PublishRefusal::VALUES.len()],
    publish_ack: SharedLatencyHistogram,
    delivery: SharedLatencyHistogram,
}

/// The numbers of one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClusterCounts {
    /// Times that something was fetched, by [`Resync`].
    pub resyncs: [u64; Resync::VALUES.len()],
    /// Publications that were refused, by [`PublishRefusal`].
    pub publish_refused: [u64; PublishRefusal::VALUES.len()],
    /// Times until NATS acknowledged a publication.
    pub publish_ack: LatencyHistogram,
    /// Times from the arrival of a publication at any hub to its delivery on this one.
    pub delivery: LatencyHistogram,
}

impl ClusterCounters {
    /// Counts that something was fetched.
    pub fn count_resync(&self, reason: Resync) {
        // Relaxed: the number stands for itself.
        self.resyncs[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refused publication.
    pub fn count_refusal(&self, reason: PublishRefusal) {
        // Relaxed: the number stands for itself.
        self.publish_refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an acknowledged publication.
    pub fn count_publish_ack(&self, time: Duration) {
        self.publish_ack.count(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a publication of a followed partition, from its arrival at its hub until now, both in microseconds since
    /// 1970. Where the clocks of two machines differ by more than it took, it counts as the shortest time.
    pub fn count_delivery(&self, arrived: u64, now: u64) {
        self.delivery.count(now.saturating_sub(arrived));
    }

    /// Returns the numbers of this moment.
    pub fn read(&self) -> ClusterCounts {
        // Relaxed: each number stands for itself.
        ClusterCounts {
            resyncs: std::array::from_fn(|reason| self.resyncs[reason].load(Ordering::Relaxed)),
            publish_refused: std::array::from_fn(|reason| self.publish_refused[reason].load(Ordering::Relaxed)),
            publish_ack: self.publish_ack.read(),
            delivery: self.delivery.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_times_are_counted_apart() {
        let counters = ClusterCounters::default();
        counters.count_resync(Resync::Reconnect);
        counters.count_refusal(PublishRefusal::NotReady);
        counters.count_refusal(PublishRefusal::NotReady);
        counters.count_publish_ack(Duration::from_micros(101));
        counters.count_delivery(1_000, 1_400);
        let counts = counters.read();
        assert_eq!((counts.resyncs, counts.publish_refused), ([0, 1, 0], [0, 0, 0, 0, 2]));
        assert_eq!((counts.publish_ack.sum, counts.delivery.sum), (101, 400));
        assert_eq!((Resync::Reconnect.word(), PublishRefusal::VALUES[4]), ("reconnect", "not_ready"));
    }

    /// A clock that is behind the other one must not make 500,000 years of a millisecond.
    #[test]
    fn publication_of_a_clock_that_is_ahead_counts_as_the_shortest_time() {
        let counters = ClusterCounters::default();
        counters.count_delivery(2_000, 1_000);
        let delivery = counters.read().delivery;
        assert_eq!((delivery.sum, delivery.buckets[0]), (1, 1));
    }
}
