//! An engine: the connections, the poll they hang on, and the one loop that reads and sends.
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
//! - The first `publishers` connections publish. The last `stalled` ones may stop reading.
//! - A client is registered once, for reading and writing: the edge of an empty send buffer comes only if it was full.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use mio::event::Event;
use mio::{Events, Poll, Token};

use crate::cli::Config;
use crate::client::{Client, State};
use crate::clock::{Clock, Timer};
use crate::closes::Closes;
use crate::latency::Latency;
use crate::progress::Progress;
use crate::record::{Format, Record};
use crate::source::Source;
use crate::stalls::Stalls;
use crate::stop::Stop;
use crate::tally::{Control, Tally};
use crate::watch::Watch;

/// Bytes of the read buffer. A receive buffer of Linux grows to 6 MiB at most, by default; most reads bring far less.
const READ_BUFFER: usize = 4 << 20;

/// Events per poll. More saves no system call worth counting.
const EVENTS: usize = 4096;

/// A publisher whose server does not read holds this much; then the source falls behind its clock, which shows as
/// latency.
const UNSENT_MAX: usize = 256 << 10;

/// The token of the timer; clients have their index.
const TIMER: Token = Token(usize::MAX - 1);

/// The longest wait: Ctrl-C and the once-a-second figures are looked at between waits.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// All connections, and what they received.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) poll: Poll,
    events: Events,
    timer: Timer,
    buffer: Box<[u8]>,
    pub(crate) clients: Vec<Client>,
    /// Connections whose handshake succeeded, whatever became of them.
    pub(crate) opened: usize,
    pub(crate) tally: Tally,
    controls: Vec<Control>,
    pub(crate) source: Source,
    /// The next message waits for its publisher's socket, not for the clock.
    is_held_back: bool,
    /// Messages sent, by publisher.
    pub(crate) sent: Vec<u32>,
    /// How much later than due the messages were written.
    pub(crate) lateness: Latency,
    pub(crate) closes: Closes,
    pub(crate) stalls: Stalls,
    pub(crate) watch: Watch,
    pub(crate) progress: Progress,
    pub(crate) interrupted: Arc<AtomicBool>,
}

impl Engine {
    /// Makes an engine without connections.
    ///
    /// # Errors
    ///
    /// Fails when the process has no descriptor left, or the server's process can not be read.
    pub(crate) fn new(config: Config, interrupted: Arc<AtomicBool>) -> Result<Self> {
        let poll = Poll::new()?;
        let (clients, publishers) = (config.connections(), config.publishers());
        let seed = std::time::UNIX_EPOCH.elapsed().map_or(0, crate::clock::nanos) ^ u64::from(std::process::id());
        Ok(Self {
            clock: Clock::start(),
            timer: Timer::new(&poll, TIMER)?,
            poll,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            clients: Vec::with_capacity(clients),
            opened: 0,
            tally: Tally::new(Format::new(config.size, seed), clients, publishers, clients - config.stalled()),
            controls: Vec::new(),
            source: Source::Silent,
            is_held_back: false,
            sent: vec![0; publishers],
            lateness: Latency::new(),
            closes: Closes::default(),
            stalls: Stalls::default(),
            watch: Watch::new(config.server_pid)?,
            progress: Progress::new(config.quiet),
            interrupted,
            config,
        })
    }

    /// True once Ctrl-C was pressed.
    pub(crate) fn is_interrupted(&self) -> bool {
        // Nothing else is published with the flag.
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Messages sent by all publishers.
    pub(crate) fn sent_total(&self) -> u64 {
        self.sent.iter().copied().map(u64::from).sum()
    }

    /// Runs until the clock says `until_ns`, or Ctrl-C.
    ///
    /// # Errors
    ///
    /// As [`Self::turn`].
    pub(crate) fn run_until(&mut self, until_ns: u64) -> Result<()> {
        while self.clock.now_ns() < until_ns && !self.is_interrupted() {
            self.turn(until_ns)?;
        }
        Ok(())
    }

    /// Waits for something to happen, at most until `until_ns`, and does what is to be done.
    ///
    /// # Errors
    ///
    /// Fails when the server refuses a handshake or breaks the protocol.
    pub(crate) fn turn(&mut self, until_ns: u64) -> Result<()> {
        self.send_due();
        let now = self.clock.now_ns();
        let due = self.source.due_ns();
        self.timer.arm(due, now)?;
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
            if event.token() != TIMER {
                self.handle(event)?;
            }
        }
        self.events = events;
        self.tick();
        Ok(())
    }

    /// Passes an event to the client it belongs to.
    fn handle(&mut self, event: &Event) -> Result<()> {
        let index = event.token().0;
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        if event.is_writable() && client.unsent() > 0 && !matches!(client.state, State::Connecting) {
            client.flush();
        }
        match client.state {
            State::Connecting => self.connected(index)?,
            State::Shaking(_) if event.is_readable() || event.is_error() => {
                self.shake(index, event.is_read_closed())?;
            }
            State::Open if event.is_readable() || event.is_error() => self.read(index, event.is_read_closed())?,
            State::Stalled if event.is_read_closed() || event.is_error() => {
                self.stalls.ended(index, self.clock.now_ns());
            }
            State::Shaking(_) | State::Open | State::Stalled | State::Closed => {}
        }
        self.send_due();
        Ok(())
    }

    /// Reads a client until it is empty.
    ///
    /// # Hot path
    ///
    /// Once per event. A short read says "empty" without another system call, unless the server has closed.
    pub(crate) fn read(&mut self, index: usize, is_closing: bool) -> Result<()> {
        while let Some(stream) = &mut self.clients[index].stream {
            match stream.read(&mut self.buffer) {
                Ok(0) => self.closed(index, 1006, "without a close frame"),
                Ok(len) => {
                    self.take(index, len)?;
                    if len < self.buffer.len() && !is_closing {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.closed(index, 1006, &error.kind().to_string()),
            }
        }
        Ok(())
    }

    /// Takes the first `len` bytes of the read buffer as `index`'s stream going on.
    fn take(&mut self, index: usize, len: usize) -> Result<()> {
        let client = &mut self.clients[index];
        let size = self.tally.format.size();
        let mut inbox = self.tally.inbox(index, self.clock.now_ns(), &mut self.controls);
        if let Err(violation) = client.reader.feed(&self.buffer[..len], size, &mut inbox) {
            return Err(Stop::Server(format!("the server sent connection {index} {violation}")).into());
        }
        if !self.controls.is_empty() {
            self.answer(index);
        }
        Ok(())
    }

    /// Takes bytes that came with the answer to the handshake.
    pub(crate) fn take_early(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        self.buffer[..bytes.len()].copy_from_slice(bytes);
        self.take(index, bytes.len())
    }

    /// Answers the control frames of the last read.
    fn answer(&mut self, index: usize) {
        for control in std::mem::take(&mut self.controls) {
            let client = &mut self.clients[index];
            if matches!(client.state, State::Closed) {
                break;
            }
            let payload = &control.payload;
            match control.opcode {
                8 => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                    client.queue(8, payload.len().min(2), |out| out.extend(&payload[..payload.len().min(2)]));
                    client.flush();
                    self.closed(index, code, &reason);
                }
                9 => {
                    client.queue(10, payload.len(), |out| out.extend(payload));
                    client.flush();
                    client.shrink();
                }
                _ => {}
            }
        }
    }

    /// Notes the end of a connection and lets its descriptor go.
    fn closed(&mut self, index: usize, code: u16, reason: &str) {
        let client = &mut self.clients[index];
        client.state = State::Closed;
        client.stream = None;
        self.closes.note(index, code, reason);
    }

    /// Sends what is due.
    pub(crate) fn send_due(&mut self) {
        match self.source {
            Source::Silent => {}
            Source::Clock(mut schedule) => {
                let now = self.clock.now_ns();
                let mut due = schedule.due_ns();
                loop {
                    self.is_held_back = self.clients[schedule.turn()].unsent() >= UNSENT_MAX;
                    if due > now || self.is_held_back {
                        break;
                    }
                    let publisher = schedule.take();
                    self.publish(publisher, due);
                    self.lateness.record(now - due);
                    due = schedule.due_ns();
                    // A burst of one publisher goes out in one write.
                    if due > now || schedule.turn() != publisher || self.clients[publisher].unsent() >= UNSENT_MAX {
                        self.clients[publisher].flush();
                    }
                }
                self.source = Source::Clock(schedule);
            }
            Source::Window(window) => {
                let under_way = self.sent[0].saturating_sub(self.tally.row(0)[0]);
                if under_way < window {
                    let now = self.clock.now_ns();
                    (under_way..window).for_each(|_| self.publish(0, now));
                    self.clients[0].flush();
                }
            }
        }
    }

    /// Writes one message of `publisher` to its buffer, if it is still there.
    fn publish(&mut self, publisher: usize, intended_ns: u64) {
        let client = &mut self.clients[publisher];
        if !client.is_open() {
            return;
        }
        let sequence = self.sent[publisher];
        let Ok(number) = u16::try_from(publisher) else { return };
        let format = &self.tally.format;
        client.queue(1, format.size(), |out| format.encode(Record { publisher: number, sequence, intended_ns }, out));
        self.sent[publisher] += 1;
    }
}
