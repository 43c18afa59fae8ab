//! Readiness: what one read brought, and how the runtime learns that a socket is full.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What one read brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Received<T> {
    /// Bytes, or what came of them.
    Bytes(T),
    /// None yet.
    Nothing,
    /// The peer has ended, or the connection broke.
    End,
}

/// Tells the runtime that a socket is full, so that it calls back. The socket is asked once more inside `try_io`, which
/// sees an event that came since the write; without that the connection could wait for ever.
pub(crate) fn note_full(stream: &TcpStream) {
    let ask = || if is_writable(stream)? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) };
    // Whatever it says, the next question is `poll_writable`.
    let _ = stream.try_io(Interest::WRITABLE, ask);
}

fn is_writable(stream: &TcpStream) -> io::Result<bool> {
    let mut asked = [PollFd::new(stream, PollFlags::OUT)];
    let at_once = Timespec::default();
    Ok(poll(&mut asked, Some(&at_once))? > 0)
}
