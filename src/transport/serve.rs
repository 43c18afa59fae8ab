//! The way of one connection from its acceptance to its upgrade: what comes before HTTP, then HTTP until it ends or
//! becomes a WebSocket.

use super::http::{Context, Desk, Stage};
use super::upgrade;
use crate::config::{Address, Limits};
use hyper::server::conn::http1::{self, Parts};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use std::future::poll_fn;
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Bytes of a request's head. hyper keeps as much for each handshake in progress.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// What all who come in at one address share.
#[derive(Debug)]
pub(super) struct Door {
    /// For operators and their tools; clients go elsewhere.
    pub(super) is_internal: bool,
    /// Every connection has to begin with a header of the PROXY protocol.
    pub(super) has_proxy_protocol: bool,
    /// TLS is spoken.
    pub(super) has_tls: bool,
}

impl Door {
    pub(super) fn new(address: &Address, is_internal: bool) -> Self {
        Self { is_internal, has_proxy_protocol: address.has_proxy_protocol, has_tls: address.has_tls }
    }
}

/// Serves HTTP on a connection until it ends or becomes a WebSocket.
pub(super) async fn serve(
    (stream, peer): (TcpStream, IpAddr),
    door: Arc<Door>,
    context: Arc<Context>,
    permit: OwnedSemaphorePermit,
) {
    let mut stage = context.stage.subscribe();
    let accepted_in = *stage.borrow_and_update();
    let mut builder = builder(&context.hub.limits());
    // Who comes during a stop gets one answer.
    builder.keep_alive(accepted_in == Stage::Serving);
    let mut connection = builder.serve_connection(TokioIo::new(stream), Desk::new(context, door, peer));
    let served = tokio::select! {
        served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => served,
        () = until_after(accepted_in, &mut stage) => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    let Parts { io, read_buf, service, .. } = connection.into_parts();
    drop(permit);
    match (served, service.agreed()) {
        (Ok(()), Some(agreed)) => upgrade::take_over(io.into_inner(), read_buf, agreed).await,
        // What a peer does wrong here concerns only itself; hyper answers what can be answered. The end fails only when
        // the peer ended first.
        (Ok(()) | Err(_), _) => drop(SockRef::from(io.inner()).shutdown(Shutdown::Write)),
    }
}

/// Waits until the stage is over, or nobody is left to end it.
async fn until_after(stage: Stage, current: &mut watch::Receiver<Stage>) {
    // A function of its own, so that the guard is not kept by a task that goes on.
    drop(current.wait_for(|current| *current > stage).await);
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Without a timer hyper ignores the timeout.
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
}
