//! A listener: an address where connections arrive, and the loop that accepts them.

use super::accept_error::{AcceptError, Backoff};
use super::bind::{ListeningSocket, bind};
use super::bound_address::{BoundAddress, BoundSocket};
use super::brief_response;
use super::connection::{self, Accepted};
use super::descriptor_reserve::DescriptorReserve;
use crate::config::{Address, Config};
use crate::metrics::{Metrics, Refusal};
use crate::net::address::is_in;
use crate::net::admission::{HandshakeQuota, Turn};
use crate::net::endpoint::Endpoint;
use crate::operation::state::State;
use socket2::SockRef;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Clients that are refused for want of a descriptor before the next wait: some milliseconds of work.
const REFUSED_MAX: usize = 256;

/// The peer of a Unix socket: this machine.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A socket that listens, and what its connections have in common.
#[derive(Debug)]
pub(super) struct Listener {
    socket: ListeningSocket,
    endpoint: Arc<Endpoint>,
}

impl Listener {
    /// Listens on an address, with a socket for each of the addresses that a name has. Connections wait in the kernel
    /// until [`Listener::run`].
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub(super) async fn bind(address: &Address, endpoint: Endpoint, config: &Config) -> io::Result<Vec<Self>> {
        let endpoint = Arc::new(endpoint);
        let sockets = bind(address, config).await?;
        Ok(sockets.into_iter().map(|socket| Self { socket, endpoint: Arc::clone(&endpoint) }).collect())
    }

    /// Returns the address, with the port that the system chose for port 0; `None` for a Unix socket.
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            ListeningSocket::Tcp(listener) => listener.local_addr().ok(),
            ListeningSocket::Unix(_) => None,
        }
    }

    /// Returns the address as people read it; `None` if the system cannot tell.
    pub(super) fn bound_address(&self) -> Option<BoundAddress> {
        let socket = match &self.socket {
            ListeningSocket::Tcp(listener) => {
                let addr = listener.local_addr().ok()?;
                let is_dual_stack = addr.is_ipv6() && SockRef::from(listener).only_v6().is_ok_and(|is_only| !is_only);
                BoundSocket::Tcp { addr, is_dual_stack }
            }
            ListeningSocket::Unix(socket) => BoundSocket::Unix(socket.path().to_owned()),
        };
        let Endpoint { is_internal, has_proxy_protocol, ref tls, .. } = *self.endpoint;
        Some(BoundAddress { socket, has_proxy_protocol, is_encrypted: tls.is_some(), is_internal })
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
                        Metrics::count(&state.hub().metrics().process.accept_errors);
                        self.refuse_waiting(&mut reserve, state).await;
                        backoff.wait(&error).await;
                    }
                    AcceptError::Other => {
                        Metrics::count(&state.hub().metrics().process.accept_errors);
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
                    Ok(Err(_)) | Err(_) => state.refuse(accepted.peer, Refusal::Timeout),
                }
            })),
            Turn::Never => {
                // As for want of a descriptor: a TLS client would not understand it.
                if self.endpoint.tls.is_none() {
                    brief_response::too_many_requests(&accepted.stream);
                }
                state.refuse(accepted.peer, Refusal::HandshakesAddress);
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
            let is_refused = if let Ok(Ok(Accepted { stream, peer })) = accepted {
                // A TLS client would take cleartext for a broken record, so it only sees the close.
                if self.endpoint.tls.is_none() {
                    brief_response::no_descriptor(&stream);
                }
                state.refuse(peer, Refusal::Descriptors);
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
            ListeningSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted { stream, peer: peer.ip().to_canonical() })
            }
            ListeningSocket::Unix(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                // Reads and writes of a TCP stream are those of any stream socket, so one type serves both kinds.
                let descriptor = OwnedFd::from(stream.into_std()?);
                Ok(Accepted { stream: TcpStream::from_std(descriptor.into())?, peer: LOCAL })
            }
        }
    }
}
