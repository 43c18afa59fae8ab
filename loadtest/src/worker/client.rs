//! A client: one connection's socket, reader and unsent bytes. About 130 bytes while idle.

use super::stream::Stream;
use crate::wire::reader::Reader;
use std::time::Duration;

/// A server that completes no handshake for this long is not going to.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a connection is in its life.
#[derive(Debug)]
pub(crate) enum State {
    /// To be opened later.
    Waiting,
    /// The request is not sent; the TCP handshake may not be over.
    Connecting,
    /// The request is sent; this much of the answer has come.
    Shaking(Vec<u8>),
    /// The handshake is over; this many answers of the server's own protocol are due.
    Greeting(u16),
    /// Messages flow.
    Open,
    /// Open, but never read again.
    Stalled,
    /// Over.
    Closed,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: Option<Stream>,
    pub(crate) state: State,
    pub(crate) reader: Reader,
    /// When its present attempt to connect began.
    pub(crate) begun_ns: u64,
    /// Bytes that the kernel did not take yet.
    out: Vec<u8>,
}

impl Client {
    /// Returns a client that is not connected.
    pub(crate) fn new() -> Self {
        Self { stream: None, state: State::Waiting, reader: Reader::default(), begun_ns: 0, out: Vec::new() }
    }

    /// Starts over with a socket whose TCP handshake has begun.
    pub(crate) fn begin(&mut self, stream: Stream, now_ns: u64) {
        *self = Self { stream: Some(stream), state: State::Connecting, begun_ns: now_ns, ..Self::new() };
    }

    /// Closes the socket.
    pub(crate) fn end(&mut self, state: State) {
        *self = Self { state, ..Self::new() };
    }

    /// Whether an attempt to connect is in progress.
    pub(crate) const fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting | State::Shaking(_) | State::Greeting(_))
    }

    /// Whether messages flow and are read.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether frames may come.
    pub(crate) const fn is_talking(&self) -> bool {
        matches!(self.state, State::Open | State::Greeting(_))
    }

    /// Returns the bytes written by [`Self::queue`] that the kernel did not take yet.
    pub(crate) const fn unsent(&self) -> usize {
        self.out.len()
    }

    /// Whether anything waits for the socket, encrypted or not.
    pub(crate) fn is_held_back(&self) -> bool {
        !self.out.is_empty() || self.stream.as_ref().is_some_and(Stream::is_held_back)
    }

    /// Appends a masked, final frame; `write` appends the `len` bytes of its payload.
    pub(crate) fn queue(&mut self, opcode: u8, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(0x80 | opcode);
        match len {
            // Each length fits the bytes its arm gives it.
            0..126 => self.out.push(0x80 | u8::try_from(len).unwrap_or_default()),
            126..0x1_0000 => {
                self.out.push(0x80 | 126);
                self.out.extend(u16::try_from(len).unwrap_or_default().to_be_bytes());
            }
            _ => {
                self.out.push(0x80 | 127);
                self.out.extend((len as u64).to_be_bytes());
            }
        }
        // A zero masking key is legal on the wire and leaves the payload as it is. The key protects caching proxies
        // from hostile pages, neither of which is here.
        self.out.extend([0; 4]);
        write(&mut self.out);
    }

    /// Sends a message that is no record.
    pub(crate) fn say(&mut self, opcode: u8, message: &[u8]) {
        self.queue(opcode, message.len(), |out| out.extend_from_slice(message));
        self.flush();
        self.shrink();
    }

    /// Appends raw bytes: the handshake.
    pub(crate) fn queue_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes what the kernel takes.
    pub(crate) fn flush(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.write_from(&mut self.out);
        }
    }

    /// Gives the write buffer back, for clients that are not going to write.
    pub(crate) fn shrink(&mut self) {
        self.out.shrink_to_fit();
    }
}
