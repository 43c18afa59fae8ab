//! A listener: where connections come in, and how they are accepted without spinning.

use super::http::Context;
use super::serve::{self, Door};
use super::socket;
use crate::config::{Address, Config, Place};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// Connections that may wait to be accepted: a reconnect storm of a few thousand waits instead of being refused.
const BACKLOG: u32 = 8192;

/// Who is on the other side of a Unix socket: this very machine.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An open door to the hub.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    door: Arc<Door>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens at an address; connections wait until [`Listener::accept`].
    ///
    /// # Errors
    ///
    /// What the system says, of the last address that a name stands for.
    pub(super) async fn bind(address: &Address, door: Door, config: &Config) -> io::Result<Self> {
        let socket = match &address.place {
            Place::Tcp(text) => Socket::Tcp(listen(text, config).await?),
            Place::Unix(path) => Socket::Unix(listen_at(path)?),
        };
        Ok(Self { socket, door: Arc::new(door) })
    }

    /// Returns the address with the port that was picked; `None` of a Unix socket.
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// Accepts for ever, as long as there is room for a handshake.
    pub(super) async fn accept(&self, context: &Arc<Context>, handshakes: &Handshakes) -> Infallible {
        let mut pause = Pause::default();
        loop {
            let permit = handshakes.begin().await;
            match self.next().await {
                Ok((stream, peer)) => {
                    pause = Pause::default();
                    let served = serve::serve((stream, peer), Arc::clone(&self.door), Arc::clone(context), permit);
                    // Boxed: tasks are moved, and aligned to two cache lines, which makes a large one dear to allocate.
                    tokio::spawn(Box::pin(served));
                }
                Err(error) => pause.wait(&error).await,
            }
        }
    }

    async fn next(&self) -> io::Result<(TcpStream, IpAddr)> {
        match &self.socket {
            Socket::Tcp(listener) => listener.accept().await.map(|(stream, peer)| (stream, peer.ip().to_canonical())),
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                // To the runtime a stream is a descriptor: what reads and writes one kind serves the other.
                let descriptor = OwnedFd::from(stream.into_std()?);
                Ok((TcpStream::from_std(descriptor.into())?, LOCAL))
            }
        }
    }
}

async fn listen(text: &str, config: &Config) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for addr in lookup_host(text).await? {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for the old connections' TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket::prepare(&socket, &config.limits)?;
        match socket.bind(addr).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Listens at a path. A socket that nobody listens at any more, left by a hub that was killed, is replaced.
fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let is_left_over = || {
        let refused = std::os::unix::net::UnixStream::connect(path).err().map(|error| error.kind());
        refused == Some(io::ErrorKind::ConnectionRefused)
    };
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over() => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

/// The HTTP connections that may be open at once: handshakes, and pages being fetched.
#[derive(Debug)]
pub(super) struct Handshakes {
    free: Arc<Semaphore>,
    max: u32,
}

impl Handshakes {
    pub(super) fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), max: u32::try_from(max).unwrap_or(u32::MAX) }
    }

    async fn begin(&self) -> OwnedSemaphorePermit {
        let Ok(permit) = Arc::clone(&self.free).acquire_owned().await else { unreachable!("it is never closed") };
        permit
    }

    /// Waits until none is in progress.
    pub(super) async fn finished(&self) {
        // An error would mean a closed semaphore, which it never is.
        drop(self.free.acquire_many(self.max).await);
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

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    /// What is set once on the listener must hold for who is accepted: nobody sets it again.
    #[tokio::test]
    async fn accepted_sockets_have_what_was_set_on_the_listener() {
        let config = Config::default();
        let listener = listen("127.0.0.1:0", &config).await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        // The kernel doubles it.
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * config.limits.send_buffer_bytes);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), config.limits.notsent_bytes);
    }
}
