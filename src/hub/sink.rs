//! A sink: the write side of one connection, as a shard sees it.

use std::io::IoSlice;
use std::task::{Poll, Waker};
use std::time::Duration;

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

/// The way to a peer, as an operator sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wire {
    /// The client's address as the number of an IPv6 address; the hub does not look into it.
    pub client: u128,
    /// What the kernel knows of it; nothing of a Unix socket.
    pub tcp: Option<Tcp>,
}

/// What the kernel knows of a TCP connection, `TCP_INFO` of tcp(7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tcp {
    /// Smoothed time of a round trip.
    pub round_trip: Duration,
    /// Bytes in the send buffer that were never sent.
    pub unsent_bytes: u32,
    /// Segments that were sent and not acknowledged.
    pub unacked_segments: u32,
    /// Segments that were sent again, so far.
    pub retransmitted_segments: u32,
}

/// Takes the bytes of one connection without blocking.
///
/// The edge between `hub` and `net`: a socket in production, a simulated peer in tests. [`Hub`](super::Hub) has an
/// example with a sink in memory.
///
/// A shard calls [`send`](Self::send) and [`send_vectored`](Self::send_vectored) until one of them returns
/// [`Sent::Short`], then [`poll_writable`](Self::poll_writable) until it is ready, and nothing after
/// [`finish`](Self::finish) or [`abort`](Self::abort).
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

    /// Tells what is known of the way to the peer; `None` when there is none.
    fn wire(&self) -> Option<Wire> {
        None
    }

    /// Ends the write side after what was sent.
    fn finish(&mut self);

    /// Ends both sides at once and forgets what was not delivered.
    fn abort(&mut self);
}
