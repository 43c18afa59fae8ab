//! A histogram of latencies.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets, in microseconds: from the time of a few writes to more than any outbox lasts.
///
/// The preferred numbers of ISO 3's series R5. A quantile that is estimated from buckets can be wrong by the ratio of
/// two neighbours, here at most 1.6.
pub const LATENCY_BOUNDS: [u64; 26] = [
    100, 160, 250, 400, 630, 1_000, 1_600, 2_500, 4_000, 6_300, 10_000, 16_000, 25_000, 40_000, 63_000, 100_000,
    160_000, 250_000, 400_000, 630_000, 1_000_000, 1_600_000, 2_500_000, 4_000_000, 6_300_000, 10_000_000,
];

/// Publications by their latency.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LatencyHistogram {
    /// Publications by bucket; the last one has no bound.
    pub buckets: [u64; LATENCY_BOUNDS.len() + 1],
    /// Sum of all latencies, in microseconds.
    pub sum: u64,
}

impl LatencyHistogram {
    /// Help text on the metrics page.
    pub const HELP: &'static str = "Time from the arrival of a publication to the last write that was due for it";

    /// Counts publications whose last write came `microseconds` after the arrival of the oldest of them.
    pub fn count(&mut self, microseconds: u64, publications: u64) {
        // A sum that grew shows that something was counted, so a latency is never zero.
        let microseconds = microseconds.max(1);
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < microseconds);
        self.buckets[bucket] += publications;
        self.sum += microseconds * publications;
    }
}

impl AddAssign for LatencyHistogram {
    fn add_assign(&mut self, other: Self) {
        for (sum, count) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += count;
        }
        self.sum += other.sum;
    }
}

/// The histogram as others may read it.
#[derive(Debug, Default)]
pub(super) struct SharedLatencyHistogram {
    buckets: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl SharedLatencyHistogram {
    /// Makes the numbers of their one owner visible to others.
    // Relaxed throughout: each number stands for itself.
    pub(super) fn publish(&self, histogram: &LatencyHistogram) {
        // Most passes deliver nothing, so there is nothing to store.
        if self.sum.load(Ordering::Relaxed) != histogram.sum {
            for (shared, count) in self.buckets.iter().zip(histogram.buckets) {
                shared.store(count, Ordering::Relaxed);
            }
            self.sum.store(histogram.sum, Ordering::Relaxed);
        }
    }

    /// Counts one latency, where there is no one owner.
    pub(super) fn count(&self, microseconds: u64) {
        let microseconds = microseconds.max(1);
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < microseconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Returns the numbers of this moment.
    pub(super) fn read(&self) -> LatencyHistogram {
        LatencyHistogram {
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}
