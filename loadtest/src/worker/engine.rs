//! An engine: the connections of one worker, the poll they hang on, and the one loop that reads and sends.
//!
//! One thread, edge-triggered, one read buffer for everybody.
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

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read};
use std::time::Duration;

use anyhow::Result;
use mio::event::Event;
use mio::{Events, Poll, Token};

use crate::audience::Audience;
use crate::clock::{Timer, now_ns};
use crate::config::Config;
use crate::report::latency::Latency;
use crate::stop::Stop;
use crate::wire::face::Meaning;
use crate::wire::reader::Shape;
use crate::wire::record::Format;
use crate::worker::arrivals::Arrivals;
use crate::worker::client::{Client, State};
use crate::worker::closes::Closes;
use crate::worker::coordinator::Coordinator;
use crate::worker::order::{Command, Job, Share};
use crate::worker::retries::Retries;
use crate::worker::source::Source;
use crate::worker::stream::Tls;
use crate::worker::tally::{Note, Tally};
use crate::worker::ticker::Ticker;
use crate::worker::validate::Validators;

/// Bytes of the read buffer. A receive buffer of Linux grows to 6 MiB at most, by default; most reads bring far less.
const READ_BUFFER: usize = 4 << 20;

/// Events per poll. More saves no system call worth counting.
const EVENTS: usize = 4096;

/// The token of the timer; clients have their index.
const TIMER: Token = Token(usize::MAX - 1);

/// The token of a command from the coordinator.
const COMMAND: Token = Token(usize::MAX - 2);

/// The longest wait: the once-a-second figures are looked at between waits.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// All connections of a worker, and what they received.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(super) config: Config,
    pub(super) share: Share,
    pub(super) coordinator: Coordinator,
    /// Commands that came while another was carried out.
    pub(super) commands: VecDeque<Command>,
    pub(super) is_interrupted: bool,
    pub(super) poll: Poll,
    events: Events,
    timer: Timer,
    pub(super) buffer: Box<[u8]>,
    pub(super) clients: Vec<Client>,
    /// Clients that are open or stalled now.
    pub(super) open: usize,
    /// Ports that were asked for.
    pub(super) binds: usize,
    /// Handshakes under way.
    pub(super) under_way: usize,
    /// From the first SYN to the end of the handshake.
    pub(super) handshake: Latency,
    pub(super) retries: Retries,
    pub(super) arrivals: Arrivals,
    pub(super) refusals: BTreeMap<String, u64>,
    shape: Shape,
    pub(super) tally: Tally,
    notes: Vec<Note>,
    pub(super) source: Source,
    /// Everything that was sent has come, and nothing is being sent.
    pub(super) is_quiet: bool,
    /// The next message waits for its publisher's socket, not for the clock.
    pub(super) is_held_back: bool,
    /// Messages sent, by publisher: of this worker's own as it goes, of others as the coordinator said last.
    pub(super) sent: Vec<u32>,
    /// How much later than due the messages were written.
    pub(super) lateness: Latency,
    pub(super) closes: Closes,
    /// How TLS handshakes are begun, if the target is encrypted.
    pub(super) tls: Option<Tls>,
    /// Only in the first worker, once it has connected.
    pub(super) validators: Option<Validators>,
    pub(super) ticker: Ticker,
}

impl Engine {
    /// Makes an engine without connections.
    ///
    /// # Errors
    ///
    /// Fails when the process has no descriptor left.
    pub(crate) fn new(job: Job, coordinator: impl FnOnce(mio::Waker) -> Coordinator) -> Result<Self> {
        let Job { config, share } = job;
        let poll = Poll::new()?;
        let coordinator = coordinator(mio::Waker::new(poll.registry(), COMMAND)?);
        let audience = Audience::new(&config);
        let format = Format::new(config.size, config.seed);
        let timed = config.connections() - config.stalled.max(config.churners);
        Ok(Self {
            share,
            coordinator,
            commands: VecDeque::new(),
            is_interrupted: false,
            timer: Timer::new(&poll, TIMER)?,
            poll,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            clients: Vec::with_capacity(share.count(config.connections())),
            open: 0,
            binds: 0,
            under_way: 0,
            handshake: Latency::new(),
            retries: Retries::default(),
            arrivals: Arrivals::default(),
            refusals: BTreeMap::new(),
            shape: Shape::new(&config.face, config.size),
            sent: vec![0; audience.publishers()],
            tally: Tally::new(format, audience, share, timed),
            notes: Vec::new(),
            source: Source::Silent,
            is_quiet: true,
            is_held_back: false,
            lateness: Latency::new(),
            closes: Closes::default(),
            tls: Tls::with(&config.url).map_err(anyhow::Error::msg)?,
            validators: None,
            ticker: Ticker::new(now_ns()),
            config,
        })
    }

    /// Messages sent by this worker's publishers.
    pub(super) fn sent_total(&self) -> u64 {
        let own = |publisher: &usize| {
            self.tally.audience.client_of(*publisher).is_some_and(|client| self.share.local(client).is_some())
        };
        (0..self.sent.len()).filter(own).map(|publisher| u64::from(self.sent[publisher])).sum()
    }

    /// Runs until the clock says `until_ns`, or it is interrupted.
    ///
    /// # Errors
    ///
    /// As [`Self::turn`].
    pub(super) fn run_until(&mut self, until_ns: u64) -> Result<()> {
        while now_ns() < until_ns && !self.is_interrupted {
            self.turn(until_ns)?;
        }
        Ok(())
    }

    /// Waits for something to happen, at most until `until_ns`, and does what is to be done.
    ///
    /// # Errors
    ///
    /// Fails when the server refuses a handshake or breaks the protocol, and when the coordinator is gone.
    pub(super) fn turn(&mut self, until_ns: u64) -> Result<()> {
        self.send_due();
        self.reconnect_due()?;
        self.churn_due()?;
        let now = now_ns();
        let due = self.source.due_ns();
        self.timer.arm(due.min(self.retries.due_ns()).min(self.arrivals.due_ns()), now)?;
        let wait = match due {
            // It fell due just now.
            due if due <= now && !self.is_held_back => Duration::ZERO,
            // The timer wakes a wait for the next message, to the microsecond; the poll's own timeout would be late.
            _ => Duration::from_nanos(until_ns.saturating_sub(now)).min(WAIT_MAX),
        };
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                TIMER => {}
                COMMAND => self.take_commands()?,
                Token(index) => self.handle(index, event)?,
            }
        }
        self.events = events;
        self.tick()
    }

    /// Puts what the coordinator asks for in line; an interrupt works at once.
    fn take_commands(&mut self) -> Result<()> {
        while let Some(command) = self.coordinator.command()? {
            match command {
                Command::Interrupt => self.is_interrupted = true,
                command => self.commands.push_back(command),
            }
        }
        Ok(())
    }

    /// Passes an event to the client it belongs to.
    fn handle(&mut self, index: usize, event: &Event) -> Result<()> {
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        if event.is_writable() && client.is_held_back() && !matches!(client.state, State::Connecting) {
            client.flush();
        }
        let is_news = event.is_readable() || event.is_error();
        match client.state {
            State::Connecting => self.connected(index)?,
            State::Shaking(_) if is_news => self.shake(index, event.is_read_closed())?,
            State::Open | State::Greeting(_) if is_news => self.read(index, event.is_read_closed())?,
            _ => {}
        }
        self.send_due();
        Ok(())
    }

    /// Reads a client until it is empty.
    ///
    /// # Hot path
    ///
    /// Once per event. A short read says "empty" without another system call, unless the server has closed.
    pub(super) fn read(&mut self, index: usize, is_closing: bool) -> Result<()> {
        while let Some(stream) = &mut self.clients[index].stream {
            match stream.read(&mut self.buffer) {
                Ok(0) => self.closed(index, 1006, "without a close frame")?,
                Ok(len) => {
                    self.take(index, len)?;
                    if len < self.buffer.len() && !is_closing {
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

    /// Takes the first `len` bytes of the read buffer as `index`'s stream going on.
    fn take(&mut self, index: usize, len: usize) -> Result<()> {
        let client = &mut self.clients[index];
        let mut inbox = self.tally.inbox(index, now_ns(), &mut self.notes);
        let fed = client.reader.feed(&self.buffer[..len], &self.shape, &mut inbox);
        inbox.close();
        if let Err(violation) = fed {
            let number = self.share.global(index);
            return Err(Stop::Protocol(format!("the server sent connection {number} {violation}")).into());
        }
        if self.notes.is_empty() { Ok(()) } else { self.answer(index) }
    }

    /// Takes bytes that came with the answer to the handshake.
    pub(super) fn take_early(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        self.buffer[..bytes.len()].copy_from_slice(bytes);
        self.take(index, bytes.len())
    }

    /// Answers what the last read brought besides records.
    fn answer(&mut self, index: usize) -> Result<()> {
        for note in std::mem::take(&mut self.notes) {
            let client = &mut self.clients[index];
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
                Note::Line(line) => match self.config.face.meaning(&line) {
                    Meaning::Nothing => {}
                    Meaning::Ready => self.greeted(index)?,
                    Meaning::Reply(text) => client.say(text),
                    Meaning::Refused(why) => self.refuse(index, format!("answered {why}"))?,
                },
            }
        }
        Ok(())
    }

    /// Notes the end of a connection that the server ended, and lets its descriptor go.
    fn closed(&mut self, index: usize, code: u16, reason: &str) -> Result<()> {
        if matches!(self.clients[index].state, State::Greeting(_)) {
            let why = format!("closed with {code} {reason} instead of an answer to the first message");
            return self.refuse(index, why);
        }
        self.open -= 1;
        self.clients[index].end(State::Closed);
        self.closes.note(self.share.global(index), code, reason);
        Ok(())
    }
}
