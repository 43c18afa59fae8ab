//! A source: decides when the next message is due, and who sends it.
//!
//! Open loop: a clock decides, and a message is stamped with the time it was due even if it is sent later. Closed loop:
//! the publisher's own copies decide.

use std::time::Duration;

use crate::clock::nanos;

/// When to send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// Never.
    Silent,
    /// On a clock.
    Clock(Schedule),
    /// As long as fewer than this many messages of publisher 0 are under way.
    Window(u32),
}

/// Evenly spaced messages; the publishers take turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start_ns: u64,
    end_ns: u64,
    /// Messages per second, of all publishers together.
    rate: f64,
    publishers: usize,
    /// The number of the next message.
    next: u64,
}

impl Schedule {
    /// Plans `rate` messages per second from `start_ns` until just before `end_ns`.
    pub(crate) fn new(start_ns: u64, end_ns: u64, rate: f64, publishers: usize) -> Self {
        Self { start_ns, end_ns, rate, publishers, next: 0 }
    }

    /// When the next message is due; `u64::MAX` if there is none.
    pub(crate) fn due_ns(&self) -> u64 {
        // From the number, not from the message before it: nothing adds up.
        let due = self.start_ns + nanos(Duration::from_secs_f64(self.next as f64 / self.rate));
        if due < self.end_ns { due } else { u64::MAX }
    }

    /// Whose turn it is.
    pub(crate) fn turn(&self) -> usize {
        usize::try_from(self.next % self.publishers as u64).unwrap_or_default()
    }

    /// Takes the next message off the plan and returns its publisher.
    pub(crate) fn take(&mut self) -> usize {
        let publisher = self.turn();
        self.next += 1;
        publisher
    }
}

impl Source {
    /// When the source wants to be asked; `u64::MAX` if the clock has no say.
    pub(crate) fn due_ns(&self) -> u64 {
        match self {
            Self::Clock(schedule) => schedule.due_ns(),
            Self::Silent | Self::Window(_) => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan must not drift: after an hour, the last message is still due where the rate says.
    #[test]
    fn schedule_neither_drifts_nor_overruns() {
        let hour = nanos(Duration::from_secs(3600));
        let mut schedule = Schedule::new(7, 7 + hour, 3.0, 2);
        let mut last = 0;
        let mut turns = [0; 2];
        while schedule.due_ns() != u64::MAX {
            last = schedule.due_ns();
            turns[schedule.take()] += 1;
        }
        assert_eq!(turns, [5400, 5400]);
        assert_eq!(last, 7 + hour - 333_333_333);
    }
}
