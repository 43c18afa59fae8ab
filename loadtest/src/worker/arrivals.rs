//! Arrivals: connections that come and go while messages flow.
//!
//! The last clients of the run take turns: the one that has been connected longest sends a close frame (1000), closes
//! its socket as a closing browser tab does, and reconnects as a new client.

use super::client::State;
use super::connector::Connector;
use super::pool::Pool;
use crate::clock::{nanos, now_ns};
use anyhow::Result;
use std::time::Duration;

/// The turns of one load.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Per second, in this worker; 0 if no client comes or goes.
    rate: f64,
    start_ns: u64,
    end_ns: u64,
    /// The first client that takes turns.
    first: usize,
    /// The client whose turn is next.
    next: usize,
    /// Turns taken.
    turns: u64,
    /// Connections begun in these turns: a client that still connects when its turn comes begins none.
    pub(super) count: u64,
}

impl Arrivals {
    /// Returns the turns of the clients from `first` on, `rate` per second from `start_ns` to `end_ns`.
    pub(super) fn new(rate: f64, first: usize, start_ns: u64, end_ns: u64) -> Self {
        Self { rate, start_ns, end_ns, first, next: first, ..Self::default() }
    }

    /// Returns when the next turn is due; `u64::MAX` if there is none.
    pub(super) fn due_ns(&self) -> u64 {
        if self.rate == 0.0 {
            return u64::MAX;
        }
        let due = self.start_ns + nanos(Duration::from_secs_f64(self.turns as f64 / self.rate));
        if due < self.end_ns { due } else { u64::MAX }
    }

    /// Carries out the turns that are due.
    ///
    /// # Errors
    ///
    /// As [`Connector::connect`].
    pub(super) fn turn_due(&mut self, pool: &mut Pool, connector: &mut Connector) -> Result<()> {
        let now = now_ns();
        while self.due_ns() <= now {
            self.turns += 1;
            let index = self.next;
            self.next += 1;
            if self.next == pool.len() {
                self.next = self.first;
            }
            match pool[index].state {
                State::Open => leave(pool, index),
                // The server closed it, which is counted already.
                State::Closed => {}
                // It connects, or waits for its next attempt.
                _ => continue,
            }
            self.count += 1;
            connector.connect(pool, index)?;
        }
        Ok(())
    }
}

/// Sends a close frame and closes the socket.
fn leave(pool: &mut Pool, index: usize) {
    let client = &mut pool[index];
    client.queue(8, 2, |out| out.extend(1000_u16.to_be_bytes()));
    client.flush();
    pool.close(index, State::Waiting);
}
