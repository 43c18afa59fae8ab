//! One connection, from accept to upgrade: the PROXY header, the TLS handshake, then HTTP until it ends or becomes a
//! WebSocket.

use crate::http::progress::{Observed, Progress, ProgressLimits, Waiting};
use crate::http::service::{HttpService, Peer};
use crate::http::websocket::upgrade::{self, PendingUpgrade};
use crate::metrics::Refusal;
use crate::net::address::ClientAddress;
use crate::net::admission::HandshakeGuard;
use crate::net::endpoint::Endpoint;
use crate::net::readiness::Received;
use crate::net::socket::Socket;
use crate::net::{proxy_protocol, tls};
use crate::operation::lifecycle::Stage;
use crate::operation::state::State;
use bytes::Bytes;
use hyper::server::conn::http1::{self, Parts};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
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

/// Most bytes read and dropped of a body that no route reads: unread ones make the kernel reset the connection, and the
/// client would lose the response.
const DISCARDED_MAX: usize = 4 * 1024 * 1024;

/// Longest time that is spent on it.
const DISCARD_TIME: Duration = Duration::from_secs(1);

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
    /// What follows.
    end: End,
}

/// What follows the HTTP on a connection.
enum End {
    /// The last request became a WebSocket.
    Upgrade(Upgrade),
    /// Nothing.
    Close,
    /// A client that may still be sending a body is waited for, while the handshake counts.
    Discard(HandshakeGuard),
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
        Err(reason) => return refuse(&state, peer, reason),
    };
    if endpoint.tls.is_some() {
        // Boxed: the tasks of other endpoints must not be larger for it.
        return Box::pin(serve_encrypted(stream, addr, endpoint, state, guard)).await;
    }
    let peer = Peer { addr, is_counted: false };
    if let Some(Served { stream, end }) = serve_http(stream, peer, endpoint, state, guard).await {
        finish(Socket::plain(stream), end).await;
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
        Err(excess) => return state.refuse(addr.addr, excess.refusal()),
    };
    let handshake_timeout = state.settings.load().sockets.handshake_timeout;
    let accepted = tokio::select! {
        accepted = tls::accept(stream, tls_config, handshake_timeout) => accepted,
        () = guard.evicted() => return state.refuse(addr.addr, Refusal::HandshakesAddress),
    };
    let stream = match accepted {
        Ok(stream) => stream,
        Err(reason) => return refuse(&state, addr.addr, reason),
    };
    let peer = Peer { addr, is_counted };
    if let Some(Served { stream, end }) = serve_http(stream, peer, endpoint, state, guard).await {
        let (stream, connection) = stream.into_inner();
        finish(Socket::encrypted(stream, connection), end).await;
    }
}

/// Counts a refusal, unless the peer was a probe that closed the connection by itself.
fn refuse(state: &State, peer: IpAddr, reason: Option<Refusal>) {
    if let Some(reason) = reason {
        state.refuse(peer, reason);
    }
}

/// Completes the upgrade, or ends the connection.
async fn finish(socket: Socket, end: End) {
    match end {
        End::Upgrade(Upgrade { pending, prefetched }) => upgrade::complete(socket, prefetched, pending).await,
        End::Close => socket.finish(),
        End::Discard(guard) => {
            socket.finish();
            // Whether the client has ended or not, there is no more to do for it.
            drop(timeout(DISCARD_TIME, discard(&socket)).await);
            drop(guard);
        }
    }
}

/// Drops what the client still sends until it ends.
async fn discard(socket: &Socket) {
    let (mut buffer, mut left) = (vec![0; 16 * 1024], DISCARDED_MAX);
    while left > 0 {
        poll_fn(|cx| socket.poll_readable(cx)).await;
        match socket.receive(&mut buffer) {
            Received::Bytes(taken) => left = left.saturating_sub(taken),
            Received::Nothing => {}
            Received::End => return,
        }
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
    let limits = {
        let settings = state.settings.load();
        ProgressLimits { head: settings.sockets.handshake_timeout, idle: settings.sockets.keep_alive_timeout }
    };
    let progress = Progress::new();
    let (refusing, addr) = (Arc::clone(&state), peer.addr.addr);
    let stream = TokioIo::new(Observed::new(stream, Arc::clone(&progress)));
    let service = HttpService::new(state, endpoint, peer, Arc::clone(&progress));
    // During a stop each connection gets one response.
    let mut connection = builder().keep_alive(accepted_in == Stage::NotReady).serve_connection(stream, service);
    let served = {
        let note_idle = |waiting| guard.set_idle(waiting == Waiting::NextRequest);
        let mut expired = pin!(progress.expired(limits, note_idle));
        let mut evicted = pin!(guard.evicted());
        let mut is_stopping = false;
        loop {
            tokio::select! {
                // The connection first, and what depends on its progress after it.
                biased;
                // Without a shutdown, because after a 101 the socket stays in use.
                served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break Some(served),
                // A backend's request is carried out; its place is free for others when it is idle again.
                () = &mut evicted, if !progress.is_kept() => {
                    // A request that has arrived meanwhile is answered: the yield lets the runtime look at the sockets.
                    yield_now().await;
                    let poll = poll_fn(|cx| connection.poll_without_shutdown(cx));
                    if let Ok(served) = timeout(Duration::ZERO, poll).await {
                        break Some(served);
                    }
                    // A client that has not finished its request by now gets no response; one without a request is
                    // refused none.
                    if progress.waiting() != Waiting::NextRequest {
                        refusing.refuse(addr, Refusal::HandshakesAddress);
                    }
                    return None;
                }
                // Lets the request in progress end, and refuses another one.
                () = stage_ended(accepted_in, &mut stage), if !is_stopping => {
                    Pin::new(&mut connection).graceful_shutdown();
                    is_stopping = true;
                }
                waiting = &mut expired => {
                    // A connection without a request refuses none.
                    if waiting == Waiting::Head {
                        refusing.refuse(addr, Refusal::Timeout);
                    }
                    break None;
                }
            }
        }
    };
    if let Some(reason) = served.as_ref().and_then(|served| served.as_ref().err()).and_then(refusal) {
        refusing.refuse(addr, reason);
    }
    let Parts { io, read_buf: prefetched, service, .. } = connection.into_parts();
    // An error concerns this peer only, and hyper has responded to it where a response was possible.
    let is_over = served.is_none_or(|served| served.is_err());
    let end = match service.into_pending_upgrade().filter(|_| !is_over) {
        Some(pending) => End::Upgrade(Upgrade { pending, prefetched }),
        None if progress.has_unread_body() => End::Discard(guard),
        None => End::Close,
    };
    Some(Served { stream: io.into_inner().into_inner(), end })
}

/// Returns the reason that the metrics count a request under which hyper itself has refused.
fn refusal(error: &hyper::Error) -> Option<Refusal> {
    if error.is_parse_too_large() { Some(Refusal::HeadSize) } else { error.is_parse().then_some(Refusal::BadRequest) }
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

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without a time limit of its own: [`Progress`] has two. A client that ends its side still gets its response.
    builder.header_read_timeout(None).half_close(true).max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    builder
}
