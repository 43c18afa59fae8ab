//! A reader: the small task that reads one connection, and all that an idle connection keeps running.
//!
//! Bytes land in a scratch buffer that the connections of a thread share, and the gate cuts messages out of it in
//! place: a silent connection holds no buffer. Nothing awaits while the scratch is in use; what has to wait for a shard
//! takes the unread rest with it, and the socket is not read meanwhile.

use super::socket::{Received, SocketSink, receive};
use crate::hub::Sink;
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

/// What came of some bytes.
#[derive(Debug)]
enum Fed {
    /// All were taken. Tells whether a message was among them.
    All { has_message: bool },
    /// One event has to wait; the rest comes after it. Boxed: rare, and the idle reader is small.
    Blocked(Box<Blocked>),
    /// The connection is over.
    Failed(CloseReason),
}

#[derive(Debug)]
struct Blocked {
    pending: Pending<SocketSink>,
    rest: Vec<u8>,
    has_message: bool,
}

/// Reads a connection until it ends, then frees its place.
pub(super) async fn read(stream: Arc<TcpStream>, early: Bytes, mut session: Session<SocketSink>) {
    if let ControlFlow::Break(reason) = read_until_over(&stream, early, &mut session).await {
        Box::pin(discard(&stream, &session, reason)).await;
    }
    session.end().await;
}

/// Reads until the peer ends (`Continue`) or the connection has to be closed (`Break`).
async fn read_until_over(
    stream: &TcpStream,
    early: Bytes,
    session: &mut Session<SocketSink>,
) -> ControlFlow<CloseReason> {
    let mut gate = Gate::new();
    let mut fed = Some(feed(&mut gate, session, &mut Vec::from(early)));
    let mut deadline = None;
    loop {
        match fed {
            None => {}
            Some(Fed::Failed(reason)) => return ControlFlow::Break(reason),
            Some(Fed::Blocked(blocked)) => {
                Box::pin(session.settle(blocked.pending)).await;
                // What was under way is complete: the time it waited is not the next message's.
                deadline = deadline.filter(|_| !blocked.has_message);
                let mut rest = blocked.rest;
                fed = Some(feed(&mut gate, session, &mut rest));
                continue;
            }
            Some(Fed::All { has_message }) => {
                let is_late = deadline.filter(|_| !has_message);
                let timeout = session.hub().limits().message_timeout;
                deadline = (!gate.is_idle()).then(|| is_late.unwrap_or_else(|| Instant::now() + timeout));
            }
        }
        if !is_readable(stream, deadline).await {
            return ControlFlow::Break(CloseReason::Protocol(ProtocolError::MessageTimeout));
        }
        fed = match read_once(stream, &mut gate, session) {
            Received::End => return ControlFlow::Continue(()),
            Received::Nothing => None,
            Received::Bytes(fed) => Some(fed),
        };
    }
}

/// Waits for bytes; returns whether they came in time.
async fn is_readable(stream: &TcpStream, deadline: Option<Instant>) -> bool {
    // Smaller than `readable()`, which keeps a node for a list of waiters. An error is readable too.
    let readable = poll_fn(|cx| stream.poll_read_ready(cx).map(|_| ()));
    match deadline {
        None => {
            readable.await;
            true
        }
        // Boxed: a timer is larger than all the rest of an idle reader, and only a message under way needs one.
        Some(deadline) => Box::pin(timeout_at(deadline, readable)).await.is_ok(),
    }
}

/// Reads what is there into the thread's scratch and feeds it.
fn read_once(stream: &TcpStream, gate: &mut Gate, session: &mut Session<SocketSink>) -> Received<Fed> {
    SCRATCH.with_borrow_mut(|scratch| match receive(stream, scratch) {
        Received::Bytes(taken) => Received::Bytes(feed(gate, session, &mut scratch[..taken])),
        Received::Nothing => Received::Nothing,
        Received::End => Received::End,
    })
}

/// Cuts messages out of bytes and hands them to the session. A bug in here ends this connection and no other.
fn feed(gate: &mut Gate, session: &mut Session<SocketSink>, bytes: &mut [u8]) -> Fed {
    let metrics = session.hub().clone();
    guard(metrics.metrics(), || feed_unguarded(gate, session, bytes))
}

fn feed_unguarded(gate: &mut Gate, session: &mut Session<SocketSink>, bytes: &mut [u8]) -> Fed {
    let limits = session.hub().limits();
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
    match (stop, taken) {
        (Some(Flow::Fail(reason)), _) => Fed::Failed(reason),
        (Some(Flow::Wait(pending)), Ok(taken)) => {
            Fed::Blocked(Box::new(Blocked { pending, rest: bytes[taken..].to_vec(), has_message }))
        }
        (_, Err(error)) => Fed::Failed(CloseReason::Protocol(error)),
        (Some(Flow::Done) | None, Ok(_)) => Fed::All { has_message },
    }
}

/// Runs what a peer's bytes lead to; a panic is counted and ends the connection with 1011.
fn guard(metrics: &Metrics, feed: impl FnOnce() -> Fed) -> Fed {
    // Unwind safe: gate and session are not used again after a failure.
    catch_unwind(AssertUnwindSafe(feed)).unwrap_or_else(|_| {
        Metrics::count(&metrics.connection_panics);
        tracing::error!("a bug ended a connection");
        Fed::Failed(CloseReason::Internal)
    })
}

/// Has the connection closed, and drops what the peer still sends until it ends. The shard sees to it that it does.
async fn discard<S: Sink>(stream: &TcpStream, session: &Session<S>, reason: CloseReason) {
    session.close(reason).await;
    let mut left = DISCARDED_MAX;
    while left > 0 {
        is_readable(stream, None).await;
        match SCRATCH.with_borrow_mut(|scratch| receive(stream, scratch)) {
            Received::Bytes(taken) => left = left.saturating_sub(taken),
            Received::Nothing => {}
            Received::End => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    /// A bug in one connection must cost that connection and be seen.
    #[test]
    fn panic_while_feeding_closes_the_connection_with_internal_error() {
        let metrics = Metrics::new(1);
        let fed = guard(&metrics, || panic!("injected"));
        assert!(matches!(fed, Fed::Failed(CloseReason::Internal)));
        assert_eq!(metrics.connection_panics.load(Ordering::Relaxed), 1);
    }
}
