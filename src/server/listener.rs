//! A listener: where connections come in, and how they are accepted without spinning.

use super::connection;
use super::descriptor_reserve::{self, Pause, Reserve, Trouble};
use crate::config::{Address, Config, SocketAddress};
use crate::metrics::{Metrics, Refusal};
use crate::net::address::is_in;
use crate::net::admission::{Eviction, HandshakeGuard, HandshakeQuota};
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

/// Connections that may wait to be accepted: as many as the kernel's `net.core.somaxconn` allows, which it caps this
/// with. One that finds no room asks again after 1 s, then after 2 more: that is what a reconnect storm takes then.
const BACKLOG: u32 = 65_535;

/// Clients that are turned away before the next pause: some milliseconds of work.
const TURNED_AWAY_MAX: usize = 256;

/// Who is on the other side of a Unix socket: this very machine.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An open endpoint to the hub.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    endpoint: Arc<Endpoint>,
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
    pub(crate) async fn bind(address: &Address, endpoint: Endpoint, config: &Config) -> io::Result<Self> {
        let socket = match &address.socket {
            SocketAddress::Tcp(text) => Socket::Tcp(listen(text, config).await?),
            SocketAddress::Unix(path) => Socket::Unix(listen_at(path)?),
        };
        Ok(Self { socket, endpoint: Arc::new(endpoint) })
    }

    /// Returns the address with the port that was picked; `None` of a Unix socket.
    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// Returns whether it is for operators and their tools.
    pub(crate) fn is_internal(&self) -> bool {
        self.endpoint.is_internal
    }

    /// Accepts for ever, as long as there is room for a handshake.
    pub(crate) async fn accept(&self, state: &Arc<State>) -> Infallible {
        let (mut pause, mut reserve) = (Pause::default(), Reserve::new());
        loop {
            state.handshakes.has_room(state.hub.limits().handshakes_max).await;
            match self.next().await {
                Ok((stream, peer)) => {
                    pause = Pause::default();
                    let guard = self.begin(state, peer);
                    let served =
                        connection::serve((stream, peer), Arc::clone(&self.endpoint), Arc::clone(state), guard);
                    // Boxed: tasks are moved, and aligned to two cache lines, which makes a large one dear to allocate.
                    tokio::spawn(Box::pin(served));
                }
                Err(error) => match Trouble::of(&error) {
                    Trouble::PeerLeft => {}
                    Trouble::NoDescriptor => {
                        Metrics::count(&state.hub.metrics().accept_errors);
                        self.turn_away(&mut reserve, state).await;
                        pause.wait(&error).await;
                    }
                    Trouble::Other => {
                        Metrics::count(&state.hub.metrics().accept_errors);
                        pause.wait(&error).await;
                    }
                },
            }
        }
    }

    /// Counts a handshake; that of a balancer, or of who is exempt, counts for no address.
    fn begin(&self, state: &Arc<State>, peer: IpAddr) -> HandshakeGuard {
        let settings = state.settings.load();
        let access = &settings.access;
        let is_counted = !self.endpoint.has_proxy_protocol
            && !is_in(&access.limits_exempt, peer)
            && !is_in(&access.trusted_proxies, peer);
        let quota = HandshakeQuota {
            max: settings.limits.handshakes_max,
            per_address_max: settings.admission.handshakes_per_address_max,
        };
        let (guard, eviction) = state.handshakes.begin(is_counted.then(|| peer.into()), quota);
        if eviction == Eviction::Oldest {
            state.hub.metrics().refuse(Refusal::HandshakesAddress);
        }
        guard
    }

    /// Answers whom there is no descriptor for: all who wait, or as many as one pause can afford.
    async fn turn_away(&self, reserve: &mut Reserve, state: &State) {
        for _ in 0..TURNED_AWAY_MAX {
            if !reserve.release() {
                break;
            }
            // Only who waits already.
            let waiting = timeout(Duration::ZERO, self.next()).await;
            if let Ok(Ok((stream, _))) = &waiting {
                descriptor_reserve::turn_away(stream);
                state.hub.metrics().refuse(Refusal::Descriptors);
            }
            let is_over = !matches!(&waiting, Ok(Ok(_)));
            drop(waiting);
            reserve.restore();
            if is_over {
                break;
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
