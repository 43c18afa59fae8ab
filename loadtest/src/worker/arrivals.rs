//! Arrivals: connections that come and go while messages flow.
//!
//! The last clients of the run take turns: the one that has stayed longest says goodbye (close code 1000), lets its
//! socket go as a closing browser tab does, and comes back as a newcomer with a handshake of its own.

use std::time::Duration;

use anyhow::Result;

use crate::clock::{nanos, now_ns};
use crate::report::latency::Latency;
use crate::worker::client::State;
use crate::worker::engine::Engine;

/// The turns.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Per second, in this worker; 0 if nobody comes or goes.
    rate: f64,
    start_ns: u64,
    end_ns: u64,
    /// The first client that takes turns, and the one whose turn it is.
    first: usize,
    next: usize,
    /// Turns taken, and newcomers that they brought: whoever is still on its way when its turn comes is none.
    turns: u64,
    count: u64,
}

impl Arrivals {
    /// True while clients come and go.
    pub(super) const fn is_on(&self) -> bool {
        self.rate > 0.0
    }

    /// When the next turn is due; `u64::MAX` if there is none.
    pub(super) fn due_ns(&self) -> u64 {
        if !self.is_on() {
            return u64::MAX;
        }
        let due = self.start_ns + nanos(Duration::from_secs_f64(self.turns as f64 / self.rate));
        if due < self.end_ns { due } else { u64::MAX }
    }
}

impl Engine {
    /// Lets clients come and go, `rate` per second in the whole run, of which this worker has the share of its own.
    pub(super) fn begin_churn(&mut self, rate: f64, start_ns: u64, end_ns: u64) {
        // This worker's first client among the last ones of the run.
        let first = self.share.count(self.config.connections() - self.config.churners);
        let own = self.clients.len().saturating_sub(first);
        let rate = rate * own as f64 / self.config.churners.max(1) as f64;
        self.arrivals = Arrivals { rate, start_ns, end_ns, first, next: first, turns: 0, count: 0 };
        self.handshake.reset();
        self.retries.switch(rate > 0.0);
    }

    /// Ends it, and returns how many came and how their handshakes went. Those under way may still fail without harm.
    pub(super) fn end_churn(&mut self) -> (u64, Latency) {
        let arrivals = std::mem::take(&mut self.arrivals);
        (arrivals.count, self.handshake.clone())
    }

    /// Carries out the turns that are due.
    pub(super) fn churn_due(&mut self) -> Result<()> {
        let now = now_ns();
        while self.arrivals.due_ns() <= now {
            self.arrivals.turns += 1;
            let index = self.arrivals.next;
            self.arrivals.next += 1;
            if self.arrivals.next == self.clients.len() {
                self.arrivals.next = self.arrivals.first;
            }
            match self.clients[index].state {
                State::Open => self.leave(index),
                // The server ended it; that is in the books.
                State::Closed => {}
                // It is on its way, or waits for its next attempt.
                _ => continue,
            }
            self.arrivals.count += 1;
            self.connect(index)?;
        }
        Ok(())
    }

    /// Says goodbye and lets the socket go.
    fn leave(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.queue(8, 2, |out| out.extend(1000_u16.to_be_bytes()));
        client.flush();
        client.end(State::Waiting);
        self.open -= 1;
    }
}
