//! Retries: clients that are going to connect (again) at a time of their own, as browsers do after a cut.
//!
//! Everybody makes the first attempt when its jitter says. Who is refused, or not answered in time, waits a random
//! pause and tries again; a real client would double the pause, but then the figure would be the client's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use anyhow::Result;
use rand::Rng;

use crate::clock::{nanos, now_ns};
use crate::report::Refusal;
use crate::report::latency::Latency;
use crate::stop::Stop;
use crate::worker::client::State;
use crate::worker::connect::PATIENCE;
use crate::worker::engine::Engine;
use crate::worker::order::Returned;

/// The pause after a refusal, at least and at most.
const PAUSE: std::ops::Range<Duration> = Duration::from_millis(100)..Duration::from_millis(300);

/// How often clients are looked at whose handshake does not end.
const LOOK: Duration = Duration::from_millis(500);

/// Reasons told apart; a server may put anything into its answers.
const REASONS_MAX: usize = 32;

/// Who is going to connect when.
#[derive(Debug, Default)]
pub(super) struct Retries {
    is_on: bool,
    /// Clients by the time of their next attempt.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    look_ns: u64,
    attempts: u64,
    /// When the connections were cut, and how long after it each was back.
    cut_ns: Option<u64>,
    returns: Option<Latency>,
}

impl Retries {
    /// True while a refusal is no reason to stop.
    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Refusals end the run again, or do not.
    pub(super) fn switch(&mut self, is_on: bool) {
        *self = Self { is_on, ..Self::default() };
    }

    /// When somebody is due; `u64::MAX` if nobody waits.
    pub(super) fn due_ns(&self) -> u64 {
        self.due.peek().map_or(u64::MAX, |Reverse((due, _))| *due)
    }

    /// Lets a client connect at `due_ns`.
    pub(super) fn wait(&mut self, index: usize, due_ns: u64) {
        self.due.push(Reverse((due_ns, index)));
    }
}

impl Engine {
    /// Cuts all connections at `at_ns` and brings them back.
    ///
    /// # Errors
    ///
    /// Fails when the server breaks the protocol.
    pub(super) fn storm(&mut self, at_ns: u64, jitter_ns: u64, give_up_ns: u64) -> Result<Returned> {
        self.run_until(at_ns)?;
        self.retries.switch(true);
        self.retries.returns = Some(Latency::new());
        self.retries.cut_ns = Some(now_ns());
        let mut rng = rand::rng();
        let mut wanted = 0;
        for index in 0..self.clients.len() {
            if self.clients[index].is_open() {
                self.cut(index);
                wanted += 1;
                self.retries.wait(index, at_ns + rng.random_range(0..=jitter_ns));
            }
        }
        let back = |engine: &Self| engine.retries.returns.as_ref().map_or(0, Latency::count);
        while back(self) < wanted && now_ns() < give_up_ns && !self.is_interrupted {
            self.turn(now_ns() + nanos(Duration::from_millis(20)))?;
        }
        let retries = std::mem::take(&mut self.retries);
        // Who is still on its way is not waited for any more.
        for index in 0..self.clients.len() {
            if matches!(self.clients[index].state, State::Connecting | State::Shaking(_) | State::Greeting(_)) {
                self.under_way -= 1;
                self.clients[index].end(State::Closed);
            }
        }
        let returns = retries.returns.unwrap_or_else(Latency::new);
        let clients = usize::try_from(wanted)?;
        Ok(Returned { returns: returns.buckets(), attempts: retries.attempts, clients })
    }

    /// Ends a connection without a word, as a failing balancer does. A reset leaves no port in TIME_WAIT, of which a
    /// storm would soon have too many.
    fn cut(&mut self, index: usize) {
        if let Some(stream) = &self.clients[index].stream {
            // A socket that is gone already is cut, too.
            drop(socket2::SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO)));
        }
        self.clients[index].end(State::Waiting);
        self.open -= 1;
    }

    /// Begins the attempts that are due, and ends those that take too long.
    pub(super) fn reconnect_due(&mut self) -> Result<()> {
        if !self.retries.is_on {
            return Ok(());
        }
        let now = now_ns();
        while self.retries.due_ns() <= now {
            let Some(Reverse((_, index))) = self.retries.due.pop() else { break };
            self.retries.attempts += 1;
            self.connect(index)?;
        }
        if now >= self.retries.look_ns {
            self.retries.look_ns = now + nanos(LOOK);
            for index in 0..self.clients.len() {
                let client = &self.clients[index];
                let is_under_way = matches!(client.state, State::Connecting | State::Shaking(_) | State::Greeting(_));
                if is_under_way && now.saturating_sub(client.begun_ns) > nanos(PATIENCE) {
                    self.give_up(index)?;
                }
            }
        }
        Ok(())
    }

    /// Lets a client try again after a pause.
    pub(super) fn retry_later(&mut self, index: usize) {
        let pause = rand::rng().random_range(PAUSE);
        self.retries.wait(index, now_ns() + nanos(pause));
    }

    /// Notes that a client is connected (again).
    pub(super) fn returned(&mut self) {
        if let (Some(returns), Some(cut_ns)) = (&mut self.retries.returns, self.retries.cut_ns) {
            returns.record(now_ns().saturating_sub(cut_ns));
        }
    }

    /// Counts a refusal.
    pub(super) fn note_refusal(&mut self, stop: &Stop) {
        let mut why = stop.to_string();
        if self.refusals.len() >= REASONS_MAX && !self.refusals.contains_key(&why) {
            why = "other reasons".to_owned();
        }
        *self.refusals.entry(why).or_default() += 1;
    }

    /// The refusals so far.
    pub(super) fn refusals(&self) -> Vec<Refusal> {
        self.refusals.iter().map(|(why, count)| Refusal { why: why.clone(), count: *count }).collect()
    }
}
