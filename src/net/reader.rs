//! A reader: the small task that reads one connection, and all that an idle connection keeps running.
//!
//! Bytes land in a scratch buffer that the connections of a thread share, and the decoder cuts messages out of it in
//! place: a silent connection holds no buffer. Nothing awaits while the scratch is in use; an event that has to wait
//! for a shard takes a copy of the bytes after it along, and the socket is not read meanwhile.

use super::admission::Permit;
use super::readiness::Received;
use super::socket::{Socket, SocketSink};
use crate::metrics::Metrics;
use crate::protocol::{CloseReason, DecoderLimits, Event, FrameDecoder, ProtocolError};
use crate::session::{Flow, Pending, Session};
use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, timeout_at};

/// Bytes of one read: a message of the default largest size, or a burst of small ones, comes in one system call.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Most bytes read and dropped after a close frame was queued, so that the kernel does not answer unread ones with a
/// reset, which would overtake the close frame.
const DISCARDED_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Result of feeding some bytes, which decides what the reader does next.
#[derive(Debug)]
enum ReadOutcome {
    /// All bytes were taken: wait for more.
    All,
    /// One event has to wait; the rest comes after it. Boxed: rare, and the idle reader is small.
    Unread(Box<Unread>),
    /// The connection is over.
    Failed(CloseReason),
    /// The peer has ended.
    End,
}

#[derive(Debug)]
struct Unread {
    pending: Pending<SocketSink>,
    rest: Vec<u8>,
}

/// The task of one connection: it waits for bytes, or for its slow path.
///
/// Written by hand, because an idle connection consists of it: an `async` block would keep its arguments twice, or need
/// one more allocation.
struct Task {
    reader: Option<Reader>,
    /// What is rare, and the end of the connection; owns the reader meanwhile.
    slow_path: Option<Pin<Box<dyn Future<Output = Option<Reader>> + Send>>>,
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(slow_path) = &mut self.slow_path {
                self.reader = ready!(slow_path.as_mut().poll(cx));
                self.slow_path = None;
            }
            let Some(reader) = &mut self.reader else { return Poll::Ready(()) };
            let outcome = ready!(reader.poll_read(cx));
            self.run_slow_path(outcome);
        }
    }
}

impl Task {
    fn run_slow_path(&mut self, outcome: ReadOutcome) {
        if let Some(reader) = self.reader.take() {
            self.slow_path = Some(Box::pin(reader.continue_slowly(outcome)));
        }
    }
}

/// The read side of one connection.
#[derive(Debug)]
pub(crate) struct Reader {
    socket: Arc<Socket>,
    session: Session<SocketSink>,
    decoder: FrameDecoder,
    /// When the message under way has to be complete.
    deadline: Option<Instant>,
    /// Counts for its address until the connection is gone.
    permit: Permit,
}

impl Reader {
    /// Reads a connection in a task of its own until it ends, beginning with the bytes that came after its request
    /// head.
    pub(crate) fn start(socket: Arc<Socket>, mut prefetched: Vec<u8>, session: Session<SocketSink>, permit: Permit) {
        let mut reader = Self { socket, session, decoder: FrameDecoder::new(), deadline: None, permit };
        let outcome = reader.feed(&mut prefetched);
        let is_idle = reader.is_idle(&outcome);
        let mut task = Task { reader: Some(reader), slow_path: None };
        if !is_idle {
            task.run_slow_path(outcome);
        }
        tokio::spawn(task);
    }

    /// Returns whether only bytes are waited for, without a time limit.
    fn is_idle(&self, outcome: &ReadOutcome) -> bool {
        matches!(outcome, ReadOutcome::All) && self.next_deadline().is_none()
    }

    /// Returns when the connection is closed, and why, if nothing comes until then: the rest of a message, or what its
    /// protocol demands.
    fn next_deadline(&self) -> Option<(Instant, CloseReason)> {
        let message = self.deadline.map(|at| (at, CloseReason::Protocol(ProtocolError::MessageTimeout)));
        match (message, self.session.deadline()) {
            (Some(message), Some(session)) => Some(if message.0 <= session.0 { message } else { session }),
            (message, session) => message.or(session),
        }
    }

    /// Waits for bytes and feeds them, until something else has to be waited for.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<ReadOutcome> {
        loop {
            ready!(self.socket.poll_readable(cx));
            let outcome = self.read_once();
            if !self.is_idle(&outcome) {
                return Poll::Ready(outcome);
            }
        }
    }

    /// Waits for what is not just the next bytes. Returns the reader when those are next, and `None` at the end.
    async fn continue_slowly(mut self, mut outcome: ReadOutcome) -> Option<Self> {
        let reason = loop {
            outcome = match (outcome, self.next_deadline()) {
                (ReadOutcome::All, None) => return Some(self),
                (ReadOutcome::All, Some((deadline, reason))) => self.read_until(deadline, reason).await,
                (ReadOutcome::Unread(unread), _) => self.resume(*unread).await,
                (ReadOutcome::Failed(reason), _) => break Some(reason),
                (ReadOutcome::End, _) => break None,
            };
        };
        self.finish(reason).await;
        None
    }

    /// Waits for bytes and feeds them; fails for that reason when none come in time.
    async fn read_until(&mut self, deadline: Instant, reason: CloseReason) -> ReadOutcome {
        match timeout_at(deadline, self.readable()).await {
            Ok(()) => self.read_once(),
            Err(_) => ReadOutcome::Failed(reason),
        }
    }

    /// Waits for bytes. An error counts as readable too.
    async fn readable(&self) {
        poll_fn(|cx| self.socket.poll_readable(cx)).await;
    }

    /// Reads what is there into the thread's scratch and feeds it.
    ///
    /// # Hot path
    ///
    /// Once per readable socket: one system call.
    fn read_once(&mut self) -> ReadOutcome {
        SCRATCH.with_borrow_mut(|scratch| match self.socket.receive(scratch) {
            Received::Bytes(taken) => self.feed(&mut scratch[..taken]),
            Received::Nothing => ReadOutcome::All,
            Received::End => ReadOutcome::End,
        })
    }

    /// Completes what was pending, then feeds the bytes that came after it.
    async fn resume(&mut self, unread: Unread) -> ReadOutcome {
        let Unread { pending, mut rest } = unread;
        match self.session.complete(pending).await {
            Ok(()) => self.feed(&mut rest),
            Err(reason) => ReadOutcome::Failed(reason),
        }
    }

    /// Decodes bytes and hands the events to the session. A panic in here ends this connection and no other.
    fn feed(&mut self, bytes: &mut [u8]) -> ReadOutcome {
        let before = self.decoder.partial_bytes();
        let outcome = catch(|| self.feed_unguarded(bytes));
        Metrics::change(&self.session.hub().metrics().process.partial_bytes, before, self.decoder.partial_bytes());
        outcome.unwrap_or_else(|| {
            Metrics::count(&self.session.hub().metrics().process.connection_panics);
            ReadOutcome::Failed(CloseReason::Internal)
        })
    }

    fn feed_unguarded(&mut self, bytes: &mut [u8]) -> ReadOutcome {
        let Self { session, decoder, deadline, .. } = self;
        let limits = session.hub().socket_limits();
        let timeout = limits.message_timeout;
        let limits = DecoderLimits { message_bytes_max: limits.message_bytes_max, fragments_max: limits.fragments_max };
        let (mut rest, mut has_message) = (bytes, false);
        let outcome = loop {
            let event = match decoder.next(&mut rest, &limits) {
                Ok(Some(event)) => event,
                Ok(None) => break ReadOutcome::All,
                Err(error) => break ReadOutcome::Failed(CloseReason::Protocol(error)),
            };
            has_message |= matches!(event, Event::Message { .. });
            match session.receive(event) {
                Flow::Done => {}
                Flow::Wait(pending) => break ReadOutcome::Unread(Box::new(Unread { pending, rest: rest.to_vec() })),
                Flow::Fail(reason) => break ReadOutcome::Failed(reason),
            }
        };
        // Each message has the full time: what was left for the one before it does not count.
        let running = deadline.filter(|_| !has_message);
        *deadline = (!decoder.is_idle()).then(|| running.unwrap_or_else(|| Instant::now() + timeout));
        outcome
    }

    /// Closes the connection if we end it, waits until its socket has ended, and frees its slot.
    async fn finish(mut self, reason: Option<CloseReason>) {
        // What is left of a message goes now: the peer may take its time to close.
        Metrics::change(&self.session.hub().metrics().process.partial_bytes, self.decoder.partial_bytes(), 0);
        self.decoder = FrameDecoder::new();
        if let Some(reason) = reason {
            self.session.close(reason).await;
            self.discard().await;
        }
        tracing::debug!(id = ?self.session.id(), "disconnected");
        self.session.end().await;
        drop(self.permit);
    }

    /// Drops what the peer still sends until its socket ends; the shard aborts it after `close_timeout`.
    async fn discard(&self) {
        let mut left = DISCARDED_MAX;
        while left > 0 {
            self.readable().await;
            match SCRATCH.with_borrow_mut(|scratch| self.socket.receive(scratch)) {
                Received::Bytes(taken) => left = left.saturating_sub(taken),
                Received::Nothing => {}
                Received::End => return,
            }
        }
    }
}

/// Runs `feed`; `None` when it panicked.
fn catch<T>(feed: impl FnOnce() -> T) -> Option<T> {
    // Unwind safe: decoder and session take no more bytes after a failure.
    catch_unwind(AssertUnwindSafe(feed)).inspect_err(|_| tracing::error!("a bug ended a connection")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bug in one connection must cost that connection and be seen; the reader turns `None` into 1011.
    #[test]
    fn panic_while_feeding_is_caught() {
        assert!(catch(|| -> ReadOutcome { panic!("injected") }).is_none());
        assert!(matches!(catch(|| ReadOutcome::All), Some(ReadOutcome::All)));
    }
}
