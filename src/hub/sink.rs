//! The sink: the write side of one connection, as a shard sees it.

use std::io::IoSlice;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Result of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sent {
    /// Every byte was taken.
    All,
    /// The sink is full and took only this many bytes, possibly none. A sink that encrypts may take all and keep what
    /// the socket did not take; it is writable again once it keeps nothing.
    Short(usize),
    /// The peer is gone; nothing will be taken any more.
    Gone,
}

/// What a sink reports of the way to its peer. The hub hands it to the operator and never looks into it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wire {
    /// The client's address as the number of an IPv6 address.
    pub client: u128,
    /// What the kernel reports; `None` for a Unix socket.
    pub tcp: Option<Tcp>,
}

/// What the kernel reports of a TCP connection, `TCP_INFO` of tcp(7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tcp {
    /// Smoothed round-trip time.
    pub round_trip: Duration,
    /// Bytes in the send buffer that were never sent.
    pub unsent_bytes: u32,
    /// Segments that were sent and not acknowledged.
    pub unacked_segments: u32,
    /// Segments that were sent again since the connection began.
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

    /// Asks whether the sink takes bytes again, after it has passed on what it kept. When it does not, `waker` is
    /// called once it is worth asking again.
    fn poll_writable(&mut self, waker: &Waker) -> Poll<()>;

    /// Makes room for the last bytes of a closing connection although the sink is full: the rest of a frame and the
    /// close frame. A peer that starts to read again then learns why it was closed.
    fn make_room(&mut self) {}

    /// Reports what is known of the way to the peer; `None` when there is none, as in tests.
    fn wire(&self) -> Option<Wire> {
        None
    }

    /// Ends the write side after what was sent.
    fn finish(&mut self);

    /// Ends both sides at once and drops what was not delivered.
    fn abort(&mut self);
}
