//! A worker: a process that holds a share of the clients and does what the coordinator asks.

mod arrivals;
mod client;
pub(crate) mod closes;
mod connect;
mod coordinator;
mod engine;
pub(crate) mod order;
mod publish;
mod retries;
mod source;
mod spread;
mod stream;
mod tally;
mod ticker;
mod validate;

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;

use crate::clock::{nanos, now_ns};
use crate::observe::host::{own_rss_bytes, thread_time};
use crate::report::{CloseCount, Counts};
use crate::stop::Stop;
use crate::worker::client::State;
use crate::worker::coordinator::Coordinator;
use crate::worker::engine::Engine;
use crate::worker::order::{Books, Command, Drained, Drive, Edge, Event, Load, Loaded, Missing};
use crate::worker::source::Source;
use crate::worker::spread::Spread;

/// Listened to after everything has come: a duplicate of the last message would come now.
const AFTERMATH: Duration = Duration::from_millis(100);

/// How often a drain counts what is missing; with 2,000 publishers that is 4 million comparisons.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// How long a drain may take once it was interrupted.
const DRAIN_INTERRUPTED: Duration = Duration::from_secs(1);

/// Works until the coordinator closes the line, and returns the exit code.
///
/// # Errors
///
/// Fails when this process was not started by a coordinator.
pub(crate) fn run() -> Result<u8> {
    // Ctrl-C reaches the whole group of processes; the coordinator decides what it means.
    signal_hook::flag::register(signal_hook::consts::SIGINT, std::sync::Arc::default())?;
    let job = coordinator::job()?;
    let mut engine = Engine::new(job, Coordinator::listen)?;
    if let Err(error) = engine.serve() {
        let stop = error.downcast_ref::<Stop>().cloned().unwrap_or_else(|| Stop::Broken(format!("{error:#}")));
        // If even this fails, nobody is left to be told.
        drop(engine.coordinator.say(&Event::Failed(stop)));
        // What the clients received until now still counts.
        drop(engine.serve_books());
    }
    Ok(0)
}

impl Engine {
    fn serve(&mut self) -> Result<()> {
        loop {
            while self.commands.is_empty() {
                self.turn(u64::MAX)?;
            }
            if let Some(command) = self.commands.pop_front() {
                let answer = self.carry_out(command)?;
                self.coordinator.say(&answer)?;
            }
        }
    }

    /// Answers questions about the past, after a failure; who asks for more has been told that it failed.
    fn serve_books(&mut self) -> Result<()> {
        loop {
            while let Some(command) =
                self.commands.pop_front().map_or_else(|| self.coordinator.command(), |c| Ok(Some(c)))?
            {
                let answer = match command {
                    Command::Books => Event::Books(self.books()),
                    Command::Missing { sent } => Event::Missing(self.missing(&sent)),
                    _ => continue,
                };
                self.coordinator.say(&answer)?;
            }
            match self.poll.poll(&mut mio::Events::with_capacity(8), None) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
        }
    }

    fn carry_out(&mut self, command: Command) -> Result<Event> {
        Ok(match command {
            Command::Connect { total, rate } => Event::Connected(self.connect_to(total, rate)?),
            Command::Load(load) => Event::Loaded(self.load(&load)?),
            Command::Drain { sent, patience_ns } => {
                self.sent = sent;
                Event::Drained(self.drain(patience_ns)?)
            }
            Command::Stall => Event::Stalled(self.stall()),
            Command::ReadOut { patience_ns } => Event::ReadOut(self.read_out(patience_ns)?),
            Command::Storm { at_ns, jitter_ns, give_up_ns } => {
                Event::Returned(self.storm(at_ns, jitter_ns, give_up_ns)?)
            }
            Command::Books => Event::Books(self.books()),
            Command::Missing { sent } => Event::Missing(self.missing(&sent)),
            // Taken as it comes, see `Engine::take_commands`.
            Command::Interrupt => Event::Tick(order::Tick::default()),
        })
    }

    /// Publishes, and measures from the moment the window opens to its end.
    fn load(&mut self, load: &Load) -> Result<Loaded> {
        self.is_quiet = false;
        self.source = Source::new(load, self.share, &self.tally.audience);
        self.tally.timed_from_ns = load.open_ns;
        self.tally.latency.reset();
        self.ticker.reset();
        self.lateness.reset();
        // All workers know the same number here, so that they mean the same message by the same index.
        let first = self.sent.first().copied().unwrap_or_default();
        let is_followed = self.sent.len() == 1 && !matches!(load.drive, Drive::Window(_));
        self.tally.spread = if is_followed { Spread::follow(first) } else { Spread::default() };
        self.begin_churn(load.churn_rate, load.start_ns, load.end_ns);
        self.run_until(load.open_ns)?;
        let before = self.edge();
        self.run_until(load.end_ns)?;
        let after = self.edge();
        let (arrivals, arrival_handshake) = self.end_churn();
        self.finish_sending(load)?;
        let own = |publisher: usize| if self.client_of(publisher).is_some() { self.sent[publisher] } else { 0 };
        Ok(Loaded {
            before,
            after,
            sent: (0..self.sent.len()).map(own).collect(),
            lateness: self.lateness.buckets(),
            arrivals,
            arrival_handshake: arrival_handshake.buckets(),
        })
    }

    /// Sends what was due in the last instant, and what a full socket held back; a closed loop just ends.
    fn finish_sending(&mut self, load: &Load) -> Result<()> {
        let give_up = load.end_ns + load.patience_ns;
        while self.source.due_ns() != u64::MAX && now_ns() < give_up && !self.is_interrupted {
            self.turn(give_up)?;
        }
        self.source = Source::Silent;
        Ok(())
    }

    fn edge(&self) -> Edge {
        Edge { at_ns: now_ns(), sent: self.sent_total(), verified: self.tally.counts.verified, own: thread_time() }
    }

    /// Reads on until nothing is missing, and a moment longer.
    fn drain(&mut self, patience_ns: u64) -> Result<Drained> {
        let start = now_ns();
        let sent = self.sent.clone();
        let mut until = start;
        loop {
            let limit = if self.is_interrupted { patience_ns.min(nanos(DRAIN_INTERRUPTED)) } else { patience_ns };
            if until >= start + limit || self.missing(&sent).open == 0 {
                break;
            }
            until += nanos(DRAIN_LOOK);
            while now_ns() < until {
                self.turn(until)?;
            }
        }
        let end = now_ns() + nanos(AFTERMATH);
        while now_ns() < end {
            self.turn(end)?;
        }
        self.is_quiet = true;
        let (first_us, last_us) = self.tally.spread.take();
        Ok(Drained {
            latency: self.tally.latency.buckets(),
            first_us,
            last_us,
            lost: self.tally.counts.lost + self.missing(&sent).open,
            closed: self.closes.len(),
            open: self.open,
        })
    }

    /// Counts the deliveries of what was `sent` that have not come. Stalled clients and newcomers on their way miss
    /// nothing.
    fn missing(&self, sent: &[u32]) -> Missing {
        let mut missing = Missing::default();
        for (index, client) in self.clients.iter().enumerate() {
            match client.state {
                State::Open => missing.open += self.tally.missing(index, sent),
                State::Closed => missing.closed += self.tally.missing(index, sent),
                _ => {}
            }
        }
        if let Some(validators) = &self.validators {
            let (open, closed) = validators.missing(sent);
            missing.open += open;
            missing.closed += closed;
        }
        missing
    }

    fn books(&self) -> Books {
        let mut reached = vec![0; self.sent.len()];
        (0..self.clients.len()).for_each(|client| self.tally.reach(client, &mut reached));
        let is_over = |publisher: &usize| {
            let client = self.client_of(*publisher).and_then(|client| self.clients.get(client));
            client.is_some_and(|client| !client.is_open())
        };
        let mut counts = self.tally.counts;
        let mut closes = self.closes.counts(|_| true);
        let mut first_stranger = self.tally.first_stranger.clone();
        let mut validated = 0;
        if let Some(validators) = &self.validators {
            let theirs = validators.counts();
            validated = theirs.verified;
            // Their faults count; their deliveries were seen by the engine's own clients already.
            counts.add(&Counts { verified: 0, ..theirs });
            closes.extend(validators.closes());
            first_stranger = first_stranger.or_else(|| validators.first_stranger());
        }
        Books {
            counts,
            validated,
            closes,
            refusals: self.refusals(),
            first_stranger,
            ended: (0..self.sent.len()).filter(is_over).collect(),
            reached,
            rss_bytes: own_rss_bytes(),
        }
    }

    /// Stops reading the last clients of the run, as far as they are open, and returns which, and their own addresses.
    fn stall(&mut self) -> Vec<(usize, std::net::SocketAddr)> {
        let first = self.share.count(self.config.connections() - self.config.stalled);
        let mut stalled = Vec::new();
        for (index, client) in self.clients.iter_mut().enumerate().skip(first) {
            if let (true, Some(stream)) = (client.is_open(), &client.stream)
                && let Ok(address) = stream.socket().local_addr()
            {
                stalled.push((self.share.global(index), address));
                client.state = State::Stalled;
            }
        }
        stalled
    }

    /// Reads the stalled clients to their ends, without judging what they missed.
    fn read_out(&mut self, patience_ns: u64) -> Result<Vec<CloseCount>> {
        let stalled = |client: &client::Client| matches!(client.state, State::Stalled);
        let chosen: Vec<_> = (0..self.clients.len()).filter(|index| stalled(&self.clients[*index])).collect();
        for &index in &chosen {
            self.clients[index].state = State::Open;
            self.read(index, true)?;
        }
        let end = now_ns() + patience_ns;
        while now_ns() < end && chosen.iter().any(|index| self.clients[*index].is_open()) {
            self.turn(end)?;
        }
        let chosen: HashSet<_> = chosen.into_iter().map(|index| self.share.global(index)).collect();
        Ok(self.closes.counts(|client| chosen.contains(&client)))
    }
}
