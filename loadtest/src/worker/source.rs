//! A source: decides when the next message is due, and which publisher sends it.
//!
//! Open loop: a clock decides, and a message is stamped with the time it was due even if it is sent later. Closed loop:
//! the publisher's own copies decide.

use super::messages::{Drive, TimedLoad};
use super::share::Share;
use crate::audience::Audience;
use crate::clock::nanos;
use std::time::Duration;

/// When to send.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Never.
    Silent,
    /// On a clock.
    Clock(Schedule),
    /// As long as fewer than this many messages of publisher 0 are in flight.
    Window(u32),
}

/// Messages on a clock. Every worker walks the whole plan and sends what its own publishers have to.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start_ns: u64,
    end_ns: u64,
    pace: Pace,
    share: Share,
    /// The number of the next message of this worker, and its publisher.
    next: u64,
    publisher: usize,
}

/// How messages follow each other.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// Evenly, this many per second.
    Even(f64),
    /// `messages` at once, every `every_ns`.
    Bursts { messages: u64, every_ns: u64 },
}

impl Schedule {
    fn new(pace: Pace, load: &TimedLoad, share: Share, audience: &Audience) -> Self {
        let (start_ns, end_ns) = (load.start_ns, load.end_ns);
        let mut schedule = Self { start_ns, end_ns, pace, share, next: 0, publisher: 0 };
        schedule.seek(audience);
        schedule
    }

    /// Returns when the next message is due; `u64::MAX` if there is none.
    pub(crate) fn due_ns(&self) -> u64 {
        // Computed from the number, not from the message before it, so errors do not add up.
        let after = match self.pace {
            Pace::Even(rate) => nanos(Duration::from_secs_f64(self.next as f64 / rate)),
            Pace::Bursts { messages, every_ns } => self.next / messages * every_ns,
        };
        let due = self.start_ns + after;
        if due < self.end_ns { due } else { u64::MAX }
    }

    /// Returns the publisher of the next message.
    pub(crate) const fn publisher(&self) -> usize {
        self.publisher
    }

    /// Goes on to the next message of this worker.
    pub(crate) fn advance(&mut self, audience: &Audience) {
        self.next += 1;
        self.seek(audience);
    }

    /// Passes over other workers' messages.
    fn seek(&mut self, audience: &Audience) {
        while self.due_ns() != u64::MAX {
            self.publisher = audience.publisher_of(self.next);
            if audience.client_of(self.publisher).is_some_and(|client| self.share.local(client).is_some()) {
                return;
            }
            self.next += 1;
        }
    }
}

impl Source {
    /// Returns the source of a load.
    pub(crate) fn new(load: &TimedLoad, share: Share, audience: &Audience) -> Self {
        let clock = |pace| Self::Clock(Schedule::new(pace, load, share, audience));
        match load.drive {
            Drive::Rate(rate) => clock(Pace::Even(rate)),
            Drive::Bursts { messages, every_ns } => clock(Pace::Bursts { messages: messages as u64, every_ns }),
            Drive::Window(window) if share.local(0).is_some() => Self::Window(window),
            Drive::Window(_) => Self::Silent,
        }
    }

    /// Returns when the next message is due; `u64::MAX` if the clock does not decide.
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
    use crate::cli::tests::config;

    fn schedules(drive: Drive, seconds: u64, workers: usize) -> (Audience, Vec<Schedule>) {
        let audience = Audience::new(&config("loadtest chat --clients 5"));
        let end_ns = 7 + nanos(Duration::from_secs(seconds));
        let load = TimedLoad { drive, start_ns: 7, open_ns: 7, end_ns, patience_ns: 0, churn_rate: 0.0, return_ns: 0 };
        let sources = (0..workers).map(|index| Source::new(&load, Share { index, of: workers }, &audience));
        let schedules = sources.map(|source| match source {
            Source::Clock(schedule) => schedule,
            other => panic!("{other:?} is no clock"),
        });
        let schedules = schedules.collect();
        (audience, schedules)
    }

    /// A plan must not drift: after an hour, the last message is still due at the time of its rate. Workers share it:
    /// each message is sent by exactly one.
    #[test]
    fn schedule_neither_drifts_nor_overruns_however_many_share_it() {
        for workers in 1..4 {
            let (audience, mut schedules) = schedules(Drive::Rate(3.0), 3600, workers);
            let mut last = 0;
            let mut turns = [0; 5];
            for schedule in &mut schedules {
                while schedule.due_ns() != u64::MAX {
                    last = last.max(schedule.due_ns());
                    turns[schedule.publisher()] += 1;
                    schedule.advance(&audience);
                }
            }
            assert_eq!(turns, [2160; 5], "{workers} workers");
            assert_eq!(last, 7 + nanos(Duration::from_secs(3600)) - 333_333_333);
        }
    }

    #[test]
    fn bursts_come_at_once() {
        let every_ns = 500_000_000;
        let (audience, mut schedules) = schedules(Drive::Bursts { messages: 3, every_ns }, 1, 1);
        let mut due = Vec::new();
        while schedules[0].due_ns() != u64::MAX {
            due.push(schedules[0].due_ns());
            schedules[0].advance(&audience);
        }
        assert_eq!(due, [7, 7, 7, 500_000_007, 500_000_007, 500_000_007]);
    }
}
