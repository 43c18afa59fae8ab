//! A sink: the write side of one connection, as a shard sees it.

use std::io::IoSlice;
use std::task::{Poll, Waker};

/// What became of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sent {
    /// Every byte was taken.
    All,
    /// Only this many bytes were taken, possibly none: the sink is full. All of them when the sink keeps what the
    /// socket did not take, as one that encrypts has to; it is writable again once it keeps nothing.
    Short(usize),
    /// The peer is gone; nothing will be taken any more.
    Gone,
}

/// Takes the bytes of one connection without blocking.
///
/// The edge between hub and transport: a socket in production, a simulated peer in tests.
pub trait Sink: Send + 'static {
    /// Offers one slice.
    fn send(&mut self, bytes: &[u8]) -> Sent;

    /// Offers several slices in one write.
    fn send_vectored(&mut self, slices: &[IoSlice<'_>]) -> Sent;

    /// Asks whether the sink takes bytes again, after it has passed on what it kept; when it does not, `waker` is
    /// called once it is worth asking again.
    fn poll_writable(&mut self, waker: &Waker) -> Poll<()>;

    /// Takes the last bytes of a closing connection although it is full: the rest of a frame and the close frame, so
    /// that a peer that comes back to reading learns why it was closed. A sink without a bound has nothing to do.
    fn make_room(&mut self) {}

    /// Ends the write side after what was sent.
    fn finish(&mut self);

    /// Ends both sides at once and forgets what was not delivered.
    fn abort(&mut self);
}
