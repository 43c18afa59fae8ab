//! A null sink: a peer that takes everything at no cost, for measurements without sockets.

use std::io::IoSlice;
use std::task::{Poll, Waker};
use throng::hub::{Sent, Sink};

/// Takes everything and keeps nothing.
#[derive(Debug)]
pub(crate) struct Null;

impl Sink for Null {
    fn send(&mut self, bytes: &[u8]) -> Sent {
        std::hint::black_box(bytes);
        Sent::All
    }

    fn send_vectored(&mut self, slices: &[IoSlice<'_>]) -> Sent {
        std::hint::black_box(slices);
        Sent::All
    }

    fn poll_writable(&mut self, _: &Waker) -> Poll<()> {
        Poll::Ready(())
    }

    fn finish(&mut self) {}

    fn abort(&mut self) {}
}
