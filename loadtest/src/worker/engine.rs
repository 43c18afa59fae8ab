//! An engine: the connections of one worker, the poll that reports their sockets, and the loop that reads and sends.
//!
//! One thread, edge-triggered, one read buffer for all clients.
//!
//! # Hot path
//!
//! [`Engine::turn`] waits for readable clients and calls [`Engine::read`] for each: one system call and one clock read
//! per read, then the records where they lie. Messages that fall due while many clients are read are sent between two
//! of them, so that a burst of reads does not make the generator late.
//!
//! # Invariants
//!
//! - A client is registered once per socket, for reading and writing: the edge of an empty send buffer comes only if it
//!   was full.

use super::arrivals::Arrivals;
use super::backend::Backend;
use super::client::State;
use super::close_log::CloseLog;
use super::connector::Connector;
use super::link::CoordinatorLink;
use super::messages::{Event, Job};
use super::pool::Pool;
use super::publisher::Publisher;
use super::read_tally::Note;
use super::requests::Requests;
use super::share::Share;
use super::tally::Tally;
use super::ticker::Ticker;
use super::validators::Validators;
use crate::audience::Audience;
use crate::clock::{Timer, now_ns};
use crate::config::Config;
use crate::exit::RunError;
use crate::wire::meaning::Meaning;
use crate::wire::record::Format;
use crate::wire::shape::Shape;
use anyhow::Result;
use mio::{Events, Poll, Token};
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the read buffer. A receive buffer of Linux grows to 6 MiB at most, by default; most reads bring far less.
const READ_BUFFER: usize = 4 << 20;

/// Events per poll. More saves no system call worth counting.
const EVENTS: usize = 4096;

/// The token of the timer; clients have their index.
const TIMER: Token = Token(usize::MAX - 1);

/// The token of a request from the coordinator.
const REQUEST: Token = Token(usize::MAX - 2);

/// The longest wait: the ticker is asked between waits.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// All connections of a worker, and what they received.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(super) config: Arc<Config>,
    pub(super) share: Share,
    pub(super) requests: Requests,
    polling: Polling,
    pub(super) pool: Pool,
    pub(super) connector: Connector,
    pub(super) arrivals: Arrivals,
    pub(super) publisher: Publisher,
    reading: Reading,
    pub(super) tally: Tally,
    pub(super) closes: CloseLog,
    /// Only in the first worker, once it has connected.
    pub(super) validators: Option<Validators>,
    pub(super) ticker: Ticker,
}

/// What the engine waits with.
#[derive(Debug)]
struct Polling {
    poll: Poll,
    events: Events,
    timer: Timer,
}

/// What clients are read with.
#[derive(Debug)]
struct Reading {
    buffer: Box<[u8]>,
    shape: Shape,
    /// Everything but records that the last read brought; empty between two reads.
    notes: Vec<Note>,
}

impl Engine {
    /// Returns an engine without connections.
    ///
    /// # Errors
    ///
    /// Fails when the process has no descriptor left.
    pub(crate) fn new(job: Job) -> Result<Self> {
        let Job { mut config, share, api_key } = job;
        if let Some(api) = &mut config.api {
            api.key = api_key;
        }
        let config = Arc::new(config);
        let poll = Poll::new()?;
        let link = CoordinatorLink::listen(mio::Waker::new(poll.registry(), REQUEST)?);
        let connector = Connector::new(Arc::clone(&config), share, poll.registry().try_clone()?)?;
        let audience = Audience::new(&config);
        let format = Format::new(config.size, config.seed);
        // The last clients of the run are there to be slow or to leave, and are not timed.
        let load = &config.load;
        let timed = config.connections() - load.stalled().max(load.churners()).max(load.leavers());
        let timer = Timer::new(&poll, TIMER)?;
        let backend = config.api.clone().map(|api| Backend::new(api, poll.registry().try_clone()?)).transpose()?;
        Ok(Self {
            share,
            requests: Requests::new(link),
            polling: Polling { poll, events: Events::with_capacity(EVENTS), timer },
            pool: Pool::new(share.count(config.connections())),
            connector,
            arrivals: Arrivals::default(),
            publisher: Publisher::new(share, config.protocol.clone(), audience.publishers(), backend),
            reading: Reading {
                buffer: vec![0; READ_BUFFER].into_boxed_slice(),
                shape: Shape::new(&config.protocol, config.size),
                notes: Vec::new(),
            },
            tally: Tally::new(format, audience, share, timed),
            closes: CloseLog::default(),
            validators: None,
            ticker: Ticker::new(now_ns()),
            config,
        })
    }

    /// Runs until the clock says `until_ns`, or it is interrupted.
    ///
    /// # Errors
    ///
    /// As [`Self::turn`].
    pub(super) fn run_until(&mut self, until_ns: u64) -> Result<()> {
        while now_ns() < until_ns && !self.requests.is_interrupted() {
            self.turn(until_ns)?;
        }
        Ok(())
    }

    /// Waits for events, at most until `until_ns`, and handles them and everything that is due.
    ///
    /// # Errors
    ///
    /// Fails when the server refuses a handshake or breaks the protocol, and when the coordinator is gone.
    pub(super) fn turn(&mut self, until_ns: u64) -> Result<()> {
        self.publisher.send_due(&mut self.pool, &self.tally)?;
        self.connector.connect_due(&mut self.pool)?;
        self.arrivals.turn_due(&mut self.pool, &mut self.connector)?;
        let mut events = self.wait(until_ns)?;
        for event in &events {
            match event.token() {
                TIMER => {}
                REQUEST => self.requests.take()?,
                Token(token) if Backend::owns(token) => self.publisher.answered(token, &self.tally)?,
                Token(index) => self.handle(index, event)?,
            }
        }
        std::mem::swap(&mut self.polling.events, &mut events);
        if self.ticker.is_due() {
            let sent = self.publisher.sent_total(&self.tally.audience);
            let tick = self.ticker.tick(&mut self.tally, self.pool.open(), sent);
            self.requests.answer(&Event::Tick(tick))?;
        }
        Ok(())
    }

    /// Waits for events and returns them, so that handling them may change the engine.
    fn wait(&mut self, until_ns: u64) -> Result<Events> {
        let Polling { poll, events, timer } = &mut self.polling;
        let now = now_ns();
        let due = self.publisher.due_ns();
        let resume = self.publisher.resume_ns();
        timer.arm(due.min(resume).min(self.connector.retries.due_ns()).min(self.arrivals.due_ns()), now)?;
        let wait = match due {
            // It fell due just now.
            due if due <= now && !self.publisher.is_held_back() => Duration::ZERO,
            // The timer wakes a wait for the next message, to the microsecond; the poll's own timeout would be late.
            _ => Duration::from_nanos(until_ns.saturating_sub(now)).min(WAIT_MAX),
        };
        let mut events = std::mem::replace(events, Events::with_capacity(0));
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(events),
        }
    }

    /// Waits for requests only, whatever the clients' sockets report.
    ///
    /// # Errors
    ///
    /// Fails when the coordinator is gone.
    pub(super) fn wait_for_request(&mut self) -> Result<()> {
        // The engine's own events may be in use where it failed.
        match self.polling.poll.poll(&mut Events::with_capacity(8), None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.into()),
            _ => self.requests.take(),
        }
    }

    /// Passes an event to the client it belongs to.
    fn handle(&mut self, index: usize, event: &mio::event::Event) -> Result<()> {
        let Some(client) = self.pool.get_mut(index) else { return Ok(()) };
        if event.is_writable() && client.is_held_back() && !matches!(client.state, State::Connecting) {
            client.flush();
        }
        let is_news = event.is_readable() || event.is_error();
        match client.state {
            State::Connecting => {
                let position = self.tally.positions.of(index);
                self.connector.connected(&mut self.pool, index, &self.tally.audience, position)?;
            }
            State::Shaking(_) if is_news => self.shake(index, event.is_read_closed())?,
            State::Open | State::Greeting(_) if is_news => self.read(index, event.is_read_closed())?,
            _ => {}
        }
        self.publisher.send_due(&mut self.pool, &self.tally)
    }

    /// Reads the response to a client's handshake and, if that is over, what came right after it.
    fn shake(&mut self, index: usize, is_closing: bool) -> Result<()> {
        let Some(early) = self.connector.shake(&mut self.pool, index, is_closing)? else { return Ok(()) };
        // A client that asks for what it missed goes on where it was. While messages flow it is unknown which of them a
        // new one receives first.
        if self.tally.positions.of(index).is_none() {
            self.tally.open(index, self.publisher.is_quiet.then_some(&self.publisher.sent[..]));
        }
        let channels = self.tally.audience.channels(self.share.global(index));
        self.connector.greet(&mut self.pool, index, &channels);
        self.reading.buffer[..early.len()].copy_from_slice(&early);
        self.take(index, early.len())?;
        self.read(index, is_closing)
    }

    /// Reads a client until it is empty.
    ///
    /// # Hot path
    ///
    /// Once per event. A short read means "empty" without another system call, unless the server has closed.
    pub(super) fn read(&mut self, index: usize, is_closing: bool) -> Result<()> {
        while let Some(stream) = &mut self.pool[index].stream {
            match stream.read(&mut self.reading.buffer) {
                Ok(0) => self.closed(index, 1006, "without a close frame")?,
                Ok(len) => {
                    self.take(index, len)?;
                    if len < self.reading.buffer.len() && !is_closing {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.closed(index, 1006, &error.kind().to_string())?,
            }
        }
        Ok(())
    }

    /// Takes the first `len` bytes of the read buffer as the next bytes of a client's stream.
    fn take(&mut self, index: usize, len: usize) -> Result<()> {
        let client = &mut self.pool[index];
        let Reading { buffer, shape, notes } = &mut self.reading;
        let mut read = self.tally.read(index, now_ns(), notes);
        let fed = client.reader.feed(&buffer[..len], shape, &mut read);
        read.close();
        if let Err(violation) = fed {
            let number = self.share.global(index);
            return Err(RunError::Protocol(format!("the server sent connection {number} {violation}")).into());
        }
        if self.reading.notes.is_empty() { Ok(()) } else { self.answer(index) }
    }

    /// Answers everything but records that the last read brought.
    fn answer(&mut self, index: usize) -> Result<()> {
        for note in std::mem::take(&mut self.reading.notes) {
            let client = &mut self.pool[index];
            if !client.is_talking() {
                break;
            }
            match note {
                Note::Control { opcode: 8, payload } => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                    client.queue(8, payload.len().min(2), |out| out.extend(&payload[..payload.len().min(2)]));
                    client.flush();
                    self.closed(index, code, &reason)?;
                }
                Note::Control { opcode: 9, payload } => {
                    client.queue(10, payload.len(), |out| out.extend(payload));
                    client.flush();
                    client.shrink();
                }
                Note::Control { .. } => {}
                Note::Line(line) => match self.config.protocol.meaning(&line) {
                    Meaning::Nothing => {}
                    Meaning::Ready => self.connector.greeted(&mut self.pool, index),
                    Meaning::At(start) => {
                        self.tally.positions.begin(index, &start);
                        self.connector.greeted(&mut self.pool, index);
                    }
                    Meaning::Reply(message) => client.say(self.config.protocol.opcode(), message),
                    Meaning::Refused(why) => {
                        self.connector.refuse(&mut self.pool, index, format!("answered {why}"))?;
                    }
                },
            }
        }
        Ok(())
    }

    /// Notes that the server closed a connection, and closes its socket.
    fn closed(&mut self, index: usize, code: u16, reason: &str) -> Result<()> {
        if matches!(self.pool[index].state, State::Greeting(_)) {
            let why = format!("closed with {code} {reason} instead of an answer to the first message");
            return self.connector.refuse(&mut self.pool, index, why);
        }
        self.pool.close(index, State::Closed);
        self.closes.note(self.share.global(index), code, reason);
        Ok(())
    }
}
