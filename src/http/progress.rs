//! How far an HTTP connection has come, seen from the bytes and the requests of its client.
//!
//! hyper has one time limit for the head of a request, and for it every silence between two requests is a slow head.
//! So the limits are kept here: a head has its own, an idle connection another.

use parking_lot::Mutex;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Waiting {
    /// The first byte of the first request. Browsers connect in advance, and balancers to see whether it works.
    FirstByte,
    /// The rest of the head of a request.
    Head,
    /// The response, which is ours.
    Response,
    /// The first byte of another request.
    NextRequest,
}

/// What a connection waits for, since when, and whether a body is unread; shared by its stream and its service.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    waiting: Waiting,
    since: Instant,
    has_unread_body: bool,
    is_kept: bool,
}

/// Times after which a connection is closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgressLimits {
    /// For a head, from its first byte, and for the first byte of the first one.
    pub(crate) head: Duration,
    /// For the first byte of each further one.
    pub(crate) idle: Duration,
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        let state =
            State { waiting: Waiting::FirstByte, since: Instant::now(), has_unread_body: false, is_kept: false };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Returns whether the last request had a body that was not read.
    pub(crate) fn has_unread_body(&self) -> bool {
        self.state.lock().has_unread_body
    }

    /// Returns what the connection waits for.
    pub(crate) fn waiting(&self) -> Waiting {
        self.state.lock().waiting
    }

    pub(super) fn begin_response(&self, has_body: bool) {
        let (waiting, since) = (Waiting::Response, Instant::now());
        *self.state.lock() = State { waiting, since, has_unread_body: has_body, is_kept: false };
    }

    /// Notes that the body of the request was read.
    pub(super) fn note_body_read(&self) {
        self.state.lock().has_unread_body = false;
    }

    /// Notes that the request has a key, so that it is carried out even if another request needs the place.
    pub(super) fn keep(&self) {
        self.state.lock().is_kept = true;
    }

    /// Returns whether the request in progress has to be carried out.
    pub(crate) fn is_kept(&self) -> bool {
        self.state.lock().is_kept
    }

    pub(super) fn end_response(&self) {
        let mut state = self.state.lock();
        (state.waiting, state.since, state.is_kept) = (Waiting::NextRequest, Instant::now(), false);
    }

    fn note_bytes(&self) {
        let mut state = self.state.lock();
        if matches!(state.waiting, Waiting::FirstByte | Waiting::NextRequest) {
            (state.waiting, state.since) = (Waiting::Head, Instant::now());
        }
    }

    /// Waits until the client has taken too long, and returns what for.
    ///
    /// Poll it after the connection, in the same task: it looks at the progress when it is polled, and tells `observe`
    /// what is waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn expired(&self, limits: ProgressLimits, observe: impl Fn(Waiting)) -> Waiting {
        let mut timer: Pin<&mut Sleep> = pin!(sleep(limits.head));
        poll_fn(|cx| {
            let State { waiting, since, .. } = *self.state.lock();
            observe(waiting);
            loop {
                let limit = match waiting {
                    Waiting::FirstByte | Waiting::Head => limits.head,
                    Waiting::NextRequest => limits.idle,
                    Waiting::Response => return Poll::Pending,
                };
                let deadline = since + limit;
                if Instant::now() >= deadline {
                    return Poll::Ready(waiting);
                }
                timer.as_mut().reset(deadline);
                ready!(timer.as_mut().poll(cx));
            }
        })
        .await
    }
}

/// A stream that notes the bytes of its client.
#[derive(Debug)]
pub(crate) struct Observed<I> {
    stream: I,
    progress: Arc<Progress>,
}

impl<I> Observed<I> {
    pub(crate) fn new(stream: I, progress: Arc<Progress>) -> Self {
        Self { stream, progress }
    }

    pub(crate) fn into_inner(self) -> I {
        self.stream
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Observed<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.progress.note_bytes();
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Observed<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
