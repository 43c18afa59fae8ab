//! A reader: the small task that reads one connection, and all that an idle connection keeps running.
//!
//! Bytes land in a scratch buffer that the connections of a thread share, and the gate cuts messages out of it in
//! place: a silent connection holds no buffer. Nothing awaits while the scratch is in use; what has to wait for a shard
//! takes the unread rest with it, and the socket is not read meanwhile.

use super::socket::{Received, SocketSink, receive};
use crate::metrics::Metrics;
use crate::protocol::{CloseReason, Event, Gate, GateLimits, ProtocolError};
use crate::session::{Flow, Pending, Session};
use bytes::Bytes;
use std::cell::RefCell;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Bytes of one read: a message of the default largest size, and a burst of small ones, come in one system call.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Most bytes read and dropped after a close frame was queued, so that the kernel does not answer unread ones with a
/// reset, which would overtake the close frame.
const DISCARDED_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// What came of some bytes, and what the reader does next.
#[derive(Debug)]
enum Fed {
    /// All were taken: wait for more.
    All,
    /// One event has to wait; the rest comes after it. Boxed: rare, and the idle reader is small.
    Blocked(Box<Blocked>),
    /// The connection is over.
    Failed(CloseReason),
    /// The peer has ended.
    End,
}

#[derive(Debug)]
struct Blocked {
    pending: Pending<SocketSink>,
    rest: Vec<u8>,
}

/// The read side of one connection. Boxed by its task, which would keep a second copy of a plain argument.
#[derive(Debug)]
pub(super) struct Reader {
    stream: Arc<TcpStream>,
    session: Session<SocketSink>,
    gate: Gate,
    /// When the message under way has to be complete.
    deadline: Option<Instant>,
}

impl Reader {
    /// Reads a connection in a task of its own until it ends, beginning with what came behind its request head.
    pub(super) fn start(stream: Arc<TcpStream>, early: Bytes, session: Session<SocketSink>) {
        let mut reader = Box::new(Self { stream, session, gate: Gate::new(), deadline: None });
        let fed = reader.feed(&mut Vec::from(early));
        tokio::spawn(reader.run(fed));
    }

    /// Reads until the connection is over, then frees its place.
    async fn run(mut self: Box<Self>, mut fed: Fed) {
        // Rare and last things are boxed: what this task holds while it waits for bytes is what a connection costs.
        let reason = loop {
            fed = match fed {
                Fed::All => self.read().await,
                Fed::Blocked(blocked) => Box::pin(self.resume(*blocked)).await,
                Fed::Failed(reason) => break Some(reason),
                Fed::End => break None,
            };
        };
        Box::pin(self.finish(reason)).await;
    }

    /// Waits for bytes and feeds what is there.
    async fn read(&mut self) -> Fed {
        if !self.is_readable().await {
            return Fed::Failed(CloseReason::Protocol(ProtocolError::MessageTimeout));
        }
        self.read_once()
    }

    /// Waits for bytes; returns whether they came in time.
    async fn is_readable(&self) -> bool {
        // Smaller than `readable()`, which keeps a node for a list of waiters. An error is readable too.
        let readable = poll_fn(|cx| self.stream.poll_read_ready(cx).map(|_| ()));
        match self.deadline {
            None => {
                readable.await;
                true
            }
            // A timer is larger than all the rest of an idle reader, and only a message under way needs one.
            Some(deadline) => Box::pin(timeout_at(deadline, readable)).await.is_ok(),
        }
    }

    /// Reads what is there into the thread's scratch and feeds it.
    ///
    /// # Hot path
    ///
    /// Once per readable socket: one system call.
    fn read_once(&mut self) -> Fed {
        SCRATCH.with_borrow_mut(|scratch| match receive(&self.stream, scratch) {
            Received::Bytes(taken) => self.feed(&mut scratch[..taken]),
            Received::Nothing => Fed::All,
            Received::End => Fed::End,
        })
    }

    /// Waits for what was pending, then feeds what came behind it.
    async fn resume(&mut self, blocked: Blocked) -> Fed {
        let Blocked { pending, mut rest } = blocked;
        self.session.settle(pending).await;
        self.feed(&mut rest)
    }

    /// Cuts messages out of bytes and hands them to the session. A bug in here ends this connection and no other.
    fn feed(&mut self, bytes: &mut [u8]) -> Fed {
        let fed = catch(|| self.feed_unguarded(bytes));
        fed.unwrap_or_else(|| {
            Metrics::count(&self.session.hub().metrics().connection_panics);
            Fed::Failed(CloseReason::Internal)
        })
    }

    fn feed_unguarded(&mut self, bytes: &mut [u8]) -> Fed {
        let Self { session, gate, deadline, .. } = self;
        let limits = session.hub().limits();
        let timeout = limits.message_timeout;
        let limits = GateLimits { message_bytes_max: limits.message_bytes_max, fragments_max: limits.fragments_max };
        let (mut stop, mut has_message) = (None, false);
        let taken = gate.feed(bytes, &limits, &mut |event| {
            has_message |= matches!(event, Event::Message { .. });
            match session.receive(event) {
                Flow::Done => ControlFlow::Continue(()),
                flow => {
                    stop = Some(flow);
                    ControlFlow::Break(())
                }
            }
        });
        // A message has its own time: what is left of the one before it does not count.
        let running = deadline.filter(|_| !has_message);
        *deadline = (!gate.is_idle()).then(|| running.unwrap_or_else(|| Instant::now() + timeout));
        match (stop, taken) {
            (Some(Flow::Fail(reason)), _) => Fed::Failed(reason),
            (Some(Flow::Wait(pending)), Ok(taken)) => {
                Fed::Blocked(Box::new(Blocked { pending, rest: bytes[taken..].to_vec() }))
            }
            (_, Err(error)) => Fed::Failed(CloseReason::Protocol(error)),
            (Some(Flow::Done) | None, Ok(_)) => Fed::All,
        }
    }

    /// Has the connection closed if that is for us to do, waits until its socket has ended, and frees its place.
    async fn finish(mut self: Box<Self>, reason: Option<CloseReason>) {
        if let Some(reason) = reason {
            self.session.close(reason).await;
            self.deadline = None;
            self.discard().await;
        }
        self.session.end().await;
    }

    /// Drops what the peer still sends until it ends. The shard sees to it that it does.
    async fn discard(&self) {
        let mut left = DISCARDED_MAX;
        while left > 0 {
            self.is_readable().await;
            match SCRATCH.with_borrow_mut(|scratch| receive(&self.stream, scratch)) {
                Received::Bytes(taken) => left = left.saturating_sub(taken),
                Received::Nothing => {}
                Received::End => return,
            }
        }
    }
}

/// Runs what a peer's bytes lead to; `None` when it panicked.
fn catch<T>(feed: impl FnOnce() -> T) -> Option<T> {
    // Unwind safe: gate and session take no more bytes after a failure.
    catch_unwind(AssertUnwindSafe(feed)).inspect_err(|_| tracing::error!("a bug ended a connection")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bug in one connection must cost that connection and be seen; the reader turns `None` into 1011.
    #[test]
    fn panic_while_feeding_is_caught() {
        assert!(catch(|| -> Fed { panic!("injected") }).is_none());
        assert!(matches!(catch(|| Fed::All), Some(Fed::All)));
    }
}
