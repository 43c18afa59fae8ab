//! A duel: the CPU time of several ways to do the same, in turns, so that what disturbs one disturbs all.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The CPU times of every way, a round each.
#[derive(Debug, Default)]
pub(crate) struct Duel {
    rounds: Vec<Vec<f64>>,
    started: Vec<f64>,
}

impl Duel {
    /// Runs the next way of this round and returns the CPU time of this thread for it, the kernel's share included.
    pub(crate) fn time(&mut self, way: impl FnOnce()) -> Duration {
        let before = thread_time();
        way();
        let spent = thread_time().saturating_sub(before);
        self.started.push(spent.as_secs_f64());
        spent
    }

    /// Ends a round.
    pub(crate) fn end_round(&mut self) {
        self.rounds.push(std::mem::take(&mut self.started));
    }

    /// Returns whether no round was run: the command line asked for others.
    pub(crate) fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    /// Returns the median time of a way, in microseconds per unit.
    pub(crate) fn micros(&self, way: usize, units: usize) -> f64 {
        median(self.rounds.iter().map(|round| round[way] * 1e6 / units as f64))
    }

    /// Returns the median of what one way took as a multiple of what another took in the same round.
    pub(crate) fn ratio(&self, way: usize, base: usize) -> f64 {
        median(self.rounds.iter().map(|round| round[way] / round[base]))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("time is not negative")
}
