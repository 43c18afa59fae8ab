//! A room: all clients, the frames that were read from them, and when those are sent.
//!
//! # Life of a message
//!
//! [`Room::turn`] reads a socket until it is empty, [`Room::publish`] adds the frame, built once, to the batch, and
//! [`Room::fan_out`] passes the batch to one of the loops of `fan_out.rs`: at once, when K frames are there, or when
//! the turn of the event loop ends, as the mode says.

use crate::client::{Client, End};
use crate::fan_out::{send_each, write_each, writev_each};
use crate::frame::{self, Frame};
use crate::handshake;
use crate::mode::Mode;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Registry, Token};
use std::fmt;
use std::io::{ErrorKind, IoSlice, Read, Result};

/// Bytes per read: one read takes all that the generator has in flight.
const READ_BYTES: usize = 256 << 10;

/// Counts of the work so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    handshakes: u64,
    messages: u64,
    sends: u64,
    lost: u64,
    refused: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handshakes, messages, sends, lost, refused } = self;
        write!(out, "{handshakes} handshakes, {messages} messages, {sends} sends, ")?;
        write!(out, "{lost} clients closed as full or dead, {refused} refused")
    }
}

/// All clients of a server, and the frames that wait for the next fan-out.
#[derive(Debug)]
pub(crate) struct Room {
    mode: Mode,
    registry: Registry,
    /// By token. A free slot is reused, so a late event may reach the next client in it, which then reads in vain.
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    /// Frames, joined, and where each ends.
    batch: Vec<u8>,
    ends: Vec<usize>,
    /// Clients that a fan-out found full or dead.
    lost: Vec<usize>,
    pub(crate) counts: Counts,
}

impl Room {
    pub(crate) fn new(mode: Mode, registry: Registry) -> Self {
        Self {
            mode,
            registry,
            clients: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; READ_BYTES],
            batch: Vec::new(),
            ends: Vec::new(),
            lost: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Accepts the connections that wait.
    ///
    /// # Errors
    ///
    /// Fails when the process has no descriptor left.
    pub(crate) fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        loop {
            match listener.accept() {
                Ok((stream, _)) => self.admit(stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn admit(&mut self, mut stream: TcpStream) -> Result<()> {
        // One answer needs no option; several small writes in a row would wait for each other.
        if self.mode != Mode::Handshake {
            stream.set_nodelay(true)?;
        }
        let index = self.free.pop().unwrap_or(self.clients.len());
        self.registry.register(&mut stream, Token(index), self.mode.interest())?;
        if index == self.clients.len() {
            self.clients.push(None);
        }
        self.clients[index] = Some(Client::new(stream));
        Ok(())
    }

    fn remove(&mut self, index: usize) {
        if self.clients[index].take().is_some() {
            self.free.push(index);
        }
    }

    /// Does what an event of a client's socket asks for.
    pub(crate) fn turn(&mut self, index: usize, event: &Event) {
        if event.is_writable()
            && let Some(client) = &mut self.clients[index]
        {
            client.flush();
        }
        if event.is_readable() || event.is_error() {
            // Fanning out needs the room while the bytes are looked at.
            let mut buffer = std::mem::take(&mut self.buffer);
            self.read(index, &mut buffer, event.is_read_closed());
            self.buffer = buffer;
        }
    }

    /// Reads a client until it is empty.
    ///
    /// A short read means "empty" without another system call, unless the client has closed.
    fn read(&mut self, index: usize, buffer: &mut [u8], is_closing: bool) {
        while let Some(client) = &mut self.clients[index] {
            match client.stream.read(buffer) {
                Ok(0) => self.remove(index),
                Ok(len) => {
                    self.take(index, &buffer[..len]);
                    if len < buffer.len() && !is_closing {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.remove(index),
            }
        }
    }

    /// Takes the next bytes of the client's stream.
    fn take(&mut self, index: usize, bytes: &[u8]) {
        let Some(client) = &mut self.clients[index] else { return };
        let mut joined = std::mem::take(&mut client.inbox);
        let mut rest = bytes;
        // Nearly always the last read ended at an edge, and the bytes are looked at where they are.
        if !joined.is_empty() {
            joined.extend_from_slice(bytes);
            rest = &joined;
        }
        loop {
            let step = self.step(index, rest);
            // A fan-out may have found that the client itself is full.
            let Some(client) = &mut self.clients[index] else { return };
            match step {
                Ok(Some(after)) => rest = after,
                Ok(None) => {
                    client.inbox = rest.to_vec();
                    return;
                }
                Err(end) => {
                    self.counts.refused += u64::from(matches!(end, End::Refused));
                    self.remove(index);
                    return;
                }
            }
        }
    }

    /// Takes one request or frame and returns the bytes after it, or nothing if it has not ended.
    fn step<'a>(&mut self, index: usize, bytes: &'a [u8]) -> std::result::Result<Option<&'a [u8]>, End> {
        let client = self.clients[index].as_mut().ok_or(End::Left)?;
        let lag_bytes_max = self.mode.lag_bytes_max();
        if !client.is_member {
            let Some(end) = handshake::end(bytes)? else { return Ok(None) };
            let (request, rest) = bytes.split_at(end);
            let is_answered = match self.mode {
                Mode::Handshake => client.offer(handshake::CONSTANT.as_bytes(), lag_bytes_max),
                _ => client.offer(handshake::answer(request)?.as_bytes(), lag_bytes_max),
            };
            client.is_member = true;
            self.counts.handshakes += 1;
            return if is_answered { Ok(Some(rest)) } else { Err(End::Left) };
        }
        if self.mode == Mode::Handshake {
            // Bytes after the handshake are ignored.
            return Ok((!bytes.is_empty()).then_some(&[]));
        }
        let Some((frame, rest)) = frame::cut(bytes)? else { return Ok(None) };
        match frame.opcode {
            frame::TEXT | frame::BINARY => self.publish(&frame),
            frame::CLOSE => return Err(End::Left),
            frame::PING => {
                let mut pong = Vec::new();
                frame::append(&mut pong, frame::PONG, &frame);
                if !client.offer(&pong, lag_bytes_max) {
                    return Err(End::Left);
                }
            }
            frame::PONG => {}
            _ => return Err(End::Refused),
        }
        Ok(Some(rest))
    }

    /// Adds a message to the batch and sends the batch if the mode says so.
    fn publish(&mut self, frame: &Frame<'_>) {
        frame::append(&mut self.batch, frame.opcode, frame);
        self.ends.push(self.batch.len());
        self.counts.messages += 1;
        if self.mode.is_due(self.ends.len(), self.batch.len()) {
            self.fan_out();
        }
    }

    /// Sends the batch to every member and closes those that do not take it.
    pub(crate) fn fan_out(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let (clients, lost) = (&mut self.clients, &mut self.lost);
        self.counts.sends += match self.mode {
            Mode::Write => write_each(&self.batch, clients, lost),
            Mode::Writev(_) => {
                let starts = std::iter::once(0).chain(self.ends.iter().copied());
                let frames = starts.zip(&self.ends).map(|(start, end)| IoSlice::new(&self.batch[start..*end]));
                writev_each(&frames.collect::<Vec<_>>(), clients, lost)
            }
            Mode::Batch | Mode::Handshake => send_each(&self.batch, clients, lost),
        };
        self.batch.clear();
        self.ends.clear();
        self.counts.lost += self.lost.len() as u64;
        while let Some(index) = self.lost.pop() {
            self.remove(index);
        }
    }
}
