//! Readiness: the result of one read, and how the runtime learns that a socket is full.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The result of one read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Received<T> {
    /// Bytes were read; holds their number, or the result of processing them.
    Bytes(T),
    /// No bytes are there yet.
    Nothing,
    /// The peer has ended its side, or the connection is broken.
    End,
}

/// Tells the runtime that a socket is full, so that it wakes the task when the socket is writable again.
///
/// Writes bypass the runtime, so the socket may have become writable between the write and this call, and the event for
/// it may be consumed already. Therefore it is polled once more inside `try_io`, which keeps an event that arrives
/// meanwhile. Otherwise the connection could wait for ever.
pub(crate) fn note_full(stream: &TcpStream) {
    let check = || if is_writable(stream)? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) };
    // The caller calls `poll_writable` next, which returns the result.
    let _ = stream.try_io(Interest::WRITABLE, check);
}

fn is_writable(stream: &TcpStream) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(stream, PollFlags::OUT)];
    let no_wait = Timespec::default();
    Ok(poll(&mut descriptors, Some(&no_wait))? > 0)
}
