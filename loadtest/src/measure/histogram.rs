//! A latency histogram: microseconds, three significant digits, decoded buckets for plotting.
//!
//! All histograms of a run have the same bounds, so buckets that travel from a worker to the coordinator, or from a
//! file to a chart, merge without loss.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest latency that is distinguished: an hour, far above any run's drain.
const MICROS_MAX: u64 = 3_600_000_000;

/// Counts latencies.
#[derive(Clone, Debug)]
pub(crate) struct Histogram(hdrhistogram::Histogram<u64>);

/// Percentiles and buckets of a distribution.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
    /// Every bucket that is not empty, ascending.
    pub(crate) buckets: Buckets,
}

/// How often each latency was seen.
pub(crate) type Buckets = Vec<Bucket>;

/// How often a latency was seen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Bucket {
    pub(crate) value_us: u64,
    pub(crate) count: u64,
}

impl Histogram {
    /// Returns an empty histogram.
    pub(crate) fn new() -> Self {
        Self(
            hdrhistogram::Histogram::new_with_bounds(1, MICROS_MAX, 3)
                .expect("constant bounds with 1 <= low, 2 low <= high, 3 digits"),
        )
    }

    /// Returns what several histograms counted together.
    pub(crate) fn merged<'a>(parts: impl IntoIterator<Item = &'a Buckets>) -> Self {
        let mut merged = Self::new();
        parts.into_iter().for_each(|part| merged.merge(part));
        merged
    }

    /// Counts one latency.
    #[inline]
    pub(crate) fn record(&mut self, nanos: u64) {
        self.record_n(nanos, 1);
    }

    /// Counts a latency that several deliveries have.
    ///
    /// # Hot path
    ///
    /// Once per delivery, or per run of messages that were sent and read together: a shift, an index, four additions.
    #[inline]
    pub(crate) fn record_n(&mut self, nanos: u64, count: u64) {
        self.0.saturating_record_n(nanos / 1_000, count);
    }

    /// Forgets everything, for the end of a warm-up.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    /// Adds what another histogram counted.
    pub(crate) fn merge(&mut self, buckets: &[Bucket]) {
        for bucket in buckets {
            self.0.saturating_record_n(bucket.value_us, bucket.count);
        }
    }

    /// Returns every bucket that is not empty.
    pub(crate) fn buckets(&self) -> Buckets {
        let buckets = self.0.iter_recorded();
        buckets.map(|b| Bucket { value_us: b.value_iterated_to(), count: b.count_at_value() }).collect()
    }

    /// Returns what was counted since `before`, an earlier copy of this histogram.
    pub(crate) fn since(&self, before: &Self) -> Buckets {
        let mut now = self.buckets();
        for bucket in &mut now {
            bucket.count -= before.0.count_at(bucket.value_us);
        }
        now.retain(|bucket| bucket.count > 0);
        now
    }

    /// Returns the latency that the share `quantile` of all counted ones does not exceed.
    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(quantile))
    }

    /// Returns the largest latency, rounded as the buckets are.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    /// Returns how many were counted.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Everything that is reported.
    pub(crate) fn summary(&self) -> Summary {
        let at = |quantile| self.0.value_at_quantile(quantile);
        Summary {
            count: self.0.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.0.max(),
            buckets: self.buckets(),
        }
    }
}

impl FromIterator<Bucket> for Histogram {
    fn from_iter<I: IntoIterator<Item = Bucket>>(buckets: I) -> Self {
        let mut latency = Self::new();
        buckets.into_iter().for_each(|bucket| latency.merge(&[bucket]));
        latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers send decoded buckets; what they counted must come out as if one histogram had counted it all.
    #[test]
    fn buckets_of_several_workers_merge_without_loss() {
        let (mut whole, mut parts) = (Histogram::new(), [Histogram::new(), Histogram::new(), Histogram::new()]);
        for number in 0..100_000_u64 {
            let nanos = number * number % 40_000_000_000;
            whole.record(nanos);
            parts[usize::try_from(number % 3).unwrap()].record(nanos);
        }
        let merged: Histogram = parts.iter().flat_map(Histogram::buckets).collect();
        assert_eq!(merged.buckets(), whole.buckets());
        assert_eq!(merged.quantile(0.999), whole.quantile(0.999));
        assert_eq!((merged.count(), merged.max()), (100_000, whole.max()));
    }

    #[test]
    fn difference_holds_what_came_in_between() {
        let mut latency = Histogram::new();
        latency.record(5_000);
        let before = latency.clone();
        latency.record(5_000);
        latency.record(9_000);
        let bucket = |value_us| Bucket { value_us, count: 1 };
        assert_eq!(latency.since(&before), [bucket(5), bucket(9)]);
    }
}
