//! A pipe: what a socket does with bytes, as far as a shard and a peer can see.

use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::task::{Poll, Waker};
use throng::hub::{Sent, Sink};

/// How far the hub ended its side.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum End {
    /// Not at all.
    #[default]
    Open,
    /// After what was sent.
    Finished,
    /// At once.
    Aborted,
}

thread_local! {
    static WRITES: Cell<u64> = const { Cell::new(0) };
}

/// Both ends of one connection's downstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipe(Arc<Mutex<Wire>>);

#[derive(Debug, Default)]
struct Wire {
    /// Bytes it takes before it is full; `None` while the peer reads everything at once.
    room: Option<usize>,
    /// Most bytes of one write, although there is room; `None` for all.
    bite: Option<usize>,
    /// Bytes it takes beyond its bound for the end of a connection.
    spare: usize,
    /// Bytes that it keeps beyond its room, as a sink that encrypts does.
    keep: usize,
    kept: VecDeque<u8>,
    /// What the peer has not decoded yet.
    arrived: VecDeque<u8>,
    taken: u64,
    writes: u64,
    /// Number of the last write among those of all pipes.
    last_write: u64,
    waker: Option<Waker>,
    is_gone: bool,
    end: End,
}

impl Pipe {
    /// Takes only `bytes` more until it is drained.
    pub(crate) fn limit(&self, bytes: usize) {
        self.0.lock().room = Some(bytes);
    }

    /// Takes at most `bytes` in one write.
    pub(crate) fn bite(&self, bytes: usize) {
        self.0.lock().bite = Some(bytes);
    }

    /// Takes up to `bytes` more than it has room for, and keeps them until there is.
    pub(crate) fn keep(&self, bytes: usize) {
        self.0.lock().keep = bytes;
    }

    /// Has room for that many bytes more once the connection is closed for being slow.
    pub(crate) fn spare(&self, bytes: usize) {
        self.0.lock().spare = bytes;
    }

    /// Makes room for that many bytes more, as a peer that read them would.
    pub(crate) fn drain(&self, bytes: usize) {
        let waker = {
            let mut wire = self.0.lock();
            wire.room = wire.room.map(|room| room + bytes);
            wire.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Takes everything from here on.
    pub(crate) fn open(&self) {
        {
            let mut wire = self.0.lock();
            (wire.room, wire.bite) = (None, None);
        }
        self.drain(0);
    }

    /// Refuses everything from here on.
    pub(crate) fn vanish(&self) {
        self.0.lock().is_gone = true;
        self.drain(0);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.0.lock().is_gone
    }

    /// Wakes the shard for no reason, which a runtime may do.
    pub(crate) fn wake_in_vain(&self) {
        let waker = self.0.lock().waker.clone();
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn end(&self) -> End {
        self.0.lock().end
    }

    /// Bytes taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.0.lock().taken
    }

    /// Writes seen so far.
    pub(crate) fn writes(&self) -> u64 {
        self.0.lock().writes
    }

    /// The number of the last write among those of all pipes of the thread.
    pub(crate) fn last_write(&self) -> u64 {
        self.0.lock().last_write
    }

    /// Bytes that the peer did not decode.
    pub(crate) fn undecoded(&self) -> usize {
        self.0.lock().arrived.len()
    }
}

impl Sink for Pipe {
    fn send(&mut self, bytes: &[u8]) -> Sent {
        self.send_vectored(&[IoSlice::new(bytes)])
    }

    fn send_vectored(&mut self, slices: &[IoSlice<'_>]) -> Sent {
        let mut wire = self.0.lock();
        assert_eq!(wire.end, End::Open, "nothing is written after the end");
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(len > 0, "an empty write is a wasted system call");
        if wire.is_gone {
            return Sent::Gone;
        }
        assert!(wire.kept.is_empty(), "a sink that keeps bytes is not writable");
        wire.writes += 1;
        wire.last_write = WRITES.replace(WRITES.get() + 1);
        let out = len.min(wire.room.unwrap_or(len)).min(wire.bite.unwrap_or(len));
        let taken = len.min(out + wire.keep);
        wire.room = wire.room.map(|room| room - out);
        wire.taken += taken as u64;
        let mut bytes = slices.iter().flat_map(|slice| slice.iter()).copied();
        wire.arrived.extend(bytes.by_ref().take(out));
        wire.kept.extend(bytes.take(taken - out));
        if out == len { Sent::All } else { Sent::Short(taken) }
    }

    fn poll_writable(&mut self, waker: &Waker) -> Poll<()> {
        let mut wire = self.0.lock();
        let out = wire.kept.len().min(wire.room.unwrap_or(usize::MAX)).min(wire.bite.unwrap_or(usize::MAX));
        wire.room = wire.room.map(|room| room - out);
        let Wire { kept, arrived, .. } = &mut *wire;
        arrived.extend(kept.drain(..out));
        if (wire.room != Some(0) && wire.kept.is_empty()) || wire.is_gone {
            return Poll::Ready(());
        }
        wire.waker = Some(waker.clone());
        Poll::Pending
    }

    fn make_room(&mut self) {
        let spare = self.0.lock().spare;
        self.drain(spare);
    }

    fn finish(&mut self) {
        let mut wire = self.0.lock();
        assert!(wire.kept.is_empty() || wire.is_gone, "what the sink keeps would be lost");
        wire.end = End::Finished;
    }

    fn abort(&mut self) {
        self.0.lock().end = End::Aborted;
    }
}

/// The peer's end, for a decoder that does not block.
impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.lock().arrived.read(buffer) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            result => result,
        }
    }
}

/// What the peer's decoder answers by itself goes nowhere: the simulation decides what a peer sends.
impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
