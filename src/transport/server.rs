//! A server: the listener, the shards' tasks, and the order in which they stop.

use super::driver;
use super::http::{Context, Desk, Stage};
use super::socket::{self, SocketSink};
use super::upgrade;
use crate::config::{Config, Limits};
use crate::hub::{Hub, Shard};
use crate::metrics::Metrics;
use crate::protocol::CloseReason;
use hyper::server::conn::http1::{self, Parts};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// Connections that may wait to be accepted: a reconnect storm of a few thousand waits instead of being refused.
const BACKLOG: u32 = 8192;

/// Bytes of a request's head. hyper keeps as much for each handshake in progress.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// Why a server did not start, or stopped by itself.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address is not one, or is taken.
    #[error("can not listen on {addr}: {error}; choose another address with --addr HOST:PORT")]
    Listen {
        /// As configured.
        addr: String,
        /// What the system said.
        error: io::Error,
    },
    /// A shard failed again and again.
    #[error("a shard failed more than five times within a minute; see the log for the panics")]
    ShardsFailing,
}

/// A hub that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    context: Arc<Context>,
    shards: Vec<Shard<SocketSink>>,
}

impl Server {
    /// Listens; connections wait until [`Server::run`].
    ///
    /// # Errors
    ///
    /// [`ServerError::Listen`] when the address is no address of this machine, or is taken.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn bind(config: &Config) -> Result<Self, ServerError> {
        let (listener, addr) = match listen(config).await {
            Ok(bound) => bound,
            Err(error) => return Err(ServerError::Listen { addr: config.addr.clone(), error }),
        };
        let metrics = Arc::new(Metrics::new(config.shards()));
        let (hub, shards) = Hub::tuned(&config.limits, &config.tuning, metrics);
        let context = Arc::new(Context { hub, has_echo: config.echo, stage: watch::Sender::new(Stage::Serving) });
        Ok(Self { listener, addr, context, shards })
    }

    /// Returns the address it listens on, with the port that was picked.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the hub behind it.
    pub fn hub(&self) -> &Hub<SocketSink> {
        &self.context.hub
    }

    /// Serves until `stop` ends; then closes every connection after its pending messages and returns.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShardsFailing`] when a shard had to be restarted too often.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future leaves the connections running without a listener.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self { listener, context, shards, .. } = self;
        let started = Instant::now();
        let mut drivers = JoinSet::new();
        for shard in shards {
            drivers.spawn(driver::supervise(context.hub.clone(), shard, started));
        }
        let handshakes = Handshakes::new(context.hub.limits().handshakes_max);
        let result = tokio::select! {
            never = accept(&listener, &context, &handshakes) => match never {},
            _ = drivers.join_next() => Err(ServerError::ShardsFailing),
            () = stop => Ok(()),
        };
        context.stage.send_replace(Stage::Stopping);
        stop_all(listener, &context, &handshakes).await;
        result
    }
}

/// Closes what is open, and waits until it is or the time is over.
async fn stop_all(listener: TcpListener, context: &Arc<Context>, handshakes: &Handshakes) {
    let hub = &context.hub;
    let deadline = Instant::now() + hub.limits().shutdown_timeout;
    let stopped = async {
        for shard in 0..hub.shards() {
            if let Ok(credit) = hub.inbox(shard).take(1).await {
                hub.close_all(shard, CloseReason::Shutdown, credit);
            }
        }
        tokio::select! {
            never = accept(&listener, context, handshakes) => match never {},
            () = vacated(hub) => {}
        }
        drop(listener);
        context.stage.send_replace(Stage::Ending);
        handshakes.finished().await;
        // A handshake that was under way when the stop began may have become a connection.
        vacated(hub).await;
    };
    if timeout_at(deadline, stopped).await.is_err() {
        tracing::warn!(connections = hub.placement().taken(), "stopped before every connection had ended");
    }
}

/// Waits until no connection holds a place.
async fn vacated(hub: &Hub<SocketSink>) {
    loop {
        let vacated = hub.placement().vacated();
        if hub.placement().taken() == 0 {
            return;
        }
        vacated.await;
    }
}

async fn listen(config: &Config) -> io::Result<(TcpListener, SocketAddr)> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for addr in lookup_host(&config.addr).await? {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for the old connections' TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket::prepare(&socket, &config.limits)?;
        match socket.bind(addr).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return listener.local_addr().map(|addr| (listener, addr)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The HTTP connections that may be open at once: handshakes, and pages being fetched.
#[derive(Debug)]
struct Handshakes {
    free: Arc<Semaphore>,
    max: u32,
}

impl Handshakes {
    fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), max: u32::try_from(max).unwrap_or(u32::MAX) }
    }

    async fn begin(&self) -> OwnedSemaphorePermit {
        let Ok(permit) = Arc::clone(&self.free).acquire_owned().await else { unreachable!("it is never closed") };
        permit
    }

    /// Waits until none is in progress.
    async fn finished(&self) {
        // An error would mean a closed semaphore, which it never is.
        drop(self.free.acquire_many(self.max).await);
    }
}

/// Accepts for ever, as long as there is room for a handshake.
async fn accept(listener: &TcpListener, context: &Arc<Context>, handshakes: &Handshakes) -> Infallible {
    let mut pause = Pause::default();
    loop {
        let permit = handshakes.begin().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                pause = Pause::default();
                // Boxed: tasks are moved, and aligned to two cache lines, which makes a large one dear to allocate.
                tokio::spawn(Box::pin(handshake(stream, Arc::clone(context), permit)));
            }
            Err(error) => pause.wait(&error).await,
        }
    }
}

/// How long to wait after an accept that failed: without descriptors the next one fails at once, and a loop would spin.
#[derive(Debug)]
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(10))
    }
}

impl Pause {
    async fn wait(&mut self, error: &io::Error) {
        // The peer left before it was accepted; the next one is not concerned.
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        tracing::error!(%error, pause = ?self.0, "can not accept connections");
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(1));
    }
}

/// Serves HTTP on a connection until it ends or becomes a WebSocket.
async fn handshake(stream: TcpStream, context: Arc<Context>, permit: OwnedSemaphorePermit) {
    let mut stage = context.stage.subscribe();
    let accepted_in = *stage.borrow_and_update();
    let mut builder = builder(context.hub.limits());
    // Who comes during a stop gets one answer.
    builder.keep_alive(accepted_in == Stage::Serving);
    let mut connection = builder.serve_connection(TokioIo::new(stream), Desk::new(context));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is set once on the listener must hold for who is accepted: nobody sets it again.
    #[tokio::test]
    async fn accepted_sockets_have_what_was_set_on_the_listener() {
        let config = Config { addr: "127.0.0.1:0".to_owned(), ..Config::default() };
        let (listener, addr) = listen(&config).await.unwrap();
        let _peer = TcpStream::connect(addr).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        // The kernel doubles it.
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * config.limits.send_buffer_bytes);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), config.limits.notsent_bytes);
    }
}
