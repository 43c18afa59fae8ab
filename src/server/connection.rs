//! One connection, from accept to upgrade: the PROXY header, the TLS handshake, then HTTP until it ends or becomes a
//! WebSocket.

use crate::config::SocketLimits;
use crate::http::service::{HttpService, Peer};
use crate::http::websocket::upgrade::{self, PendingUpgrade};
use crate::metrics::Refusal;
use crate::net::address::ClientAddress;
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
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;

/// Largest request head in bytes. hyper keeps a buffer of this size at most for each handshake in progress.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most headers in a request.
const HEADERS_MAX: usize = 64;

/// A connection as it was accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    /// The other end of the socket: a client, or a proxy.
    pub(super) peer: IpAddr,
}

/// The outcome of HTTP on a connection.
struct Served<I> {
    stream: I,
    /// `None` if the last request did not become a WebSocket.
    upgrade: Option<Upgrade>,
}

/// An upgrade whose 101 is sent.
struct Upgrade {
    pending: PendingUpgrade,
    /// Bytes that hyper read past the request: the first frames of a client that does not wait for the 101.
    prefetched: Bytes,
}

/// Serves a connection until it ends or becomes a WebSocket.
pub(super) async fn serve(accepted: Accepted, endpoint: Arc<Endpoint>, state: Arc<State>, guard: HandshakeGuard) {
    let Accepted { mut stream, peer } = accepted;
    let addr = match resolve_peer(&mut stream, peer, &endpoint, &state).await {
        Ok(addr) => addr,
        Err(reason) => return refuse(&state, reason),
    };
    if endpoint.tls.is_some() {
        // Boxed: the tasks of other endpoints must not be larger for it.
        return Box::pin(serve_encrypted(stream, addr, endpoint, state, guard)).await;
    }
    let peer = Peer { addr, is_counted: false };
    if let Some(Served { stream, upgrade }) = serve_http(stream, peer, endpoint, state, guard).await {
        finish(Socket::plain(stream), upgrade).await;
    }
}

/// Makes the TLS handshake, then serves HTTP.
async fn serve_encrypted(
    stream: TcpStream,
    addr: ClientAddress,
    endpoint: Arc<Endpoint>,
    state: Arc<State>,
    guard: HandshakeGuard,
) {
    let Some(tls_config) = &endpoint.tls else { return };
    // Before the handshake, because its signature is the most expensive step that an unknown client can cause.
    let is_counted = match state.admission.count_attempt(addr, &state.settings.load()) {
        Ok(is_counted) => is_counted,
        Err(excess) => return state.hub.metrics().refuse(excess.refusal()),
    };
    let handshake_timeout = state.settings.load().sockets.handshake_timeout;
    let accepted = tokio::select! {
        accepted = tls::accept(stream, tls_config, handshake_timeout) => accepted,
        () = guard.evicted() => return refuse(&state, Some(Refusal::HandshakesAddress)),
    };
    let stream = match accepted {
        Ok(stream) => stream,
        Err(reason) => return refuse(&state, reason),
    };
    let peer = Peer { addr, is_counted };
    if let Some(Served { stream, upgrade }) = serve_http(stream, peer, endpoint, state, guard).await {
        let (stream, connection) = stream.into_inner();
        finish(Socket::encrypted(stream, connection), upgrade).await;
    }
}

/// Counts a refusal, unless the peer was a probe that closed the connection by itself.
fn refuse(state: &State, reason: Option<Refusal>) {
    if let Some(reason) = reason {
        state.hub.metrics().refuse(reason);
    }
}

/// Completes the upgrade, or ends the connection.
async fn finish(socket: Socket, upgrade: Option<Upgrade>) {
    match upgrade {
        Some(Upgrade { pending, prefetched }) => upgrade::complete(socket, prefetched, pending).await,
        None => socket.finish(),
    }
}

/// Serves HTTP until it ends or a request was answered with 101. Returns `None` if the handshake was evicted.
async fn serve_http<I: AsyncRead + AsyncWrite + Unpin>(
    stream: I,
    peer: Peer,
    endpoint: Arc<Endpoint>,
    state: Arc<State>,
    guard: HandshakeGuard,
) -> Option<Served<I>> {
    let mut stage = state.lifecycle.watch();
    // While the hub is only not ready, connections are served as ever.
    let accepted_in = Stage::NotReady.max(*stage.borrow_and_update());
    let mut builder = builder(&state.settings.load().sockets);
    // During a stop each connection gets one response.
    builder.keep_alive(accepted_in == Stage::NotReady);
    let hub = state.hub.clone();
    let mut connection = builder.serve_connection(TokioIo::new(stream), HttpService::new(state, endpoint, peer));
    // Without a shutdown, because after a 101 the socket stays in use.
    let served = tokio::select! {
        served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => served,
        () = guard.evicted() => {
            // A request that has arrived meanwhile is answered: the yield lets the runtime look at the sockets.
            yield_now().await;
            match timeout(Duration::ZERO, poll_fn(|cx| connection.poll_without_shutdown(cx))).await {
                Ok(served) => served,
                // A client that has not finished its request by now gets no response.
                Err(_) => {
                    hub.metrics().refuse(Refusal::HandshakesAddress);
                    return None;
                }
            }
        }
        // Lets the request in progress end, and refuses another one.
        () = stage_ended(accepted_in, &mut stage) => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    if let Some(reason) = served.as_ref().err().and_then(refusal) {
        hub.metrics().refuse(reason);
    }
    let Parts { io, read_buf: prefetched, service, .. } = connection.into_parts();
    // An error concerns this peer only, and hyper has responded to it where a response was possible.
    let pending = served.ok().and_then(|()| service.into_pending_upgrade());
    Some(Served { stream: io.into_inner(), upgrade: pending.map(|pending| Upgrade { pending, prefetched }) })
}

/// Returns the reason that the metrics count a request under which hyper itself has refused.
fn refusal(error: &hyper::Error) -> Option<Refusal> {
    if error.is_timeout() {
        Some(Refusal::Timeout)
    } else if error.is_parse_too_large() {
        Some(Refusal::HeadSize)
    } else {
        error.is_parse().then_some(Refusal::BadRequest)
    }
}

/// Reads the PROXY header where the endpoint requires one. Returns the address that the connection counts for.
async fn resolve_peer(
    stream: &mut TcpStream,
    peer: IpAddr,
    endpoint: &Endpoint,
    state: &State,
) -> Result<ClientAddress, Option<Refusal>> {
    if !endpoint.has_proxy_protocol {
        return Ok(ClientAddress::of_peer(peer));
    }
    let trusted = state.settings.load().access.trusted_proxies.clone();
    // Boxed: the tasks of other endpoints must not be larger for it.
    Box::pin(proxy_protocol::client(stream, peer, &trusted)).await
}

/// Waits until a later stage begins. If the sender is gone, the server is as well.
async fn stage_ended(stage: Stage, current: &mut watch::Receiver<Stage>) {
    // Dropped here: the returned guard would keep the stage locked.
    drop(current.wait_for(|current| *current > stage).await);
}

fn builder(limits: &SocketLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Without a timer hyper ignores the timeout.
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
}
