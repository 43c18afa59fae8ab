//! The counters of the HTTP API. Any thread counts, so they are atomics.

use super::latency::{LatencyHistogram, SharedLatencyHistogram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The methods of the API, and one for all that do not exist, so that clients cannot add any.
pub const API_METHODS: [&str; 15] = [
    "publish",
    "broadcast",
    "publish_stream",
    "history",
    "history_remove",
    "presence",
    "presence_stats",
    "channels",
    "info",
    "disconnect",
    "subscribe",
    "unsubscribe",
    "refresh",
    "batch",
    "unknown",
];

/// The codes of answers; 0 for success.
pub const API_CODES: [u32; 11] = [0, 100, 101, 102, 103, 104, 106, 107, 108, 111, 112];

/// Codes whose counts are there from the start, so that an alert sees the first one: success, and the hub's own part.
const CODES_FROM_START: [u32; 4] = [0, 100, 106, 111];

/// What the API did since the process started.
#[derive(Debug, Default)]
pub struct ApiCounters {
    requests: [[AtomicU64; API_CODES.len()]; API_METHODS.len()],
    time: SharedLatencyHistogram,
}

impl ApiCounters {
    /// Counts the answer to a request, a command of a batch or a line of a stream; a code that is not one of
    /// [`API_CODES`] counts as the first error.
    pub fn count(&self, method: usize, code: u32) {
        let code = API_CODES.iter().position(|known| *known == code).unwrap_or(1);
        // Relaxed: the number stands for itself.
        self.requests[method][code].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the time that a request took.
    pub fn count_time(&self, time: Duration) {
        self.time.count(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns the counts above zero, and those of `CODES_FROM_START`, with method and code.
    pub fn requests(&self) -> Vec<(&'static str, u32, u64)> {
        let methods = API_METHODS.into_iter().zip(&self.requests);
        let counts = methods.flat_map(|(method, codes)| {
            API_CODES.into_iter().zip(codes).map(move |(code, count)| (method, code, count.load(Ordering::Relaxed)))
        });
        counts.filter(|(_, code, count)| *count > 0 || CODES_FROM_START.contains(code)).collect()
    }

    /// Returns the times of requests.
    pub fn times(&self) -> LatencyHistogram {
        self.time.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_method_and_code() {
        let counters = ApiCounters::default();
        counters.count(0, 0);
        counters.count(0, 0);
        counters.count(13, 107);
        counters.count(14, 9999);
        let requests = counters.requests();
        let counted: Vec<_> = requests.iter().filter(|(.., count)| *count > 0).copied().collect();
        assert_eq!(counted, [("publish", 0, 2), ("batch", 107, 1), ("unknown", 100, 1)]);
        assert!(requests.contains(&("history", 111, 0)) && !requests.iter().any(|(_, code, _)| *code == 112));
        counters.count_time(Duration::from_micros(101));
        assert_eq!((counters.times().buckets[1], counters.times().sum), (1, 101));
    }
}
