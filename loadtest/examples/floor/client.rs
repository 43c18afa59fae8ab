//! A client: one socket, the unfinished end of what came from it, and the rest of what it has to get.

use mio::net::TcpStream;
use std::io::{ErrorKind, Write};

/// Why a client is removed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// It closed the connection.
    Left,
    /// It sent bytes that a floor does not support.
    Refused,
}

/// One connection: 56 bytes while nothing is unfinished.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// The handshake is over, messages flow.
    pub(crate) is_member: bool,
    /// The start of a request or a frame whose end has not come.
    pub(crate) inbox: Vec<u8>,
    /// Bytes that the socket did not take, at most what [`Self::offer`] allows.
    outbox: Vec<u8>,
}

impl Client {
    pub(crate) const fn new(stream: TcpStream) -> Self {
        Self { stream, is_member: false, inbox: Vec::new(), outbox: Vec::new() }
    }

    /// Writes bytes after those that wait, keeps what the socket does not take, and returns false if the client should
    /// be closed: it is dead, or more than `lag_bytes_max` would wait.
    pub(crate) fn offer(&mut self, bytes: &[u8], lag_bytes_max: usize) -> bool {
        let mut rest = bytes;
        // A socket that was full stays so until the poll says otherwise.
        if self.outbox.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => rest = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        let is_within = self.outbox.len() + rest.len() <= lag_bytes_max;
        if is_within {
            self.outbox.extend_from_slice(rest);
        }
        is_within
    }

    /// Writes what waits, as far as the socket takes it. A dead socket is noticed by reading.
    pub(crate) fn flush(&mut self) {
        let mut done = 0;
        while done < self.outbox.len() {
            match self.stream.write(&self.outbox[done..]) {
                Ok(written) => done += written,
                Err(_) => break,
            }
        }
        self.outbox.drain(..done);
        if self.outbox.is_empty() {
            self.outbox = Vec::new();
        }
    }
}
