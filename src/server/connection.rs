//! The way of one connection from its acceptance to its upgrade: what comes before HTTP, then HTTP until it ends or
//! becomes a WebSocket.

use crate::config::Limits;
use crate::http::service::{HttpService, Peer};
use crate::http::websocket::upgrade::{self, PendingUpgrade};
use crate::metrics::Refusal;
use crate::net::admission::HandshakeGuard;
use crate::net::endpoint::Endpoint;
use crate::net::socket::Socket;
use crate::net::{proxy_protocol, tls};
use crate::operation::lifecycle::Stage;
use crate::operation::state::State;
use bytes::Bytes;
use hyper::server::conn::http1::{self, Parts};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Bytes of a request's head. hyper keeps as much for each handshake in progress.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// Serves a connection until it ends or becomes a WebSocket.
pub(crate) async fn serve(
    (mut stream, peer): (TcpStream, IpAddr),
    endpoint: Arc<Endpoint>,
    state: Arc<State>,
    guard: HandshakeGuard,
) {
    let peer = match before_http(&mut stream, peer, &endpoint, &state).await {
        Ok(peer) => peer,
        Err(reason) => return state.hub.metrics().refuse(reason),
    };
    if endpoint.tls.is_some() {
        // Boxed: the tasks of other addresses are not to be larger for it.
        return Box::pin(serve_encrypted(stream, peer, endpoint, state, guard)).await;
    }
    let served = serve_http(stream, Peer { addr: peer, is_counted: false }, endpoint, state, guard).await;
    let Some((stream, pending)) = served else { return };
    finish(Socket::plain(stream), pending).await;
}

/// The same behind a TLS handshake.
async fn serve_encrypted(
    stream: TcpStream,
    peer: IpAddr,
    endpoint: Arc<Endpoint>,
    state: Arc<State>,
    guard: HandshakeGuard,
) {
    let Some(settings) = &endpoint.tls else { return };
    // What a stranger would cost here is counted before it is spent.
    let is_counted = match state.admission.count_attempt(peer, &state.settings.load()) {
        Ok(is_counted) => is_counted,
        Err(excess) => return state.hub.metrics().refuse(excess.refusal()),
    };
    let longest = state.hub.limits().handshake_timeout;
    let accepted = tokio::select! {
        accepted = tls::accept(stream, settings, longest) => accepted,
        () = guard.evicted() => return,
    };
    let stream = match accepted {
        Ok(stream) => stream,
        Err(reason) => {
            if let Some(reason) = reason {
                state.hub.metrics().refuse(reason);
            }
            return;
        }
    };
    let served = serve_http(stream, Peer { addr: peer, is_counted }, endpoint, state, guard).await;
    let Some((stream, pending)) = served else { return };
    let (stream, connection) = stream.into_inner();
    finish(Socket::encrypted(stream, connection), pending).await;
}

/// Goes on behind HTTP.
async fn finish(socket: Socket, pending: Option<(Bytes, PendingUpgrade)>) {
    match pending {
        Some((prefetched, pending)) => upgrade::complete(socket, prefetched, pending).await,
        None => socket.finish(),
    }
}

/// Serves HTTP on a stream until it ends. Returns the stream, and what came behind the request if that has settled that
/// a WebSocket follows; `None` when the connection was cut off.
async fn serve_http<I: AsyncRead + AsyncWrite + Unpin>(
    stream: I,
    peer: Peer,
    endpoint: Arc<Endpoint>,
    state: Arc<State>,
    guard: HandshakeGuard,
) -> Option<(I, Option<(Bytes, PendingUpgrade)>)> {
    let mut stage = state.lifecycle.watch();
    // While the hub only leaves its balancer, who comes is served as ever.
    let accepted_in = Stage::NotReady.max(*stage.borrow_and_update());
    let mut builder = builder(&state.hub.limits());
    // Who comes during a stop gets one answer.
    builder.keep_alive(accepted_in == Stage::NotReady);
    let hub = state.hub.clone();
    let mut connection = builder.serve_connection(TokioIo::new(stream), HttpService::new(state, endpoint, peer));
    let served = tokio::select! {
        served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => served,
        // Cut off for a newcomer: what it has sent so far earned it no answer.
        () = guard.evicted() => return None,
        () = until_after(accepted_in, &mut stage) => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    if let Some(reason) = served.as_ref().err().and_then(refused) {
        hub.metrics().refuse(reason);
    }
    let Parts { io, read_buf, service, .. } = connection.into_parts();
    // What a peer does wrong here concerns only itself; hyper answers what can be answered.
    let pending = served.ok().and_then(|()| service.into_pending_upgrade());
    Some((io.into_inner(), pending.map(|pending| (read_buf, pending))))
}

/// Returns what a request is counted as that hyper itself has answered, or given up.
fn refused(error: &hyper::Error) -> Option<Refusal> {
    if error.is_timeout() {
        Some(Refusal::Timeout)
    } else if error.is_parse_too_large() {
        Some(Refusal::HeadSize)
    } else {
        error.is_parse().then_some(Refusal::BadRequest)
    }
}

/// Reads what an address asks for before HTTP. Returns who is on the other side of it.
async fn before_http(
    stream: &mut TcpStream,
    peer: IpAddr,
    endpoint: &Endpoint,
    state: &State,
) -> Result<IpAddr, Refusal> {
    if !endpoint.has_proxy_protocol {
        return Ok(peer);
    }
    let trusted = state.settings.load().access.trusted_proxies.clone();
    // Boxed: the tasks of other addresses are not to be larger for it.
    Box::pin(proxy_protocol::client(stream, peer, &trusted)).await
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
