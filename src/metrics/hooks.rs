//! The counters of hooks and events. Any thread counts, so they are atomics.

use super::latency::{LatencyHistogram, SharedLatencyHistogram};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The questions to the application.
pub const HOOKS: [&str; 6] = ["connect", "refresh", "subscribe", "sub_refresh", "publish", "rpc"];

/// How a question ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HookOutcome {
    /// The application agreed.
    Result,
    /// The application answered with an error.
    Error,
    /// The application ended the connection.
    Disconnect,
    /// Too many requests were under way, for half of the timeout.
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
    /// Those that were configured at some time: their counts are shown from zero on, so that the first failure is a
    /// change.
    are_shown: [AtomicBool; HOOKS.len()],
}

impl HookCounters {
    /// Shows the counts of the question with this index in [`HOOKS`].
    pub fn show(&self, hook: usize) {
        self.are_shown[hook].store(true, Ordering::Relaxed);
    }

    fn is_shown(&self, hook: usize) -> bool {
        self.are_shown[hook].load(Ordering::Relaxed)
    }

    /// Counts how the question with this index in [`HOOKS`] ended, and the time that its client waited.
    pub fn count(&self, hook: usize, outcome: HookOutcome, time: Duration) {
        // Relaxed: the number stands for itself.
        self.outcomes[hook][outcome as usize].fetch_add(1, Ordering::Relaxed);
        self.times[hook].count(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns the counts of the hooks that are shown, with hook and outcome.
    pub fn outcomes(&self) -> Vec<(&'static str, &'static str, u64)> {
        let shown = HOOKS.into_iter().enumerate().filter(|(number, _)| self.is_shown(*number));
        let counts = shown.flat_map(|(number, hook)| {
            let counts = HookOutcome::WORDS.into_iter().zip(&self.outcomes[number]);
            counts.map(move |(outcome, count)| (hook, outcome, count.load(Ordering::Relaxed)))
        });
        counts.collect()
    }

    /// Returns the times of the hooks that are shown.
    pub fn times(&self) -> Vec<(&'static str, LatencyHistogram)> {
        let shown = HOOKS.into_iter().enumerate().filter(|(number, _)| self.is_shown(*number));
        shown.map(|(number, hook)| (hook, self.times[number].read())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_by_hook_and_shown_from_zero_on_where_there_is_a_hook() {
        let counters = HookCounters::default();
        assert_eq!((counters.outcomes(), counters.times().len()), (vec![], 0));
        counters.show(1);
        counters.show(5);
        counters.count(1, HookOutcome::Timeout, Duration::from_secs(1));
        counters.count(1, HookOutcome::Timeout, Duration::from_secs(1));
        counters.count(5, HookOutcome::Malformed, Duration::ZERO);
        let (happened, nothing): (Vec<_>, Vec<_>) = counters.outcomes().into_iter().partition(|(.., count)| *count > 0);
        assert_eq!(happened, [("refresh", "timeout", 2), ("rpc", "malformed", 1)]);
        assert_eq!(nothing.len(), 2 * HookOutcome::WORDS.len() - 2);
        let times = counters.times();
        assert_eq!(
            times.iter().map(|(hook, times)| (*hook, times.sum)).collect::<Vec<_>>(),
            [("refresh", 2_000_000), ("rpc", 1)]
        );
        assert_eq!(HookOutcome::Malformed.word(), "malformed");
    }
}
