//! Retries: clients that are going to connect (again) at a time of their own, as browsers do after a cut.
//!
//! The first attempt of each client is made when its jitter says. A client that is refused, or not answered in time,
//! waits for a random pause and tries again. A real client would double the pause, but then the figure would be the
//! client's.

use crate::clock::{nanos, now_ns};
use crate::measure::histogram::Histogram;
use rand::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// The pause after a refusal, at least and at most.
const PAUSE: std::ops::Range<Duration> = Duration::from_millis(100)..Duration::from_millis(300);

/// Time between two searches for handshakes that take too long.
const SEARCH_EVERY: Duration = Duration::from_millis(500);

/// When clients connect again, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Retries {
    is_on: bool,
    /// Clients by the time of their next attempt.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    search_ns: u64,
    attempts: u64,
    storm: Option<Storm>,
}

/// A cut, and the clients that were back after it.
#[derive(Debug)]
struct Storm {
    cut_ns: u64,
    returns: Histogram,
}

impl Retries {
    /// Whether a refusal is counted instead of ending the run.
    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Switches between counting refusals and ending the run at the first, and forgets all attempts.
    pub(super) fn switch(&mut self, is_on: bool) {
        *self = Self { is_on, ..Self::default() };
    }

    /// Switches on, and measures returns from `cut_ns` on.
    pub(super) fn begin_storm(&mut self, cut_ns: u64) {
        self.switch(true);
        self.storm = Some(Storm { cut_ns, returns: Histogram::new() });
    }

    /// Returns the time of the next attempt; `u64::MAX` if no client waits.
    pub(super) fn due_ns(&self) -> u64 {
        self.due.peek().map_or(u64::MAX, |Reverse((due, _))| *due)
    }

    /// Lets a client connect at `due_ns`.
    pub(super) fn schedule(&mut self, index: usize, due_ns: u64) {
        self.due.push(Reverse((due_ns, index)));
    }

    /// Lets a client connect after a random pause.
    pub(super) fn schedule_retry(&mut self, index: usize) {
        let pause = rand::rng().random_range(PAUSE);
        self.schedule(index, now_ns() + nanos(pause));
    }

    /// Takes a client whose attempt is due.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<usize> {
        if self.due_ns() > now_ns {
            return None;
        }
        let Reverse((_, index)) = self.due.pop()?;
        self.attempts += 1;
        Some(index)
    }

    /// Whether it is time to search for handshakes that take too long.
    pub(super) fn take_search(&mut self, now_ns: u64) -> bool {
        let is_due = now_ns >= self.search_ns;
        if is_due {
            self.search_ns = now_ns + nanos(SEARCH_EVERY);
        }
        is_due
    }

    /// Counts a client as back.
    pub(super) fn note_return(&mut self, now_ns: u64) {
        if let Some(Storm { cut_ns, returns }) = &mut self.storm {
            returns.record(now_ns.saturating_sub(*cut_ns));
        }
    }

    /// Returns how many clients are back.
    pub(super) fn returned(&self) -> u64 {
        self.storm.as_ref().map_or(0, |storm| storm.returns.count())
    }

    /// Switches off; returns the times of the returns, and the number of attempts.
    pub(super) fn end_storm(&mut self) -> (Histogram, u64) {
        let Self { storm, attempts, .. } = std::mem::take(self);
        (storm.map_or_else(Histogram::new, |storm| storm.returns), attempts)
    }
}
