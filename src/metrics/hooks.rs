//! The counters of hooks and events. Any thread counts, so they are atomics.

use super::latency::{LatencyHistogram, SharedLatencyHistogram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The questions to the application.
pub const HOOKS: [&str; 5] = ["connect", "refresh", "subscribe", "publish", "rpc"];

/// How a question ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HookOutcome {
    /// The application agreed.
    Result,
    /// The application answered with an error.
    Error,
    /// The application ended the connection.
    Disconnect,
    /// Too many requests were under way, for the whole timeout.
    Busy,
    /// There was no answer in time.
    Timeout,
    /// The application could not be reached, or ended the connection.
    Connection,
    /// The status was not one of success.
    Status,
    /// The answer was none of those that are documented, or too long.
    Malformed,
}

impl HookOutcome {
    /// The word of each outcome.
    pub const WORDS: [&'static str; 8] =
        ["result", "error", "disconnect", "busy", "timeout", "connection", "status", "malformed"];

    /// Returns the value of the label `outcome`.
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// What hooks and events did since the process started.
#[derive(Debug, Default)]
pub struct HookCounters {
    outcomes: [[AtomicU64; HookOutcome::WORDS.len()]; HOOKS.len()],
    times: [SharedLatencyHistogram; HOOKS.len()],
}

impl HookCounters {
    /// Counts how the question with this index in [`HOOKS`] ended, and the time that its client waited.
    pub fn count(&self, hook: usize, outcome: HookOutcome, time: Duration) {
        // Relaxed: the number stands for itself.
        self.outcomes[hook][outcome as usize].fetch_add(1, Ordering::Relaxed);
        self.times[hook].count(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns the counts above zero, with hook and outcome.
    pub fn outcomes(&self) -> Vec<(&'static str, &'static str, u64)> {
        let counts = HOOKS.into_iter().zip(&self.outcomes).flat_map(|(hook, outcomes)| {
            let counts = HookOutcome::WORDS.into_iter().zip(outcomes);
            counts.map(move |(outcome, count)| (hook, outcome, count.load(Ordering::Relaxed)))
        });
        counts.filter(|(.., count)| *count > 0).collect()
    }

    /// Returns the times of the hooks that were asked.
    pub fn times(&self) -> Vec<(&'static str, LatencyHistogram)> {
        let times = HOOKS.into_iter().zip(&self.times).map(|(hook, times)| (hook, times.read()));
        times.filter(|(_, times)| times.sum > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_by_hook_and_only_what_happened_is_shown() {
        let counters = HookCounters::default();
        counters.count(1, HookOutcome::Timeout, Duration::from_secs(1));
        counters.count(1, HookOutcome::Timeout, Duration::from_secs(1));
        counters.count(4, HookOutcome::Malformed, Duration::ZERO);
        assert_eq!(counters.outcomes(), [("refresh", "timeout", 2), ("rpc", "malformed", 1)]);
        let times = counters.times();
        assert_eq!(
            times.iter().map(|(hook, times)| (*hook, times.sum)).collect::<Vec<_>>(),
            [("refresh", 2_000_000), ("rpc", 1)]
        );
        assert_eq!(HookOutcome::Malformed.word(), "malformed");
    }
}
