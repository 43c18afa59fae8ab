//! The way of one connection from its acceptance to its upgrade: what comes before HTTP, then HTTP until it ends or
//! becomes a WebSocket.

use super::admission::Progress;
use super::http::{Context, Desk};
use super::lifecycle::Stage;
use super::proxy;
use super::socket::Socket;
use super::tls::{self, Certificates};
use super::upgrade::{self, Agreed};
use crate::config::{Address, Limits};
use crate::metrics::Refused;
use bytes::Bytes;
use hyper::server::conn::http1::{self, Parts};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
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

/// What all who come in at one address share.
#[derive(Debug)]
pub(super) struct Door {
    /// For operators and their tools; clients go elsewhere.
    pub(super) is_internal: bool,
    /// Every connection has to begin with a header of the PROXY protocol.
    pub(super) has_proxy_protocol: bool,
    /// How TLS handshakes are made, where there are any.
    tls: Option<Arc<ServerConfig>>,
}

impl Door {
    pub(super) fn new(address: &Address, is_internal: bool, certificates: Option<&Certificates>) -> Self {
        let tls = certificates.filter(|_| address.is_encrypted).map(|one| Arc::clone(one.settings()));
        Self { is_internal, has_proxy_protocol: address.has_proxy_protocol, tls }
    }
}

/// Serves a connection until it ends or becomes a WebSocket.
pub(super) async fn serve(
    (mut stream, peer): (TcpStream, IpAddr),
    door: Arc<Door>,
    context: Arc<Context>,
    progress: Progress,
) {
    let peer = match before_http(&mut stream, peer, &door, &context).await {
        Ok(peer) => peer,
        Err(reason) => return context.hub.metrics().refuse(reason),
    };
    if door.tls.is_some() {
        // Boxed: the tasks of other addresses are not to be larger for it.
        return Box::pin(serve_encrypted(stream, peer, door, context, progress)).await;
    }
    let served = serve_http(stream, (peer, false), door, context, progress).await;
    let Some((stream, agreed)) = served else { return };
    go_on(Socket::plain(stream), agreed).await;
}

/// The same behind a TLS handshake.
async fn serve_encrypted(stream: TcpStream, peer: IpAddr, door: Arc<Door>, context: Arc<Context>, progress: Progress) {
    let Some(settings) = &door.tls else { return };
    // What a stranger would cost here is counted before it is spent.
    let has_knocked = match context.admission.knock(peer, &context.settings.load()) {
        Ok(has_knocked) => has_knocked,
        Err(refusal) => return context.hub.metrics().refuse(refusal.reason()),
    };
    let longest = context.hub.limits().handshake_timeout;
    let greeted = tokio::select! {
        greeted = tls::greet(stream, settings, longest) => greeted,
        () = progress.cut() => return,
    };
    let stream = match greeted {
        Ok(stream) => stream,
        Err(reason) => return reason.into_iter().for_each(|reason| context.hub.metrics().refuse(reason)),
    };
    let served = serve_http(stream, (peer, has_knocked), door, context, progress).await;
    let Some((stream, agreed)) = served else { return };
    let (stream, connection) = stream.into_inner();
    go_on(Socket::encrypted(stream, connection), agreed).await;
}

/// Goes on behind HTTP.
async fn go_on(socket: Socket, agreed: Option<(Bytes, Agreed)>) {
    match agreed {
        Some((early, agreed)) => upgrade::take_over(socket, early, agreed).await,
        None => socket.finish(),
    }
}

/// Serves HTTP on a stream until it ends. Returns the stream, and what came behind the request if that has settled that
/// a WebSocket follows; `None` when the connection was cut off.
async fn serve_http<I: AsyncRead + AsyncWrite + Unpin>(
    stream: I,
    peer: (IpAddr, bool),
    door: Arc<Door>,
    context: Arc<Context>,
    progress: Progress,
) -> Option<(I, Option<(Bytes, Agreed)>)> {
    let mut stage = context.lifecycle.watch();
    // While the hub only leaves its balancer, who comes is served as ever.
    let accepted_in = Stage::Leaving.max(*stage.borrow_and_update());
    let mut builder = builder(&context.hub.limits());
    // Who comes during a stop gets one answer.
    builder.keep_alive(accepted_in == Stage::Leaving);
    let hub = context.hub.clone();
    let mut connection = builder.serve_connection(TokioIo::new(stream), Desk::new(context, door, peer));
    let served = tokio::select! {
        served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => served,
        // Cut off for a newcomer: what it has sent so far earned it no answer.
        () = progress.cut() => return None,
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
    let agreed = served.ok().and_then(|()| service.agreed());
    Some((io.into_inner(), agreed.map(|agreed| (read_buf, agreed))))
}

/// Returns what a request is counted as that hyper itself has answered, or given up.
fn refused(error: &hyper::Error) -> Option<Refused> {
    if error.is_timeout() {
        Some(Refused::Timeout)
    } else if error.is_parse_too_large() {
        Some(Refused::HeadSize)
    } else {
        error.is_parse().then_some(Refused::BadRequest)
    }
}

/// Reads what an address asks for before HTTP. Returns who is on the other side of it.
async fn before_http(stream: &mut TcpStream, peer: IpAddr, door: &Door, context: &Context) -> Result<IpAddr, Refused> {
    if !door.has_proxy_protocol {
        return Ok(peer);
    }
    let trusted = context.settings.load().access.trusted_proxies.clone();
    // Boxed: the tasks of other addresses are not to be larger for it.
    Box::pin(proxy::client(stream, peer, &trusted)).await
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
