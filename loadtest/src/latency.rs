//! A latency histogram: microseconds, three significant digits, decoded buckets for whoever wants to plot them.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency told apart: an hour, far above any run's drain.
const MICROS_MAX: u64 = 3_600_000_000;

/// Counts latencies.
#[derive(Debug)]
pub(crate) struct Latency(Histogram<u64>);

/// What is said about a distribution.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
    /// Every bucket that is not empty.
    pub(crate) buckets: Vec<Bucket>,
}

/// How often a latency was seen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bucket {
    pub(crate) value_us: u64,
    pub(crate) count: u64,
}

impl Latency {
    /// Makes an empty histogram.
    pub(crate) fn new() -> Self {
        Self(
            Histogram::new_with_bounds(1, MICROS_MAX, 3)
                .expect("constant bounds with 1 <= low, 2 low <= high, 3 digits"),
        )
    }

    /// Counts one latency.
    ///
    /// # Hot path
    ///
    /// Once per delivery: a shift, an index, four additions.
    #[inline]
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos / 1_000);
    }

    /// Forgets everything, for the end of a warm-up.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    /// The latency that the share `quantile` of all counted ones does not exceed.
    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(quantile))
    }

    /// The largest latency, rounded as the buckets are.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    /// Everything that is reported.
    pub(crate) fn summary(&self) -> Summary {
        let at = |quantile| self.0.value_at_quantile(quantile);
        let buckets = self.0.iter_recorded();
        Summary {
            count: self.0.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.0.max(),
            buckets: buckets.map(|b| Bucket { value_us: b.value_iterated_to(), count: b.count_at_value() }).collect(),
        }
    }
}
