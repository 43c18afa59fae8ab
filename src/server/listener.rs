//! A listener: an address where connections arrive, and the loop that accepts them.

use super::accept_error::{AcceptError, Backoff};
use super::brief_response;
use super::connection::{self, Accepted};
use super::descriptor_reserve::DescriptorReserve;
use crate::config::{Address, Config, SocketAddress};
use crate::metrics::{Metrics, Refusal};
use crate::net::address::is_in;
use crate::net::admission::{HandshakeQuota, Turn};
use crate::net::endpoint::Endpoint;
use crate::net::socket;
use crate::operation::state::State;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, lookup_host};
use tokio::time::timeout;

/// Connections that may wait to be accepted. The kernel lowers it to `net.core.somaxconn`. A client that finds the
/// queue full repeats its SYN after 1 s, then after 2 s more, so a short queue would stretch every reconnect storm.
const BACKLOG: u32 = 65_535;

/// Clients that are refused for want of a descriptor before the next wait: some milliseconds of work.
const REFUSED_MAX: usize = 256;

/// The peer of a Unix socket: this machine.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A socket that listens, and what its connections have in common.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    endpoint: Arc<Endpoint>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens on an address. Connections wait in the kernel until [`Listener::run`].
    ///
    /// # Errors
    ///
    /// The error of the system; if a name has several addresses, that of the last one.
    pub(super) async fn bind(address: &Address, endpoint: Endpoint, config: &Config) -> io::Result<Self> {
        let socket = match &address.socket {
            SocketAddress::Tcp(text) => Socket::Tcp(listen(text, config).await?),
            SocketAddress::Unix(path) => Socket::Unix(listen_at(path)?),
        };
        Ok(Self { socket, endpoint: Arc::new(endpoint) })
    }

    /// Returns the address, with the port that the system chose for port 0; `None` for a Unix socket.
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// Returns whether the address is for operators and their tools.
    pub(super) fn is_internal(&self) -> bool {
        self.endpoint.is_internal
    }

    /// Accepts connections, for ever.
    pub(super) async fn run(&self, state: &Arc<State>) -> Infallible {
        let (mut backoff, mut reserve) = (Backoff::default(), DescriptorReserve::new());
        loop {
            // Without room connections wait in the kernel, where they cost least, instead of evicting each other.
            let handshakes_max = state.settings.load().sockets.handshakes_max;
            state.handshakes.wait_for_room(handshakes_max).await;
            match self.accept().await {
                Ok(accepted) => {
                    backoff = Backoff::default();
                    self.spawn(state, accepted);
                }
                Err(error) => match AcceptError::from(&error) {
                    AcceptError::Aborted => {}
                    AcceptError::NoDescriptor => {
                        Metrics::count(&state.hub.metrics().process.accept_errors);
                        self.refuse_waiting(&mut reserve, state).await;
                        backoff.wait(&error).await;
                    }
                    AcceptError::Other => {
                        Metrics::count(&state.hub.metrics().process.accept_errors);
                        backoff.wait(&error).await;
                    }
                },
            }
        }
    }

    /// Serves a connection in a task of its own, as soon as its address may have another handshake in progress.
    fn spawn(&self, state: &Arc<State>, accepted: Accepted) {
        let (endpoint, state) = (Arc::clone(&self.endpoint), Arc::clone(state));
        // Boxed: a task is moved into its cell, which is aligned to two cache lines, so a large one is expensive to
        // allocate.
        match self.begin(&state, accepted.peer) {
            Turn::Now(guard) => drop(tokio::spawn(Box::pin(connection::serve(accepted, endpoint, state, guard)))),
            Turn::Later(turn) => drop(tokio::spawn(async move {
                let handshake_timeout = state.settings.load().sockets.handshake_timeout;
                match timeout(handshake_timeout, turn).await {
                    Ok(Ok(guard)) => Box::pin(connection::serve(accepted, endpoint, state, guard)).await,
                    Ok(Err(_)) | Err(_) => state.hub.metrics().refuse(Refusal::Timeout),
                }
            })),
            Turn::Never => {
                // As for want of a descriptor: a TLS client would not understand it.
                if self.endpoint.tls.is_none() {
                    brief_response::too_many_requests(&accepted.stream);
                }
                state.hub.metrics().refuse(Refusal::HandshakesAddress);
            }
        }
    }

    /// Counts a handshake, also for the address of its peer unless that is exempt or stands for many clients.
    fn begin(&self, state: &Arc<State>, peer: IpAddr) -> Turn {
        let settings = state.settings.load();
        let access = &settings.access;
        let is_counted = !self.endpoint.has_proxy_protocol
            && !is_in(&access.limits_exempt, peer)
            && !is_in(&access.trusted_proxies, peer);
        let quota = HandshakeQuota {
            max: settings.sockets.handshakes_max,
            per_address_max: settings.admission.handshakes_per_address_max,
        };
        state.handshakes.begin(is_counted.then(|| peer.into()), quota)
    }

    /// Refuses the connections that wait in the kernel, at most [`REFUSED_MAX`], with the descriptor of the reserve.
    async fn refuse_waiting(&self, reserve: &mut DescriptorReserve, state: &State) {
        for _ in 0..REFUSED_MAX {
            if !reserve.release() {
                break;
            }
            // A timeout of zero accepts a connection that waits already, and waits for no other.
            let accepted = timeout(Duration::ZERO, self.accept()).await;
            let is_refused = if let Ok(Ok(Accepted { stream, .. })) = accepted {
                // A TLS client would take cleartext for a broken record, so it only sees the close.
                if self.endpoint.tls.is_none() {
                    brief_response::no_descriptor(&stream);
                }
                state.hub.metrics().refuse(Refusal::Descriptors);
                true
            } else {
                false
            };
            // The stream is dropped by now, so its descriptor is free.
            reserve.acquire();
            if !is_refused {
                break;
            }
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted { stream, peer: peer.ip().to_canonical() })
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                // Reads and writes of a TCP stream are those of any stream socket, so one type serves both kinds.
                let descriptor = OwnedFd::from(stream.into_std()?);
                Ok(Accepted { stream: TcpStream::from_std(descriptor.into())?, peer: LOCAL })
            }
        }
    }
}

async fn listen(text: &str, config: &Config) -> io::Result<TcpListener> {
    let mut last_error = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for addr in lookup_host(text).await? {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait until the connections of the old process have left TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket::prepare(&socket, &config.sockets)?;
        match socket.bind(addr).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// Listens on a path. Replaces the socket of a process that was killed, which still exists but refuses connections.
fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let is_stale = || {
        let refused = std::os::unix::net::UnixStream::connect(path).err().map(|error| error.kind());
        refused == Some(io::ErrorKind::ConnectionRefused)
    };
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale() => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    /// Accepted sockets inherit the options of their listener, and no code sets them again.
    #[tokio::test]
    async fn accepted_sockets_have_what_was_set_on_the_listener() {
        let config = Config::default();
        let listener = listen("127.0.0.1:0", &config).await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        // The kernel doubles it.
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * config.sockets.send_buffer_bytes);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), config.sockets.notsent_bytes);
    }
}
